"""What people do to jobs, racing with workers and each other: one outcome, one job, one code."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import Spool, State
from spoolcalc.commands.changing import cancel
from spoolcalc.errors import FAILED, OK

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Commands, Process

#: How many submit with one key at once.
MANY = 50
#: How many jobs are cancelled while a worker takes, runs and ends them.
RACES = 1000


class Aim:
    """How long to wait before a cancellation, so that it wins about as often as it loses.

    A win makes the next wait longer and a loss shorter, however quick or slow the machine is.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def wait(self) -> None:
        """Let that time pass."""
        spin(self.seconds)

    def learn(self, *, won: bool) -> None:
        """Take the outcome of a race into account."""
        self.seconds = min(max(self.seconds * (1.2 if won else 1 / 1.2), 1e-5), 2)


def spin(seconds: float) -> None:
    """Let so little time pass that no sleep is as short."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def test_one_key_is_one_job(commands: Commands, spool: Spool) -> None:
    """Many processes submit with one key at once: all print the same id and end with 0."""
    running = [
        commands.open("submit", "--key", "nightly", "add", "1", "2", stdout=subprocess.PIPE)
        for _ in range(MANY)
    ]
    ends = [(process.communicate(timeout=60)[0], process.returncode) for process in running]
    assert {code for _, code in ends} == {0}
    [line] = {out for out, _ in ends}
    assert spool.counts()[State.PENDING] == 1
    assert spool.find(line.decode().strip()).key == "nightly"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cancelling_races_with_workers(
    spool: Spool, start: Callable[..., Process], until: Callable[..., object]
) -> None:
    """Whoever wins, there is one outcome, and the exit code of cancel tells which."""
    for _ in range(2):
        start("work", "-q")
    until(lambda: len(spool.overview().workers) == 2)
    chance = random.Random(4711)  # the same each time
    aims = {"exec": Aim(0.1), "add": Aim(0.004)}
    won = {OK: 0, FAILED: 0}
    for number in range(RACES):
        if number % 20 == 0:
            aim = aims["exec"]
            job_id = spool.submit("exec", ["sh", "-c", f"sleep {chance.uniform(0, 0.1):.3f}"])
        else:
            # workers do what comes before it meanwhile
            aim = aims["add"]
            *_, job_id = spool.submit_many(("add", ["1", str(n)]) for n in range(15))
        aim.wait()
        code = cancel(spool.path, [job_id])
        aim.learn(won=code == OK)
        job = spool.find(job_id)
        assert job.outcome is not None, "cancel returns when it is decided"
        won[code] += 1
        if code == OK:
            assert job.outcome.reason == "cancelled"
            assert job.state is State.FAILED
        else:
            assert job.state is State.COMPLETED
            assert [attempt.end for attempt in job.attempts] == ["completed"]
        assert len(list(Path(spool.path).glob(f"*/*/{job_id}.json"))) == 1
    assert min(won.values()) > RACES / 20, f"a race that one side always wins is none: {won}"
    until(lambda: spool.counts()[State.WIP] == spool.counts()[State.PENDING] == 0)
