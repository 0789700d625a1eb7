"""docs/writing-operations.md builds the package in examples/, which does what the page says."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from test_examples import ROOT, blocks, converse, copy_of_the_project

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "writing-operations.md"
EXAMPLE = ROOT / "examples" / "spool-files"
SOURCE = EXAMPLE / "src" / "spool_files" / "__init__.py"
TESTS = EXAMPLE / "tests" / "test_spool_files.py"


def shown(wanted: str) -> list[str]:
    """Return the page's blocks of a kind."""
    return [text for kind, text in blocks(PAGE) if kind == wanted]


def environment(home: Path, programs: Path, *python_path: Path) -> dict[str, str]:
    """Return an environment in which ``spool`` is that of ``programs``."""
    home.mkdir()
    return {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(map(str, python_path)),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }


def test_the_page_shows_the_example_as_it_is() -> None:
    """The code of its steps, one after the other, is the module; tests are shown in part."""
    source, tests = SOURCE.read_text(), TESTS.read_text()
    steps = [text for text in shown("py") if text in source]
    assert "\n\n".join(steps) == source
    others = [text for text in shown("py") if text not in steps]
    assert others
    assert all(text in tests for text in others)
    assert shown("toml") == [(EXAMPLE / "pyproject.toml").read_text()]


def test_the_tutorial_in_this_environment(tmp_path: Path) -> None:
    """Each command answers as the page says; the package is only described as installed."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["spoolcalc.operations"]
    described = tmp_path / "site" / "spool_files-1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (described / "entry_points.txt").write_text(
        "[spoolcalc.operations]\n" + "".join(f"{name} = {to}\n" for name, to in points.items())
    )
    programs = tmp_path / "bin"
    programs.mkdir()
    spool = programs / "spool"
    main = "from spoolcalc.entry import main; main()"
    spool.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{main}' \"$@\"\n")
    spool.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    converse(
        shown("shell-session"),
        work,
        environment(tmp_path / "home", programs, ROOT, described.parent, EXAMPLE / "src"),
    )


@pytest.mark.slow
@pytest.mark.timeout(300)  # it installs everything from nothing
def test_the_tutorial_in_a_clean_environment(tmp_path: Path) -> None:
    """Install the project and the example with nothing but python3, and do what the page says."""
    copy = tmp_path / "copy"
    copy_of_the_project(copy)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    programs = tmp_path / "venv" / "bin"
    [install] = shown("install")
    assert install == "pip install ./spool-files\n"
    subprocess.run(
        [programs / "pip", "install", "-q", copy, "./spool-files"],
        cwd=copy / "examples",
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        check=True,
        timeout=200,
    )
    work = tmp_path / "work"
    work.mkdir()
    converse(shown("shell-session"), work, environment(tmp_path / "home", programs))
