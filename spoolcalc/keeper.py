"""The worker's second thread: it shows the sign of life and looks after the others.

It goes on while a job runs, so that a long job's worker is not taken for dead, and so that the jobs
of a worker that was killed are given to others within a second even when all are busy.
"""

from __future__ import annotations

import threading

from spoolcalc.errors import SpoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from spoolcalc.lease import Lease
    from spoolcalc.spool import Spool
    from spoolcalc.sweep import Swept

#: Seconds from one look at the others to the next.
TICK = 0.4
#: Every so many looks, workers that held no job are looked after too.
THOROUGH = 25


class Keeper(threading.Thread):
    """Renews ``lease``, which its worker may exchange, and sweeps, until :meth:`end`."""

    def __init__(
        self,
        spool: Spool,
        lease: Lease,
        on_swept: Callable[[Swept], None],
        on_trouble: Callable[[SpoolError], None],
    ) -> None:
        super().__init__(name="spool keeper", daemon=True)
        self.lease = lease
        self._spool = spool
        self._on_swept = on_swept
        self._on_trouble = on_trouble
        self._ended = threading.Event()

    def run(self) -> None:
        """Look after the lease and the others, until the end."""
        looks = 0
        trouble = ""
        while not self._ended.wait(min(TICK, self.lease.heartbeat)):
            looks += 1
            try:
                swept = self._spool.sweep(self.lease, thorough=looks % THOROUGH == 0)
            except SpoolError as error:
                if error.message != trouble:  # say it once, not twice a second
                    self._on_trouble(error)
                trouble = error.message
            else:
                trouble = ""
                self._on_swept(swept)

    def end(self) -> None:
        """Stop, and wait for the last look to be over."""
        self._ended.set()
        self.join()
