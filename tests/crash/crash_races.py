"""Two at once: before each system call of the one, all that the other does takes place.

Who is fenced off, overtaken or beaten learns it as a normal answer; whoever was quicker, there is
one outcome, and no job is lost or in two places.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from crash_base import ADD, DAY, HOUR, Scenario, age, run_all, silence
from crash_census import Expected, Facts
from crash_finishing import Fetch, FinishBesideAnother, FinishTogether, LeaveWithJobs
from crash_submitting import ClaimOne, FirstOpening, SubmitBesideAnother
from crash_sweeping import SweepByWorker

from spoolcalc import Lease, NoSuchJob, Spool, State, Worker
from spoolcalc.execute import execute

if TYPE_CHECKING:
    from crash_base import Tell

    from spoolcalc import Job


class Race(Scenario):
    """A scenario in which something else takes place meanwhile."""

    root: str

    def arrange(self, root: str) -> None:
        self.root = root
        super().arrange(root)

    def meanwhile(self, tell: Tell) -> None:
        """Do what comes between, as another process would."""
        raise NotImplementedError

    def sweep_and_work(self, tell: Tell) -> None:
        """Give up whoever is silent, and finish all that can be run."""
        other = Spool(self.root)
        with other.register() as lease:
            other.sweep(lease)
            for job_id, went in run_all(other, lease):
                if went is not None and went.finished:
                    tell(f"finished {job_id}")


class GivenUp(Race):
    """The one who acts was silent for long, and is given up meanwhile."""

    def prepare(self, root: str) -> Facts:
        facts = super().prepare(root)
        return Facts(facts.jobs, contended=True)

    def meanwhile(self, tell: Tell) -> None:
        claimer = self.claims[0].worker
        if os.path.exists(f"{self.root}/workers/{claimer}.lock"):
            silence(self.root, claimer)
        self.sweep_and_work(tell)


class FinishWhileGivenUp(GivenUp, FinishBesideAnother):
    pass


class FinishTogetherWhileGivenUp(GivenUp, FinishTogether):
    def recorded(self, tell: Tell, job: Job, went: State | None) -> None:
        """It may have been given to another indeed."""
        if went is not None:
            super().recorded(tell, job, went)


class GiveBackWhileGivenUp(GivenUp, FinishBesideAnother):
    minimum = 2

    def act(self, tell: Tell) -> None:
        self.spool.give_back(self.claims[0])


class LeaveWhileGivenUp(GivenUp, LeaveWithJobs):
    def act(self, tell: Tell) -> None:
        assert self.mine is not None
        leaving, self.mine = self.mine, None
        self.spool.leave(leaving)


class SweepStale(Race):
    """The one who acts gives up a silent worker, which comes back to life meanwhile."""

    minimum = 25
    stale: Lease

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        return Facts(self.jobs, contended=True)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register(claims=1)
        assert self.mine is not None
        self.stale, self.mine = self.mine, None
        silence(root, self.stale.worker)
        self.register()

    def act(self, tell: Tell) -> None:
        self.spool.sweep(self.mine)

    def leave(self) -> None:
        super().leave()
        self.spool.leave(self.stale)


class SweepWhileFinishing(SweepStale):
    def meanwhile(self, tell: Tell) -> None:
        job = self.claims[0].job
        if Spool(self.root).finish(self.claims[0], execute(job.operation, job.operands)):
            tell(f"finished {job.id}")


class SweepWhileLeaving(SweepStale):
    def meanwhile(self, tell: Tell) -> None:
        Spool(self.root).leave(self.stale)

    def leave(self) -> None:
        Scenario.leave(self)


class SweepWhileSwept(Race, SweepByWorker):
    def meanwhile(self, tell: Tell) -> None:
        Spool(self.root).sweep()


class RegisterWhileSwept(Race):
    minimum = 10

    def act(self, tell: Tell) -> None:
        with self.spool.register() as lease:
            assert not lease.fenced()
            assert lease.renew() is not None

    def meanwhile(self, tell: Tell) -> None:
        Spool(self.root).sweep()


class ClaimWhileClaimed(Race, ClaimOne):
    def act(self, tell: Tell) -> None:
        assert self.mine is not None
        self.spool.claim(self.mine)

    def meanwhile(self, tell: Tell) -> None:
        self.sweep_and_work(tell)


class SubmitWhileDrained(Race, SubmitBesideAnother):
    """The bucket into which a job is submitted drains, and is removed."""

    def meanwhile(self, tell: Tell) -> None:
        self.sweep_and_work(tell)


class FindWhileReturned(Race, FinishBesideAnother):
    """A job goes back, against the order in which a reader looks for it."""

    def act(self, tell: Tell) -> None:
        assert self.spool.find(self.claims[0].job.id).result is None

    def meanwhile(self, tell: Tell) -> None:
        self.spool.give_back(self.claims[0])


class FindWhileFinished(FindWhileReturned):
    def act(self, tell: Tell) -> None:
        self.spool.find(self.claims[0].job.id)

    def meanwhile(self, tell: Tell) -> None:
        self.spool.finish(self.claims[0], execute(ADD[0], ADD[1:]))
        self.spool.fetch(self.claims[0].job.id, lambda job: tell(f"delivered {job.id} 35"))


class FetchWhileCleaned(Race, Fetch):
    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.jobs = {
            job_id: Expected(e.state, e.text, cleaned=e.state in ("completed", "retrieved"))
            for job_id, e in self.jobs.items()
        }
        return Facts(self.jobs, cleaning={"retrieved": -HOUR})

    def act(self, tell: Tell) -> None:
        with suppress(NoSuchJob):
            self.spool.fetch(self.job_id, lambda job: tell(f"delivered {job.id} {job.result}"))

    def meanwhile(self, tell: Tell) -> None:
        other = Spool(self.root)
        other.fetch(self.job_id, lambda job: tell(f"delivered {job.id} {job.result}"))
        other.clean()


class CleanWhileFetched(Race):
    """A job that finished long ago is fetched; cleaning must let it its grace all the same."""

    minimum = 7

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        [job] = Spool(root).list(State.COMPLETED)
        age(f"{root}/completed/{job.id[:8]}/{job.id}.json", DAY)
        return Facts(self.jobs)

    def act(self, tell: Tell) -> None:
        self.spool.clean(grace=HOUR)

    def meanwhile(self, tell: Tell) -> None:
        [job] = self.spool.list(State.COMPLETED)
        Spool(self.root).fetch(job.id, lambda job: tell(f"delivered {job.id} {job.result}"))


class OpenWhileOpened(Race, FirstOpening):
    def prepare(self, root: str) -> Facts:
        return Facts({}, coming={ADD: (1, Expected("completed", "35"))})

    def arrange(self, root: str) -> None:
        self.root = root

    def meanwhile(self, tell: Tell) -> None:
        tell(f"submitted {Spool(self.root, create=True).submit(ADD[0], ADD[1:])}")


class WorkWhileWorked(Race, ClaimOne):
    minimum = 55

    def arrange(self, root: str) -> None:
        self.root = root
        self.spool = Spool(root)

    def act(self, tell: Tell) -> None:
        Worker(self.spool, once=True).run()

    def meanwhile(self, tell: Tell) -> None:
        self.sweep_and_work(tell)


RACES: dict[str, type[Race]] = {
    "finish while given up": FinishWhileGivenUp,
    "finish together while given up": FinishTogetherWhileGivenUp,
    "give back while given up": GiveBackWhileGivenUp,
    "leave while given up": LeaveWhileGivenUp,
    "sweep while finishing": SweepWhileFinishing,
    "sweep while leaving": SweepWhileLeaving,
    "sweep while swept": SweepWhileSwept,
    "register while swept": RegisterWhileSwept,
    "claim while claimed": ClaimWhileClaimed,
    "submit while drained": SubmitWhileDrained,
    "find while returned": FindWhileReturned,
    "find while finished": FindWhileFinished,
    "fetch while cleaned": FetchWhileCleaned,
    "clean while fetched": CleanWhileFetched,
    "open while opened": OpenWhileOpened,
    "work while worked": WorkWhileWorked,
}
