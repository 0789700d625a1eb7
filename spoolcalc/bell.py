"""Sleeping until there is something to look at.

``bell`` and ``done`` in the spool are rung (their mtime changes) at each submit and at each
outcome.  Where inotify works, a sleeper is woken by it at once; it does not see what other hosts
do, and some file systems have none, so every sleep also ends after ``poll`` seconds.

A Bell listens from its making on: look *after* you made it, or after :meth:`wait`, and nothing can
slip through between the look and the sleep.

A worker also listens to what is renamed into ``inbox/``, which rings no bell.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from inotify_simple import INotify

#: Bytes that are read at once of what ended a sleep.  What is left ends the next one.
_MOST = 1 << 16
#: The longest sleep (seconds) at one go; poll() takes no more than 24 days.
_LONGEST = 86_400.0


class Bell:
    """Listens to the file ``path``; a ``with`` block ends the listening."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)
        self._deaf = select.poll()
        self._deaf.register(self._reader, select.POLLIN)
        self._own = {self._reader}
        self._inotify = self._watch()
        if self._inotify is not None:
            self._own.add(self._inotify.fileno())
            self._poll.register(self._inotify.fileno(), select.POLLIN)

    @property
    def wakes(self) -> bool:
        """Whether a ring on this host wakes at once."""
        return self._inotify is not None

    def wait(self, seconds: float) -> None:
        """Sleep until it rings or :meth:`wake` is called, at most ``seconds``."""
        self._calm(self._poll.poll(_milliseconds(seconds)))

    def also(self, path: str) -> None:
        """Be woken by what is written to another file, too, where inotify works."""
        if self._inotify is not None:
            from inotify_simple import flags

            with suppress(OSError):  # gone, or one too many: the next sleep ends by itself
                self._inotify.add_watch(path, flags.MODIFY)

    def also_into(self, directory: str) -> None:
        """Be woken by what is renamed into a directory, too, where inotify works."""
        if self._inotify is not None:
            from inotify_simple import flags

            with suppress(OSError):  # it is not there yet: the next sleep ends by itself
                self._inotify.add_watch(directory, flags.MOVED_TO)

    def rest(self, seconds: float) -> None:
        """Sleep as :meth:`wait` does, but do not let the ring disturb; the next wait hears it."""
        self._calm(self._deaf.poll(_milliseconds(seconds)))

    def watch(self, descriptor: int) -> None:
        """Let sleeps also end while ``descriptor`` is readable, until :meth:`unwatch`."""
        for poll in (self._poll, self._deaf):
            poll.register(descriptor, select.POLLIN)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching a descriptor, before it is closed."""
        for poll in (self._poll, self._deaf):
            poll.unregister(descriptor)

    def wake(self) -> None:
        """End the sleep, from a signal handler or another thread."""
        with suppress(OSError):  # full: it is awake already; closed: it sleeps no more
            os.write(self._writer, b"!")

    def close(self) -> None:
        """Stop listening."""
        if self._inotify is not None:
            self._inotify.close()
        writer, self._writer = self._writer, -1
        os.close(writer)
        os.close(self._reader)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _watch(self) -> INotify | None:
        from inotify_simple import INotify, flags

        try:
            inotify = INotify(nonblocking=True)
        except OSError:
            return None
        try:
            inotify.add_watch(self._path, flags.ATTRIB | flags.CLOSE_WRITE)
        except OSError:
            inotify.close()
            return None
        return inotify

    def _calm(self, ready: Iterable[tuple[int, int]]) -> None:
        """Read away what ended a sleep.

        What inotify tells is not looked at: who was woken looks for itself, and at once.
        """
        for descriptor, _ in ready:
            if descriptor in self._own:
                with suppress(BlockingIOError):
                    os.read(descriptor, _MOST)


def _milliseconds(seconds: float) -> int:
    return max(0, int(min(seconds, _LONGEST) * 1000 + 0.999))
