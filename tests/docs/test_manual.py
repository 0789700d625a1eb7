"""The manual pages say what the docs say, and every reader of them can show them."""

from __future__ import annotations

import importlib.util
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc.cli import COMMANDS

if TYPE_CHECKING:
    from types import ModuleType

TOP = Path(__file__).parents[2]
NAMES = ("spool.1", "spool-format.5")


@pytest.fixture(scope="module")
def manual() -> ModuleType:
    """Import the script that writes them."""
    spec = importlib.util.spec_from_file_location("manual", TOP / "docs" / "manual.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(path: Path) -> str:
    """Return a page as a terminal shows it, without bold and italics."""
    plain = ("-P-c", "-P-b", "-P-u")
    done = subprocess.run(
        ["groff", "-t", "-man", "-ww", "-Tutf8", *plain, "-rLL=100n", path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_they_are_made_from_the_docs(manual: ModuleType) -> None:
    """`make docs` writes them; whoever changes the docs runs it."""
    assert {page.path.name for page in manual.PAGES} == set(NAMES)
    for page in manual.PAGES:
        assert page.path.read_text() == page.text()


@pytest.mark.parametrize("name", NAMES)
def test_they_can_be_shown(name: str) -> None:
    """Without a warning, with the sections that every manual page has, each at the margin."""
    lines = shown(TOP / "man" / name).splitlines()
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"):
        assert section in lines


def test_each_command_and_exit_code_is_there() -> None:
    """As in the reference."""
    page = shown(TOP / "man" / "spool.1")
    for command in COMMANDS:
        assert f"\nspool {command}\n" in page
    for code in ("0", "1", "2", "3", "4", "5", "7", "70", "130"):
        assert f"│{code} " in page


def test_what_roff_would_take_for_a_request_is_shown_as_it_is(
    manual: ModuleType, tmp_path: Path
) -> None:
    """Dots and quotes at the start of a line, backslashes, hyphens and other scripts."""
    lines = [".TH none", "'quoted' \\fBnot bold\\fR", "--long-option", "λ ─ ü"]
    text = "\n".join(["```text", *lines, "```", "", "`.hidden` and `\\n`", "", "- a", "- .b"])
    path = tmp_path / "page.7"
    path.write_text(".TH page 7\n" + "\n".join(manual.roff(text)) + "\n")
    page = shown(path)
    for line in (*lines, ".hidden and \\n", ".b"):
        assert line in page


def test_an_installed_package_has_them() -> None:
    """They are listed for the place where `man` looks beside the programs."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    files = project["tool"]["setuptools"]["data-files"]
    assert {name for names in files.values() for name in names} == {f"man/{n}" for n in NAMES}
    assert set(files) == {"share/man/man1", "share/man/man5"}
