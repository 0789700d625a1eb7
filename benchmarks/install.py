"""The package as users have it: installed, not editable, compiled to bytecode.

Where the interpreter has to compile modules at each start, or looks for an editable package, a
start takes twice as long, so that a checkout cannot be timed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parent.parent

#: Prints where the package lies.
_WHERE = "import os, spoolcalc; print(os.path.dirname(os.path.dirname(spoolcalc.__file__)))"


@contextmanager
def installed(python: str | None) -> Iterator[str]:
    """Yield an interpreter that has the package: ``python``, or one of a throw-away venv."""
    if python is not None:
        yield str(Path(python).absolute())
        return
    with tempfile.TemporaryDirectory(prefix="spoolcalc-venv-") as directory:
        yield _make(Path(directory))


def site_of(python: str) -> str:
    """Return the directory from which ``python`` imports the package.

    Raises SystemExit if it has none, or has the checkout itself.
    """
    found = subprocess.run(
        [python, "-c", _WHERE], capture_output=True, text=True, cwd="/", check=False
    )
    site = found.stdout.strip()
    if found.returncode or not site:
        sys.exit(f"benchmarks: {python} has no spoolcalc: {found.stderr.strip()[-200:]}")
    if Path(site) == CHECKOUT:
        sys.exit(f"benchmarks: {python} has an editable install, whose start cannot be timed")
    return site


def _make(directory: Path) -> str:
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    source = directory / "source"  # a copy: a build leaves its traces where it is made
    for name in ("man", "spoolcalc"):
        shutil.copytree(CHECKOUT / name, source / name)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(CHECKOUT / name, source)
    venv = directory / "venv"
    python = str(venv / "bin" / "python")
    for command in (
        [sys.executable, "-m", "venv", str(venv)],
        [python, "-m", "pip", "install", "--quiet", f"{source}[http]"],
        [python, "-m", "compileall", "-q", str(venv / "lib")],
    ):
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        if ended.returncode:
            sys.exit(f"benchmarks: {' '.join(command)} failed:\n{ended.stderr}")
    return python
