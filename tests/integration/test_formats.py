"""Spools as earlier versions left them: they load, and one command brings them up to date."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import NewerFormat, Spool, State, Worker
from spoolcalc.access import upgrade
from spoolcalc.layout import DIRECTORIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Commands, Ran

FORMATS = Path(__file__).parents[1] / "formats"
NEW = ["blocked", "delayed", "waits", "waited", "keys", "locks", "inbox", "output", "events"]


@pytest.fixture
def first(commands: Commands) -> dict[str, str]:
    """Unpack the spool of the first version; return its jobs by their states."""
    kept: dict[str, Any] = json.loads((FORMATS / "first.json").read_text())
    commands.spool.mkdir(mode=0o700)
    for name, text in kept["files"].items():
        path = commands.spool / name
        if text is None:
            path.mkdir(mode=0o700)
        else:
            path.write_text(text)
            path.chmod(0o600)
    jobs: dict[str, str] = kept["jobs"]
    return jobs


def test_the_first_version_s_spool_loads(first: dict[str, str], commands: Commands) -> None:
    """Each job is where it was, and as it was."""
    spool = Spool(commands.spool)
    for state, job_id in first.items():
        assert spool.find(job_id).state == state
    assert spool.fetch(first["completed"]).result == "42"
    assert spool.find(first["failed"]).outcome is not None


def test_it_can_be_worked_on_as_it_is(first: dict[str, str], commands: Commands) -> None:
    """Directories that it lacks are made when there is something to put into them."""
    spool = Spool(commands.spool)
    late = spool.submit("add", ["1", "1"], after=[(first["wip"], "ok")], key="once")
    Worker(spool, once=True).run()
    results = [spool.find(first[name]).result for name in ("pending", "wip")]
    assert (results, spool.find(late).result) == (["1024", "42"], "2")
    assert [attempt.end for attempt in spool.find(first["wip"]).attempts] == ["lost", "completed"]


def test_one_command_brings_it_up_to_date(
    first: dict[str, str], commands: Commands, run: Callable[..., Ran]
) -> None:
    """It says what was missing, changes nothing else, and done again finds nothing to do."""
    before = {path: path.read_bytes() for path in commands.spool.rglob("*") if path.is_file()}
    assert run("upgrade") == (0, "".join(f"made {name}\n" for name in NEW), "")
    assert {path: path.read_bytes() for path in before} == before
    assert {*DIRECTORIES} < {*os.listdir(commands.spool)}
    modes = {os.stat(commands.spool / name).st_mode & 0o7777 for name in NEW}
    assert modes == {0o700}
    assert run("upgrade") == (0, "", "spool: it lacks nothing\n")
    told = json.loads(run("upgrade", "--json").stdout)
    assert told == {"schema": 1, "spool": str(commands.spool), "format": 1, "made": []}
    Worker(Spool(commands.spool), once=True).run()
    assert Spool(commands.spool).counts()[State.COMPLETED] == 3


def test_a_shared_spool_stays_shared(commands: Commands, run: Callable[..., Ran]) -> None:
    """What is made is the group's too."""
    assert run("init", "--group", str(os.getegid())).returncode == 0
    (commands.spool / "inbox").rmdir()
    (commands.spool / "bell").unlink()
    assert upgrade(str(commands.spool))[1] == ["inbox", "bell"]
    made = os.stat(commands.spool / "inbox")
    assert (made.st_mode & 0o7777, made.st_gid) == (0o2770, os.getegid())
    assert os.stat(commands.spool / "bell").st_mode & 0o777 == 0o660


@pytest.mark.parametrize(
    "words",
    [("upgrade",), ("status",), ("submit", "add", "1", "2"), ("work", "--once"), ("clean",)],
)
def test_a_newer_spool_is_refused(
    words: tuple[str, ...], first: dict[str, str], commands: Commands, run: Callable[..., Ran]
) -> None:
    """By every command, with exit code 7 and what to do, and nothing is touched."""
    (commands.spool / "format.json").write_text('{"format": 2}\n')
    before = sorted(commands.spool.rglob("*"))
    ended = run(*words)
    assert (ended.returncode, ended.stdout) == (7, "")
    assert "has format 2, and this version knows formats up to 1" in ended.stderr
    assert "Install a newer spoolcalc. Nothing was touched." in ended.stderr
    assert sorted(commands.spool.rglob("*")) == before
    with pytest.raises(NewerFormat):
        Spool(commands.spool)
