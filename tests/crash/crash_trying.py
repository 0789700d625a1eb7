"""Jobs are tried again; and who died while others waited is swept."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest import mock

from crash_base import DAY, HOUR, Scenario, at_another_time, die, run_all
from crash_breaker import Breaker
from crash_census import Expected, Facts
from crash_sweeping import SweepByWorker
from crash_waiting import THREE, LetGo, LetGoFailing, no_need

from spoolcalc import NotFinished, Outcome, Spool, State, Worker, dependants

if TYPE_CHECKING:
    from crash_base import Tell

    from spoolcalc import Lease


class TryAgain(LetGo):
    """A job fails that is to be tried again later."""

    minimum = 8
    backoff = HOUR
    went = State.DELAYED

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        expected = Expected("completed", "35", tries=("failed",))
        job_id = self.submit(root, expected=expected, retries=1, backoff=self.backoff)
        self.submit(root, "neg", f"@{job_id}", expected=Expected("completed", "-35"))
        return Facts(self.jobs, charged=True)

    def act(self, tell: Tell) -> None:
        went = self.spool.finish(self.claims[0], Outcome.failed("not yet"))
        assert went is self.went
        tell(f"{'delayed' if went is State.DELAYED else 'returned'} {self.claims[0].job.id}")


class TryAgainAtOnce(TryAgain):
    backoff = 0.0
    went = State.PENDING


class Crashed(TryAgain):
    """The process that ran a job died."""

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root, expected=Expected("completed", "35", tries=("crashed",)))
        return Facts(self.jobs, charged=True)

    def act(self, tell: Tell) -> None:
        assert self.spool.crashed(self.claims[0], "killed by SIGSEGV") is State.PENDING
        tell(f"returned {self.claims[0].job.id}")


class TryAgainWished(TryAgain):
    """It fails, and would be tried again if nobody wished that it be cancelled."""

    def prepare(self, root: str) -> Facts:
        facts = super().prepare(root)
        [(job_id, dependant)] = [(i, e) for i, e in self.jobs.items() if e.text == "-35"]
        [wished] = [i for i, e in self.jobs.items() if e.tries]
        error = f"job {wished}, which this one needs, has failed: it was cancelled"
        self.jobs[job_id] = replace(dependant, otherwise=Expected("failed", error, last=""))
        cancelled = Expected("failed", "it was cancelled", last="", tries=("failed",))
        untried = Expected("failed", "it was cancelled", last="", otherwise=cancelled)
        self.jobs[wished] = replace(self.jobs[wished], otherwise=untried)
        self.job_id = wished
        return facts

    def arrange(self, root: str) -> None:
        super().arrange(root)
        with suppress(NotFinished):
            self.spool.cancel(self.job_id, patience=0.0)

    def act(self, tell: Tell) -> None:
        if self.spool.finish(self.claims[0], Outcome.failed("not yet")) is State.FAILED:
            tell(f"cancelled {self.job_id}")


class ClaimAgain(Scenario):
    """A job that was tried before is taken once more."""

    minimum = 8

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root, expected=Expected("completed", "35", tries=("failed",)), retries=1)
        spool = Spool(root)
        with at_another_time(-DAY), spool.register() as lease:
            claim = spool.claim(lease)
            assert claim is not None
            assert spool.finish(claim, Outcome.failed("not yet")) is State.DELAYED
        return Facts(self.jobs, charged=True)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register()

    def act(self, tell: Tell) -> None:
        assert self.mine is not None
        claim = self.spool.claim(self.mine)
        assert claim is not None, "there was a job to claim"
        self.claims.append(claim)
        tell(f"claimed {claim.job.id}")


class WorkOnWaiting(Scenario):
    """A worker runs all that was waiting: a chain, a job that is due, one that is tried again."""

    minimum = 200
    long = True

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        first = self.submit(root, "add", "1", "2", expected=THREE)
        second = self.submit(root, "neg", f"@{first}", expected=Expected("completed", "-3"))
        both = Expected("completed", "0")
        self.submit(root, "add", f"@{first}", f"@{second}", expected=both)
        error = "division by zero"
        failing = Expected("failed", error, tries=("failed",))
        bad = self.submit(root, "div", "1", "0", expected=failing, retries=1, backoff=0.0)
        self.submit(root, "neg", f"@{bad}", expected=no_need(bad, error))
        with at_another_time(-DAY):
            self.submit(root, delay=HOUR)
        return Facts(self.jobs, charged=True)

    def act(self, tell: Tell) -> None:
        Worker(self.spool, once=True).run()
        tell("worked")


def noting(name: str, args: tuple[Any, ...]) -> bool:
    """Pick the rename that notes in a claimed job how an attempt ended."""
    return name == "rename" and "/tmp/" in args[0] and "/wip/" in args[1]


class SweepTriedAgain(SweepByWorker):
    """A worker died right after it had noted a failure: no attempt of it is lost."""

    minimum = 18

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        expected = Expected("completed", "35", tries=("failed",))
        self.submit(root, expected=expected, retries=1, max_crashes=1)
        die(root, self.end, Breaker("after", when=noting))
        return Facts(self.jobs)

    def end(self, spool: Spool, lease: Lease) -> None:
        """Let an attempt fail."""
        claim = spool.claim(lease)
        assert claim is not None
        spool.finish(claim, Outcome.failed("not yet"))


class SweepCrashed(SweepTriedAgain):
    """The same after it had noted that the process that ran the job died."""

    long = True

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root, expected=Expected("completed", "35", tries=("crashed",)), max_crashes=2)
        die(root, self.end, Breaker("after", when=noting))
        return Facts(self.jobs)

    def end(self, spool: Spool, lease: Lease) -> None:
        claim = spool.claim(lease)
        assert claim is not None
        spool.crashed(claim, "killed by SIGSEGV")


class SweepLetGo(SweepByWorker):
    """A worker died between recording a failure and letting go those who wait for the job."""

    long = True
    minimum = 35

    def prepare(self, root: str) -> Facts:
        failing = LetGoFailing()
        facts = failing.prepare(root)
        die(root, self.end, Breaker("after", when=noting))
        return Facts(facts.jobs)

    def end(self, spool: Spool, lease: Lease) -> None:
        """Let the job fail that the others need."""
        claim = spool.claim(lease)
        assert claim is not None
        spool.finish(claim, LetGoFailing.outcome)


class SweepBlocked(SweepByWorker):
    """Submits were killed half-way and notes were lost: the thorough sweep sees to it."""

    minimum = 80
    long = True

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        spool = Spool(root)
        [fetched] = [job.id for job in spool.list(State.RETRIEVED)]
        ended = self.submit(root, "add", "1", "2", expected=THREE)
        later = self.submit(root, "add", "2", "2", expected=Expected("completed", "4"), delay=HOUR)
        for needed, result in ((ended, "-3"), (later, "-4")):
            job_id = self.submit(root, "neg", f"@{needed}", expected=Expected("completed", result))
            shutil.rmtree(f"{root}/waits/{job_id}")
            os.unlink(f"{root}/waited/{needed}/{job_id}")
        with spool.register() as lease:
            list(run_all(spool, lease))
        there = {job.id for job in spool.list(State.BLOCKED)}

        def submit(spool: Spool, _: Lease) -> None:
            spool.submit("neg", ["5"], after=[(fetched, "ok")])

        def publishing(name: str, args: tuple[Any, ...]) -> bool:
            return name == "link" and os.path.exists(os.path.dirname(args[1]))

        die(root, submit, Breaker("before", when=publishing))
        die(root, submit, Breaker("after", when=publishing))
        [job_id] = {job.id for job in spool.list(State.BLOCKED)} - there
        self.jobs[job_id] = Expected("completed", "-5")
        assert len(os.listdir(f"{root}/waits")) == 4, "two submits were killed"
        return Facts(self.jobs)

    def hold(self, root: str) -> ExitStack:
        held = ExitStack()
        held.enter_context(mock.patch.multiple(dependants, SUBMITTING=-DAY, SAMPLE=0))
        return held


SCENARIOS: dict[str, type[Scenario]] = {
    "try again": TryAgain,
    "try again at once": TryAgainAtOnce,
    "try again wished": TryAgainWished,
    "crashed": Crashed,
    "claim again": ClaimAgain,
    "work on those that wait": WorkOnWaiting,
    "sweep tried again": SweepTriedAgain,
    "sweep crashed": SweepCrashed,
    "sweep let go": SweepLetGo,
    "sweep blocked": SweepBlocked,
}
