"""Two at once where jobs are cancelled, run again, cleaned, or have a key."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest import mock

from crash_base import ADD, DAY, HOUR, SUM, run_all
from crash_by_hand import (
    Cancel,
    CancelBlocked,
    CancelDelayed,
    Retry,
    SweepReturnedWished,
)
from crash_census import Expected, Facts
from crash_cleaning import CleanNeeded, grow_old
from crash_races import Race
from crash_trying import TryAgain
from crash_waiting import (
    SubmitWithKey,
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
    locks,
    reading,
)
from spoolcalc.layout import CANCEL

if TYPE_CHECKING:
    from crash_base import Tell


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


class SweepWishedWhileReturned(Race, SweepReturnedWished):
    """One that has not seen the wish puts back meanwhile what another one ends for it."""

    minimum = 20

    def meanwhile(self, tell: Tell) -> None:
        real = reading.names

        def names(path: str) -> list[str] | None:
            found = real(path)
            return found and [name for name in found if not name.endswith(CANCEL)]

        with mock.patch.object(reading, "names", names):
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


RACES: dict[str, type[Race]] = {
    "cancel while worked": CancelWhileWorked,
    "cancel while claimed": CancelWhileClaimed,
    "cancel while finishing": CancelWhileFinishing,
    "cancel while tried again": CancelWhileTriedAgain,
    "cancel while cancelled": CancelWhileCancelled,
    "cancel blocked while let go": CancelBlockedWhileLetGo,
    "cancel delayed while swept": CancelDelayedWhileSwept,
    "sweep wished while returned": SweepWishedWhileReturned,
    "retry while retried": RetryWhileRetried,
    "retry while retried and run": RetryWhileRetriedAndRun,
    "retry while cleaned": RetryWhileCleaned,
    "submit a key while submitted": SubmitKeyWhileSubmitted,
    "submit a key while cleaned": SubmitKeyWhileCleaned,
    "clean while awaited": CleanWhileAwaited,
    "submit while cleaned": SubmitWhileCleaned,
}
