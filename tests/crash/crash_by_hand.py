"""Somebody cancels a job or runs it again, and pauses the spool."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from crash_base import HOUR, SUM, Scenario, claim_all, die, run_all
from crash_breaker import Breaker
from crash_census import Expected, Facts
from crash_sweeping import SweepByWorker
from crash_trying import noting

from spoolcalc import NotFinished, Outcome, Spool, State, lookup
from spoolcalc.layout import CANCEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from crash_base import Tell

    from spoolcalc import Lease

CANCELLED = Expected("failed", "it was cancelled", last="")
#: What was to be cancelled by somebody who was killed or refused may end either way.
PERHAPS = Expected("failed", "it was cancelled", last="", otherwise=SUM)


class Cancel(Scenario):
    """A job that can be run; another needs it."""

    long = True
    minimum = 60

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.choose(root)
        dependant = Expected(
            "failed",
            f"job {self.job_id}, which this one needs, has failed: it was cancelled",
            last="",
            otherwise=Expected("completed", "-35"),
        )
        self.submit(root, "neg", f"@{self.job_id}", expected=dependant)
        return Facts(self.jobs)

    def choose(self, root: str) -> None:
        """Submit what is to be cancelled."""
        self.job_id = self.submit(root, expected=PERHAPS)

    def act(self, tell: Tell) -> None:
        job = self.spool.cancel(self.job_id, patience=0.0)
        assert job.outcome == Outcome.cancelled()
        tell(f"cancelled {self.job_id}")

    def again(self, tell: Tell) -> None:
        self.spool.sweep()  # what a hand could not put back
        self.act(tell)


class CancelDelayed(Cancel):
    long = True

    def choose(self, root: str) -> None:
        self.job_id = self.submit(root, expected=PERHAPS, delay=HOUR)


class CancelBlocked(Cancel):
    long = True

    def choose(self, root: str) -> None:
        needed = self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        self.job_id = self.submit(root, expected=PERHAPS, after=[(needed, "ok")])


class CancelRunning(Cancel):
    """A worker has it, which obeys when it leaves."""

    minimum = 16

    def prepare(self, root: str) -> Facts:
        facts = super().prepare(root)
        return Facts(facts.jobs, charged=True)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register(claims=1)

    def act(self, tell: Tell) -> None:
        with suppress(NotFinished):
            self.spool.cancel(self.job_id, patience=0.0)
        assert os.path.exists(self.claims[0].path.removesuffix(".json") + CANCEL)
        tell(f"wished {self.job_id}")


def wish(root: str, job_id: str) -> None:
    """Wish a job cancelled, and be killed before it is looked whether anybody will obey."""
    job, path = lookup.find(Spool(root).layout, job_id)
    assert job.state is State.WIP
    with open(path.removesuffix(".json") + CANCEL, "xb"):
        pass


class CancelLost(Cancel):
    """Its worker was killed, and so was the first who wished this; nobody else is there."""

    long = False
    minimum = 80

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.job_id = self.submit(root, expected=CANCELLED)
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3", lost=1))
        die(root, claim_all)
        wish(root, self.job_id)
        return Facts(self.jobs, dead=frozenset(os.listdir(f"{root}/wip")))

    def act(self, tell: Tell) -> None:
        with suppress(NotFinished):  # it cannot be told whether the worker is dead: the wish stays
            super().act(tell)


class SweepWished(SweepByWorker):
    """A worker died that was to cancel its job, and with it one that had only begun."""

    minimum = 40

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        job_id = self.submit(root, expected=CANCELLED)
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3", lost=1))
        die(root, claim_all)
        wish(root, job_id)
        return Facts(self.jobs)


class SweepReturnedWished(SweepByWorker):
    """A worker handed back a job that somebody wished to be cancelled by then, and died."""

    minimum = 40
    long = True

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        job_id = self.submit(root, expected=PERHAPS)
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        die(root, lambda spool, lease: (claim_all(spool, lease), lease.surrender()))
        wish(root, job_id)
        return Facts(self.jobs)


class SweepCancelling(SweepByWorker):
    """Who was cancelling three jobs died before it was noted: they are as they were."""

    minimum = 40
    long = True

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        later = self.submit(root, "add", "1", "2", expected=Expected("completed", "3"), delay=HOUR)
        blocked = self.submit(root, "neg", f"@{later}", expected=Expected("completed", "-3"))
        for job_id in (later, blocked, self.submit(root)):
            die(root, self.canceller(job_id), Breaker("before", when=noting))
        return Facts(self.jobs)

    def canceller(self, job_id: str) -> Callable[[Spool, Lease], object]:
        """Return what cancels a job."""
        return lambda spool, _: spool.cancel(job_id)


class SweepRetried(SweepByWorker):
    """Who had a failed job run again died right after that was noted."""

    minimum = 30
    long = True

    def prepare(self, root: str) -> Facts:
        spool = Spool(root, create=True)
        job_id = fail(self, root, "ok")
        die(root, lambda spool, _: spool.retry(job_id), Breaker("after", when=noting))
        assert spool.find(job_id).state is State.WIP
        return Facts(self.jobs)


class Retry(Scenario):
    minimum = 50

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.job_id = fail(self, root, "perhaps")
        return Facts(self.jobs)

    def act(self, tell: Tell) -> None:
        assert self.spool.retry(self.job_id).state is State.PENDING
        tell(f"retried {self.job_id}")

    def again(self, tell: Tell) -> None:
        self.spool.sweep()  # what a hand could not put back
        if self.spool.find(self.job_id).state is State.FAILED:
            self.act(tell)


class RetryDependant(Retry):
    """It failed because what it needs had, which is to be tried again itself."""

    minimum = 80
    long = True

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        first = fail(self, root, "ok")
        error = f"job {first}, which this one needs, has failed: not today"
        runs = Expected("completed", "-35")
        expected = Expected("failed", error, last="", otherwise=runs)
        self.job_id = self.submit(root, "neg", f"@{first}", expected=expected)
        spool = Spool(root)
        with spool.register() as lease:
            list(run_all(spool, lease))
        spool.retry(first)
        return Facts(self.jobs)

    def act(self, tell: Tell) -> None:
        assert self.spool.retry(self.job_id).state is State.BLOCKED
        tell(f"blocked {self.job_id}")
        tell(f"retried {self.job_id}")


def fail(scenario: Scenario, root: str, again: str) -> str:
    """Submit a job and have it fail; ``again`` tells whether it is run once more."""
    runs = Expected("completed", "35", tries=("failed",))
    failed = Expected("failed", "not today", otherwise=runs)
    job_id = scenario.submit(root, expected=runs if again == "ok" else failed)
    spool = Spool(root)
    with spool.register() as lease:
        claim = spool.claim(lease)
        assert claim is not None
        assert spool.finish(claim, Outcome.failed("not today")) is State.FAILED
    return job_id


class Pause(Scenario):
    minimum = 8

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        return Facts(self.jobs)

    def act(self, tell: Tell) -> None:
        self.spool.pause("the disk is being changed")
        tell("paused")


class Resume(Pause):
    minimum = 5

    def prepare(self, root: str) -> Facts:
        facts = super().prepare(root)
        Spool(root).pause()
        return facts

    def act(self, tell: Tell) -> None:
        self.spool.resume()
        tell("resumed")


SCENARIOS: dict[str, type[Scenario]] = {
    "cancel": Cancel,
    "cancel delayed": CancelDelayed,
    "cancel blocked": CancelBlocked,
    "cancel running": CancelRunning,
    "cancel lost": CancelLost,
    "sweep wished": SweepWished,
    "sweep returned wished": SweepReturnedWished,
    "sweep cancelling": SweepCancelling,
    "sweep retried": SweepRetried,
    "retry": Retry,
    "retry a dependant": RetryDependant,
    "pause": Pause,
    "resume": Resume,
}
