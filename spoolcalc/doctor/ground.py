"""What all checks stand on: the spool, how thoroughly to look, and who is alive.

``now`` is the file system's clock as the look began.  Nothing here changes the spool but for a
throw-away directory in ``tmp/``, in which the clock is read and things are tried out.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from spoolcalc import files, liveness, reading
from spoolcalc.errors import StorageFailure
from spoolcalc.layout import TRIAL, is_hand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spoolcalc.layout import Layout

#: So many documents of each state are read in any case, and of the others each so many-th.
SAMPLE, EACH = 2_000, 100
#: So many names of an index are looked into.
INDEX = 1_000


class Ground:
    """One look at a spool.

    ``deep`` has every document read; ``patience`` is how long (seconds) a job may wait.
    """

    def __init__(self, layout: Layout, *, deep: bool = False, patience: float = 900.0) -> None:
        self.layout = layout
        self.deep = deep
        self.patience = patience
        self.shared = layout.file_mode != 0o600
        self.jobs = 0
        self.documents = 0
        top = reading.status(layout.root)
        self.owner, self.group = (top.st_uid, top.st_gid) if top else (os.geteuid(), os.getegid())
        self.now = time.time()
        self._alive: dict[str, bool] = {}

    def reads(self, number: int) -> bool:
        """Tell whether the document of the so many-th job of a state is to be read."""
        return self.deep or number < SAMPLE or number % EACH == 0

    def alive(self, worker: str) -> bool:
        """Tell whether a worker is alive, as seen in this look."""
        if worker not in self._alive:
            self._alive[worker] = liveness.alive(self.layout, worker, self.now)
        return self._alive[worker]

    def workers(self) -> list[str]:
        """Return the living workers, hands not counted."""
        names = liveness.workers(self.layout)
        return [worker for worker in names if not is_hand(worker) and self.alive(worker)]

    def sight(self, *paths: str) -> Callable[[], bool]:
        """Return what tells whether all these paths are still just as they are now.

        A rename changes a file's ctime, so that one which went away and came back is not the same.
        """
        seen = [_sight(path) for path in paths]
        return lambda: None not in seen and [_sight(path) for path in paths] == seen


@contextmanager
def trial(layout: Layout) -> Iterator[str]:
    """Make a directory in ``tmp/`` to try things in; it is removed at the end."""
    path = layout.temporary(TRIAL, os.urandom(8).hex())
    files.make_directory(path, 0o700)
    try:
        yield path
    finally:
        with suppress(StorageFailure):  # a leftover, which clean removes when it is old
            files.remove_tree(path)


def _sight(path: str) -> tuple[int, int, int, int, int] | None:
    status = reading.status(path)
    if status is None:
        return None
    return (
        status.st_ino,
        status.st_mode,
        status.st_nlink,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
