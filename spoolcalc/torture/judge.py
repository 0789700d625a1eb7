"""Holds what the processes noted, and what lies in the spool, against the promises.

Whose claim ended how is told by the journals alone: a claim is over when its worker said so, or
when it was killed, which is noted before it happens.  So what is called broken was broken, whatever
the clocks and the file system say.
"""

from __future__ import annotations

import os
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from spoolcalc import reading
from spoolcalc.document import MAX_DOCUMENT, Malformed, decode
from spoolcalc.errors import SpoolError
from spoolcalc.job import State
from spoolcalc.layout import id_of
from spoolcalc.torture.journal import Entry, entries
from spoolcalc.torture.verdict import Broken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spoolcalc.job import Document
    from spoolcalc.layout import Layout

_FOREVER = 1 << 62
_OVER = frozenset({"returned", "discarded"})


class Judge:
    """What was noted, by word and job; and what is left."""

    def __init__(self, layout: Layout, journals: str) -> None:
        self._layout = layout
        self.by_word: dict[str, list[Entry]] = defaultdict(list)
        self._deaths: dict[int, int] = {}
        self._of_job: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries(journals):
            self.by_word[entry.word].append(entry)
            if entry.word in ("claimed", "ended", "returned", "discarded"):
                self._of_job[entry.rest[0]].append(entry)
            elif entry.word in ("dies", "kills"):
                pid = int(entry.rest[0]) if entry.word == "kills" else entry.pid
                self._deaths[pid] = min(entry.at, self._deaths.get(pid, _FOREVER))
        self._short = {entry.pid for entry in self.by_word["short"]}
        self.expected = {
            entry.rest[0]: str(int(entry.rest[1]) + int(entry.rest[2]))
            for entry in self.by_word["printed"]
        }
        self._delivered: dict[str, set[str]] = defaultdict(set)
        for entry in self.by_word["delivered"]:
            self._delivered[entry.rest[0]].add(entry.rest[1])
        self.places: dict[str, list[tuple[State, str]]] = defaultdict(list)

    def counts(self) -> dict[str, int]:
        """Return how much was tried."""
        words = self.by_word
        killed = {entry.rest[0] for entry in words["kills"]}
        return {
            "submitted": len(words["printed"]),
            "completed": len({entry.rest[0] for entry in words["ended"]}),
            "delivered": len(self._delivered),
            "cleaned": sum(int(entry.rest[0]) for entry in words["cleaned"]),
            "looked_up": sum(int(entry.rest[0]) for entry in words["looked"]),
            "deaths": len(words["dies"]) + len(killed),
            "deaths_at_system_calls": len(words["dies"]),
            "given_up": len(words["gave-up"]),
            "discarded": len(words["discarded"]),
        }

    def judge(self) -> Iterator[Broken]:
        """Yield every promise that was broken, with the evidence."""
        yield from self._documents()
        yield from self._jobs()
        yield from self._claims()
        yield from self._readers()
        for entry in self.by_word["failed"]:
            yield Broken("P6", f"{entry.who} ended by itself: {' '.join(entry.rest)}")

    def _documents(self) -> Iterator[Broken]:
        """P2, P3, P5: whole documents, each in one place, with the right outcome."""
        for state in State:
            for directory, _, names in os.walk(self._layout.state(state)):
                for name in names:
                    job_id, path = id_of(name), f"{directory}/{name}"
                    if job_id is None:
                        continue
                    self.places[job_id].append((state, path))
                    document = _read(path)
                    if isinstance(document, str):
                        yield Broken("P2", f"{path}: {document}")
                    elif document["id"] != job_id:
                        yield Broken("P2", f"{path} holds the job {document['id']}")
                    else:
                        yield from self._document(state, path, document)
        for name in reading.names(self._layout.corrupt) or ():
            if not name.endswith(".reason"):
                yield Broken("P2", f"{self._layout.corrupt}/{name} could not be read")

    def _document(self, state: State, path: str, document: Document) -> Iterator[Broken]:
        outcome = document["outcome"]
        if state not in (State.COMPLETED, State.RETRIEVED):
            told = f"is still in {state}/ in the end" if outcome is None else f"is in {state}/"
            yield Broken("P1", f"{path} {told}")
            return
        right = str(sum(map(int, document["operands"])))
        if outcome is None or outcome.get("result") != right:
            yield Broken("P3", f"{path} has the outcome {outcome}, and {right} is right")
        if state is State.RETRIEVED and right not in self._delivered.get(document["id"], ()):
            yield Broken("P5", f"{path} is marked retrieved, and was never delivered")

    def _jobs(self) -> Iterator[Broken]:
        """P1, P2, P5: every printed id is there once, or was delivered and cleaned."""
        for job_id, places in self.places.items():
            if len(places) > 1:
                yield Broken("P2", f"{job_id} lies at {' and '.join(p for _, p in places)}")
        for job_id, right in self.expected.items():
            if job_id not in self.places and right not in self._delivered.get(job_id, ()):
                yield Broken("P1", f"{job_id} was printed, is nowhere, and was never delivered")
        for job_id, results in self._delivered.items():
            right = self.expected.get(job_id, "")
            if len(results) > 1 or (right and results != {right}):
                yield Broken("P3", f"{job_id} was delivered as {sorted(results)}, not {right}")

    def _claims(self) -> Iterator[Broken]:
        """P3, P4: one at a time has a job, and one outcome is recorded."""
        for job_id, noted in self._of_job.items():
            noted.sort(key=lambda entry: entry.at)
            ended = [entry for entry in noted if entry.word == "ended"]
            if len(ended) > 1:
                who = " and ".join(f"{entry.who} at {entry.at}" for entry in ended)
                yield Broken("P3", f"{job_id}: an outcome was recorded by {who}")
            # One that was stopped notes late what it had in time.
            claims = [e for e in noted if e.word == "claimed" and e.pid not in self._short]
            for first, second in pairwise(claims):
                if ended and ended[0].at < second.at:
                    told = "after its outcome was recorded"
                elif not self._is_over(first, second.at, noted):
                    told = f"while {first.who}, alive, had it since {first.at}"
                else:
                    continue
                yield Broken("P2", f"{job_id}: {second.who} had it at {second.at}, {told}")
            for entry in noted:
                if entry.word == "discarded" and entry.pid not in self._short:
                    yield Broken("P4", f"{job_id} was taken from {entry.who}, which was alive")

    def _is_over(self, claim: Entry, at: int, noted: list[Entry]) -> bool:
        """Tell whether a claim was over at a time: given back, or its worker killed."""
        if self._deaths.get(claim.pid, _FOREVER) <= at:
            return True
        return any(
            entry.word in _OVER and entry.pid == claim.pid and claim.at <= entry.at <= at
            for entry in noted
        )

    def _readers(self) -> Iterator[Broken]:
        for entry in self.by_word["torn"]:
            yield Broken("P2", f"{entry.who} has read: {' '.join(entry.rest)}")
        for entry in self.by_word["unfinished"]:
            yield Broken("P2", f"{entry.rest[0]} was completed, and then was not")
        for entry in self.by_word["missing"]:
            job_id = entry.rest[0]
            if job_id in self.places:
                yield Broken("P2", f"{job_id} was nowhere for {entry.who}, and is there")


def _read(path: str) -> Document | str:
    """Return a document, or what is wrong with it."""
    try:
        read = reading.read(path, MAX_DOCUMENT)
        return decode(read[0]) if read else "it was there and is not"
    except (reading.Unreadable, Malformed) as error:
        return str(error)
    except SpoolError as error:
        return error.message
