"""The one that talks to standard output and standard error.

stdout carries the answer and nothing else.  What was written there has left this process when
:func:`answer` returns, and is on disk if it goes into a file, so that a job may be marked retrieved
after it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress

from spoolcalc.errors import SpoolError, StorageFailure, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import NoReturn

_STDOUT, _STDERR = 1, 2
#: The levels of messages, as syslog and the journal count them.
ERROR, WARNING, INFO, DEBUG = 3, 4, 6, 7
#: Bytes that are copied at once.
_CHUNK = 1 << 20
#: What stdout is called in errors.
STDOUT = "standard output"


def hold_standard_descriptors() -> None:
    """Make sure that no file we open can become our standard output.

    Started with a closed stdout (``>&-``), a process gets its number for the next file it opens.
    The stand-in can only be read, so that writing to it fails as it should.
    """
    for descriptor in (0, _STDOUT, _STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)


def answer(text: str) -> None:
    """Write ``text`` to stdout, wholly; raise StorageFailure if it cannot take it."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, from an operation of somebody's
        data = text.encode("utf-8", "backslashreplace")
    _write(data)
    _settle()


def copy(descriptor: int, path: str) -> int:
    """Write what a file holds, from where its descriptor stands to its end; return how much.

    The bytes as they are, however many: few are in memory at once.  ``path`` is for messages.
    """

    def chunks() -> Iterator[bytes]:
        while True:
            try:
                data = os.read(descriptor, _CHUNK)
            except OSError as error:
                raise StorageFailure("read", path, error) from error
            if not data:
                return
            yield data

    return pour(chunks())


def pour(chunks: Iterable[bytes]) -> int:
    """Write bytes as they come; return how many."""
    poured = 0
    for data in chunks:
        _write(data)
        poured += len(data)
    if poured:
        _settle()
    return poured


def _write(data: bytes) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(_STDOUT, rest) :]
    except OSError as error:
        raise StorageFailure("write to", STDOUT, error) from error


def _settle() -> None:
    """Have what was written on disk, if it went into a file."""
    try:
        if stat.S_ISREG(os.fstat(_STDOUT).st_mode):
            os.fsync(_STDOUT)
    except OSError as error:
        raise StorageFailure("write to", STDOUT, error) from error


def tell(text: str, level: int = INFO) -> None:
    """Write one message to stderr; nobody listening there is no reason to fail.

    The journal takes every line for an entry, and learns the level of each.
    """
    if errors_to_journal():
        text = "\n".join(f"<{level}>{line}" for line in text.split("\n"))
    try:
        os.write(_STDERR, (text + "\n").encode("utf-8", "backslashreplace"))
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EBADF, errno.ENOSPC, errno.EIO):
            raise


def tell_error(error: SpoolError) -> None:
    """Write an error for people: what happened, and what to do."""
    hint = "\n  ".join(map(plain, error.hint.splitlines()))
    tell(f"spool: {plain(error.message)}" + (f"\n  {hint}" if hint else ""), ERROR)


def leave(code: int) -> NoReturn:
    """End the process at once.

    What we write is not buffered; what an operation of somebody's may have printed is.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # not open, closed, or nobody reads it
            stream.flush()
    os._exit(code)


def on_terminal() -> bool:
    """Tell whether stdout is a terminal."""
    return os.isatty(_STDOUT)


def errors_on_terminal() -> bool:
    """Tell whether stderr is a terminal."""
    return os.isatty(_STDERR)


def errors_to_journal() -> bool:
    """Tell whether stderr is a stream of the journal's, as its environment says.

    The file is what counts: the environment is inherited by those whose stderr is another one.
    """
    named = os.environ.get("JOURNAL_STREAM")
    if not named:
        return False
    try:
        status = os.fstat(_STDERR)
    except OSError:
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


def width() -> int:
    """Return the columns of the terminal, 80 if it does not say."""
    try:
        return os.get_terminal_size(_STDOUT).columns or 80
    except OSError:
        return 80


def python_and_system() -> str:
    """Return what a bug report should say of the machine."""
    return f"Python {sys.version.split()[0]} on {sys.platform}"
