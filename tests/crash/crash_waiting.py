"""Jobs wait for others, for their time and for another try, and are let go."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from crash_base import ADD, DAY, HOUR, SUM, Scenario, age, at_another_time
from crash_census import Expected, Facts

from spoolcalc import Outcome, Spool, State
from spoolcalc.due import Calendar
from spoolcalc.transitions import unblock

if TYPE_CHECKING:
    from crash_base import Tell


THREE = Expected("completed", "3")


def no_need(needed: str, error: str) -> Expected:
    """Return what becomes of a job that needs one that has failed."""
    return Expected("failed", f"job {needed}, which this one needs, has failed: {error}", last="")


class SubmitWaiting(Scenario):
    """A job is submitted that cannot be run yet."""

    minimum = 12
    operands: tuple[str, ...] = ADD[1:]
    options: dict[str, Any]

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.options = {}
        expected = self.choose(root)
        return Facts(self.jobs, coming={("add", *self.operands): (1, expected)})

    def choose(self, root: str) -> Expected:
        """Choose the options, and return what is to become of the job."""
        raise NotImplementedError

    def act(self, tell: Tell) -> None:
        tell(f"submitted {self.spool.submit('add', self.operands, **self.options)}")


class SubmitDelayed(SubmitWaiting):
    def choose(self, root: str) -> Expected:
        self.options = {"delay": HOUR}
        return SUM


class SubmitBlocked(SubmitWaiting):
    """It needs the result of one that waits, and the end of another."""

    minimum = 30

    def choose(self, root: str) -> Expected:
        needed = self.submit(root, "add", "1", "2", expected=THREE)
        ends = self.submit(root, "add", "2", "2", expected=Expected("completed", "4"))
        self.operands = (f"@{needed}", "1")
        self.options = {"after": [(ends, "any")]}
        return Expected("completed", "4")


class SubmitAfterEnded(SubmitWaiting):
    """All that it needs has ended, so that it can be run at once."""

    long = True
    minimum = 40

    def choose(self, root: str) -> Expected:
        [fetched] = [job.id for job in Spool(root).list(State.RETRIEVED)]
        [failed] = [job.id for job in Spool(root).list(State.FAILED)]
        self.options = {"after": [(failed, "any"), (fetched, "ok")]}
        return SUM


class SubmitAfterFailed(SubmitWaiting):
    """What it needs has failed, and something else it needs has not ended."""

    minimum = 30
    long = True

    def choose(self, root: str) -> Expected:
        [failed] = Spool(root).list(State.FAILED)
        other = self.submit(root, "add", "1", "2", expected=THREE)
        self.options = {"after": [(failed.id, "ok"), (other, "any")]}
        return no_need(failed.id, failed.error or "")


class SubmitWithKey(SubmitWaiting):
    minimum = 25

    def choose(self, root: str) -> Expected:
        self.options = {"key": "nightly"}
        return SUM


class SubmitWithKeyBlocked(SubmitBlocked):
    """A key, a need and a time, all at once."""

    minimum = 40
    long = True

    def choose(self, root: str) -> Expected:
        expected = super().choose(root)
        self.options |= {"key": "nightly", "delay": HOUR}
        return expected


class SubmitWithKeyAgain(SubmitWithKey):
    """The key has a job, which waits for its time."""

    minimum = 8

    def choose(self, root: str) -> Expected:
        super().choose(root)
        self.first = self.submit(root, key="nightly", delay=HOUR)
        return SUM

    def act(self, tell: Tell) -> None:
        job_id = self.spool.submit("add", self.operands, **self.options)
        assert job_id == self.first, "a second job for one key"
        tell(f"submitted {job_id}")


class Promote(Scenario):
    """Two jobs are due that were seen before they were; a third is not."""

    minimum = 8

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        # In the middle of a bucket, so that it is looked into before they are due.
        self.due = ((int((time.time() - HOUR) * 1000) >> 16) << 16) / 1000 + 30
        with at_another_time(-DAY):
            for seconds in range(2):
                expected = Expected("completed", f"{seconds + 1}")
                self.submit(root, "add", str(seconds), "1", expected=expected, at=self.due)
        self.submit(root, "add", "1", "2", expected=THREE, delay=HOUR)
        return Facts(self.jobs)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        for directory, _, _ in os.walk(f"{root}/delayed"):
            age(directory, DAY)  # so that what was seen is remembered
        self.calendar = Calendar(self.spool.layout)
        with at_another_time(self.due - time.time() - 1):
            assert self.calendar.promote() < 2

    def act(self, tell: Tell) -> None:
        while (rest := self.calendar.promote()) == 0.0:  # a slice of them, on a slow machine
            pass
        assert HOUR / 2 < rest < HOUR  # the series itself takes its time
        assert self.spool.counts()[State.PENDING] == 2, "not all were promoted that are due"


class LetGo(Scenario):
    """A job ends; one waits for it alone, another for something else too."""

    minimum = 25
    outcome = Outcome.completed("3")

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        first = self.submit(root, "add", "1", "2", expected=THREE, priority=0)
        other = self.submit(root, "add", "2", "2", expected=Expected("completed", "4"))
        self.submit(root, "neg", f"@{first}", expected=Expected("completed", "-3"))
        both = Expected("completed", "7")
        self.submit(root, "add", f"@{first}", f"@{other}", expected=both)
        return Facts(self.jobs, charged=True)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register(claims=1)

    def act(self, tell: Tell) -> None:
        if self.spool.finish(self.claims[0], self.outcome):
            tell(f"finished {self.claims[0].job.id}")


class LetGoFailing(LetGo):
    """It fails: one that needs it to complete fails, one that only waits for its end is run."""

    outcome = Outcome.failed("division by zero")

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        error = self.outcome.error or ""
        first = self.submit(root, "div", "1", "0", expected=Expected("failed", error), priority=0)
        other = self.submit(root, "add", "2", "2", expected=Expected("completed", "4"), delay=HOUR)
        fails = no_need(first, error)
        self.submit(root, "add", f"@{first}", f"@{other}", expected=fails)
        self.submit(root, expected=SUM, after=[(first, "any")])
        return Facts(self.jobs, charged=True)


class LetGoTogether(LetGo):
    """Three end in one batch, and one waits for two of them, another for the third."""

    minimum = 45
    long = True

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        failed = Expected("failed", "division by zero")
        one = self.submit(root, "add", "1", "2", expected=THREE)
        two = self.submit(root, "add", "2", "2", expected=Expected("completed", "4"))
        bad = self.submit(root, "div", "1", "0", expected=failed)
        self.submit(root, "add", f"@{one}", f"@{two}", expected=Expected("completed", "7"))
        self.submit(root, "neg", f"@{bad}", expected=no_need(bad, "division by zero"))
        return Facts(self.jobs, charged=True)

    def arrange(self, root: str) -> None:
        Scenario.arrange(self, root)
        self.register(claims=3)

    def act(self, tell: Tell) -> None:
        outcomes = [Outcome.completed("3"), Outcome.completed("4"), LetGoFailing.outcome]
        answers = self.spool.finish_many(list(zip(self.claims, outcomes, strict=True)))
        for claim, answer in zip(list(self.claims), answers, strict=True):
            if isinstance(answer, State):
                tell(f"finished {claim.job.id}")
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer

    def again(self, tell: Tell) -> None:
        self.spool.sweep()


class EndOfChain(LetGo):
    """A job ends that has waited itself; nothing is noted of it any more."""

    minimum = 14
    outcome = Outcome.completed("-3")

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        first = self.submit(root, "add", "1", "2", expected=THREE)
        self.submit(root, "neg", f"@{first}", expected=Expected("completed", "-3"))
        spool = Spool(root)
        with spool.register() as lease:
            claim = spool.claim(lease)
            assert claim is not None
            spool.finish(claim, Outcome.completed("3"))
        return Facts(self.jobs, charged=True)


class Conclude(LetGo):
    """A job ends without having been run, since what it needs has failed."""

    minimum = 25

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        [failed] = Spool(root).list(State.FAILED)
        self.submit(
            root, after=[(failed.id, "ok")], expected=no_need(failed.id, failed.error or "")
        )
        return Facts(self.jobs, charged=True)

    def act(self, tell: Tell) -> None:
        outcome = self.spool.operands(self.claims[0])
        assert isinstance(outcome, Outcome)
        assert self.spool.conclude(self.claims[0], outcome)
        tell(f"finished {self.claims[0].job.id}")


class WaitOn(LetGo):
    """A job was let go too early, and who took it finds that out."""

    long = True
    minimum = 25

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        needed = self.submit(root, "add", "1", "2", expected=THREE, delay=HOUR)
        early = self.submit(root, "neg", f"@{needed}", expected=Expected("completed", "-3"))
        assert unblock(Spool(root).layout, early)
        return Facts(self.jobs, charged=True)

    def act(self, tell: Tell) -> None:
        assert self.spool.operands(self.claims[0]) is None
        tell(f"blocked {self.claims[0].job.id}")

    def again(self, tell: Tell) -> None:
        if os.path.exists(self.claims[0].path):
            self.act(tell)


SCENARIOS: dict[str, type[Scenario]] = {
    "submit delayed": SubmitDelayed,
    "submit blocked": SubmitBlocked,
    "submit after ended": SubmitAfterEnded,
    "submit after failed": SubmitAfterFailed,
    "submit with a key": SubmitWithKey,
    "submit with a key, blocked": SubmitWithKeyBlocked,
    "submit with a key again": SubmitWithKeyAgain,
    "promote": Promote,
    "let go": LetGo,
    "let go failing": LetGoFailing,
    "let go together": LetGoTogether,
    "end of a chain": EndOfChain,
    "conclude": Conclude,
    "wait on": WaitOn,
}
