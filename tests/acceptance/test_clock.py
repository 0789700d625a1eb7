"""The clock is set ahead or back by a day, of one worker first and then of all, by libfaketime."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import Outcome, Spool, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Jobs, Process, Ran

#: Where Debian's package has it, on any machine.
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LIBRARIES, reason="faketime is not installed"),
]

HOUR = 3600
#: The workers' lease (seconds): one that was not seen for a sixth of it may be given up, if its
#: clock is another's, and it shows itself every 0.4 s.
LEASE = 30.0
#: How long (seconds) somebody looks who has to see nothing.
WHILE = LEASE / 6 + 1.5
#: The lease of those that are to be given up.
SHORT = 2.0


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    """Remove what libfaketime leaves of a process that is killed: the next of that number fails."""
    yield
    for path in Path("/dev/shm").glob("*faketime_s*_*"):
        if not Path("/proc", path.name.rpartition("_")[2]).exists():
            path.unlink(missing_ok=True)


class Clock:
    """A clock that can be set while processes go by it.

    Files get their times from the kernel's clock, which nobody sets here.  With ``touches``, what a
    process touches gets the time of that process's clock, as if files were stamped by it; which is
    worse than any file server is.
    """

    def __init__(self, path: Path, *, touches: bool) -> None:
        self._path = path
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "FAKE_UTIME": "0" if touches else "1",
        }

    def set(self, seconds: float) -> None:
        """Let it be so far ahead; below zero, behind."""
        new = self._path.with_suffix(".new")
        new.write_text(f"{seconds:+.0f}\n")
        new.rename(self._path)


def hold(spool: Spool, place: Path) -> str:
    """Submit a job that says in ``place`` that it runs, and goes on until a file ``go`` is there.

    It goes by the true clock: under a wrong one, sleeping is what libfaketime is not good at.
    """
    place.mkdir()
    script = (
        f"cd {place} && : > running.$SPOOL_WORKER && n=0 &&"
        "while [ ! -e go ] && [ $n -lt 1200 ]; do sleep 0.05; n=$((n + 1)); done"
    )
    return spool.submit("exec", ["env", "-u", "LD_PRELOAD", "sh", "-c", script])


@pytest.mark.parametrize("touches", [True, False], ids=["stamps too", "stamps not"])
@pytest.mark.parametrize("jump", [24 * HOUR, -24 * HOUR], ids=["ahead", "back"])
def test_a_jump_of_a_day(
    jump: int,
    touches: bool,
    tmp_path: Path,
    jobs: Jobs,
    run: Callable[..., Ran],
    start: Callable[..., Process],
    until: Callable[..., object],
) -> None:
    """Nothing is lost, nothing runs beside the living attempt, and a delay is by the clock."""
    spool = jobs.spool
    clocks = [Clock(tmp_path / f"clock{n}", touches=touches) for n in range(2)]
    environments = [clock.environment for clock in clocks]
    place = tmp_path / "place"
    held = hold(spool, place)
    first = start("work", f"--lease={LEASE}", env=environments[0])
    until(lambda: list(place.glob("running.*")))

    delayed = spool.submit("add", ["1", "1"], delay=HOUR)
    blocked = spool.submit("add", ["2", "2"], after=[(held, "ok")])
    failing = spool.submit("div", ["1", "0"], retries=1, backoff=HOUR / 2)
    done = {jobs.completed(): "completed", jobs.failed(): "failed", jobs.retrieved(): "retrieved"}
    pending = spool.submit("add", ["3", "3"])

    clocks[1].set(jump)
    second = start("work", f"--lease={LEASE}", env=environments[1])
    until(lambda: spool.find(pending).state is State.COMPLETED)
    look_on(WHILE)
    clocks[0].set(jump)
    look_on(WHILE)
    assert spool.find(held).state is State.WIP
    running = list(place.glob("running.*"))
    assert len(running) == 1, f"{first.stderr}{second.stderr}"

    (place / "go").touch()
    until(lambda: spool.find(blocked).state is State.COMPLETED)
    job = spool.find(held)
    assert [attempt.end for attempt in job.attempts] == ["completed"]
    assert run("submit", "add", "4", "4", "--wait", env=environments[0]).stdout == "8\n"
    for job_id, state in done.items():
        assert spool.find(job_id).state == state
    if jump > 0:
        until(lambda: spool.find(delayed).state is State.COMPLETED)
        until(lambda: spool.find(failing).state is not State.PENDING)
    else:
        assert spool.find(delayed).state is State.DELAYED
        for clock in clocks:
            clock.set(2 * HOUR)
        until(lambda: spool.find(delayed).state is State.COMPLETED)
        clocks[0].set(jump)
    for clock in clocks:
        clock.set(2 * HOUR + max(0, jump))
    until(lambda: spool.find(failing).state is State.FAILED)
    assert [attempt.end for attempt in spool.find(failing).attempts] == ["failed", "failed"]
    assert spool.counts()[State.WIP] == 0
    for worker in (first, second):  # not told to end: libfaketime fails Python's sleep, in which
        assert worker.popen.poll() is None, worker.stderr  # a worker's helpers are waited for
        assert "recovered" not in worker.stderr
        assert "discarded" not in worker.stderr


def look_on(seconds: float) -> None:
    """Give others the time to do what they must not do."""
    time.sleep(seconds)


@pytest.mark.parametrize("jump", [24 * HOUR, -24 * HOUR], ids=["ahead", "back"])
def test_the_dead_are_found_whatever_the_clock_says(
    jump: int,
    tmp_path: Path,
    jobs: Jobs,
    start: Callable[..., Process],
    until: Callable[..., object],
) -> None:
    """A worker that was killed, and one that was stopped, lose their jobs to one of another day."""
    clock = Clock(tmp_path / "clock", touches=True)
    spool = jobs.spool
    ids = []
    for number in (signal.SIGKILL, signal.SIGSTOP):
        other = tmp_path / number.name
        ids.append(hold(spool, other))
        worker = start("work", f"--lease={SHORT}")
        until(lambda other=other: list(other.glob("running.*")))
        worker.signal(number)
        (other / "go").touch()
    clock.set(jump)
    start("work", f"--lease={SHORT}", env=clock.environment)
    for job_id in ids:
        until(lambda job_id=job_id: spool.find(job_id).state is State.COMPLETED)
        ends = [attempt.end for attempt in spool.find(job_id).attempts]
        assert ends == ["lost", "completed"]


def test_what_was_claimed_at_another_time_is_finished(spool: Spool) -> None:
    """An attempt's end may lie before its start, and its document is as good as any."""
    job_id = spool.submit("add", ["1", "2"])
    with spool.register() as lease:
        claim = spool.claim(lease)
        assert claim is not None
        claim.started += 24 * HOUR
        assert spool.finish(claim, Outcome.completed("3")) is State.COMPLETED
    assert spool.fetch(job_id).result == "3"
