"""Outcomes that a worker has in hand, to be recorded together.

To record an outcome durably takes two waits for the disk, however small it is; many outcomes
recorded together take two as well.  But a job whose outcome is not recorded is lost with its
worker, so that a batch is kept small and young, and who may take the worker down is never in
company: :func:`is_sociable` tells which jobs may be.

Calling sequence: :meth:`Batch.add` each outcome, and :meth:`Batch.flush` when the batch is
:attr:`Batch.due`, before anything that may take long or may kill, and before the end.  What was
refused stays in the batch, so that :meth:`Batch.flush` may be called again.  A job that a bug of
ours is met with leaves it, and is :attr:`Batch.culprit`.
"""

from __future__ import annotations

import time

from spoolcalc.document import crashes
from spoolcalc.endings import kept
from spoolcalc.errors import StorageFailure
from spoolcalc.execute import is_light

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spoolcalc.job import Job, Outcome, State
    from spoolcalc.spool import Spool
    from spoolcalc.transitions import Claim

#: How many outcomes are recorded together, at most.
LARGEST = 32
#: For how long (seconds) an outcome may wait for others.
OLDEST = 0.02


class Batch:
    """Outcomes on ``spool`` that are not recorded yet.

    ``on_recorded`` is told of each, with the seconds its job was run for and where the job went:
    ``delayed`` if it will be tried again, None if it was given to another worker meanwhile.
    """

    def __init__(
        self,
        spool: Spool,
        on_recorded: Callable[[Job, Outcome, float, State | None], object],
    ) -> None:
        self._spool = spool
        self._on_recorded = on_recorded
        self._held: list[tuple[Claim, Outcome, float]] = []
        self._since = 0.0
        #: The job whose outcome could not be recorded, though nothing was refused.
        self.culprit: Claim | None = None

    def __len__(self) -> int:
        return len(self._held)

    def add(self, claim: Claim, outcome: Outcome, seconds: float) -> None:
        """Take in an outcome, which came after ``seconds``."""
        if not self._held:
            self._since = time.monotonic()
        claim.seconds = seconds
        self._held.append((claim, kept(claim.document, outcome), seconds))

    @property
    def due(self) -> bool:
        """Whether it must not grow any more: it is full, or its oldest outcome is old."""
        if not self._held:
            return False
        return len(self._held) >= LARGEST or time.monotonic() - self._since >= OLDEST

    def flush(self) -> None:
        """Record all that it holds.

        Raises the first :class:`~spoolcalc.errors.StorageFailure` after the others were recorded;
        those that were refused it still holds.
        """
        held, self._held = self._held, []
        try:
            answers = self._spool.finish_many([(claim, outcome) for claim, outcome, _ in held])
        except Exception:
            if len(held) <= 1:
                self.culprit = held[0][0] if held else None
                raise
            self._flush_each(held)
            return
        refused = None
        for one, answer in zip(held, answers, strict=True):
            claim, outcome, seconds = one
            if isinstance(answer, StorageFailure):
                self._held.append(one)
                refused = refused or answer
            else:
                self._on_recorded(claim.job, outcome, seconds, answer)
        if refused is not None:
            raise refused

    def _flush_each(self, held: Sequence[tuple[Claim, Outcome, float]]) -> None:
        """Record outcomes one by one: a bug that is met with one of them is not the others'."""
        for number, one in enumerate(held, 1):
            self._held = [one]
            try:
                self.flush()
            except BaseException:
                self._held += held[number:]
                raise


def is_sociable(claim: Claim) -> bool:
    """Tell whether a job may be run while others' outcomes wait to be recorded, and wait with them.

    It is light, no worker was lost with it, and it can bear a loss.  So a job can be charged one
    loss at most that is due to another, and never becomes poison by it.
    """
    document = claim.document
    return (
        is_light(document["operation"], document["operands"])
        and document["max_crashes"] > 1
        and "after" not in document  # its operands are not known yet
        and not crashes(document)
    )
