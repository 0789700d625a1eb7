"""For how long a worker works: until it is stopped, or has done what it was started for."""

from __future__ import annotations

import math
import time

from spoolcalc import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.spool import Spool

#: A worker that ends when nothing is pending stays for a job that is due in so many seconds.
LINGER = 60.0


class Interrupted(BaseException):
    """The jobs at hand were broken off; they go back to pending, uncharged."""


class Term:
    """One worker's term, from :meth:`begin` on; :class:`~spoolcalc.worker.Worker` says of what."""

    __slots__ = ("_ends", "_max_jobs", "_max_time", "_until_empty", "once")

    def __init__(
        self, *, once: bool, until_empty: bool, max_jobs: int | None, max_time: float | None
    ) -> None:
        self.once = once
        self._until_empty = until_empty
        self._max_jobs = math.inf if max_jobs is None else max_jobs
        self._max_time = math.inf if max_time is None else max_time
        self.begin()

    def begin(self) -> None:
        """Let the time run from now on."""
        self._ends = time.monotonic() + self._max_time

    @property
    def left(self) -> float:
        """The seconds in which a job may still be begun."""
        return self._ends - time.monotonic()

    def is_spent(self, begun: int) -> bool:
        """Tell whether no job may be begun any more, after so many."""
        return begun >= self._max_jobs or self.left <= 0

    def is_done(self, spool: Spool) -> bool:
        """Tell whether a worker that was given no job ends by itself.

        One that waits until ``pending/`` and ``inbox/`` are empty looks at just that: whoever
        started it because they were not would start it again and again if it ended any earlier.
        """
        if self._until_empty:
            full = map(_holds, (spool.layout.pending, spool.layout.inbox))
            return spool.rest > LINGER and not any(full)
        return self.once and spool.rest > 0


def _holds(directory: str) -> bool:
    """Tell whether there is anything in a directory; what is hidden is being written, or NFS's."""
    return any(not name.startswith(".") for name in reading.names(directory) or ())
