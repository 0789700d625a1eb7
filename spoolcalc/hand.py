"""A hand: who takes jobs to do something to them, and runs none.

To change a job one must own it, so that a hand registers as a worker does, when it first needs to,
and stays registered for as many jobs as there are.  One that dies is charged to nobody: what it
held goes back to where it was.
"""

from __future__ import annotations

from spoolcalc.lease import Lease
from spoolcalc.sweep import hand_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from spoolcalc.layout import Layout


class Hand:
    """One hand; a ``with`` block ends it.  For one thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lease: Lease | None = None

    @property
    def lease(self) -> Lease:
        """Its lease, to be asked for at each job: one that was given up meanwhile is exchanged."""
        if self._lease is not None and self._is_given_up(self._lease):
            self._lease.release()
            self._lease = None
        if self._lease is None:
            self._lease = Lease.take(self._layout, hand=True)
        return self._lease

    def close(self) -> None:
        """Hand back what it still has, and leave; it may be used again."""
        lease, self._lease = self._lease, None
        if lease is not None:
            try:
                hand_back(self._layout, lease)
            finally:
                lease.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @staticmethod
    def _is_given_up(lease: Lease) -> bool:
        return (lease.doubtful and lease.renew() is None) or lease.fenced()
