"""A worker's own place in a spool: one lock and one lease for each worker.

A worker holds the lock of ``workers/<worker>.lock`` for its whole life, and renews its lease by
touching that file.  :mod:`~spoolcalc.liveness` judges by both whether its jobs may be given away.

Lock first, publish second: the file is locked and filled in under ``tmp/``, and only then given its
name in ``workers/``; the worker's ``wip/<worker>/`` is made after that.  At no instant has a
claimed job no owner.  A name is used once; a worker that was given up takes a new one.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress

from spoolcalc import files, host, reading
from spoolcalc.errors import NoSpool, StorageFailure, UsageError
from spoolcalc.job import DEFAULT_LEASE, LONGEST_TIME, timestamp
from spoolcalc.layout import HAND, RETURNED
from spoolcalc.locks import try_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.layout import Layout
    from spoolcalc.locks import Lock

#: A lease is renewed this many times within its time.
RENEWALS = 6


class Lease:
    """A worker's place in a spool, from :meth:`take` to :meth:`release`.

    ``worker`` is its name, ``seconds`` its length.  One thread may renew it while another works.
    """

    __slots__ = ("_layout", "_lock", "_renewed", "seconds", "worker")

    def __init__(self, layout: Layout, lock: Lock, worker: str, seconds: float) -> None:
        self._layout = layout
        self._lock = lock
        self._renewed = host.elapsed()
        self.worker = worker
        self.seconds = seconds

    @classmethod
    def take(cls, layout: Layout, seconds: float = DEFAULT_LEASE, *, hand: bool = False) -> Lease:
        """Register a new worker; raises :class:`~spoolcalc.errors.StorageFailure`, or UsageError.

        A ``hand`` takes jobs to do something to them, and runs none: when it dies, what it held
        goes back and no attempt is charged.
        """
        if not 0 < seconds <= LONGEST_TIME:
            raise UsageError(f"not a lease: {seconds}", f"Seconds, at most {LONGEST_TIME:.0f}.")
        if reading.status(layout.tmp) is None:
            raise NoSpool(f"{layout.tmp} is gone", "Somebody moved or removed the spool.")
        lock = None
        while lock is None:  # a sweeper may take a file that is made and not yet locked
            worker = f"{host.safe_name()}.{os.getpid()}.{os.urandom(4).hex()}{HAND * hand}"
            staged = layout.temporary(worker, "lock")
            lock = try_lock(staged, layout.file_mode)
        identity = {
            "worker": worker,
            "host": host.name(),
            "pid": os.getpid(),
            "user": os.geteuid(),
            "boot": host.boot(),
            "lease": seconds,
            "started": timestamp(time.time()),
        }
        try:
            files.fill(staged, json.dumps(identity).encode("ascii"))
            if not files.move(staged, layout.lock_of(worker)):
                raise NoSpool(f"{layout.workers} is gone", "Somebody removed the spool.")
            files.make_directory(layout.wip_of(worker), layout.directory_mode)
        except BaseException:
            for path in (staged, layout.lock_of(worker)):
                with suppress(StorageFailure):  # else a sweep removes it
                    files.remove(path)
            lock.release()
            raise
        return cls(layout, lock, worker, seconds)

    @property
    def heartbeat(self) -> float:
        """Seconds from one renewal to the next."""
        return self.seconds / RENEWALS

    @property
    def doubtful(self) -> bool:
        """Whether it was not renewed for so long that others may be about to give this one up.

        A worker that sees this claims nothing more until it could renew.
        """
        return host.elapsed() - self._renewed > self.seconds - 2 * self.heartbeat

    def renew(self) -> float | None:
        """Show a sign of life; return the file system's now, or None if the file is gone."""
        now = files.touch(self._layout.lock_of(self.worker))
        if now is not None:
            self._renewed = host.elapsed()
        return now

    def fenced(self) -> bool:
        """Tell whether this worker was given up: what it had claimed belongs to others."""
        return reading.status(self._layout.wip_of(self.worker)) is None

    def surrender(self) -> bool:
        """Hand back all that was claimed, by one rename that needs no space on the disk.

        No attempt is charged for it.  The lease is of no use afterwards but to be released.
        """
        path = self._layout.wip_of(self.worker)
        return files.move(path, path + RETURNED)

    def release(self) -> None:
        """Leave the spool.  What is still claimed counts as lost, unless it was surrendered."""
        try:
            files.remove_directory(self._layout.wip_of(self.worker))
            if reading.status(self._layout.wip_of(self.worker)) is None:
                files.remove(self._layout.silence_of(self.worker))
                files.remove(self._layout.lock_of(self.worker))
        finally:
            self._lock.release()
