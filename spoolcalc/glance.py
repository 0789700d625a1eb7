"""A spool looked at again and again, for whoever watches it: cheap, however many jobs there are.

A directory is listed again only if its mtime has changed, and what takes long to find out is asked
the more seldom, so that all of it takes a small part of one processor.  What has happened is read
from the events, as it comes, and is added to what was counted before.  No document is read but
those in ``wip/``.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from spoolcalc import lookup, reading
from spoolcalc.history import History
from spoolcalc.job import State
from spoolcalc.layout import id_of
from spoolcalc.overview import oldest, workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from spoolcalc.layout import Layout
    from spoolcalc.overview import WorkerView

T = TypeVar("T")

#: Of the time, the part in which each thing may be found out.
SHARE = 0.02
#: The seconds over which rates are taken.
WINDOW = 10.0
#: So many of the last failures are kept.
FAILURES = 100
#: An mtime that is not older than this (nanoseconds) may hide a change.
_RECENT = 100_000_000
_MOVED = re.compile(rb',"from":(?:"([a-z]+)"|null),"to":(?:"([a-z]+)"|null)')
_COUNTED = ("submitted", "completed", "failed")


class Seldom(Generic[T]):
    """Asks ``find`` again only after so long that this is a small part of the time."""

    def __init__(self, find: Callable[[], T]) -> None:
        self._find = find
        self._due = 0.0
        self._found: T
        #: Whether what was returned last was found just then.
        self.fresh = False

    def __call__(self) -> T:
        """Return what was found, just now or not long ago."""
        began = time.monotonic()
        self.fresh = began >= self._due
        if self.fresh:
            self._found = self._find()
            ended = time.monotonic()
            self._due = ended + (ended - began) / SHARE
        return self._found


class _State:
    """Counts the jobs in a state, each bucket anew only when that has changed."""

    def __init__(self, layout: Layout, state: State) -> None:
        self._top = layout.state(state)
        self._buckets: dict[str, tuple[int, int]] = {}  # when it was changed last, and how many

    def count(self) -> int:
        buckets = {}
        for name in reading.directories(self._top):
            path = f"{self._top}/{name}"
            status = reading.status(path)
            changed = 0 if status is None else status.st_mtime_ns
            known = self._buckets.get(name)
            if known is not None and known[0] == changed:
                buckets[name] = known
                continue
            if time.time_ns() - changed < _RECENT:
                changed = -1
            jobs = sum(1 for job in reading.names(path) or () if id_of(job) is not None)
            buckets[name] = changed, jobs
        self._buckets = buckets
        return sum(jobs for _, jobs in buckets.values())


class Glance:
    """What was seen at one look.

    ``rates`` are jobs a second, by event; ``failures`` the last events of jobs that have failed,
    the newest first; ``progress`` what running jobs told, by their ids.
    """

    __slots__ = (
        "corrupt",
        "counts",
        "failures",
        "inbox",
        "oldest",
        "path",
        "paused",
        "progress",
        "rates",
        "workers",
    )

    def __init__(self, path: str) -> None:
        self.path = path
        self.counts: dict[State, int] = {}
        self.corrupt = 0
        self.inbox = 0
        self.oldest: float | None = None
        self.paused = False
        self.progress: dict[str, dict[str, object]] = {}
        self.rates: dict[str, float] = {}
        self.failures: list[dict[str, Any]] = []
        self.workers: list[WorkerView] = []


class Watch:
    """Looks at the spool at ``layout``; a ``with`` block of its ``history`` ends it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._counts = {state: Seldom(_State(layout, state).count) for state in State}
        self._oldest = Seldom(lambda: oldest(layout))
        self._corrupt = Seldom(lambda: lookup.count_corrupt(layout))
        self._inbox = Seldom(lambda: lookup.count_inbox(layout))
        self._workers = Seldom(lambda: workers(layout))
        self.history = History(layout)
        self._failures: deque[bytes] = deque(maxlen=FAILURES)
        self._moved: Counter[str] = Counter()  # in each state, since it was counted
        self._happened: deque[tuple[float, Counter[str]]] = deque()
        self._began: float | None = None

    def look(self) -> Glance:
        """Look again."""
        seen = Glance(self._layout.root)
        seen.rates = self._rates()  # first: what is counted after it needs nothing added
        seen.counts = {state: self._count(state) for state in State}
        seen.oldest, seen.corrupt, seen.inbox = self._oldest(), self._corrupt(), self._inbox()
        seen.paused = reading.status(self._layout.paused) is not None
        seen.workers = self._workers()
        for job in (job for view in seen.workers for job in view.jobs):
            told = lookup.progress_of(self._layout, job)
            if told is not None:
                seen.progress[job.id] = told
        seen.failures = [json.loads(line) for line in reversed(self._failures)]
        return seen

    def _count(self, state: State) -> int:
        """Return how many jobs are in a state: counted, or counted before and moved since."""
        number = self._counts[state]()
        if self._counts[state].fresh:
            self._moved[state.value] = 0
        return max(0, number + self._moved[state.value])

    def _rates(self) -> dict[str, float]:
        """Read what has happened since the last look."""
        now = time.monotonic()
        happened: Counter[str] = Counter()
        for line in self.history.lines():
            moved = _MOVED.search(line)
            if moved is not None:
                was, to = (part.decode("ascii") for part in moved.groups(b""))
                self._moved[was] -= 1
                self._moved[to] += 1
            for event in _COUNTED:
                if b'"event":"%s"' % event.encode("ascii") in line[:100]:
                    happened[event] += 1
                    if event == "failed" and _is_whole(line):
                        self._failures.append(line)
        if self._began is None:  # what was before the first look is no rate
            self._began = now
        else:
            self._happened.append((now, happened))
        while self._happened and self._happened[0][0] < now - WINDOW:
            self._happened.popleft()
        seconds = max(1.0, min(WINDOW, now - self._began))
        total: Counter[str] = Counter()
        for _, counted in self._happened:
            total.update(counted)
        return {event: total[event] / seconds for event in _COUNTED}


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
