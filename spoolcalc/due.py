"""Jobs that wait for their time, and when the next one comes.

A delayed job lies in a bucket of ``delayed/`` that is named after its time, and its file's mtime is
that time to the millisecond.  So a worker that waits knows from one listing of the buckets how long
it may sleep, and looks into a bucket only when its 65 s have come: 100,000 jobs for later cost it
nothing.

Nothing here changes a job but by :func:`~spoolcalc.transitions.promote`.  Buckets that are empty
are removed.
"""

from __future__ import annotations

import math
import time

from spoolcalc import files, reading
from spoolcalc.layout import due_from, id_of, is_bucket
from spoolcalc.transitions import promote, quarantine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.layout import Layout


#: For how long (seconds) one look may promote: who looks has other things to see to.
SLICE = 0.05
#: The mtime of a directory is the same for changes that are less than this (seconds) apart.
COARSE = 0.1


class Calendar:
    """Promotes what is due.  For one thread.

    What it remembers of a directory holds while the directory's mtime stands still.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._buckets: list[str] = []  # in order
        self._watched = _Watched()
        self._jobs: dict[str, tuple[_Watched, list[tuple[float, str]]]] = {}  # of buckets that came
        self._until = 0.0
        self._half_done = ""  # the bucket in which the last look came to its end

    def promote(self) -> float:
        """Make runnable what is due, the first to be due first, for about ``SLICE`` seconds.

        Returns in how many seconds the next one may be due, 0 if there was no time for all.
        """
        now = time.time()
        self._until = time.monotonic() + SLICE
        rest = math.inf
        self._list_buckets()
        for bucket in self._buckets:
            if due_from(bucket) > now:
                return min(rest, due_from(bucket) - now)
            rest = min(rest, self._promote_from(bucket, now))
            if not rest:
                break
        return rest

    def _list_buckets(self) -> None:
        status = reading.status(self._layout.delayed)
        if status is None:
            self._buckets = []
        elif self._watched.is_stale(status.st_mtime_ns):
            found = []
            for entry in reading.entries(self._layout.delayed) or ():
                if is_bucket(entry.name) and entry.is_dir(follow_symlinks=False):
                    found.append(entry.name)
                elif not entry.name.startswith(".nfs"):
                    quarantine(self._layout, entry.path, "neither a bucket nor a job of delayed/")
            self._buckets = sorted(found)
            self._jobs = {name: jobs for name, jobs in self._jobs.items() if name in set(found)}
            self._watched.listed()

    def _promote_from(self, bucket: str, now: float) -> float:
        """Promote what is due in a bucket; return in how many seconds its next one is.

        To list one anew at each look that its jobs take would cost more than to promote them.
        """
        path = f"{self._layout.delayed}/{bucket}"
        status = reading.status(path)
        if status is None:
            return math.inf
        watched, jobs = self._jobs.get(bucket) or (_Watched(), [])
        if bucket != self._half_done and watched.is_stale(status.st_mtime_ns):
            jobs = self._list(path, {name: due for due, name in jobs})
            watched.listed()
            self._jobs[bucket] = watched, jobs  # whatever is refused now
        while jobs and jobs[-1][0] <= now:
            promote(self._layout, f"{path}/{jobs[-1][1]}")
            jobs.pop()  # only now: one that was refused must be met again
            watched = _Watched()  # this changed the directory
            if time.monotonic() > self._until:
                break
        self._jobs[bucket] = watched, jobs
        self._half_done = bucket if jobs and jobs[-1][0] <= now else ""
        if self._half_done:
            return 0.0
        if jobs:
            return jobs[-1][0] - now
        files.remove_directory(path)
        return math.inf

    def _list(self, path: str, known: dict[str, float]) -> list[tuple[float, str]]:
        """Return the time and the name of each job, the first one last.

        A time that is known is not looked up again; should it have changed, promote() sees to it.
        """
        jobs = []
        for name in reading.names(path) or ():
            if id_of(name) is None:
                if not name.startswith(".nfs"):
                    quarantine(self._layout, f"{path}/{name}", "its name is not that of a job")
                continue
            if name not in known:
                status = reading.status(f"{path}/{name}")
                if status is None:
                    continue
                known[name] = status.st_mtime
            jobs.append((known[name], name))
        return sorted(jobs, reverse=True)


class _Watched:
    """Whether a directory must be listed anew, to judge by its mtime.

    A change may hide behind one of the same moment, so that an mtime counts only after it has stood
    still for ``COARSE`` seconds: as they pass here, for its own clock may be another's.
    """

    __slots__ = ("_holds", "_looked", "_mtime", "_since")

    def __init__(self) -> None:
        self._mtime = -1
        self._since = self._looked = 0.0
        self._holds = False

    def is_stale(self, mtime: int) -> bool:
        """Tell, given its mtime just before it would be listed, whether it must be."""
        self._looked = time.monotonic()
        if mtime != self._mtime:
            self._mtime, self._since, self._holds = mtime, self._looked, False
        return not self._holds

    def listed(self) -> None:
        """Say that it was listed, which may be refused."""
        self._holds = self._looked - self._since > COARSE
