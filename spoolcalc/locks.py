"""Locks of the kernel.  The only module that knows filelock.

The kernel drops a lock at the instant the process that took it dies, however it dies.  A lock is
taken on a file that stays where it is; two locks of one file in one process exclude each other too.

:func:`try_lock` is for what is held for long, and answers at once; :func:`is_held` only looks.
:func:`exclusive` waits, and is for a few steps that only one may be at.  Not promised: that hosts
which share a file system exclude each other, where that file system keeps ``flock`` to each host.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager

import filelock

from spoolcalc import files, reading
from spoolcalc.errors import NoSpool, StorageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from spoolcalc.layout import Layout

#: A lock that is held.
Lock = filelock.BaseFileLock

#: How long (seconds) somebody waits for others to be done with what takes them milliseconds.
PATIENCE = 20.0
#: Seconds from one try to the next.
_AGAIN = 0.002


def try_lock(path: str, mode: int = 0o600) -> Lock | None:
    """Take a lock, made if it is missing; None if another process has it."""
    return _acquire(path, mode, 0)


def is_held(path: str) -> bool | None:
    """Tell whether a process has a lock; None if that cannot be told.  Nothing is changed.

    It also works where nothing may be written.  For an instant the lock cannot be taken.
    """
    try:
        descriptor = reading.plain_file(path)
    except (StorageFailure, reading.Unreadable):
        return None
    if descriptor is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def try_alone(layout: Layout, name: str) -> Lock | None:
    """Be the only one of that name on this spool until the lock is released; None if one is."""
    return _named(layout, name, 0)


@contextmanager
def exclusive(layout: Layout, name: str) -> Iterator[None]:
    """Be the only one in a ``with`` block of that name, on this spool; waits for the others.

    Killed within it: the lock is free at once, and the next one must be able to go on from there.
    Raises :class:`~spoolcalc.errors.StorageFailure` when another one holds it for ``PATIENCE``.
    """
    lock = _named(layout, name, PATIENCE)
    if lock is None:
        path = f"{layout.locks}/{name}"
        raise StorageFailure("lock", path, OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))
    try:
        yield
    finally:
        lock.release()


def _named(layout: Layout, name: str, seconds: float) -> Lock | None:
    if reading.status(layout.locks) is None:
        if reading.status(layout.format) is None:  # it was moved away: nothing is made in its place
            raise NoSpool(f"there is no spool at {layout.root} any more")
        files.make_directory(layout.locks, layout.directory_mode)
    return _acquire(f"{layout.locks}/{name}", layout.file_mode, seconds)


def _acquire(path: str, mode: int, seconds: float) -> Lock | None:
    lock = filelock.FileLock(
        path,
        mode=mode,
        timeout=seconds,
        poll_interval=_AGAIN,
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
