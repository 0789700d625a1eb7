"""The worker's second thread: it shows the sign of life and looks after the others.

It goes on while a job runs, so that a long job's worker is not taken for dead, and so that the jobs
of a worker that was killed are given to others, and what lies in ``inbox/`` is adopted, within a
second even when all are busy.

It also judges the main loop, which says before each thing it does by when it will be back
(:class:`Pulse`): that the keeper goes on is no proof that the worker does.  And a worker does not
go on without its keeper: :attr:`Keeper.failure` is the bug of ours by which that has ended.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from spoolcalc import files, liveness
from spoolcalc.errors import CeilingReached, SpoolError, StorageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spoolcalc.inbox import Inbox
    from spoolcalc.lease import Lease
    from spoolcalc.reporting import Report
    from spoolcalc.spool import Spool

#: Seconds from one look at the others to the next.
TICK = 0.4
#: Every so many looks, workers that held no job are looked after too.
THOROUGH = 25
#: Who is still there after so many looks notes what it can run: that takes a worker a while to find
#: out, and those that come and go need not.
SETTLED = 3
#: The longest step (seconds) of a main loop that is well: some calls of the file system.
SLACK = 5.0


class Pulse:
    """By when the main loop will have shown itself again.  One thread beats it, one feels it."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self.beat()

    def beat(self, seconds: float = 0.0) -> None:
        """Get on, and be back after ``seconds`` of sleep or of a job that is known to run."""
        self._due = time.monotonic() + seconds + SLACK

    @property
    def well(self) -> bool:
        """Whether the main loop is where it said it would be."""
        return time.monotonic() <= self._due


class Keeper(threading.Thread):
    """Renews ``lease``, which its worker may exchange, sweeps and adopts, until :meth:`end`."""

    def __init__(
        self,
        spool: Spool,
        inbox: Inbox,
        lease: Lease,
        report: Report,
        pulse: Pulse,
        knows: Callable[[], Sequence[str]] = tuple,
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(name="spool keeper", daemon=True)
        self.lease = lease
        self._spool = spool
        self._inbox = inbox
        self._report = report
        self._pulse = pulse
        self._knows = knows
        self._wake = wake
        self.failure: Exception | None = None
        self._noted: tuple[str, Sequence[str]] | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        """Look after the lease and the others, until the end; wake the worker if it is a bug's."""
        try:
            self._keep()
        except Exception as error:  # noqa: BLE001 - raised by the worker, in its own thread
            self.failure = error
            self._wake()

    def _keep(self) -> None:
        looks = 0
        trouble = ""
        more = False
        while not self._ended.wait(0 if more else min(TICK, self.lease.heartbeat)):
            looks += 1
            try:
                thorough = looks % THOROUGH == 0
                self._report.swept(self._spool.sweep(self.lease, thorough=thorough))
                if looks == SETTLED or thorough:
                    self._note_knowledge()
                adopted = self._inbox.adopt(self.lease)
            except SpoolError as error:
                told = error.ceiling if isinstance(error, CeilingReached) else error.message
                if told != trouble:  # say it once, not twice a second
                    self._report.trouble(error)
                trouble, more = told, False
            else:
                trouble, more = "", adopted.more
                self._report.adopted(adopted)
            if self._pulse.well:
                self._report.well()

    def end(self) -> None:
        """Stop, and wait for the last look to be over."""
        self._ended.set()
        self.join()
        if self._noted is not None:
            with suppress(StorageFailure):  # else a thorough sweep removes it
                files.remove(self._spool.layout.knowledge_of(self._noted[0]))

    def _note_knowledge(self) -> None:
        """Note what this worker can run, if that was not noted yet."""
        known = self.lease.worker, self._knows()
        if known != self._noted:
            liveness.note_knowledge(self._spool.layout, *known)
            self._noted = known
