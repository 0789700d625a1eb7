"""The one door through which the file system is changed: writing, publishing, moving, syncing.

Nothing else in the package renames, links, syncs or removes; :mod:`~spoolcalc.reading` looks.  This
module knows no jobs; it knows what a power failure leaves behind:

- data is on disk only after ``fsync`` of the file, a name only after ``fsync`` of its directory;
- ``rename`` replaces in one step and has one winner; ``link`` never replaces.

A missing file is a normal answer (``False`` or ``None``): somebody else was quicker.  Every other
refusal of the operating system is raised as :class:`~spoolcalc.errors.StorageFailure`.  Tests put
faults and SIGKILLs at each system call by replacing this module's ``os``.

Calling sequence of a group commit: ``write`` each file, ``sync`` them together, ``publish`` or
``move`` each, ``sync_directory`` each directory.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress

from spoolcalc.reading import plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: How often a bucket that keeps vanishing under a publisher is made again before it gives up.
TRIES = 100

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ADD = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BELL = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@plainly("write")
def write(path: str, data: bytes, mode: int) -> int:
    """Make the new file ``path`` hold ``data``; return its open descriptor, not yet synced.

    The caller syncs and closes it.  A group-readable ``mode`` holds whatever the umask is.  When
    the write fails, the file is removed again.
    """
    descriptor = os.open(path, _NEW, mode)
    try:
        with _named(path):
            if mode & 0o077:
                os.fchmod(descriptor, mode)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        close([descriptor])
        _discard(path)
        raise
    return descriptor


@plainly("write")
def fill(path: str, data: bytes) -> None:
    """Write ``data``, a few bytes, into a file that is there and empty; not synced."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with _named(path):
            os.write(descriptor, data)
    finally:
        close([descriptor])


@plainly("write")
def append(path: str, data: bytes, mode: int, *, make: bool = False) -> os.stat_result | None:
    """Add ``data`` to a file by one write, not synced; return its status after that.

    None if there is no such file; with ``make`` it is made then, if its directory is there.  What
    several add at once does not mix, on a file system of one host.
    """
    try:
        descriptor = os.open(path, _ADD)
    except FileNotFoundError:
        if not make:
            return None
        descriptor = os.open(path, _ADD | os.O_CREAT, mode)
        if mode & 0o077:
            with suppress(OSError):  # another one's, who made it at the same time
                os.fchmod(descriptor, mode)
    try:
        with _named(path):
            if data and os.write(descriptor, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return os.fstat(descriptor)
    finally:
        close([descriptor])


def hasten(descriptors: Sequence[int]) -> None:
    """Have what was written to several files be on its way to disk before the first is waited for.

    On ext4 with a journal they then share one commit, 4 times as fast as one after the other.
    ``syncfs`` would be twice as fast again, but it waits for everybody else's data too.
    """
    if len(descriptors) > 1 and hasattr(os, "posix_fadvise"):
        for descriptor in descriptors:
            with suppress(OSError):  # advice: what it would have done, fsync does
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


@plainly("sync")
def sync(descriptors: Sequence[int], paths: Sequence[str]) -> None:
    """Wait until all that was written to ``descriptors``, opened at ``paths``, is on disk.

    Of several, all are told to start before the first is waited for (:func:`hasten`).
    """
    hasten(descriptors)
    for descriptor, path in zip(descriptors, paths, strict=True):
        with _named(path):
            os.fsync(descriptor)


def close(descriptors: Iterable[int]) -> None:
    """Close descriptors whose data is synced or no longer wanted.

    What closing may complain of, syncing would have told; and closed they are all the same.
    """
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


@plainly("sync")
def sync_directory(path: str) -> bool:
    """Wait until the names in a directory are on disk; False if there is no such directory."""
    try:
        descriptor = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        with _named(path):
            os.fsync(descriptor)
    finally:
        close([descriptor])
    return True


def write_durably(path: str, data: bytes, mode: int) -> None:
    """Make the new file ``path`` hold ``data``, on disk.  When that fails there is no such file."""
    descriptor = write(path, data, mode)
    try:
        sync([descriptor], [path])
    except BaseException:
        _discard(path)
        raise
    finally:
        close([descriptor])


@plainly("publish")
def publish(source: str, directory: str, name: str, mode: int) -> None:
    """Give the file ``source`` its final name without overwriting, and take its old name away.

    ``directory`` is made, with ``mode``, if it is missing.  A leftover of a kill between the two
    steps is the old name of the same file; nobody reads it, and it is swept.
    """
    target = f"{directory}/{name}"
    for _ in range(TRIES):
        try:
            os.link(source, target)
        except FileNotFoundError:
            if not _exists(source):
                raise
            _make(directory, mode)
        else:
            _discard(source)
            return
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), directory)


@plainly("note")
def note(directory: str, name: str, mode: int, directory_mode: int | None) -> bool:
    """Have an empty file of that name in ``directory``; not synced.

    The directory is made if it is missing; without a ``directory_mode``, the answer is False then.
    """
    path = f"{directory}/{name}"
    for _ in range(TRIES):
        try:
            close([os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, mode)])
        except FileNotFoundError:
            if directory_mode is None:
                return False
            _make(directory, directory_mode)
        else:
            return True
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), directory)


@plainly("move")
def move(source: str, target: str) -> bool:
    """Rename a file or directory; False if it, or the directory it should go to, is gone."""
    try:
        os.rename(source, target)
    except FileNotFoundError:
        return False
    return True


@plainly("move")
def move_into(source: str, directory: str, name: str, mode: int) -> bool:
    """Rename ``source`` into ``directory``, made with ``mode`` if missing; False if it is gone."""
    target = f"{directory}/{name}"
    for _ in range(TRIES):
        try:
            os.rename(source, target)
        except FileNotFoundError:
            if not _exists(source):
                return False
            _make(directory, mode)
        else:
            return True
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), directory)


@plainly("make")
def make_directory(path: str, mode: int) -> bool:
    """Make a directory; False if it is there already."""
    return _make(path, mode)


@plainly("give to a group")
def give_to_group(path: str, group: int, mode: int) -> None:
    """Set a directory's group, by its number, and then its mode."""
    os.chown(path, -1, group)
    os.chmod(path, mode)


@plainly("remove")
def remove(path: str) -> bool:
    """Remove a file; False if it is gone already."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


@plainly("remove")
def remove_directory(path: str) -> bool:
    """Remove a directory; False if it is gone already, or not empty."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    return True


@plainly("remove")
def remove_tree(path: str) -> bool:
    """Remove a directory of our own with all that is in it, following no link; False if gone."""
    try:
        with os.scandir(path) as entries:
            below = [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except FileNotFoundError:
        return False
    for inner, is_directory in below:
        if is_directory:
            remove_tree(inner)
        else:
            remove(inner)
    return remove_directory(path)


@plainly("touch")
def touch(path: str) -> float | None:
    """Set a file's time to the file system's now; return that now, None if there is no file."""
    try:
        os.utime(path)
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return None


@plainly("date")
def date(path: str, seconds: float) -> bool:
    """Set a file's time, in seconds since the epoch; False if it is gone."""
    try:
        os.utime(path, ns=(_stamp(seconds), _stamp(seconds)))
    except FileNotFoundError:
        return False
    return True


def is_dated(status: os.stat_result, seconds: float) -> bool:
    """Tell whether a file's time is one that :func:`date` gave it, and nothing else.

    Where a file system keeps only whole seconds the answer is False.
    """
    return status.st_mtime_ns == _stamp(seconds)


def ring(path: str, mode: int) -> None:
    """Change a bell's mtime, for those who watch it.

    It is rung after the fact it tells of, so that failing here takes nothing back: who watches
    also looks by himself from time to time.
    """
    try:
        os.utime(path)
    except FileNotFoundError:
        try:
            descriptor = os.open(path, _BELL, mode)
        except OSError:
            return
        with suppress(OSError):
            os.fchmod(descriptor, mode)
        close([descriptor])
    except OSError:
        return


def _stamp(seconds: float) -> int:
    return int(seconds * 1000) * 1_000_000


def _make(path: str, mode: int) -> bool:
    """Make a directory, and the one it is in if that is missing; False if it was there.

    Its name is on disk as soon as the directory itself is synced, which whoever publishes in it
    does: a journal holds both in order, and where there is none, Linux syncs the parent too.
    """
    try:
        return _make_one(path, mode)
    except FileNotFoundError:  # a spool that was made by a version without such a directory
        _make_one(os.path.dirname(path), mode)
        return _make_one(path, mode)


def _make_one(path: str, mode: int) -> bool:
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return False
    if mode & 0o077:
        os.chmod(path, mode)
    return True


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Have what is refused on a descriptor name the file."""
    try:
        yield
    except OSError as error:
        error.filename = path
        raise


def _exists(path: str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _discard(path: str) -> None:
    """Remove a file that is not needed; a failure leaves a harmless leftover."""
    try:
        os.unlink(path)
    except OSError:
        return
