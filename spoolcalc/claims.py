"""What workers ask of a spool: to be one of them, a job to run, and to say how that ended.

All of it is asked of a :class:`~spoolcalc.Spool`, which is a kind of :class:`Claims`.
"""

from __future__ import annotations

import math
from contextlib import contextmanager

from spoolcalc import events, transitions
from spoolcalc.errors import NewerFormat
from spoolcalc.job import DEFAULT_LEASE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from spoolcalc.errors import StorageFailure
    from spoolcalc.job import Outcome, State
    from spoolcalc.layout import Layout
    from spoolcalc.lease import Lease
    from spoolcalc.pending import Cursor
    from spoolcalc.sweep import Swept
    from spoolcalc.transitions import Claim


class Claims:
    """A spool as workers use it; ``layout`` are its paths."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._cursor: Cursor | None = None

    @contextmanager
    def register(self, seconds: float | None = None) -> Iterator[Lease]:
        """Be a worker for the length of a ``with`` block; ``seconds`` is the lease.

        The lease must be renewed (:meth:`~spoolcalc.Lease.renew`) more often than it runs out.
        What is still claimed at the end of the block is handed back, uncharged.
        """
        from spoolcalc.lease import Lease

        taken = Lease.take(self.layout, DEFAULT_LEASE if seconds is None else seconds)
        try:
            yield taken
        finally:
            self.leave(taken)

    def leave(self, lease: Lease) -> None:
        """End a worker's lease; what it still holds is handed back, uncharged.

        When the operating system refuses, the next sweep of anybody's does it.
        """
        from spoolcalc.sweep import hand_back

        try:
            hand_back(self.layout, lease)
        finally:
            lease.release()

    def claim(
        self, lease: Lease, knows: Callable[[str], bool] | None = None, *, told: bool = True
    ) -> Claim | None:
        """Take the next job; None if there is none, or if ``lease`` was given up.

        A job whose operation ``knows`` denies is left to other workers, and this Spool will not
        take it again until that grants it.  Without ``told`` the event of the claim is written with
        the next one.
        """
        claimed = self._claim(lease, knows)
        if told:
            events.flush()
        return claimed

    def _claim(self, lease: Lease, knows: Callable[[str], bool] | None) -> Claim | None:
        from spoolcalc.pending import Cursor

        cursor = self._cursor = self._cursor or Cursor(self.layout)
        while (found := cursor.next(knows)) is not None:
            bucket, name = found
            try:
                claimed = transitions.claim(self.layout, lease.worker, bucket, name)
            except NewerFormat:
                cursor.pass_by(name)
                continue
            if claimed is None:
                if lease.fenced():
                    return None
                cursor.skip()
            elif knows is None or knows(claimed.document["operation"]):
                return claimed
            else:
                cursor.pass_by(name, claimed.document["operation"])
                self.give_back(claimed)
        return None

    def finish(self, claim: Claim, outcome: Outcome) -> State | None:
        """Record an outcome, and return where the job went: ``delayed`` if it is tried again.

        None if it was given to another worker meanwhile.  After a StorageFailure it may be called
        again.
        """
        from spoolcalc import endings

        return endings.finish(self.layout, claim, outcome)

    def finish_many(
        self, finished: Sequence[tuple[Claim, Outcome]]
    ) -> Sequence[State | StorageFailure | None]:
        """Record outcomes together, which takes the disk a fraction of the time; answer for each.

        The answer is as that of :meth:`finish`, or a StorageFailure: then that one may be tried
        again, and it alone.
        """
        from spoolcalc import endings

        return endings.finish_together(self.layout, finished)

    @property
    def rest(self) -> float:
        """In how many seconds, from the last :meth:`claim` on, a delayed job may be due.

        0 if more were due than that had the time to make runnable.
        """
        return math.inf if self._cursor is None else self._cursor.rest

    @property
    def sees_more(self) -> bool:
        """Whether the last look of :meth:`claim` showed more jobs than were claimed since."""
        return self._cursor is not None and self._cursor.sees_more

    @property
    def sees_pause(self) -> bool:
        """Whether the last look of :meth:`claim` found the spool paused."""
        return self._cursor is not None and self._cursor.paused

    @property
    def passed_by(self) -> Mapping[str, int]:
        """How many jobs :meth:`claim` has left to other workers, by operation."""
        return {} if self._cursor is None else self._cursor.passed_by

    def crashed(self, claim: Claim, error: str) -> State | None:
        """Charge a job with the death of the process that ran it; return where it went.

        It is runnable again, or has failed as poison; None as for :meth:`finish`.
        """
        from spoolcalc import endings

        return endings.crashed(self.layout, claim, error)

    def conclude(self, claim: Claim, outcome: Outcome) -> bool:
        """End a claimed job that was not run; False if it was given to another worker meanwhile."""
        from spoolcalc import endings

        return endings.conclude(self.layout, claim, outcome)

    def operands(self, claim: Claim) -> Sequence[str] | Outcome | None:
        """Return what to run a claimed job with, the results of other jobs put in.

        An Outcome to :meth:`conclude` it with if a job that it needs has failed.  None if it has to
        wait on: then it is not ours any more.
        """
        if "after" not in claim.document:
            operands: Sequence[str] = claim.document["operands"]
            return operands
        from spoolcalc import dependants

        found = dependants.ready(self.layout, claim.document)
        if found is None:
            dependants.wait_on(self.layout, claim)
        return found

    def give_back(self, claim: Claim) -> bool:
        """Return a claimed job unrun, uncharged; False if it was given to another meanwhile."""
        return transitions.put_back(self.layout, claim.path, claim.document) is not None

    def sweep(self, lease: Lease | None = None, *, thorough: bool = True) -> Swept:
        """Give the jobs of dead and silent workers to others.

        ``lease`` is the sweeper's own; without one, it registers for as long as the sweep takes.
        """
        from spoolcalc.sweep import sweep

        if lease is not None:
            return sweep(self.layout, lease, thorough=thorough)
        with self.register() as taken:
            return sweep(self.layout, taken, thorough=thorough)
