"""Telling the service manager how a worker is: ready, at what, well, about to end.

The protocol is systemd's ``sd_notify``: datagrams of ``NAME=value`` lines to the socket that
``NOTIFY_SOCKET`` names.  Without one, nothing is told.  What cannot be told is dropped: the service
manager notices silence by itself, and a worker does not fail because nobody listens.

``WATCHDOG=1`` is told only while the worker is well, which the keeper judges of both threads; a
worker that hangs or is stopped therefore tells nothing, and is killed and started again.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from spoolcalc.errors import plain
from spoolcalc.job import State
from spoolcalc.log import Log, shown_briefly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.job import Job, Outcome

#: How long (seconds) telling may take: the service manager may be busy.
PATIENCE = 1.0
#: Seconds from one status to the next, at least.
STATUS_EVERY = 1.0
#: For how long (seconds) more a worker that is told to end may finish its jobs, each time.
EXTENSION = 30.0


class ServiceManager:
    """The service manager's ear.  ``watchdog`` is how soon (seconds) silence is death, or None."""

    def __init__(self, address: str, watchdog: float | None = None) -> None:
        self.watchdog = watchdog
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)

    @classmethod
    def of_this_process(cls) -> ServiceManager | None:
        """Return the one that this process was started by; None if none wants to be told.

        Takes it out of the environment: what a job starts has nothing to tell it.
        """
        address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        process = os.environ.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")):
            return None
        watched = microseconds.isdecimal() and process in ("", str(os.getpid()))
        return cls(address, int(microseconds) / 1_000_000 if watched else None)

    def close(self) -> None:
        """Tell nothing any more."""
        self._socket.close()

    def tell(self, **told: object) -> None:
        """Send one message."""
        message = "\n".join(f"{name}={value}" for name, value in told.items())
        with suppress(OSError):
            self._socket.sendto(message.encode("utf-8", "backslashreplace"), self._address)


class Announcer(Log):
    """A worker's log that also tells the service manager."""

    def __init__(
        self,
        manager: ServiceManager,
        *,
        quiet: bool = False,
        verbose: bool = False,
        stays: bool = True,
    ) -> None:
        super().__init__(quiet=quiet, verbose=verbose, stays=stays)
        self._manager = manager
        self._stopping = False
        self._paused = False
        self._at_hand: dict[str, Job] = {}
        self._done = 0
        self._failed = 0
        self._told = ""
        self._status_due = 0.0
        self._watchdog_due = 0.0

    def stopping(self) -> None:
        """Tell that the worker was told to end.  May be called from a signal handler."""
        self._stopping = True
        microseconds = int(EXTENSION * 1_000_000)
        self._manager.tell(STOPPING=1, EXTEND_TIMEOUT_USEC=microseconds, STATUS=self._status())

    def started(self, worker: str) -> None:
        """Tell that the worker is registered."""
        super().started(worker)
        self._at_hand.clear()  # what it held under another name belongs to others
        self._told = self._status()
        self._manager.tell(READY=1, STATUS=self._told)

    def claimed(self, job: Job) -> None:
        """Have one more job at hand."""
        super().claimed(job)
        self._at_hand[job.id] = job

    def ended(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Count a job that has ended."""
        super().ended(job, outcome, seconds)
        self._at_hand.pop(job.id, None)
        self._done += 1
        self._failed += outcome.state is State.FAILED

    def postponed(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Have one job less at hand."""
        super().postponed(job, outcome, seconds)
        self._at_hand.pop(job.id, None)

    def crashed(self, job: Job, error: str, went: State) -> None:
        """Have one job less at hand; count it if it has failed."""
        super().crashed(job, error, went)
        self._at_hand.pop(job.id, None)
        self._done += went is State.FAILED
        self._failed += went is State.FAILED

    def returned(self, job: Job, unknown: str | None = None) -> None:
        """Have one job less at hand."""
        super().returned(job, unknown)
        self._at_hand.pop(job.id, None)

    def discarded(self, job: Job) -> None:
        """Have one job less at hand."""
        super().discarded(job)
        self._at_hand.pop(job.id, None)

    def paused(self, since: str, reason: str) -> None:
        """Be paused, for the next status."""
        super().paused(since, reason)
        self._paused = True

    def resumed(self) -> None:
        """Be paused no longer."""
        super().resumed()
        self._paused = False

    def well(self) -> None:
        """Tell that the worker gets on, what it is at, and, when it is to end, that it still is."""
        super().well()
        now = time.monotonic()
        if self._manager.watchdog is not None and now >= self._watchdog_due:
            self._watchdog_due = now + self._manager.watchdog / 3
            self._manager.tell(WATCHDOG=1)
        if now >= self._status_due:
            self._status_due = now + STATUS_EVERY
            if self._stopping:
                self._manager.tell(EXTEND_TIMEOUT_USEC=int(EXTENSION * 1_000_000))
            status = self._status()
            if status != self._told:
                self._told = status
                self._manager.tell(STATUS=status)

    def _status(self) -> str:
        """Return in a line what the worker is at."""
        jobs = list(self._at_hand.values())  # in one step: the other thread changes it
        at = f"{len(jobs)} jobs at hand" if jobs else "paused" if self._paused else "idle"
        if len(jobs) == 1:
            at = f"{shown_briefly(jobs[0])} ({jobs[0].id})"
        counted = f"{self._done:,} done, {self._failed:,} of them failed"
        return plain(("ending; " if self._stopping else "") + f"{at}; {counted}")
