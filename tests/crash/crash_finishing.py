"""Jobs end, are handed back and fetched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from crash_base import ADD, Scenario, claim_all, die
from crash_census import Expected, Facts

from spoolcalc import Spool, State, Worker
from spoolcalc.batch import Batch
from spoolcalc.execute import execute

if TYPE_CHECKING:
    from crash_base import Tell

    from spoolcalc import Job


class FinishCompleted(Scenario):
    minimum = 11
    job: tuple[str, ...] = ADD

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        self.submit(root, *self.job)
        return Facts(self.jobs, charged=True)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register(claims=1)

    def act(self, tell: Tell) -> None:
        job = self.claims[0].job
        if self.spool.finish(self.claims[0], execute(job.operation, job.operands)):
            tell(f"finished {job.id}")


class FinishBesideAnother(FinishCompleted):
    minimum = 9

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        return Facts(self.jobs, charged=True)


class FinishFailed(FinishCompleted):
    job = ("div", "1", "0")

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        failure = execute("div", ["1", "0"]).error or ""
        self.submit(root, *self.job, expected=Expected("failed", failure))
        return Facts(self.jobs, charged=True)


class FinishTogether(Scenario):
    """A worker records a batch of outcomes, one of which is a failure; another one is there."""

    minimum = 30
    batch: Batch

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        failure = execute("div", ["1", "0"]).error or ""
        self.submit(root)
        self.submit(root, "div", "1", "0", expected=Expected("failed", failure))
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        return Facts(self.jobs, charged=True)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register(claims=3)

    def act(self, tell: Tell) -> None:
        self.batch = Batch(self.spool, lambda job, _, __, went: self.recorded(tell, job, went))
        for claim in self.claims:
            self.batch.add(claim, execute(claim.job.operation, claim.job.operands), 0.0)
        self.batch.flush()

    def recorded(self, tell: Tell, job: Job, went: State | None) -> None:
        """Hear of a job that it was recorded."""
        assert went is not None, f"nobody else was there, and {job.id} was taken away"
        tell(f"finished {job.id}")

    def again(self, tell: Tell) -> None:
        assert len(self.batch) == 1, "one was refused, and others wait for it"
        self.batch.flush()


class FinishTogetherFirst(FinishTogether):
    """The same where no job was finished before, so that directories have to be made."""

    minimum = 36

    def bystanders(self, root: str) -> None:
        Spool(root, create=True)


class GiveBack(FinishBesideAnother):
    minimum = 2

    def act(self, tell: Tell) -> None:
        if self.spool.give_back(self.claims[0]):
            tell(f"returned {self.claims[0].job.id}")


class LeaveWithJobs(Scenario):
    minimum = 18

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        return Facts(self.jobs, charged=True)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register(claims=2)

    def act(self, tell: Tell) -> None:
        assert self.mine is not None
        leaving, self.mine = self.mine, None
        self.spool.leave(leaving)
        for claim in self.claims:
            tell(f"returned {claim.job.id}")

    def again(self, tell: Tell) -> None:
        self.spool.sweep()


class Fetch(Scenario):
    minimum = 15

    def arrange(self, root: str) -> None:
        super().arrange(root)
        [self.job_id] = [job.id for job in self.spool.list(State.COMPLETED)]

    def act(self, tell: Tell) -> None:
        self.spool.fetch(self.job_id, lambda job: tell(f"delivered {job.id} {job.result}"))
        tell(f"fetched {self.job_id}")


class WorkOnce(Scenario):
    """A worker recovers a dead one's job, runs two others, one of which fails, and ends."""

    long = True
    minimum = 90

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        self.submit(root, expected=Expected("completed", "35", lost=1))
        die(root, claim_all)
        dead = frozenset(os.listdir(f"{root}/wip"))
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        failure = execute("div", ["1", "0"]).error or ""
        self.submit(root, "div", "1", "0", expected=Expected("failed", failure))
        return Facts(self.jobs, charged=True, dead=dead)

    def act(self, tell: Tell) -> None:
        Worker(self.spool, once=True).run()
        tell("worked")


SCENARIOS: dict[str, type[Scenario]] = {
    "finish completed": FinishCompleted,
    "finish beside another": FinishBesideAnother,
    "finish failed": FinishFailed,
    "finish together": FinishTogether,
    "finish together first": FinishTogetherFirst,
    "give back": GiveBack,
    "leave with jobs": LeaveWithJobs,
    "fetch": Fetch,
    "work once": WorkOnce,
}
