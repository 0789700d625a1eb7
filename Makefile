# One command for each thing a contributor does.  PYTHON is the environment's interpreter.
PYTHON ?= .venv/bin/python

.PHONY: check format lint types floors test proof system long bench docs

check: format lint types floors test

format:
	$(PYTHON) -m ruff format --check .

lint:
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m mypy

floors:
	$(PYTHON) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

# the default run: three to four minutes on two cores
test:
	$(PYTHON) -m pytest

# the longer proofs too
proof:
	$(PYTHON) -m pytest -m 'not system'

# a real systemd and a real cron, in a container; a real browser; needs root
system:
	$(PYTHON) -m pytest -m system

# all that the default run leaves out; needs root
long:
	$(PYTHON) -m pytest -m 'slow or system'

bench:
	$(PYTHON) -m benchmarks

docs:
	$(PYTHON) docs/reference.py
	$(PYTHON) docs/manual.py
