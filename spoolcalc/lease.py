"""Who is alive: one lock and one lease for each worker.  The only module that knows filelock.

A worker holds the lock of ``workers/<worker>.lock`` for its whole life, and renews its lease by
touching that file.  So there are two proofs that its jobs may be given to another:

- *death*: its lock can be taken.  The kernel drops a lock at the instant its process dies.  Only
  locks of the same running kernel, or on a file system of this host alone, prove anything.
- *silence*: its file was not touched for longer than its lease, by the file server's clock, and
  still was not when it was looked at again a heartbeat later.  A suspended laptop is not dead.

Lock first, publish second: the file is locked and filled in under ``tmp/``, and only then given its
name in ``workers/``; the worker's ``wip/<worker>/`` is made after that.  At no instant has a
claimed job no owner.  A name is used once; a worker that was given up takes a new one.

Not promised: that a worker that was given up for its silence has stopped.  It is fenced off: its
directory was renamed, so that nothing it does can reach the job any more.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from contextlib import suppress

import filelock

from spoolcalc import files, reading
from spoolcalc.errors import NoSpool, StorageFailure
from spoolcalc.job import timestamp
from spoolcalc.layout import RETURNED, is_worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from spoolcalc.layout import Layout

#: How long (seconds) a worker may be silent before it is given up.
DEFAULT_LEASE = 60.0
#: The shortest lease that can be kept on a busy machine, in seconds.
SHORTEST_LEASE = 0.5
#: A lease is renewed this many times within its time.
RENEWALS = 6

#: The largest identity (bytes) that is read.
_LARGEST = 64 * 1024

#: What a worker writes about itself.
_KINDS = {
    "host": (str,),
    "pid": (int,),
    "boot": (str,),
    "lease": (int, float),
    "started": (str,),
}

#: File systems that no other host writes to, so that a lock taken here proves a death even after
#: a reboot.  Everything else is taken to be shared with others.
_LOCAL = frozenset(
    [
        "bcachefs",
        "btrfs",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "jfs",
        "overlay",
        "ramfs",
        "reiserfs",
        "tmpfs",
        "xfs",
        "zfs",
    ]
)


class Lease:
    """A worker's place in a spool, from :meth:`take` to :meth:`release`.

    ``worker`` is its name, ``seconds`` its length.  One thread may renew it while another works.
    """

    __slots__ = ("_layout", "_lock", "_renewed", "seconds", "worker")

    def __init__(
        self, layout: Layout, lock: filelock.BaseFileLock, worker: str, seconds: float
    ) -> None:
        self._layout = layout
        self._lock = lock
        self._renewed = _elapsed()
        self.worker = worker
        self.seconds = seconds

    @classmethod
    def take(cls, layout: Layout, seconds: float = DEFAULT_LEASE) -> Lease:
        """Register a new worker; raises :class:`~spoolcalc.errors.StorageFailure`."""
        if reading.status(layout.tmp) is None:
            raise NoSpool(f"{layout.tmp} is gone", "Somebody moved or removed the spool.")
        host = socket.gethostname()
        lock = None
        while lock is None:  # a sweeper may take a file that is made and not yet locked
            worker = f"{_safe(host)}.{os.getpid()}.{os.urandom(4).hex()}"
            staged = layout.temporary(worker, "lock")
            lock = _try(staged, layout.file_mode)
        identity = {
            "worker": worker,
            "host": host,
            "pid": os.getpid(),
            "user": os.geteuid(),
            "boot": _boot(),
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
        return _elapsed() - self._renewed > self.seconds - 2 * self.heartbeat

    def renew(self) -> float | None:
        """Show a sign of life; return the file system's now, or None if the file is gone."""
        now = files.touch(self._layout.lock_of(self.worker))
        if now is not None:
            self._renewed = _elapsed()
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


class Proof:
    """That a worker's jobs may be given to another.  ``reason`` says why, for people.

    :meth:`close` ends the holding of a dead worker's lock.
    """

    __slots__ = ("_lock", "reason")

    def __init__(self, reason: str, lock: filelock.BaseFileLock | None = None) -> None:
        self.reason = reason
        self._lock = lock

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            self._lock.release()


def given_up(layout: Layout, worker: str, now: float) -> Proof | None:
    """Return the proof that ``worker`` is dead or silent, or None while it must be taken as alive.

    ``now`` is the file system's clock, as :meth:`Lease.renew` returns it.
    """
    path = layout.lock_of(worker)
    status = reading.status(path)
    if status is None:
        return Proof("it left no lock")
    identity = read_identity(layout, worker)
    if _proves_death(layout, identity) and (lock := _try(path)) is not None:
        return Proof("it died", lock)
    seconds = float(identity.get("lease", DEFAULT_LEASE))
    if now - status.st_mtime <= seconds:
        return None
    if not _silent_still(layout, worker, status.st_mtime_ns, seconds / RENEWALS, now):
        return None
    return Proof(f"it was silent for {now - status.st_mtime:.0f} s")


def alive(layout: Layout, worker: str) -> bool:
    """Tell whether a worker is alive, as far as one look can tell."""
    status = reading.status(layout.lock_of(worker))
    if status is None:
        return False
    identity = read_identity(layout, worker)
    if _proves_death(layout, identity):
        lock = _try(layout.lock_of(worker))
        if lock is None:
            return True
        lock.release()
        return False
    return time.time() - status.st_mtime <= float(identity.get("lease", DEFAULT_LEASE))


def workers(layout: Layout) -> list[str]:
    """Return the names of all workers that have a lock file, alive or not."""
    locks = [
        entry.name.removesuffix(".lock")
        for entry in reading.entries(layout.workers) or ()
        if entry.name.endswith(".lock") and entry.is_file(follow_symlinks=False)
    ]
    return sorted(filter(is_worker, locks))


def read_identity(layout: Layout, worker: str) -> dict[str, Any]:
    """Return what a worker wrote about itself; without what is not as we write it."""
    try:
        read = reading.read(layout.lock_of(worker), _LARGEST)
        identity = json.loads(read[0]) if read else {}
    except (ValueError, RecursionError, reading.Unreadable):
        return {}
    if not isinstance(identity, dict):
        return {}
    return {name: identity[name] for name in _KINDS if type(identity.get(name)) in _KINDS[name]}


def _silent_still(layout: Layout, worker: str, touched: int, heartbeat: float, now: float) -> bool:
    """Second look: was the same silence noted at least a heartbeat ago?  Else note it now."""
    note = layout.silence_of(worker)
    seen = str(touched).encode("ascii")
    try:
        noted = reading.read(note, _LARGEST)
    except reading.Unreadable:
        noted = None
    if noted is not None and noted[0] == seen:
        return now - noted[1].st_mtime >= heartbeat
    files.remove(note)
    temporary = layout.temporary(worker, f"silent.{os.urandom(4).hex()}")
    files.close([files.write(temporary, seen, layout.file_mode)])
    files.move(temporary, note)
    return False


def _proves_death(layout: Layout, identity: dict[str, Any]) -> bool:
    return identity.get("boot") == _boot() or on_local_file_system(layout.root)


def remove_notes(layout: Layout) -> None:
    """Remove the notes of silence of workers that are gone; a slow sweeper may write one late."""
    for name in reading.names(layout.workers) or ():
        worker = name.removesuffix(".silent")
        if worker != name and is_worker(worker) and reading.status(layout.lock_of(worker)) is None:
            files.remove(layout.silence_of(worker))


def remove_staged(layout: Layout) -> None:
    """Remove the lock files of workers that died before they had a name in ``workers/``."""
    for name in reading.names(layout.tmp) or ():
        path = f"{layout.tmp}/{name}"
        if not name.endswith(".lock") or not is_worker(name.removesuffix(".lock")):
            continue
        if (lock := _try(path)) is not None:
            try:
                files.remove(path)
            finally:
                lock.release()


def _try(path: str, mode: int = 0o600) -> filelock.BaseFileLock | None:
    """Take a lock, made if it is missing; None if another process has it."""
    lock = filelock.FileLock(
        path,
        mode=mode,
        timeout=0,
        thread_local=False,
        fallback_to_soft=False,
        preserve_lock_file=True,
    )
    try:
        lock.acquire()
    except filelock.Timeout:  # a subclass of OSError, so it goes first
        return None
    except OSError as error:
        raise StorageFailure("lock", path, error) from error
    return lock


def _elapsed() -> float:
    """Seconds that go on while the machine is suspended."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def _safe(host: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", host)[:60] or "host"


_boot_id: str | None = None


def _boot() -> str:
    """Return the name of this run of this kernel; two hosts, or two boots, never share it."""
    global _boot_id  # noqa: PLW0603 - read once: it cannot change
    if _boot_id is None:
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                _boot_id = file.read().strip()
        except OSError:
            _boot_id = f"host {socket.gethostname()}"
    return _boot_id


_local: dict[str, bool] = {}


def on_local_file_system(root: str) -> bool:
    """Tell whether no other host can write to the file system that holds ``root``."""
    if root not in _local:
        _local[root] = _file_system(os.path.realpath(root)) in _LOCAL
    return _local[root]


def _file_system(path: str) -> str:
    """Return the kind of the file system that holds ``path``, by the kernel's mount table."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            for line in table:
                left, _, right = line.partition(" - ")
                if left.split()[2] == number:
                    return right.split()[0]
    except OSError:
        pass
    return ""
