"""The quick way into the command and typer's way are one command."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Commands, Jobs, Ran

    from spoolcalc import Spool

#: Exits with 99 if the quick way does not answer.
QUICK = """
import sys
from spoolcalc import boundary, entry, output

output.hold_standard_descriptors()
plain = entry.is_plain(sys.argv[1:])
sys.exit(boundary.guard(lambda: entry.run_plain(sys.argv[1:])) if plain else 99)
"""
ENTRY = """
from spoolcalc.entry import main
main()
"""
TYPER = """
import sys
from spoolcalc import cli, output

output.hold_standard_descriptors()
sys.exit(cli.run(sys.argv[1:]))
"""
#: Prints what the command has loaded beside what the interpreter starts with.
LOADED = """
import os, sys

before = set(sys.modules)
leave = os._exit

def tell(code):
    print(*sorted(set(sys.modules) - before), file=sys.stderr, flush=True)
    leave(code)

os._exit = tell
from spoolcalc.entry import main
main()
"""
HEAVY = """
argparse asyncio click dataclasses decimal filelock fractions hashlib http importlib.metadata
importlib.resources inotify_simple inspect logging msgspec multiprocessing pathlib pydantic rich
shutil socket subprocess tempfile threading typer typing uuid
"""
FULLWIDTH = "\N{FULLWIDTH DIGIT ONE}\N{FULLWIDTH DIGIT TWO}"
UNKNOWN = "01a20f20-b358-75fa-ab79-9c641df4b44f"
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


class Case(NamedTuple):
    """A form without options, and its code; ``@state`` is the id of a job in that state."""

    arguments: str | tuple[str, ...]
    code: int
    spoil: str = ""


CASES = {
    "submit": Case("submit add 12 23", 0),
    "submit to no spool yet": Case("submit add 12 23", 0, "missing"),
    "no operand": Case("submit add", 2),
    "unknown operation": Case("submit plus 1 2", 2),
    "unknown operation, no spool": Case("submit plus 1 2", 2, "missing"),
    "empty operation": Case(("submit", ""), 2),
    "operation like a number": Case("submit -3 4", 2),
    "too few operands": Case("submit add 1", 2),
    "too many operands": Case("submit add 1 2 3", 2),
    "not a number": Case("submit add 1 zwei", 2),
    "empty operand": Case(("submit", "add", "1", ""), 2),
    "operand of spaces": Case(("submit", "add", " 1", "2 "), 2),
    "negative operand": Case("submit sub 1 -3", 0),
    "negative fraction": Case("submit sub -.5 1", 0),
    "negative power": Case("submit neg -1e3", 0),
    "negative, signed exponent": Case("submit max -1.5E-3 -2 -3.", 0),
    "negative hexadecimal": Case("submit add -1h 2", 2),
    "negative with a letter": Case("submit add -5v 2", 2),
    "fullwidth digits": Case(f"submit add {FULLWIDTH} 1", 2),
    "fullwidth negative": Case(f"submit add -{FULLWIDTH} 1", 2),
    "shell in an operand": Case(("submit", "add", "$(id)", "1"), 2),
    "not UTF-8": Case(("submit", "add", "\udcff", "1"), 2),
    "fetch completed": Case("fetch @completed", 0),
    "fetch pending": Case("fetch @pending", 4),
    "fetch failed": Case("fetch @failed", 1),
    "fetch retrieved": Case("fetch @retrieved", 0),
    "fetch unknown": Case(f"fetch {UNKNOWN}", 3),
    "fetch malformed": Case("fetch ../../etc/passwd", 2),
    "fetch empty": Case(("fetch", ""), 2),
    "fetch negative": Case("fetch -3", 2),
    "fetch several": Case("fetch @completed @retrieved", 0),
    "fetch one twice": Case("fetch @completed @completed", 0),
    "fetch all kinds": Case(f"fetch @pending @completed @failed {UNKNOWN} x", 4),
    "status pending": Case("status @pending", 0),
    "status completed": Case("status @completed", 0),
    "status failed": Case("status @failed", 0),
    "status retrieved": Case("status @retrieved", 0),
    "status unknown": Case(f"status {UNKNOWN}", 3),
    "status malformed": Case("status nonsense", 2),
    "status negative": Case("status -3", 2),
    "status all kinds": Case(f"status @pending @completed x {UNKNOWN} @failed", 3),
    "fetch, no spool": Case(f"fetch {UNKNOWN}", 7, "missing"),
    "status, no spool": Case(f"status {UNKNOWN}", 7, "missing"),
    "submit, group may write": Case("submit add 1 2", 7, "group"),
    "fetch, everybody may write": Case("fetch @completed", 7, "world"),
    "submit, somebody else's": Case("submit add 1 2", 7, "owner"),
    "status, somebody else's": Case("status @pending", 7, "owner"),
    "submit, newer format": Case("submit add 1 2", 7, "newer"),
    "fetch, newer format": Case("fetch @completed", 7, "newer"),
    "status, a file": Case(f"status {UNKNOWN}", 7, "file"),
    "submit, a foreign directory": Case("submit add 1 2", 7, "foreign"),
}


def python(program: str) -> tuple[str, ...]:
    """Return the command that runs a program."""
    return (sys.executable, "-c", program)


def spoil(path: Path, how: str) -> None:
    """Make the spool unusable, in one of the ways that the cases name."""
    if how == "owner" and os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    if how in ("missing", "file", "foreign"):
        shutil.rmtree(path)
    if how == "file":
        path.touch()
    elif how == "foreign":
        path.mkdir(0o700)
        (path / "thesis.tex").touch()
    elif how == "group":
        path.chmod(0o770)
    elif how == "world":
        path.chmod(0o702)
    elif how == "owner":
        os.chown(path, 40001, -1)
    elif how == "newer":
        (path / "format.json").write_text('{"format": 2}')


def tree(path: Path, known: set[str]) -> list[str]:
    """Return what a spool holds, in an order, ids that are not ``known`` and all times masked."""
    if not path.is_dir():
        return [path.read_text()] if path.exists() else []
    found = []
    for entry in sorted(path.rglob("*")):
        name = masked(str(entry.relative_to(path)), known)
        held = "" if entry.is_dir() else masked(entry.read_text(), known)
        found.append(f"{entry.stat().st_mode:o} {name} {held}")
    return sorted(found)


def masked(text: str, known: set[str]) -> str:
    """Replace new ids, their buckets, and times."""
    text = ID.sub(lambda match: match[0] if match[0] in known else "<new id>", text)
    text = re.sub(r"\b(\d-)?[0-9a-f]{8}(?![-0-9a-f])", r"\1<bucket>", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "<time>", text)


@pytest.mark.parametrize("name", CASES)
def test_both_ways_give_the_same(name: str, commands: Commands, jobs: Jobs, tmp_path: Path) -> None:
    """A plain form has one stdout, stderr, exit code and effect, whichever way it takes."""
    case = CASES[name]
    ids = jobs.of_each_state()
    words = case.arguments.split() if isinstance(case.arguments, str) else case.arguments
    arguments = [ids[word[1:]] if word.startswith("@") else word for word in words]
    path = commands.spool
    kept = tmp_path / "kept"
    path.rename(kept)

    def take(way: str) -> dict[str, object]:
        shutil.copytree(kept, path, symlinks=True)
        spoil(path, case.spoil)
        code, *written = commands.run(*arguments, command=python(way))
        held = tree(path, set(ids.values()))
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        out, err = (masked(text, set(ids.values())) for text in written)
        return {"code": code, "stdout": out, "stderr": err, "spool": held}

    taken = take(ENTRY)
    assert taken == take(TYPER)
    assert taken["code"] == case.code, taken


@pytest.mark.parametrize(
    "arguments",
    [
        "submit add 12 23",
        "submit max -3 -.5 -1e3 -1.5E-3",
        "submit add 1",
        "fetch @completed",
        "status @completed",
    ],
)
def test_the_quick_way_loads_next_to_nothing(
    arguments: str, commands: Commands, jobs: Jobs
) -> None:
    """A plain form imports nothing that takes long to load."""
    words = arguments.replace("@completed", jobs.completed()).split()
    loaded = set(commands.run(*words, command=python(LOADED)).stderr.splitlines()[-1].split())
    assert "spoolcalc.commands" in loaded
    assert loaded & set(HEAVY.split()) == set()
    assert not loaded & {"spoolcalc.cli", "spoolcalc.lease", "spoolcalc.worker", "spoolcalc.sweep"}
    if "status" not in arguments:  # which shows when a job was submitted
        assert "datetime" not in loaded


def test_what_is_no_plain_form_is_left_to_typer(run: Callable[..., Ran], spool: Spool) -> None:
    """Forms with options, or without arguments, are not answered by the quick way."""
    assert run("submit", "add", "1", "2", command=python(QUICK)).returncode == 0
    for words in (["submit"], ["fetch", "--keep", "x"], ["work"], ["-h"], ["submit", "-", "1"], []):
        assert run(*words, command=python(QUICK)).returncode == 99
    job_id = run("submit", "--", "sub", "-1", "-3").stdout.strip()
    assert spool.find(job_id).operands == ("-1", "-3")
    job_id = run("submit", "--priority", "2", "sub", "-.5", "-1e3").stdout.strip()
    assert spool.find(job_id).operands == ("-.5", "-1e3")


def test_options_beside_negative_operands(run: Callable[..., Ran], spool: Spool) -> None:
    """An option may stand before, between or after operands that begin with a minus."""
    for words in (
        ["submit", "--json", "sub", "-1", "-3"],
        ["submit", "sub", "-1", "--json", "-3"],
        ["submit", "sub", "-1", "-3", "--json"],
        ["--spool", spool.path, "submit", "--json", "sub", "-1", "-3"],
    ):
        ended = run(*words, env={"SPOOL_DIR": None} if "--spool" in words else None)
        assert ended.returncode == 0, ended
        assert json.loads(ended.stdout)["jobs"][0]["operands"] == ["-1", "-3"]


def test_a_mistyped_option_is_named(run: Callable[..., Ran], commands: Commands) -> None:
    """A long option that does not exist is a usage error, and nothing is made."""
    ended = run("submit", "add", "1", "--priorty", "2")
    assert ended.returncode == 2
    assert "--priorty" in ended.stderr
    assert not commands.spool.exists()


def test_after_a_lone_double_hyphen_all_are_ids(run: Callable[..., Ran], spool: Spool) -> None:
    """What looks like an option is taken for an id there, and a bad one."""
    ended = run("status", "--", "--json")
    assert ended.returncode == 2
    assert "not a job id: '--json'" in ended.stderr
