"""Two at once where jobs wait, are cancelled, run again, or have a key."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest import mock

from crash_base import ADD, DAY, HOUR, SUM, run_all
from crash_by_hand import Cancel, CancelBlocked, CancelDelayed, Retry, fail
from crash_census import Expected, Facts
from crash_cleaning import CleanNeeded, grow_old
from crash_races import Race
from crash_waiting import (
    THREE,
    LetGo,
    LetGoFailing,
    LetGoTogether,
    Promote,
    SubmitAfterFailed,
    SubmitBlocked,
    SubmitWithKey,
    TryAgain,
    WaitOn,
    no_need,
)

from spoolcalc import (
    Lease,
    NoSuchJob,
    NotFinished,
    Outcome,
    Spool,
    StorageFailure,
    UsageError,
    dependants,
    locks,
)
from spoolcalc.due import Calendar
from spoolcalc.transitions import claim

if TYPE_CHECKING:
    from crash_base import Tell


class SubmitWhileNeededEnds(Race, SubmitBlocked):
    """What the job needs ends while it is submitted."""

    def meanwhile(self, tell: Tell) -> None:
        self.sweep_and_work(tell)


class SubmitWhileNeededFails(Race, SubmitBlocked):
    """The first of two that the job needs fails while it is submitted."""

    def choose(self, root: str) -> Expected:
        super().choose(root)
        needed = self.operands[0][1:]
        self.jobs[needed] = Expected("failed", "not today")
        return no_need(needed, "not today")

    def meanwhile(self, tell: Tell) -> None:
        other = Spool(self.root)
        with other.register() as lease:
            claim = other.claim(lease)
            assert claim is not None
            if other.finish(claim, Outcome.failed("not today")):
                tell(f"finished {claim.job.id}")


class SubmitWhileSwept(Race, SubmitBlocked):
    """A thorough sweep takes the submit for dead."""

    def meanwhile(self, tell: Tell) -> None:
        with mock.patch.object(dependants, "SUBMITTING", -DAY):
            Spool(self.root).sweep()


class SubmitAfterFailedWhileRetried(Race, SubmitAfterFailed):
    """What the job needs has failed, and is run again with success."""

    def choose(self, root: str) -> Expected:
        self.needed = fail(self, root, "ok")
        self.options = {"after": [(self.needed, "ok")]}
        return replace(no_need(self.needed, "not today"), otherwise=SUM)

    def meanwhile(self, tell: Tell) -> None:
        Spool(self.root).retry(self.needed)
        self.sweep_and_work(tell)


class FinishWhileAwaited(Race, LetGo):
    """A job ends while another is submitted that needs it."""

    def prepare(self, root: str) -> Facts:
        facts = super().prepare(root)
        [self.first] = [job_id for job_id, e in self.jobs.items() if e is THREE]
        return replace(facts, coming={("neg", f"@{self.first}"): (1, Expected("completed", "-3"))})

    def meanwhile(self, tell: Tell) -> None:
        tell(f"submitted {Spool(self.root).submit('neg', [f'@{self.first}'])}")


class LetGoWhileWorked(Race, LetGoFailing):
    """Others run what was let go while the rest is being let go."""

    def meanwhile(self, tell: Tell) -> None:
        self.sweep_and_work(tell)


class LetGoByTwo(Race, LetGoTogether):
    """Two jobs end at once, and a third waits for both."""

    minimum = 15

    def act(self, tell: Tell) -> None:
        self.finish(0, tell)

    def meanwhile(self, tell: Tell) -> None:
        for number in (1, 2):
            self.finish(number, tell)

    def finish(self, number: int, tell: Tell) -> None:
        """Record the outcome of one of the jobs."""
        outcomes = [Outcome.completed("3"), Outcome.completed("4"), LetGoFailing.outcome]
        if Spool(self.root).finish(self.claims[number], outcomes[number]):
            tell(f"finished {self.claims[number].job.id}")


class WaitOnWhileNeededEnds(Race, WaitOn):
    """A job goes back to those that wait while what it needs ends."""

    def prepare(self, root: str) -> Facts:
        facts = super().prepare(root)
        [self.needed] = [job_id for job_id, e in self.jobs.items() if e is THREE]
        return facts

    def arrange(self, root: str) -> None:
        super().arrange(root)
        assert self.mine is not None
        layout = self.spool.layout
        [bucket] = os.listdir(layout.delayed)
        name = f"{self.needed}.json"
        taken = claim(layout, self.mine.worker, f"{layout.delayed}/{bucket}", name)
        assert taken is not None
        self.claims.append(taken)

    def act(self, tell: Tell) -> None:
        self.spool.operands(self.claims[0])

    def meanwhile(self, tell: Tell) -> None:
        if Spool(self.root).finish(self.claims[1], Outcome.completed("3")):
            tell(f"finished {self.needed}")


class PromoteWhilePromoted(Race, Promote):
    """Two look at once at what is due."""

    def act(self, tell: Tell) -> None:
        self.calendar.promote()

    def meanwhile(self, tell: Tell) -> None:
        Calendar(Spool(self.root).layout).promote()


class PromoteWhileWorked(PromoteWhilePromoted):
    """Another promotes and runs them."""

    def meanwhile(self, tell: Tell) -> None:
        self.sweep_and_work(tell)


class CancelWhileWorked(Race, Cancel):
    """A job is run to its end while it is to be cancelled."""

    def act(self, tell: Tell) -> None:
        job = self.spool.cancel(self.job_id, patience=0.0)
        if job.outcome == Outcome.cancelled():
            tell(f"cancelled {self.job_id}")
        else:
            assert job.result == "35"

    def meanwhile(self, tell: Tell) -> None:
        self.sweep_and_work(tell)


class CancelWhileClaimed(CancelWhileWorked):
    """A worker takes it and keeps it; it obeys when it leaves."""

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.mine = Lease.take(self.spool.layout)

    def act(self, tell: Tell) -> None:
        with suppress(NotFinished):
            super().act(tell)

    def meanwhile(self, tell: Tell) -> None:
        assert self.mine is not None
        Spool(self.root).claim(self.mine)


class CancelWhileFinishing(Race, Cancel):
    """A worker ends the job while somebody wishes that it be cancelled: too late, or in time."""

    minimum = 10

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register(claims=1)

    def act(self, tell: Tell) -> None:
        if self.spool.finish(self.claims[0], Outcome.completed("35")):
            tell(f"finished {self.job_id}")

    def meanwhile(self, tell: Tell) -> None:
        with suppress(NotFinished):
            Spool(self.root).cancel(self.job_id, patience=0.0)


class CancelWhileTriedAgain(Race, TryAgain):
    """A failure is noted, to be tried again, while somebody cancels the job."""

    def prepare(self, root: str) -> Facts:
        facts = super().prepare(root)
        for job_id, expected in list(self.jobs.items()):
            if expected.tries:
                self.job_id = job_id
                cancelled = Expected("failed", "it was cancelled", last="", tries=("failed",))
                self.jobs[job_id] = replace(expected, otherwise=cancelled)
        error = f"job {self.job_id}, which this one needs, has failed: it was cancelled"
        for job_id, expected in list(self.jobs.items()):
            if expected.text == "-35":
                failed = Expected("failed", error, last="")
                self.jobs[job_id] = replace(expected, otherwise=failed)
        return facts

    def act(self, tell: Tell) -> None:
        self.spool.finish(self.claims[0], Outcome.failed("not yet"))

    def meanwhile(self, tell: Tell) -> None:
        with suppress(NotFinished):
            job = Spool(self.root).cancel(self.job_id, patience=0.0)
            assert job.outcome == Outcome.cancelled()
            tell(f"cancelled {self.job_id}")


class CancelWhileCancelled(Race, Cancel):
    """Two cancel one job."""

    def act(self, tell: Tell) -> None:
        assert self.spool.cancel(self.job_id).outcome == Outcome.cancelled()

    def meanwhile(self, tell: Tell) -> None:
        with suppress(NotFinished):
            Spool(self.root).cancel(self.job_id, patience=0.0)


class CancelBlockedWhileLetGo(Race, CancelBlocked):
    """It is let go and run."""

    def act(self, tell: Tell) -> None:
        self.spool.cancel(self.job_id, patience=0.0)

    def meanwhile(self, tell: Tell) -> None:
        self.sweep_and_work(tell)


class CancelDelayedWhileSwept(Race, CancelDelayed):
    def meanwhile(self, tell: Tell) -> None:
        Spool(self.root).sweep()


class RetryWhileRetried(Race, Retry):
    """Two have one job run again: one is told that it is too late."""

    def act(self, tell: Tell) -> None:
        with suppress(UsageError):
            self.spool.retry(self.job_id)

    def meanwhile(self, tell: Tell) -> None:
        with suppress(UsageError):
            Spool(self.root).retry(self.job_id)


class RetryWhileRetriedAndRun(RetryWhileRetried):
    """The other's is run at once, and succeeds."""

    def meanwhile(self, tell: Tell) -> None:
        super().meanwhile(tell)
        self.sweep_and_work(tell)


class RetryWhileCleaned(Race, Retry):
    """The user's retention removes the job that somebody wants to run again."""

    def prepare(self, root: str) -> Facts:
        facts = super().prepare(root)
        grow_old(root, self.job_id)
        self.jobs[self.job_id] = replace(self.jobs[self.job_id], cleaned=True)
        return facts

    def act(self, tell: Tell) -> None:
        with suppress(NoSuchJob):
            self.spool.retry(self.job_id)

    def meanwhile(self, tell: Tell) -> None:
        Spool(self.root).clean(grace=DAY, failed_older_than=HOUR)


class SubmitKeyWhileSubmitted(Race, SubmitWithKey):
    """Two submit with one key."""

    def act(self, tell: Tell) -> None:
        tell(f"submitted {self.spool.submit(ADD[0], ADD[1:], key='nightly')}")

    def meanwhile(self, tell: Tell) -> None:
        # Who stands still while it has the lock holds up the others: for once they give up.
        with mock.patch.object(locks, "PATIENCE", 0.0), suppress(StorageFailure):
            tell(f"submitted {Spool(self.root).submit(ADD[0], ADD[1:], key='nightly')}")


class SubmitKeyWhileCleaned(Race, SubmitWithKey):
    """The key's job was fetched long ago, and is cleaned while its key is used again."""

    def choose(self, root: str) -> Expected:
        expected = super().choose(root)
        old = replace(SUM, state="retrieved", cleaned=True)
        job_id = self.submit(root, expected=old, key="nightly")
        spool = Spool(root)
        with spool.register() as lease:
            list(run_all(spool, lease))
        spool.fetch(job_id)
        grow_old(root, job_id)
        return expected

    def act(self, tell: Tell) -> None:
        self.spool.submit(ADD[0], ADD[1:], key="nightly")

    def meanwhile(self, tell: Tell) -> None:
        with mock.patch.object(locks, "PATIENCE", 0.0), suppress(StorageFailure):
            Spool(self.root).clean(grace=HOUR)


class CleanWhileAwaited(Race, CleanNeeded):
    """A result is cleaned while a job is submitted that needs it: it is refused, or has it."""

    def prepare(self, root: str) -> Facts:
        facts = super().prepare(root)
        [self.needed] = [i for i, e in self.jobs.items() if e.cleaned and not e.needed]
        gone = no_need(self.needed, f"job {self.needed} is not there any more")
        expected = Expected("completed", "-35", otherwise=gone)
        return replace(facts, coming={("neg", f"@{self.needed}"): (1, expected)})

    def meanwhile(self, tell: Tell) -> None:
        with suppress(NoSuchJob):
            tell(f"submitted {Spool(self.root).submit('neg', [f'@{self.needed}'])}")


class SubmitWhileCleaned(CleanWhileAwaited):
    """The other way round: what was found to be there stays, so that nobody fails for it."""

    def prepare(self, root: str) -> Facts:
        facts = super().prepare(root)
        coming = {job: (1, replace(e, otherwise=None)) for job, (_, e) in facts.coming.items()}
        return replace(facts, coming=coming)

    def act(self, tell: Tell) -> None:
        super().meanwhile(tell)

    def meanwhile(self, tell: Tell) -> None:
        Spool(self.root).clean(grace=HOUR)


class FindWhileLetGo(Race, SubmitBlocked):
    """A reader looks for a job that moves against the order in which it looks."""

    minimum = 8

    def prepare(self, root: str) -> Facts:
        facts = super().prepare(root)
        self.job_id = self.submit(root, expected=SUM, after=[(next(iter(self.jobs)), "any")])
        return facts

    def act(self, tell: Tell) -> None:
        self.spool.find(self.job_id)

    def meanwhile(self, tell: Tell) -> None:
        self.sweep_and_work(tell)


RACES: dict[str, type[Race]] = {
    "submit while needed ends": SubmitWhileNeededEnds,
    "submit while needed fails": SubmitWhileNeededFails,
    "submit blocked while swept": SubmitWhileSwept,
    "submit while needed is retried": SubmitAfterFailedWhileRetried,
    "finish while awaited": FinishWhileAwaited,
    "let go while worked": LetGoWhileWorked,
    "let go by two": LetGoByTwo,
    "wait on while needed ends": WaitOnWhileNeededEnds,
    "promote while promoted": PromoteWhilePromoted,
    "promote while worked": PromoteWhileWorked,
    "cancel while worked": CancelWhileWorked,
    "cancel while claimed": CancelWhileClaimed,
    "cancel while finishing": CancelWhileFinishing,
    "cancel while tried again": CancelWhileTriedAgain,
    "cancel while cancelled": CancelWhileCancelled,
    "cancel blocked while let go": CancelBlockedWhileLetGo,
    "cancel delayed while swept": CancelDelayedWhileSwept,
    "retry while retried": RetryWhileRetried,
    "retry while retried and run": RetryWhileRetriedAndRun,
    "retry while cleaned": RetryWhileCleaned,
    "submit a key while submitted": SubmitKeyWhileSubmitted,
    "submit a key while cleaned": SubmitKeyWhileCleaned,
    "clean while awaited": CleanWhileAwaited,
    "submit while cleaned": SubmitWhileCleaned,
    "find while let go": FindWhileLetGo,
}
