"""Every example in README.md and docs/ is run as written, and its output is held against the page.

A ``console`` block is a dialogue: lines after ``$ `` are typed (``> `` goes on), the rest is what
is answered, stdout and stderr together.  All dialogues of a page are one session of one shell, in
an empty directory, with ``spool`` on the path.  In an answer, ids and times stand for any id and
any time, and ``...`` for anything.  ``python`` blocks are run on their own, ``json`` blocks
are parsed, and of a ``crontab`` block the commands are run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spoolcalc.document import decode

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
#: Block kinds that are shown and not run: a diagram, a tree, the body of another block, and the
#: commands that install things or need systemd, which have tests of their own;
SHOWN = {"", "text", "install", "toml", "ini"}
#: and those of the tutorial, which test_tutorial holds against the example, and runs.
TUTORIAL = {"py", "shell-session"}
#: and those that test_recipes runs in several shells.
RECIPES = {"sh"}
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
MS = re.compile(r"\d+\.\d ms")
BYTES = re.compile(r"\d+ bytes")
WORKER = re.compile(r"[A-Za-z0-9-]+\.\d+\.[0-9a-f]{8}")
MARK = "\x1e"


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the kind and the text of each fenced block of a page."""
    found = re.findall(r"^```(\S*)[^\n]*\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [(kind, text) for kind, text in found]


def dialogue(text: str) -> list[tuple[str, str]]:
    """Return what is typed and what is answered, in turn."""
    turns: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            turns.append((line[2:], ""))
        elif line.startswith("> ") and turns and not turns[-1][1]:
            turns[-1] = (turns[-1][0] + "\n" + line[2:], "")
        else:
            typed, answered = turns[-1]
            turns[-1] = (typed, answered + line + "\n")
    return turns


def general(text: str) -> str:
    """Return an answer with what differs from run to run taken out."""
    for pattern in (ID, TIME, MS, BYTES, WORKER):
        text = pattern.sub("(any)", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def matches(said: str, written: str) -> bool:
    """Tell whether an answer is what the page says."""
    pattern = re.escape(general(written)).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, general(said), re.DOTALL) is not None


def converse(dialogues: list[str], work: Path, environment: dict[str, str]) -> None:
    """Type all dialogues into one shell, and hold each answer against what is written."""
    turns = [turn for text in dialogues for turn in dialogue(text)]
    script = "rc=0\n" + "".join(
        f"printf '{MARK}'; (exit $rc)\n{typed}\nrc=$?\n" for typed, _ in turns
    )
    shell = subprocess.run(
        ["bash"],
        input=script,
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    said = shell.stdout.split(MARK)[1:]
    assert len(said) == len(turns)
    for (typed, written), answered in zip(turns, said, strict=True):
        assert matches(answered, written), f"$ {typed}\n{answered}\ninstead of\n{written}"


def copy_of_the_project(target: Path) -> None:
    """Copy what git knows, as a clone would have it."""
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, files):
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((ROOT / name).read_bytes())


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Make an empty directory and an environment with ``spool`` and ``python3`` on the path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    main = "from spoolcalc.entry import main; main()"
    for name, command in (("spool", f"{sys.executable} -c '{main}'"), ("python3", sys.executable)):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }
    work = tmp_path / "work"
    work.mkdir()
    return work, environment


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_dialogues_of_a_page(page: Path, place: tuple[Path, dict[str, str]]) -> None:
    """Each command answers as the page says."""
    converse([text for kind, text in blocks(page) if kind == "console"], *place)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_other_blocks_of_a_page(page: Path, place: tuple[Path, dict[str, str]]) -> None:
    """Programs run, JSON parses, job documents are valid, and crontab commands succeed."""
    work, environment = place
    environment["SPOOL_DIR"] = str(work / "spool")
    for kind, text in blocks(page):
        if kind == "json":
            if '"operands"' in text and '"format"' in text:
                decode(json.dumps(json.loads(text)).encode())
            json.loads(text)
        elif kind == "python":
            subprocess.run(
                [sys.executable, "-W", "error", "-c", text],
                cwd=work,
                env=environment,
                check=True,
                timeout=60,
            )
        elif kind == "crontab":
            for line in text.splitlines():
                command = re.sub(r"^(@\w+|(\S+\s+){5})", "", line)
                subprocess.run(
                    ["sh", "-c", command], cwd=work, env=environment, check=True, timeout=60
                )
        else:
            assert kind in SHOWN | TUTORIAL | RECIPES | {"console"}, (
                f"nothing runs a block of kind {kind!r}"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    """Within the project."""
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_s_commands_are_the_ones_that_are_tested() -> None:
    """CI runs the README's test command, and the other one has a test below."""
    setup, test = (text.strip() for kind, text in blocks(ROOT / "README.md") if kind == "install")
    assert test in (ROOT / ".ci" / "run").read_text()
    assert setup.count("\n") == test.count("\n") == 0


@pytest.mark.slow
def test_the_readme_s_first_command_prints_35(tmp_path: Path) -> None:
    """In a fresh copy, with nothing but python3."""
    setup = next(text.strip() for kind, text in blocks(ROOT / "README.md") if kind == "install")
    copy_of_the_project(tmp_path / "copy")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run(
        ["sh", "-c", setup],
        cwd=tmp_path / "copy",
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=110,
        check=True,
    )
    assert said.stdout.splitlines()[-1] == "35"
