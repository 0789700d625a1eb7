"""What to claim next: the runnable jobs in order, priority first and then age.

A listing is read once and then walked, so that a claim costs the same with a thousand jobs waiting
as with a million (looking the directory up afresh for each claim: 10 times slower at 1,000).  The
listing may be stale; whoever claims finds out.

Nothing here changes a job.  Empty buckets are removed and what is no job goes to ``corrupt/``, so
that ``pending/`` is empty exactly when nothing can be run now.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter

from spoolcalc import files, reading
from spoolcalc.due import Calendar
from spoolcalc.ids import bucket_of
from spoolcalc.layout import id_of, is_pending_bucket
from spoolcalc.transitions import quarantine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from spoolcalc.layout import Layout

#: For how long (seconds) a more urgent job may wait behind a listing taken before it came.
LOOK_AGAIN = 0.05
#: So many jobs that it left to others are remembered before those are forgotten that have gone.
CROWD = 1_000
#: How many places it goes ahead after another worker was quicker.
AHEAD = 16


class Cursor:
    """Walks through ``pending/``.  For one thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._buckets: list[str] = []  # the next one last
        self._names: dict[str, list[str]] = {}  # of listed buckets; the next one last
        self._looked = -LOOK_AGAIN
        self._passed: dict[str, str | None] = {}  # names of jobs for others, and what they do
        self._crowded = CROWD
        self._calendar = Calendar(layout)
        #: In how many seconds, from the last look on, a delayed job may be due.
        self.rest = math.inf
        #: Whether the spool was paused at the last look.
        self.paused = False

    def next(self, knows: Callable[[str], bool] | None = None) -> tuple[str, str] | None:
        """Return the directory and the name of the next job; None if none was found just now.

        What was passed by for its operation comes again once ``knows`` grants that.
        """
        if time.monotonic() - self._looked >= LOOK_AGAIN:
            self._look()
        found = self._walk(knows)
        if found is None:
            self._names.clear()
            self._look()
            found = self._walk(knows)
        return found

    @property
    def sees_more(self) -> bool:
        """Whether the last look showed more than was given out since."""
        return any(self._names.get(bucket) != [] for bucket in self._buckets)

    def skip(self) -> None:
        """Go some places ahead, because another worker is taking the same jobs.

        Two that take each job after the other would meet at each of them.  What was skipped comes
        next after as many others, and a bucket's last jobs are not skipped.
        """
        names = self._names.get(self._buckets[-1]) if self._buckets else None
        if names and len(names) > 2 * AHEAD:
            names[-2 * AHEAD :] = names[-AHEAD:] + names[-2 * AHEAD : -AHEAD]

    def pass_by(self, name: str, operation: str | None = None) -> None:
        """Leave a job for other workers, for its ``operation``, or for good if that is unknown."""
        self._passed[name] = operation

    def _look(self) -> None:
        """List the buckets.  One is the current if nothing more urgent has come before it.

        What is due is made runnable first, as far as there is time.  While the spool is paused,
        there is nothing to see.
        """
        self._looked = time.monotonic()
        self.rest = self._calendar.promote()
        buckets: list[str] = []
        self.paused = reading.status(self._layout.paused) is not None
        if self.paused:
            self._buckets = []
            return
        for entry in reading.entries(self._layout.pending) or ():
            if is_pending_bucket(entry.name) and entry.is_dir(follow_symlinks=False):
                buckets.append(entry.name)
            else:
                self._reject(entry.path, "neither a bucket nor a job of pending/")
        self._buckets = sorted(buckets, reverse=True)
        if len(self._passed) >= self._crowded:
            there = {bucket[2:] for bucket in buckets}  # what it passed in others is gone
            self._passed = {n: does for n, does in self._passed.items() if bucket_of(n) in there}
            self._crowded = 2 * len(self._passed) + CROWD

    @property
    def passed_by(self) -> dict[str, int]:
        """How many jobs were passed by, by operation."""
        return Counter(operation for operation in self._passed.values() if operation is not None)

    def _passes(self, name: str, knows: Callable[[str], bool] | None) -> bool:
        if name not in self._passed:
            return False
        operation = self._passed[name]
        return operation is None or knows is None or not knows(operation)

    def _walk(self, knows: Callable[[str], bool] | None) -> tuple[str, str] | None:
        while self._buckets:
            bucket = self._buckets[-1]
            path = f"{self._layout.pending}/{bucket}"
            listed = self._names.get(bucket)
            if listed is None:
                listed = self._names[bucket] = self._list(path, knows)
            while listed:
                name = listed.pop()
                if not self._passes(name, knows):  # it was listed before others were passed by
                    return path, name
            del self._names[bucket]
            self._buckets.pop()
        return None

    def _list(self, path: str, knows: Callable[[str], bool] | None) -> list[str]:
        names = reading.names(path)
        if names == []:
            files.remove_directory(path)
        runnable = []
        for name in names or ():
            if id_of(name) is None:
                self._reject(f"{path}/{name}", "its name is not that of a job")
            elif not self._passes(name, knows):
                runnable.append(name)
        runnable.sort(reverse=True)
        return runnable

    def _reject(self, path: str, reason: str) -> None:
        if not os.path.basename(path).startswith(".nfs"):  # NFS keeps a deleted open file so
            quarantine(self._layout, path, reason)
