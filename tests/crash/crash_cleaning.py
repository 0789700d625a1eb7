"""Jobs are cleaned away, with their keys and their outputs, but none that is still needed."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from crash_base import DAY, HOUR, SUM, Scenario, age, run_all
from crash_census import Expected, Facts
from crash_promises import clean

from spoolcalc import Outcome, Spool, State
from spoolcalc.ids import new_id

if TYPE_CHECKING:
    from crash_base import Tell


def grow_old(root: str, job_id: str) -> None:
    """Let a job have ended long ago."""
    for directory, _, names in os.walk(root):
        if f"{job_id}.json" in names:
            age(f"{directory}/{job_id}.json", DAY)


class Clean(Scenario):
    """Of each finished state an old job and a new one, and leftovers of both kinds."""

    minimum = 20
    states: tuple[str, ...] = ("retrieved", "completed", "failed")

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        young = dict(self.jobs)
        self.bystanders(root)
        for job_id in self.jobs.keys() - young.keys():
            expected = self.jobs[job_id]
            self.jobs[job_id] = replace(expected, cleaned=expected.state in self.states)
            grow_old(root, job_id)
        for days in (0, 2):
            path = f"{root}/tmp/submit.{new_id()}"
            with open(path, "wb"):
                age(path, days * DAY)
        self.submit(root)
        return Facts(self.jobs, cleaning=dict.fromkeys(self.states, HOUR))

    def act(self, tell: Tell) -> None:
        clean(self.spool, dict.fromkeys(self.states, HOUR))
        tell("cleaned")


class CleanRetrieved(Clean):
    """Without a retention of the user's own, only what was retrieved is removed."""

    minimum = 11
    states = ("retrieved",)


class CleanWithKey(CleanRetrieved):
    """The key goes with its job, and is not given to another one before."""

    minimum = 30

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        for key, expected in (
            ("nightly", replace(SUM, state="retrieved", cleaned=True)),
            ("x", SUM),
        ):
            job_id = self.submit(root, expected=expected, key=key)
            if expected.cleaned:
                run_and_fetch(root, job_id)
        return Facts(self.jobs, cleaning={"retrieved": HOUR})


class CleanWithOutput(CleanRetrieved):
    """A command's outputs go with it, those of another one stay."""

    minimum = 16

    def prepare(self, root: str) -> Facts:
        spool = Spool(root, create=True)
        for old in (True, False):
            expected = Expected("retrieved", "", cleaned=old)
            job_id = self.submit(root, "exec", "tool", expected=expected)
            with spool.register() as lease:
                claim = spool.claim(lease)
                assert claim is not None
                for stream in ("stdout", "stderr"):
                    path = spool.layout.output_of(job_id, 1, lease.worker, stream)
                    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                    with open(path, "wb") as file:
                        file.write(b"out")
                assert spool.finish(claim, Outcome.completed("", exit_code=0)) is State.COMPLETED
            spool.fetch(job_id)
            if old:
                grow_old(root, job_id)
        return Facts(self.jobs, cleaning={"retrieved": HOUR})


class CleanNeeded(CleanRetrieved):
    """A result is kept for the job that needs it, whose own time has not come."""

    minimum = 30

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        kept = Expected("retrieved", "3", cleaned=True, needed=True)
        needed = self.submit(root, "add", "1", "2", expected=kept)
        run_and_fetch(root, needed)
        expected = Expected("completed", "-3")
        self.submit(root, "neg", f"@{needed}", expected=expected, delay=HOUR)
        gone = self.submit(root, expected=replace(SUM, state="retrieved", cleaned=True))
        run_and_fetch(root, gone)
        return Facts(self.jobs, cleaning={"retrieved": HOUR})


def run_and_fetch(root: str, job_id: str) -> None:
    """Run what there is, fetch a job, and let it have been fetched long ago."""
    spool = Spool(root)
    with spool.register() as lease:
        list(run_all(spool, lease))
    spool.fetch(job_id)
    grow_old(root, job_id)


SCENARIOS: dict[str, type[Scenario]] = {
    "clean": Clean,
    "clean retrieved": CleanRetrieved,
    "clean with a key": CleanWithKey,
    "clean with output": CleanWithOutput,
    "clean needed": CleanNeeded,
}
