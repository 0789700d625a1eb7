"""One table of exit codes for every command."""

from __future__ import annotations

import inspect
import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from spoolcalc import State, errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from conftest import Jobs, Process, Ran

    from spoolcalc import Spool

UNKNOWN = "01a20f20-b358-75fa-ab79-9c641df4b44f"
#: The table; every command keeps to it.
TABLE = {
    "OK": 0,
    "FAILED": 1,
    "USAGE": 2,
    "NO_SUCH_JOB": 3,
    "NOT_FINISHED": 4,
    "CANCELLED": 5,
    "UNUSABLE": 7,
    "BUG": 70,
    "INTERRUPTED": 130,
}
#: For each code, commands that give it; ``@state`` stands for the id of a job in that state.
SITUATIONS = {
    "OK": [
        "submit add 1 2",
        "fetch @completed",
        "fetch @retrieved --keep",
        "status",
        "wait @completed @retrieved",
        "status @pending @failed",
        "status --state wip",
        "work --once",
        "clean",
        "init",
        "--help",
        "-h",
        "fetch --help",
        "--version",
    ],
    "FAILED": ["fetch @failed", "fetch --wait @failed --json", "wait @failed @completed"],
    "USAGE": [
        "",
        "frobnicate",
        "submit",
        "submit plus 1 2",
        "submit add 1",
        "submit add 1 x",
        "submit --from /nonexistent",
        "submit add 1 2 --frobnicate",
        "fetch",
        "fetch nonsense",
        "fetch --frobnicate @completed",
        "status nonsense",
        "wait",
        "wait nonsense",
        "status --state done",
        "work --max-jobs none",
        "work --once --lease 1ms",
        "clean --grace -1s",
        "init --group no-such-group-here",
        "--frobnicate",
    ],
    "NO_SUCH_JOB": [
        f"fetch {UNKNOWN}",
        f"status {UNKNOWN}",
        f"fetch --wait {UNKNOWN}",
        f"wait {UNKNOWN}",
    ],
    "NOT_FINISHED": [
        "fetch @pending",
        "fetch --wait --timeout 1ms @pending",
        "wait --timeout 0 @pending @failed",
    ],
    "CANCELLED": ["fetch @cancelled", "wait @cancelled", "wait @completed @failed @cancelled"],
    "UNUSABLE": [
        "--spool /dev/null submit add 1 2",
        "--spool /nonexistent status",
        f"--spool /nonexistent fetch {UNKNOWN}",
        "--spool /nonexistent clean",
        "--spool /dev/null work --once",
        "--spool /dev/null init",
    ],
}
#: The command, with a bug in it.
BROKEN = """
from spoolcalc.commands import showing
from spoolcalc.entry import main

def status(*arguments, **options):
    raise ZeroDivisionError("such things happen")

showing.status = status
main()
"""


def test_the_table_is_that_of_the_errors() -> None:
    """The numbers stand in one module, and each error there has one of them."""
    numbers = {name: value for name, value in vars(errors).items() if isinstance(value, int)}
    assert {name: numbers[name] for name in TABLE} == TABLE
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    codes = {kind.__name__: kind.exit_code for kind in kinds if issubclass(kind, errors.SpoolError)}
    assert set(codes.values()) <= set(TABLE.values())
    assert codes == {
        "SpoolError": 70,
        "UsageError": 2,
        "UnknownOperation": 2,
        "BadOperands": 2,
        "BadJobId": 2,
        "Rejected": 2,
        "JobCancelled": 5,
        "JobFailed": 1,
        "NoSuchJob": 3,
        "Quarantined": 7,
        "NotFinished": 4,
        "NotAdopted": 4,
        "SpoolUnusable": 7,
        "NoSpool": 7,
        "NotYours": 7,
        "NewerFormat": 7,
        "BadSettings": 7,
        "CeilingReached": 7,
        "ExecutorRefused": 7,
        "CorruptDocument": 7,
        "StorageFailure": 7,
    }


def test_the_help_has_the_table(run: Callable[..., Ran]) -> None:
    """Each code that a command may give is explained in its help."""
    told = re.findall(r"\b(\d+) [a-z]", run("--help").stdout.partition("Exit codes")[2])
    assert [int(number) for number in told] == list(TABLE.values())


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_situation_has_its_code(name: str, run: Callable[..., Ran], jobs: Jobs) -> None:
    """What goes wrong decides the code, whichever command it goes wrong in."""
    wrong = {}
    for line in SITUATIONS[name]:
        ids = jobs.of_each_state() if "@" in line else {}
        if "@cancelled" in line:
            ids["cancelled"] = jobs.failed("cancelled", reason="cancelled")
        words = [ids[word[1:]] if word.startswith("@") else word for word in line.split()]
        ended = run(*words)
        says = name != "OK" and "--json" not in words and "wait" not in words  # it prints the state
        silent = says and not ended.stderr
        if ended.returncode != TABLE[name] or silent or "Traceback" in ended.stderr:
            wrong[line] = ended
    assert wrong == {}


@pytest.mark.parametrize("words", [["status", UNKNOWN], ["status", "--json", UNKNOWN]])
def test_a_bug_of_ours(words: list[str], run: Callable[..., Ran], spool: Spool) -> None:
    """A bug gives 70 and says how to report it; a traceback is shown to those who ask for it."""
    ended = run(*words, command=(sys.executable, "-c", BROKEN))
    assert (ended.returncode, ended.stdout) == (70, "")
    assert "ZeroDivisionError" in ended.stderr
    assert "report" in ended.stderr
    assert "SPOOL_DEBUG=1" in ended.stderr
    assert "Python 3" in ended.stderr
    assert "Traceback" not in ended.stderr
    ended = run(*words, command=(sys.executable, "-c", BROKEN), env={"SPOOL_DEBUG": "1"})
    assert (ended.returncode, ended.stdout) == (70, "")
    assert ended.stderr.startswith("Traceback")
    assert "report" in ended.stderr


def test_an_interrupted_command(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """SIGINT ends a command that waits with 130, in one line."""
    first = jobs.completed()
    waiting = start("fetch", "--wait", first, jobs.pending())
    until(lambda: jobs.state(first) is State.RETRIEVED)
    waiting.signal(signal.SIGINT)
    assert waiting.end() == (130, "35\n", "spool: interrupted\n")


def test_an_interrupted_feed(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any], tmp_path: Path
) -> None:
    """SIGINT while lines are awaited gives 130 too; what was submitted stays."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeding = start("submit", "--from", str(pipe))
    with pipe.open("wb", buffering=0) as lines:
        lines.write(b"add 1 2\nadd")
        until(lambda: feeding.stdout)
        feeding.signal(signal.SIGINT)
        ended = feeding.end()
    assert (ended.returncode, ended.stderr) == (130, "spool: interrupted\n")
    assert [job.id for job in jobs.spool.list(State.PENDING)] == ended.stdout.split()
