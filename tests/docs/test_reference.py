"""docs/cli.md is what the command's help says now, and tells of every command and exit code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from spoolcalc import errors

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_is_up_to_date() -> None:
    """`make docs` writes it."""
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "cli.md").read_text() == module.page()


def test_the_reference_has_every_exit_code() -> None:
    """The table and the code agree."""
    written = re.findall(r"^\| (\d+) \|", (DOCS / "cli.md").read_text(), re.MULTILINE)
    codes = {value for name, value in vars(errors).items() if name.isupper() and name[0] != "_"}
    assert {int(code) for code in written} == codes
