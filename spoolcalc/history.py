"""Reading what ``events`` told: all of it, or from now on, without losing or doubling a line.

A :class:`History` keeps the files open that it has met, each with how far it was read, so that it
reads on in one that is full, since somebody slow may have added to it, and in one that was removed
meanwhile.  A line is given when it is whole; what has no end yet comes another time.  A full disk
may cut a line off, and then the next one stands right behind it: that one is not lost.
"""

from __future__ import annotations

import os
from contextlib import suppress

from spoolcalc import reading
from spoolcalc.errors import StorageFailure
from spoolcalc.layout import events_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from spoolcalc.layout import Layout

#: Bytes that are read at once.
_CHUNK = 1 << 18
#: How each line begins; within one it can't stand, for quotes in a text are escaped.
_BEGIN = b'{"time":'


def newest(layout: Layout) -> int:
    """Return the number of the file that is written to; 0 if there is none."""
    return max(numbers(layout), default=0)


def numbers(layout: Layout) -> list[int]:
    """Return the numbers of all files there are, in order."""
    found = (events_number(name) for name in reading.names(layout.events) or ())
    return sorted(number for number in found if number is not None)


class _File:
    """One file of events, and where its first line begins that was not given."""

    __slots__ = ("at", "descriptor", "path")

    def __init__(self, descriptor: int, path: str, at: int) -> None:
        self.descriptor = descriptor
        self.path = path
        self.at = at

    def lines(self) -> Iterator[bytes]:
        """Yield the whole lines that are new, without their ends."""
        rest = b""
        while True:
            try:
                data = os.pread(self.descriptor, _CHUNK, self.at + len(rest))
            except OSError as error:
                raise StorageFailure("read", self.path, error) from error
            if not data:
                return
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                self.at += len(line) + 1
                begin = line.rfind(_BEGIN)
                yield line[begin:] if begin > 0 else line


class History:
    """The events of a spool.  A ``with`` block ends the reading.

    ``read`` is how far each file, by its number, was read already; those before ``first`` are not
    looked at.
    """

    def __init__(
        self, layout: Layout, read: Mapping[int, int] | None = None, first: int = 0
    ) -> None:
        self._layout = layout
        self._first = first
        self._read = dict(read or {})
        self._files: dict[int, _File] = {}

    @property
    def read(self) -> dict[int, int]:
        """How far each file was read, by its number."""
        return {number: file.at for number, file in self._files.items()}

    def to_end(self) -> None:
        """Pass over all that is there now."""
        for _ in self.lines():
            pass

    def lines(self) -> Iterator[bytes]:
        """Yield the lines that are new."""
        there = numbers(self._layout)
        for number in there:
            if number not in self._files and number >= self._first:
                self._open(number)
        for number, file in sorted(self._files.items()):
            yield from file.lines()
            if number not in there:
                self._forget(number)

    def close(self) -> None:
        """Let go of the files."""
        for number in list(self._files):
            self._forget(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, number: int) -> None:
        path = self._layout.events_file(number)
        with suppress(reading.Unreadable):  # somebody has put something else there
            descriptor = reading.plain_file(path)
            if descriptor is not None:
                self._files[number] = _File(descriptor, path, self._read.get(number, 0))

    def _forget(self, number: int) -> None:
        with suppress(OSError):  # it was only read
            os.close(self._files.pop(number).descriptor)
