"""A spool in figures, for a monitoring system: what there is now, and what has happened so far.

What there is now is one look at the whole spool; what has happened are the events, counted, so that
these figures only go up, whatever was cleaned since.
"""

from __future__ import annotations

import time
from collections import Counter

from spoolcalc import reading, totals
from spoolcalc.ids import seconds_of
from spoolcalc.job import State
from spoolcalc.layout import id_of, is_bucket
from spoolcalc.overview import overview

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.layout import Layout
    from spoolcalc.overview import Overview
    from spoolcalc.totals import Totals

#: The states whose oldest job is found by two listings.
_SORTED = (State.BLOCKED, State.COMPLETED, State.FAILED, State.RETRIEVED)


class Figures:
    """``seen`` is what there is, ``totals`` what has happened.

    ``ages`` is how long ago (seconds) the job of a state was submitted that was the first of them.
    """

    __slots__ = ("ages", "paused", "seen", "totals")

    def __init__(
        self, seen: Overview, totals: Totals, ages: dict[State, float], *, paused: bool
    ) -> None:
        self.seen = seen
        self.totals = totals
        self.ages = ages
        self.paused = paused

    def by_operation(self, *events: str, reason: str | None = None) -> Counter[str]:
        """Return how often any of these events was told, by operation."""
        found: Counter[str] = Counter()
        for key, number in self.totals.counts.items():
            if key.event in events and reason in (None, key.reason):
                found[key.operation] += number
        return found

    def failures(self) -> Counter[tuple[str, str]]:
        """Return how many jobs have failed, by operation and reason."""
        found: Counter[tuple[str, str]] = Counter()
        for key, number in self.totals.counts.items():
            if key.event == "failed":
                found[key.operation, key.reason or "error"] += number
        return found

    def attempts(self) -> Counter[tuple[str, str]]:
        """Return how many attempts have ended, by operation and how."""
        found: Counter[tuple[str, str]] = Counter()
        for key, number in self.totals.counts.items():
            if key.end:
                found[key.operation, key.end] += number
        return found


def figures(layout: Layout) -> Figures:
    """Look at everything."""
    counted = totals.count(layout)
    seen = overview(layout)
    now = time.time()
    ages = {state: age for state in _SORTED if (age := _age(layout, state, now)) is not None}
    if seen.oldest is not None:
        ages[State.PENDING] = seen.oldest
    running = [seconds_of(job.id) for view in seen.workers for job in view.jobs]
    if running:
        ages[State.WIP] = max(0.0, now - min(running))
    paused = reading.status(layout.paused) is not None
    return Figures(seen, counted, ages, paused=paused)


def _age(layout: Layout, state: State, now: float) -> float | None:
    top = layout.state(state)
    for bucket in sorted(filter(is_bucket, reading.directories(top))):
        ids = filter(None, map(id_of, reading.names(f"{top}/{bucket}") or ()))
        first = min(ids, default=None)
        if first is not None:
            return max(0.0, now - seconds_of(first))
    return None
