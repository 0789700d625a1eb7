"""What a process notes of its doings: a file of its own, a line for each, whole or not at all.

Nothing is shared and nothing is renamed, so that the notes can be relied on where the file system
cannot.  A line has the time (the kernel's monotonic clock, which all processes share), a word, and
what it speaks of.  A kill loses nothing of what was noted.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Journal:
    """The notes of one process."""

    def __init__(self, directory: str, role: str) -> None:
        self.path = f"{directory}/{role}.{os.getpid()}.{time.monotonic_ns()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o600)

    def note(self, *words: object) -> None:
        """Note something that has happened, or, of a death, that will happen now."""
        self.note_all([words])

    def note_all(self, lines: list[tuple[object, ...]]) -> None:
        """Note several things at once."""
        now = time.monotonic_ns()
        text = "".join(" ".join((str(now), *map(str, words))) + "\n" for words in lines)
        os.write(self._descriptor, text.encode("utf-8", "backslashreplace"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A line: when, by which process in which role, which word, and the rest."""

    at: int
    pid: int
    role: str
    word: str
    rest: tuple[str, ...]

    @property
    def who(self) -> str:
        """The process, as evidence names it."""
        return f"{self.role} {self.pid}"


def entries(directory: str) -> Iterator[Entry]:
    """Yield all lines of all journals, those of each in order."""
    for name in sorted(os.listdir(directory)):
        role, pid, _ = name.split(".")
        with open(f"{directory}/{name}", encoding="utf-8") as file:
            for line in file:
                at, word, *rest = line.split()
                yield Entry(int(at), int(pid), role, word, tuple(rest))
