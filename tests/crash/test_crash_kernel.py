"""The real command under the real kernel, which kills or refuses it at a system call."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from crash_census import Expected, Facts
from crash_promises import Judge

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Commands, Ran

STRACE = shutil.which("strace")
#: What a submit changes a spool with, by any name that a kernel may have for it; and how often.
CALLS = {
    "mkdir": ("?mkdir,?mkdirat", 10),
    "write": ("write", 3),
    "fsync": ("fsync", 4),
    "rename": ("?rename,?renameat,?renameat2", 1),
    "link": ("?link,?linkat", 2),
    "unlink": ("?unlink,?unlinkat", 1),
}
FACTS = Facts({}, coming={("add", "12", "23"): (1, Expected("completed", "35"))}, creates=True)


def may_trace() -> bool:
    """Tell whether this machine lets a process be traced."""
    if STRACE is None:
        return False
    tried = subprocess.run([STRACE, "-qq", "true"], capture_output=True, check=False)
    return tried.returncode == 0


pytestmark = pytest.mark.skipif(not may_trace(), reason="no process may be traced here")


def submit(commands: Commands, log: Path, calls: str, fault: str) -> tuple[Ran, bool]:
    """Submit with a fault at a call; return how it ended, and whether the fault came about."""
    assert STRACE is not None
    tracer = (STRACE, "-f", "-o", str(log), "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}")
    ended = commands.run(
        "submit",
        "add",
        "12",
        "23",
        command=(*tracer, *commands.command),
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    said = log.read_text()
    return ended, "(INJECTED)" in said or "killed by SIGKILL" in said


@pytest.mark.parametrize("call", CALLS)
def test_a_submit_that_the_kernel_kills_breaks_no_promise(
    call: str, commands: Commands, tmp_path: Path
) -> None:
    """A submit killed at its N-th call has printed no id, or its job is there and will be run."""
    calls, least = CALLS[call]
    for number in itertools.count(1):
        ended, killed = submit(commands, tmp_path / "log", calls, f"signal=KILL:when={number}")
        told = [f"submitted {line}" for line in ended.stdout.splitlines()]
        assert Judge(str(commands.spool), FACTS, told, killed=True).judge() == [], number
        shutil.rmtree(commands.spool)
        if not killed:
            break
        assert not told, "killed after it had printed the id: not at the call that was meant"
    assert (ended.returncode, len(told)) == (0, 1)
    assert number > least


@pytest.mark.parametrize("call", CALLS)
def test_a_submit_that_the_kernel_refuses_leaves_no_job(
    call: str, commands: Commands, tmp_path: Path
) -> None:
    """A submit whose N-th call finds the disk full says so and leaves no job, or it succeeds."""
    calls, least = CALLS[call]
    for number in itertools.count(1):
        ended, refused = submit(commands, tmp_path / "log", calls, f"error=ENOSPC:when={number}")
        pending = [path.stem for path in commands.spool.glob("pending/*/*.json")]
        if ended.returncode == 0:
            assert (ended.stderr, pending) == ("", ended.stdout.split()), number
        else:
            assert (ended.returncode, ended.stdout) == (7, ""), number
            told = ended.stderr.splitlines()
            assert told[-1].startswith("  The disk is full."), number
            if pending:  # its id could not be printed
                assert told.pop(0) == f"spool: job {pending[0]} was submitted all the same", number
            assert len(told) == 2, number
        shutil.rmtree(commands.spool, ignore_errors=True)
        if not refused:
            break
    assert number > least
