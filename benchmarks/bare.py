"""The bare loops: the system calls of a transition, one after the other, and nothing else.

They are what any program that keeps the same promises in the same way has to wait for.  No JSON,
no checks, no errors handled; the same document size, the same calls in the same order.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Bare:
    """A directory like a spool's, for bare loops."""

    def __init__(self, path: Path) -> None:
        self.tmp, self.pending, self.wip, self.completed = (
            str(path / name) for name in ("tmp", "pending/5-00000000", "wip/0", "completed/0")
        )
        for directory in (self.tmp, self.pending, self.wip, self.completed):
            Path(directory).mkdir(parents=True)
        self.bell = str(path / "bell")
        Path(self.bell).touch()

    def submit(self, names: list[str], document: bytes) -> None:
        """Make files durable together, and publish them."""
        descriptors = []
        for name in names:
            descriptor = os.open(f"{self.tmp}/{name}", _NEW, 0o600)
            os.write(descriptor, document)
            descriptors.append(descriptor)
        _hasten(descriptors)
        for descriptor in descriptors:
            os.fsync(descriptor)
        for name in names:
            os.link(f"{self.tmp}/{name}", f"{self.pending}/{name}")
            os.unlink(f"{self.tmp}/{name}")
        os.utime(self.bell)
        _sync(self.pending)
        for descriptor in descriptors:
            os.close(descriptor)

    def be(self, number: int) -> None:
        """Claim into a directory of one's own from now on, as each of several workers does."""
        self.wip = f"{os.path.dirname(self.wip)}/{number}"
        Path(self.wip).mkdir(exist_ok=True)

    def listing(self) -> list[str]:
        """Return what is pending, the oldest first."""
        return sorted(os.listdir(self.pending))

    def record(self, names: list[str], document: bytes) -> None:
        """Claim files, read each, write their outcomes durably, and let them be seen as completed.

        The outcomes are made durable together.
        """
        descriptors = []
        for name in names:
            mine = f"{self.wip}/{name}"
            os.rename(f"{self.pending}/{name}", mine)
            descriptor = os.open(mine, _READ)
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode):
                os.read(descriptor, status.st_size + 1)
            os.close(descriptor)
        for name in names:
            descriptor = os.open(f"{self.tmp}/{name}", _NEW, 0o600)
            os.write(descriptor, document)
            descriptors.append(descriptor)
        _hasten(descriptors)
        for name, descriptor in zip(names, descriptors, strict=True):
            os.fsync(descriptor)
            os.lstat(f"{self.wip}/{name}")
            os.rename(f"{self.tmp}/{name}", f"{self.wip}/{name}")
        for descriptor in descriptors:
            os.close(descriptor)
        for name in names:
            os.rename(f"{self.wip}/{name}", f"{self.completed}/{name}")

    def settle(self) -> None:
        """Tell of what was completed, and make its name durable."""
        os.utime(self.bell)
        _sync(self.completed)


def _hasten(descriptors: list[int]) -> None:
    if len(descriptors) > 1:
        for descriptor in descriptors:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _sync(directory: str) -> None:
    descriptor = os.open(directory, _DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)
