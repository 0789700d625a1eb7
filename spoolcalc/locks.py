"""Locks of the kernel.  The only module that knows filelock.

The kernel drops a lock at the instant the process that took it dies, however it dies.  A lock is
taken on a file that stays where it is; two locks of one file in one process exclude each other too.
"""

from __future__ import annotations

import filelock

from spoolcalc.errors import StorageFailure

#: A lock that is held.
Lock = filelock.BaseFileLock


def try_lock(path: str, mode: int = 0o600) -> Lock | None:
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
