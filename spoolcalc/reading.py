"""Looking at what is there: files, directories, their names and kinds.  Changes nothing.

The other half of the door to the file system, :mod:`~spoolcalc.files`, changes things.  A missing
file is a normal answer (``None``): somebody else was quicker.  Every other refusal of the operating
system is raised as :class:`~spoolcalc.errors.StorageFailure`.  Tests put faults and SIGKILLs at
each system call by replacing this module's ``os``.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from functools import wraps

from spoolcalc.errors import StorageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Unreadable(Exception):
    """What lies at the path is no plain file of a sane size; the message says what it is."""


def plainly(action: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Raise what the operating system refuses as a StorageFailure that names ``action``."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except OSError as error:
                path = error.filename2 or error.filename or args[0]
                raise StorageFailure(action, str(path), error) from error

        return call

    return decorate


@plainly("read")
def read(path: str, limit: int) -> tuple[bytes, os.stat_result] | None:
    """Return what a file holds and its status; None if there is no such file.

    Never blocks on a FIFO, follows no link, and raises :class:`Unreadable` for all that is no plain
    file of at most ``limit`` bytes.
    """
    opened = _open(path)
    if opened is None:
        return None
    descriptor, status = opened
    try:
        if status.st_size > limit:
            raise Unreadable(f"it has {status.st_size} bytes, and {limit} is the limit")
        data = os.read(descriptor, status.st_size + 1)
        while len(data) < status.st_size:
            more = os.read(descriptor, status.st_size - len(data))
            if not more:
                break
            data += more
    finally:
        with suppress(OSError):  # it was only read
            os.close(descriptor)
    return data, status


@plainly("open")
def plain_file(path: str) -> int | None:
    """Return a descriptor to read a file by, however large; None if there is no such file.

    Refuses as :func:`read` does what is no plain file.
    """
    opened = _open(path)
    return None if opened is None else opened[0]


@plainly("open")
def plain_file_in(directory: str, name: str) -> tuple[os.stat_result, int] | None:
    """Return a directory's status, and a descriptor of a file in it; None if there is no such file.

    For who trusts a file because of whose its directory is: that one is the one it was found in.
    Refuses as :func:`read` does what is no plain file, and a directory that is a link, or none.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        parent = os.open(directory, flags)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise Unreadable("it is a link, or no directory") from error
    try:
        opened = _open(name, parent)
        return None if opened is None else (os.fstat(parent), opened[0])
    finally:
        os.close(parent)


@plainly("list")
def names(path: str) -> list[str] | None:
    """Return the names in a directory, in no order; None if there is no such directory."""
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


@plainly("list")
def directories(path: str) -> list[str]:
    """Return the names of the directories in a directory, links to directories not counted."""
    try:
        with os.scandir(path) as scan:
            return [entry.name for entry in scan if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


@plainly("list")
def entries(path: str) -> list[os.DirEntry[str]] | None:
    """Return a directory's entries, which know their kind; None if there is no such directory."""
    try:
        with os.scandir(path) as scan:
            return list(scan)
    except (FileNotFoundError, NotADirectoryError):
        return None


@plainly("list")
def count(path: str, most: float) -> int:
    """Return how many names a directory holds; once there are ``most``, no more are counted."""
    number = 0
    try:
        with os.scandir(path) as scan:
            for _ in scan:
                number += 1
                if number >= most:
                    break
    except (FileNotFoundError, NotADirectoryError):
        pass
    return number


def scan(path: str) -> Iterator[os.DirEntry[str]]:
    """Yield a directory's entries one by one, however many; none if there is no such directory."""
    try:
        with os.scandir(path) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StorageFailure("list", path, error) from error


@plainly("look at")
def room(path: str) -> os.statvfs_result:
    """Return how much room the file system has that holds ``path``."""
    return os.statvfs(path)


@plainly("look at")
def status(path: str) -> os.stat_result | None:
    """Return the status of what lies at ``path``, of a link itself; None if nothing does."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _open(path: str, directory: int | None = None) -> tuple[int, os.stat_result] | None:
    try:
        descriptor = os.open(path, _READ, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise Unreadable("it is a symbolic link") from error
        if error.errno == errno.ENXIO:
            raise Unreadable("it is a socket or a device") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no plain file"
            raise Unreadable(f"it is {kind}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status
