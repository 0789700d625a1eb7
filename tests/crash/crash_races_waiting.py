"""Two at once where jobs wait for others or for their time."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest import mock

from crash_base import DAY, SUM
from crash_by_hand import fail
from crash_census import Expected, Facts
from crash_races import Race
from crash_waiting import (
    THREE,
    LetGo,
    LetGoFailing,
    LetGoTogether,
    Promote,
    SubmitAfterFailed,
    SubmitBlocked,
    WaitOn,
    no_need,
)

from spoolcalc import (
    Outcome,
    Spool,
    dependants,
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
    "find while let go": FindWhileLetGo,
}
