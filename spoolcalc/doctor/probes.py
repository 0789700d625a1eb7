"""What the file system can do: tried, in a throw-away directory on it.

Each trial is a few calls of the same functions by which jobs are moved.  They tell whether a thing
works at all; that it works when several are at it and some are killed, ``spool torture`` tries.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from spoolcalc import files, host, reading
from spoolcalc.bell import Bell
from spoolcalc.doctor.findings import Severity, Suspicion, found
from spoolcalc.doctor.ground import trial
from spoolcalc.errors import SpoolError, StorageFailure
from spoolcalc.locks import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spoolcalc.doctor.findings import Finding
    from spoolcalc.doctor.ground import Ground

#: File systems known to keep what a spool relies on, as long as their server does.
SHARED = frozenset({"nfs4", "ceph", "gfs2", "ocfs2", "lustre", "gpfs"})
#: Those that are known not to.
UNFIT = frozenset({"vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk", "9p", "cifs", "smb3"})
#: A clock that differs by more than this (seconds) is told of, and is critical.
SKEW, LARGE_SKEW = 2.0, 60.0
#: How long (seconds) a ring may take to wake.
_WAKES = 2.0
_DATE = 1_700_000_000.123


def look(ground: Ground) -> Iterator[Suspicion]:
    """Tell the kind of the file system, try what it can do, and hold its clock against ours."""
    root = ground.layout.root
    yield Suspicion(kind(root))
    if reading.status(ground.layout.tmp) is None:
        return  # which is told
    try:
        with trial(ground.layout) as directory:
            ground.now, clock = _clock(directory, root)
            yield Suspicion(clock)
            for finding in tries(directory, root):
                yield Suspicion(finding)
    except StorageFailure as error:  # full, read-only, forbidden: then all the rest is told anyway
        yield Suspicion(found("spool", ground.layout.tmp, str(error).replace("\n", ". ")))


def kind(root: str) -> Finding:
    """Tell what kind of file system holds the spool."""
    name = host.file_system(os.path.realpath(root)) or "unknown"
    if host.on_local_file_system(root):
        return found("file-system", root, f"{name}, of this host alone", Severity.OK)
    if name in SHARED:
        return found("file-system", root, f"{name}, which other hosts may share", Severity.OK)
    if name in UNFIT:
        told = f"{name} is known not to keep what a spool relies on"
        return found("file-system", root, told, Severity.CRITICAL)
    return found("file-system", root, f"{name}: not known")


def tries(directory: str, root: str) -> Iterator[Finding]:
    """Try, in an empty directory, each thing that must work; findings speak of ``root``."""
    for check, attempt in _TRIALS.items():
        try:
            wrong = attempt(f"{directory}/{check}")
        except SpoolError as error:
            wrong = error.message.replace(f"{directory}/", "")
        if wrong is None:
            yield found(check, root, "works", Severity.OK)
        else:
            yield found(check, root, wrong)


def _rename(path: str) -> str | None:
    """Rename across directories, over what is there, and once only."""
    for name in ("from", "to"):
        files.make_directory(f"{path}.{name}", 0o700)
    _write(f"{path}.from/a", b"new")
    _write(f"{path}.to/a", b"old")
    before = reading.status(f"{path}.from/a")
    if not files.move(f"{path}.from/a", f"{path}.to/a"):
        return "a file that is there was not found"
    after = reading.status(f"{path}.to/a")
    if reading.status(f"{path}.from/a") is not None:
        return "the old name is still there"
    if reading.read(f"{path}.to/a", 100) is None or _holds(f"{path}.to/a") != b"new":
        return "the new name does not hold what was renamed"
    if before is None or after is None or before.st_ino != after.st_ino:
        return "it is another file after it was renamed: it was copied"
    if files.move(f"{path}.from/a", f"{path}.to/b"):
        return "a file was renamed twice"
    if not files.move(f"{path}.to", f"{path}.moved") or _holds(f"{path}.moved/a") != b"new":
        return "a directory was not renamed with what is in it"
    return None


def _link(path: str) -> str | None:
    """Give a second name, and never overwrite."""
    _write(f"{path}.one", b"one")
    files.make_directory(f"{path}.d", 0o700)
    files.publish(f"{path}.one", f"{path}.d", "a", 0o700)
    _write(f"{path}.two", b"two")
    try:
        files.publish(f"{path}.two", f"{path}.d", "a", 0o700)
    except StorageFailure:
        return None if _holds(f"{path}.d/a") == b"one" else "a link has overwritten a file"
    return "a link has overwritten a file"


def _flock(path: str) -> str | None:
    """Lock one at a time, and anew when it was let go."""
    first = try_lock(path)
    if first is None:
        return "a new file could not be locked"
    try:
        second = try_lock(path)
        if second is not None:
            second.release()
            return "two have the same lock at once"
    finally:
        first.release()
    third = try_lock(path)
    if third is None:
        return "a lock was not free after it was let go"
    third.release()
    return None


def _fsync(path: str) -> str | None:
    files.write_durably(path, b"synced", 0o600)
    files.sync_directory(os.path.dirname(path))
    return None


def _inotify(path: str) -> str | None:
    files.ring(path, 0o600)
    with Bell(path) as bell:
        if not bell.wakes:
            return "not available"
        began = time.monotonic()
        files.ring(path, 0o600)
        bell.wait(_WAKES)
        return None if time.monotonic() - began < _WAKES else "a change here woke nobody"


def _times(path: str) -> str | None:
    _write(path, b"")
    files.date(path, _DATE)
    status = reading.status(path)
    kept = status is not None and files.is_dated(status, _DATE)
    return None if kept else "a file's time is not kept to the millisecond"


#: Trials by the check that tells of them: each returns what is wrong, None if it works.
_TRIALS: dict[str, Callable[[str], str | None]] = {
    "rename": _rename,
    "link": _link,
    "flock": _flock,
    "fsync": _fsync,
    "inotify": _inotify,
    "times": _times,
}


def _clock(directory: str, root: str) -> tuple[float, Finding]:
    """Return the file system's now, and what is to be said of it."""
    path = f"{directory}/clock"
    _write(path, b"")
    before = time.time()
    stamped = files.touch(path) or before
    after = time.time()
    ahead = stamped - after if stamped > after else min(0.0, stamped - before)
    if abs(ahead) <= SKEW:
        return stamped, found("clock", root, "the file system's agrees with ours", Severity.OK)
    severity = Severity.CRITICAL if abs(ahead) > LARGE_SKEW else Severity.WARNING
    way = "ahead of" if ahead > 0 else "behind"
    told = f"the file system's is {abs(ahead):.0f} s {way} this host's"
    return stamped, found("clock", root, told, severity)


def _write(path: str, data: bytes) -> None:
    files.close([files.write(path, data, 0o600)])


def _holds(path: str) -> bytes | None:
    read = reading.read(path, 100)
    return None if read is None else read[0]
