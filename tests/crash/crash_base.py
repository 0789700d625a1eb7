"""What is broken: a way a job changes its state, on a spool prepared for it.

A scenario makes a template spool once (``prepare``).  Each run then gets a copy of it and a child
process of its own, in which ``arrange`` takes place undisturbed, ``act`` is what may be broken at
any of its system calls, ``again`` is what a caller does after a refusal, and ``leave`` is how an
orderly process ends.  ``tell`` passes on what the process has said to the world by then.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack, contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any
from unittest import mock

from crash_breaker import Breaker, breaking
from crash_census import Expected, Facts

from spoolcalc import Claim, Lease, Outcome, Spool, State
from spoolcalc.execute import execute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    Tell = Callable[[str], object]

ADD = ("add", "12", "23")
SUM = Expected("completed", "35")
HOUR, DAY = 3_600.0, 86_400.0


class Scenario:
    """The base of all; it says what most have in common."""

    #: There are at least so many system calls, else the test would prove nothing.
    minimum = 5
    #: Whether it is left to the longer proofs.
    long = False
    #: How long the lease of whoever acts is.
    lease = 60.0

    def __init__(self) -> None:
        self.jobs: dict[str, Expected] = {}
        self.spool: Spool
        self.mine: Lease | None = None
        self.claims: list[Claim] = []

    # --- in the driver, once

    def prepare(self, root: str) -> Facts:
        """Make the template spool."""
        self.bystanders(root)
        return Facts(self.jobs)

    def submit(self, root: str, *job: str, expected: Expected = SUM, **options: Any) -> str:
        """Submit a job and note what is to become of it."""
        operation, *operands = job or ADD
        job_id = Spool(root).submit(operation, operands, **options)
        self.jobs[job_id] = expected
        return job_id

    def bystanders(self, root: str) -> None:
        """Make a spool with a job in each of the last states."""
        spool = Spool(root, create=True)
        self.submit(root, "mul", "6", "7", expected=Expected("completed", "42"))
        failure = execute("div", ["1", "0"]).error or ""
        self.submit(root, "div", "1", "0", expected=Expected("failed", failure))
        fetched = self.submit(root, "add", "1", "1", expected=Expected("retrieved", "2"))
        with spool.register() as lease:
            list(run_all(spool, lease))
        spool.fetch(fetched)

    def hold(self, root: str) -> ExitStack:
        """Hold what must be held for as long as a copy at ``root`` is in use."""
        return ExitStack()

    def fresh(self) -> Self:
        """Return a copy for one run."""
        run = copy(self)
        run.mine, run.claims = None, []
        return run

    # --- each time, in a process of its own where it is to be killed

    def arrange(self, root: str) -> None:
        """Get ready; nothing is broken yet."""
        self.spool = Spool(root)

    def register(self, claims: int = 0) -> None:
        """Become a worker, with some jobs in hand."""
        self.mine = Lease.take(self.spool.layout, self.lease)
        for _ in range(claims):
            claim = self.spool.claim(self.mine)
            assert claim is not None
            self.claims.append(claim)

    def act(self, tell: Tell) -> None:
        """Do what is broken."""
        raise NotImplementedError

    def again(self, tell: Tell) -> None:
        """Do it once more, after it was refused."""
        self.act(tell)

    def leave(self) -> None:
        """End in good order."""
        if self.mine is not None:
            self.spool.leave(self.mine)


def die(root: str, act: Callable[[Spool, Lease], object], when: Breaker | None = None) -> None:
    """Let a worker do something and be killed: at the end, or earlier by a breaker."""
    child = os.fork()
    if child == 0:
        try:
            spool = Spool(root)
            with breaking(when or Breaker("count")):
                act(spool, Lease.take(spool.layout))
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(70)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), status
    assert os.WTERMSIG(status) == signal.SIGKILL


def run_all(spool: Spool, lease: Lease) -> Iterator[tuple[str, State | None]]:
    """Run all that can be run, as a worker does; yield each job's id and where it went."""
    while (claim := spool.claim(lease)) is not None:
        operands = spool.operands(claim)
        if isinstance(operands, Outcome):
            yield claim.job.id, operands.state if spool.conclude(claim, operands) else None
        elif operands is not None:
            yield claim.job.id, spool.finish(claim, execute(claim.job.operation, operands))


@contextmanager
def at_another_time(seconds: float) -> Iterator[None]:
    """Let the clock be so many seconds ahead; files keep their times."""
    real = time.time

    def ahead() -> float:
        return real() + seconds

    with mock.patch("time.time", ahead):
        yield


def claim_all(spool: Spool, lease: Lease) -> list[Claim]:
    """Claim every job there is."""
    claims = []
    while (claim := spool.claim(lease)) is not None:
        claims.append(claim)
    return claims


def age(path: str, seconds: float) -> None:
    """Let a file be so old."""
    os.utime(path, (time.time() - seconds, time.time() - seconds))


def silence(root: str, worker: str) -> None:
    """Let a worker be silent for an hour, and let somebody have noted so in that hour."""
    lock = f"{root}/workers/{worker}.lock"
    note = f"{root}/workers/{worker}.silent"
    age(lock, HOUR)
    with open(note, "w", encoding="ascii") as file:
        file.write(str(os.stat(lock).st_mtime_ns))
    age(note, HOUR)
