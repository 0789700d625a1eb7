"""The promises of a spool, checked on a directory after whatever happened to it.

One checker for all crashes: it is told what is known of the spool (:class:`Facts`) and what the
process that was broken had said before its end, looks at the directories itself, lets the package
recover, looks again, lets a worker do the rest, and names every promise that does not hold.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest import mock

from crash_base import DAY, at_another_time, run_all
from crash_beside import (
    left_blocked,
    left_notes,
    stray_outputs,
    too_early,
    wrong_keys,
    wrong_quarantine,
)
from crash_census import look

from spoolcalc import NoSuchJob, Spool, Worker, dependants
from spoolcalc.inbox import Inbox
from spoolcalc.job import State

if TYPE_CHECKING:
    from crash_census import Census, Expected, Facts, Place

#: Beginnings of names that may lie in ``tmp/`` until they are a day old: nobody owns them.
HARMLESS = ("submit.", "clean.", "init.", "pause.")
#: How many days a job may have to wait for its retries.
LONGEST = 3


def clean(spool: Spool, ages: dict[str, float]) -> None:
    """Remove the jobs that are older than ``ages`` say."""
    spool.clean(
        grace=ages["retrieved"],
        completed_older_than=ages.get("completed"),
        failed_older_than=ages.get("failed"),
    )


def _is_cancelled(place: Place) -> bool:
    return (place.document["outcome"] or {}).get("reason") == "cancelled"


class Judge:
    """Holds a broken spool against the promises.  ``wrong`` collects what does not hold."""

    def __init__(self, root: str, facts: Facts, told: list[str], *, killed: bool) -> None:
        self.root = root
        self.told = told
        self.killed = killed
        self.wrong: list[str] = []
        self.facts = facts
        self._named: dict[str, str] = {}
        self.reported = [line.split()[1] for line in told if line.startswith("submitted ")]

    def judge(self) -> list[str]:
        """Check, recover, check, let a worker do the rest, check; return what was wrong."""
        if self.facts.creates and self.killed:
            Spool(self.root, create=True)
        before = look(self.root)
        self._adopt(before)
        self._check_whole(before, "at once")
        self._check_told(before)
        self._check_readers(before)
        expected = {job_id: self._losses(job_id, before) for job_id in self.facts.jobs}
        noted = {job_id: places[0].ends for job_id, places in before.places.items()}

        spool = Spool(self.root)
        spool.resume()
        # Nobody is submitting any more; and that a job waits in vain must not show by chance.
        with mock.patch.multiple(dependants, SUBMITTING=-DAY, SAMPLE=0):
            spool.sweep()
        after = look(self.root)
        self._check_whole(after, "after the sweep")
        self.wrong += left_blocked(after)
        self._check_tidy("after the sweep")
        for job_id, losses in expected.items():
            for place in after.places.get(job_id, []):
                if place.lost not in self._bearable(losses):
                    self._object(
                        f"after the sweep {losses} lost attempts are right: {place.document}"
                    )
        again = spool.sweep()
        if again.put_back or again.poisoned or again.finished or again.workers:
            self._object("a second sweep still found work")

        self._work(spool)
        if self.facts.cleaning is not None:
            clean(spool, self.facts.cleaning)
        self._check_end(spool, expected, noted)
        return self.wrong

    def _work(self, spool: Spool) -> None:
        """Run all that can be run, now or later.

        Where nobody died, that is done without the cost of a whole worker.
        """
        for days in range(LONGEST):
            with at_another_time(days * DAY):
                if self.killed:
                    Worker(spool, once=True).run()
                else:
                    with spool.register() as lease:
                        while Inbox(spool.layout).adopt(lease).more:
                            pass
                        for job_id, went in run_all(spool, lease):
                            if went is None:
                                self._object(f"nobody was there, and {job_id} was taken away")
            if not os.listdir(f"{self.root}/delayed"):
                break

    def _object(self, text: str) -> None:
        self.wrong.append(text)

    def _adopt(self, census: Census) -> None:
        """Take up the jobs that came to be, reported or not."""
        jobs = dict(self.facts.jobs)
        came: Counter[tuple[str, ...]] = Counter()
        for job_id, places in census.places.items():
            document = places[0].document
            name = str(document.get("key")).removeprefix("inbox:")
            if name in self.facts.files and self._named.setdefault(name, job_id) == job_id:
                jobs[job_id] = self.facts.files[name]
            if job_id in jobs:
                continue
            job = (document["operation"], *document["operands"])
            came[job] += 1
            most, expected = self.facts.coming.get(job, (0, None))
            if expected is None or came[job] > most:
                self._object(f"a job came to be that nobody submitted: {document}")
            else:
                jobs[job_id] = expected
        for job_id in self.reported:
            if job_id not in jobs:
                self._object(f"lost: {job_id} was reported as submitted, and is nowhere")
        self.facts = replace(self.facts, jobs=jobs)

    def _check_whole(self, census: Census, when: str) -> None:
        """Each job in one place, each document whole, nothing lost and nothing added."""
        for job_id, expected in self.facts.jobs.items():
            places = census.places.get(job_id, [])
            cleaned = expected.cleaned and (when == "in the end" or not expected.needed)
            if not places and not cleaned:
                self._object(f"{when}: {job_id} is nowhere")
            if len(places) > 1:
                self._object(f"{when}: {job_id} is in {[place.path for place in places]}")
        for job_id, places in census.places.items():
            if job_id not in self.facts.jobs:
                self._object(f"{when}: {job_id} came to be in {places[0].path}")
            for place in places:
                self._check_document(place, when)
        self.wrong += [
            f"{when}: {line}"
            for line in (
                *too_early(census),
                *wrong_keys(self.root, census),
                *stray_outputs(self.root, census),
            )
        ]
        remaining = Counter(census.strays.values())
        remaining += Counter(d for d in census.files.values() if d in self.facts.planted)
        corrupt = f"{self.root}/corrupt"
        for name in os.listdir(corrupt):
            if not name.endswith(".reason"):
                with open(f"{corrupt}/{name}", "rb") as file:
                    remaining[file.read()] += 1
        if remaining != Counter(dict.fromkeys(self.facts.planted, 1)):
            self._object(f"{when}: what is no job is not there once each: {remaining}")

    def _check_document(self, place: Place, when: str) -> None:
        outcome = place.document["outcome"]
        if place.state in ("completed", "failed", "retrieved"):
            want = "failed" if place.state == "failed" else "completed"
            if outcome is None or outcome["state"] != want:
                self._object(f"{when}: in {place.state} without its outcome: {place.document}")
        elif place.state != "wip" and outcome is not None:
            self._object(f"{when}: to be run again although it has an outcome: {place.document}")

    def _check_told(self, census: Census) -> None:
        """What the process had said before its end was so."""
        said = {
            "finished": ("completed", "failed"),
            "returned": ("pending",),
            "fetched": ("retrieved",),
            "delayed": ("delayed",),
            "blocked": ("blocked",),
            "promoted": ("pending",),
            "retried": ("pending", "blocked"),
            "cancelled": ("failed",),
        }
        paused = os.path.exists(f"{self.root}/paused")
        if ("resumed" if paused else "paused") in self.told:
            self._object(f"{self.told}, and that it is paused is {paused}")
        for line in self.told:
            verb, _, rest = line.partition(" ")
            job_id = rest.partition(" ")[0]
            place = census.places.get(job_id, [None])[0]
            if verb in said and (place is None or place.state not in said[verb]):
                self._object(f"{line}, and it is in {place}")
            if verb == "claimed" and self.killed and (place is None or not place.in_hand):
                self._object(f"{line}, and it is in {place}")
            if verb == "cancelled" and place is not None and not _is_cancelled(place):
                self._object(f"{line}, and it is {place.document}")
            if verb == "delivered" and rest != f"{job_id} {self.facts.jobs[job_id].text}":
                self._object(f"a wrong result was given: {line}")
        finished = Counter(line for line in self.told if line.startswith("finished "))
        if any(count > 1 for count in finished.values()):
            self._object(f"two were told that theirs was the outcome: {finished}")
        self._check_given(census)

    def _check_given(self, census: Census) -> None:
        """Nothing is marked retrieved that was given to nobody."""
        given = [line.split()[1] for line in self.told if line.startswith("delivered ")]
        for job_id, expected in self.facts.jobs.items():
            for place in census.places.get(job_id, []):
                marked = place.state == "retrieved" and expected.state != "retrieved"
                if marked and job_id not in given:
                    self._object(f"{job_id} is marked retrieved, and was given to nobody")

    def _check_readers(self, census: Census) -> None:
        """A reader finds each job where it is, and nothing that was only being written."""
        spool = Spool(self.root)
        for job_id, places in census.places.items():
            if (state := spool.find(job_id).state.value) != places[0].state:
                self._object(f"{job_id} is in {places[0].state}, and is found in {state}")
        found = {job.id for state in State for job in spool.list(state)}
        if found != set(census.places):
            self._object(f"listed are {found}, and there are {set(census.places)}")
        for name in os.listdir(f"{self.root}/tmp"):
            job_id = name.split(".")[1]
            if name.startswith("submit.") and job_id not in census.places:
                try:
                    spool.find(job_id)
                except NoSuchJob:
                    continue
                self._object(f"a leftover is found as a job: {name}")

    def _losses(self, job_id: str, census: Census) -> int:
        """Return how many lost attempts must be noted once the dead were recovered."""
        expected = self.facts.jobs[job_id]
        for place in census.places.get(job_id, [])[:1]:
            fresh = place.in_hand and place.directory not in self.facts.dead
            if fresh and self.facts.charged and self.killed:
                return expected.lost + 1
        return expected.lost

    def _bearable(self, lost: int) -> range:
        """Return how many lost attempts are right."""
        return range(lost, lost + 1 + self.facts.contended)

    def _check_tidy(self, when: str) -> None:
        """Nothing is left of those who died."""
        for name in ("wip", "workers"):
            left = os.listdir(f"{self.root}/{name}")
            silent = self.facts.silent
            if name == "workers" and silent is not None:
                left = [name for name in left if not name.startswith(f"{silent}.")]
            if left:
                self._object(f"{when}: left in {name}/: {left}")
        left = [n for n in os.listdir(f"{self.root}/tmp") if not n.startswith(HARMLESS)]
        if left:
            self._object(f"{when}: left in tmp/: {left}")

    def _check_end(self, spool: Spool, lost: dict[str, int], noted: dict[str, list[str]]) -> None:
        """After a worker has done the rest all is as it was expected."""
        census = look(self.root)
        self._adopt(census)
        self._check_files(census, spool)
        self._check_whole(census, "in the end")
        self._check_tidy("in the end")
        for path, data in census.strays.items():
            if self.facts.planted.get(data) != os.path.relpath(path, self.root).split(os.sep)[0]:
                self._object(f"in the end what is no job is still at {path}")
        for state in ("pending", "delayed", "blocked"):
            if not census.strays and os.listdir(f"{self.root}/{state}"):
                self._object(f"in the end there are empty buckets in {state}/")
        self.wrong += left_notes(self.root)
        wanted = sum(where == "corrupt" for where in self.facts.planted.values())
        self.wrong += wrong_quarantine(self.root, wanted)
        for job_id, expected in self.facts.jobs.items():
            places = census.places.get(job_id, [])
            if expected.cleaned and places and self.facts.cleaning is not None:
                self._object(f"in the end {job_id} was not cleaned: {places[0].path}")
            if places:
                self._check_job(
                    spool, places[0], expected, lost.get(job_id, 0), noted.get(job_id, [])
                )
        counted = {state.value: number for state, number in spool.counts().items() if number}
        seen = Counter(
            place.state for places in look(self.root).places.values() for place in places
        )
        if not census.strays and counted != dict(seen):
            self._object(f"counted are {counted}, and there are {dict(seen)}")

    def _check_files(self, census: Census, spool: Spool) -> None:
        """Every file was made a job, once, and the job is found by its name."""
        for path in census.files:
            self._object(f"in the end there is still {path}")
        for name in self.facts.files:
            if name not in self._named:
                self._object(f"in the end {name} is no job")
            elif spool.resolve(name) != self._named[name]:
                self._object(f"{name} is {self._named[name]}, and {spool.resolve(name)} was found")

    def _check_job(
        self, spool: Spool, place: Place, expected: Expected, lost: int, noted: list[str]
    ) -> None:
        document = place.document
        if not any(self._is_right(place, wanted) for wanted in expected.alternatives):
            self._object(f"in the end {place.state}, {document}, and {expected} is right")
        if place.lost not in self._bearable(lost) or place.ends[: len(noted)] != noted:
            self._object(f"in the end wrong attempts, {lost} lost, {noted} are right: {document}")
        if place.state == "completed":
            job = spool.fetch(document["id"])
            if job.result != document["outcome"]["result"]:
                self._object(f"fetched in the end: {job}")
            if not os.path.exists(place.path.replace("/completed/", "/retrieved/")):
                self._object(f"not retrieved in the end: {job}")

    def _is_right(self, place: Place, wanted: Expected) -> bool:
        outcome = place.document["outcome"] or {}
        given = outcome["result"] if "result" in outcome else outcome.get("error")
        states = {wanted.state}
        if any(line.startswith("delivered ") for line in self.told):
            states.add("retrieved")
        right = place.state in states and given == wanted.text and tuple(place.ends) in wanted.ends
        said = f"cancelled {place.document['id']}" in self.told
        again = f"retried {place.document['id']}" in self.told
        return (
            right
            and (not said or _is_cancelled(place))
            and (not again or "forgiven" in place.document)
        )
