"""What a command writes, moved from a pipe into a file: by the kernel, where it can.

Knows no commands.  Who makes a pump hands its ``theirs`` to the writer, and calls :meth:`Pump.move`
whenever there is something in ``source``.
"""

from __future__ import annotations

import errno
import os

#: Bytes that are moved from a pipe to a file at one go.
CHUNK = 64 * 1024


class Pump:
    """Moves what comes out of a pipe into a file, at most ``bound`` bytes of it."""

    def __init__(self, file: int, path: str, bound: int | None) -> None:
        self.source, self.theirs = os.pipe()
        os.set_blocking(self.source, False)
        self.file = file
        self.path = path
        self.cut = False
        self._left = bound
        self._splices = hasattr(os, "splice")

    def move(self) -> int | None:
        """Move what is there, a chunk at most; return how much; None: nothing now; 0: no more."""
        size = CHUNK if self._left is None else min(CHUNK, self._left)
        try:
            if size:
                moved = self._move(size)
            else:
                moved = len(os.read(self.source, CHUNK))
                self.cut = self.cut or moved > 0
        except BlockingIOError:
            return None
        if self._left:
            self._left -= moved
        return moved

    def _move(self, size: int) -> int:
        if self._splices:
            try:
                return os.splice(self.source, self.file, size, flags=os.SPLICE_F_NONBLOCK)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS):
                    raise
                self._splices = False  # this file system has none
        data = os.read(self.source, size)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.file, rest) :]
        return len(data)
