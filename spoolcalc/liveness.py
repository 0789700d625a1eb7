"""Who is alive, and what proves that one is not.

There are two proofs that a worker's jobs may be given to another:

- *death*: its lock can be taken.  The kernel drops a lock at the instant its process dies.  Only
  locks of the same running kernel, or on a file system of this host alone, prove anything.
- *silence*: its file was not touched for longer than its lease, by the file server's clock, and
  still was not when it was looked at again a heartbeat later.  A suspended laptop is not dead, and
  neither is a worker whose clock was set: the second look counts the seconds by a clock that nobody
  sets, if it can, and a file that was touched in the future has to stand still for a whole lease.

Not promised: that a worker that was given up for its silence has stopped.  It is fenced off: its
directory was renamed, so that nothing it does can reach the job any more.
"""

from __future__ import annotations

import json
import math
import os
import time

from spoolcalc import files, host, reading
from spoolcalc.job import DEFAULT_LEASE, LONGEST_TIME
from spoolcalc.layout import KNOWS, SILENT, is_worker
from spoolcalc.lease import RENEWALS
from spoolcalc.locks import is_held, try_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from spoolcalc.layout import Layout
    from spoolcalc.locks import Lock

#: The largest identity (bytes) that is read.
_LARGEST = 64 * 1024
_LARGEST_KNOWLEDGE = 1024 * 1024

#: What a worker writes about itself.
_KINDS = {
    "host": (str,),
    "pid": (int,),
    "boot": (str,),
    "lease": (int, float),
    "started": (str,),
}


class Proof:
    """That a worker's jobs may be given to another.  ``reason`` says why, for people.

    ``here`` is false if it is known to have run on another host, or before this boot: then none of
    its processes can be found.  :meth:`close` ends the holding of a dead worker's lock.
    """

    __slots__ = ("_lock", "here", "reason")

    def __init__(self, reason: str, lock: Lock | None = None, *, here: bool = True) -> None:
        self.reason = reason
        self.here = here
        self._lock = lock

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            self._lock.release()


def given_up(layout: Layout, worker: str, now: float) -> Proof | None:
    """Return the proof that ``worker`` is dead or silent, or None while it must be taken as alive.

    ``now`` is the file system's clock, as :meth:`Lease.renew` returns it.
    """
    path = layout.lock_of(worker)
    status = reading.status(path)
    if status is None:
        return Proof("it left no lock")
    identity = read_identity(layout, worker)
    here = identity.get("boot", host.boot()) == host.boot()
    if _proves_death(layout, identity) and (lock := try_lock(path)) is not None:
        return Proof("it died", lock, here=here)
    seconds = float(identity.get("lease", DEFAULT_LEASE))
    silence = now - status.st_mtime
    if abs(silence) <= seconds:
        return None
    patience = seconds / RENEWALS if silence > 0 else seconds
    if not _silent_still(layout, worker, status.st_mtime_ns, patience, now):
        return None
    how = f"for {silence:.0f} s" if silence > 0 else "since before the clock was set back"
    return Proof(f"it was silent {how}", here=here)


def alive(layout: Layout, worker: str, now: float | None = None) -> bool:
    """Tell whether a worker is alive, as far as one look can tell; nothing is changed by it.

    ``now`` is the file system's clock; who has not asked for that takes this host's in its place,
    which tells the same of workers on this host.
    """
    status = reading.status(layout.lock_of(worker))
    if status is None:
        return False
    identity = read_identity(layout, worker)
    if _proves_death(layout, identity):
        held = is_held(layout.lock_of(worker))
        if held is not None:
            return held
    silence = (time.time() if now is None else now) - status.st_mtime
    return silence <= float(identity.get("lease", DEFAULT_LEASE))


def lives_elsewhere(layout: Layout, worker: str) -> bool:
    """Tell whether a worker holds its lock in another spool of this host, as whose copy this began.

    Then it is not lost, and nothing that it runs is ours to kill.
    """
    mine = reading.status(layout.lock_of(worker))
    name = os.path.basename(layout.lock_of(worker))
    return any(
        os.path.basename(path) == name and (mine is None or not os.path.samestat(mine, status))
        for path, status in host.open_files(int(worker.split(".")[1]))
    )


def workers(layout: Layout) -> list[str]:
    """Return the names of all workers that have a lock file, alive or not."""
    locks = [
        entry.name.removesuffix(".lock")
        for entry in reading.entries(layout.workers) or ()
        if entry.name.endswith(".lock") and entry.is_file(follow_symlinks=False)
    ]
    return sorted(filter(is_worker, locks))


def read_identity(layout: Layout, worker: str) -> dict[str, Any]:
    """Return what a worker wrote about itself; without what is not as we write it."""
    try:
        read = reading.read(layout.lock_of(worker), _LARGEST)
        identity = json.loads(read[0]) if read else {}
    except (ValueError, RecursionError, reading.Unreadable):
        return {}
    if not isinstance(identity, dict):
        return {}
    found = {name: identity[name] for name in _KINDS if type(identity.get(name)) in _KINDS[name]}
    if "lease" in found and not 0 < found["lease"] <= LONGEST_TIME:
        del found["lease"]
    return found


def _silent_still(layout: Layout, worker: str, touched: int, patience: float, now: float) -> bool:
    """Second look: was the same silence noted at least ``patience`` ago?  Else note it now.

    So long ago by the file system's clock, unless that was set back meanwhile, and, if it was noted
    under this same kernel, also by the one that goes on whatever is set.
    """
    note = layout.silence_of(worker)
    seen = f"{touched} {host.elapsed():.3f} {host.boot()}".encode("ascii", "replace")
    try:
        noted = reading.read(note, _LARGEST)
    except reading.Unreadable:
        noted = None
    if noted is not None and noted[0].split(b" ", 1)[0] == seen.split(b" ", 1)[0]:
        ago = now - noted[1].st_mtime
        return (ago < 0 or ago >= patience) and _elapsed(noted[0], seen) >= patience
    files.remove(note)
    temporary = layout.temporary(worker, f"silent.{os.urandom(4).hex()}")
    files.close([files.write(temporary, seen, layout.file_mode)])
    files.move(temporary, note)
    return False


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _elapsed(noted: bytes, seen: bytes) -> float:
    """Return the seconds between two notes, infinity if they do not tell."""
    try:
        _, then, boot = noted.split(b" ", 2)
        _, now, this_boot = seen.split(b" ", 2)
        return float(now) - float(then) if boot == this_boot else math.inf
    except ValueError:
        return math.inf


def _proves_death(layout: Layout, identity: dict[str, Any]) -> bool:
    return identity.get("boot") == host.boot() or host.on_local_file_system(layout.root)


def remove_notes(layout: Layout) -> None:
    """Remove the notes of and on workers that are gone; a slow sweeper may write one late."""
    for name in reading.names(layout.workers) or ():
        worker, dot, kind = name.rpartition(".")
        if dot + kind not in (SILENT, KNOWS) or not is_worker(worker):
            continue
        if reading.status(layout.lock_of(worker)) is None:
            files.remove(f"{layout.workers}/{name}")


def note_knowledge(layout: Layout, worker: str, operations: Sequence[str]) -> None:
    """Note which operations a worker can run, for those who look at the spool; not synced."""
    temporary = layout.temporary(worker, f"knows.{os.urandom(4).hex()}")
    data = json.dumps(list(operations)).encode("ascii")
    files.close([files.write(temporary, data, layout.file_mode)])
    files.move(temporary, layout.knowledge_of(worker))


def read_knowledge(layout: Layout, worker: str) -> frozenset[str] | None:
    """Return the operations that a worker has noted; None if it has not (yet)."""
    try:
        read = reading.read(layout.knowledge_of(worker), _LARGEST_KNOWLEDGE)
        noted = json.loads(read[0]) if read else None
    except (ValueError, RecursionError, reading.Unreadable):
        return None
    return frozenset(filter(_is_text, noted)) if isinstance(noted, list) else None


def may_know(layout: Layout, worker: str, operation: str) -> bool:
    """Tell whether a worker can run an operation; one that has noted nothing may well know it."""
    known = read_knowledge(layout, worker)
    return known is None or operation in known


def remove_staged(layout: Layout) -> None:
    """Remove the lock files of workers that died before they had a name in ``workers/``."""
    for name in reading.names(layout.tmp) or ():
        path = f"{layout.tmp}/{name}"
        if not name.endswith(".lock") or not is_worker(name.removesuffix(".lock")):
            continue
        if (lock := try_lock(path)) is not None:
            try:
                files.remove(path)
            finally:
                lock.release()
