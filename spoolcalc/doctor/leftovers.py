"""What somebody left who was killed: in ``tmp/``, in ``wip/``, in ``workers/``, in ``output/``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from spoolcalc import liveness, lookup, reading
from spoolcalc.doctor import modes, room
from spoolcalc.doctor.findings import Suspicion, found
from spoolcalc.doctor.repair import into_corrupt, remove_leftover
from spoolcalc.ids import LENGTH, is_id
from spoolcalc.layout import KNOWS, OWNERS, RETURNED, SILENT, is_worker, owner_of
from spoolcalc.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spoolcalc.doctor.census import Census
    from spoolcalc.doctor.ground import Ground
    from spoolcalc.hand import Hand

#: What was being written so long ago (seconds) will not be finished, if nobody proves alive,
ABANDONED = 3_600.0
#: and what a dead worker was writing, after this.
UNSWEPT = 60.0
#: A worker that died is removed by the others within this time (seconds).
REMOVED = 30.0


def look(ground: Ground, census: Census) -> Iterator[Suspicion]:
    """Look for all of it."""
    yield from _in_tmp(ground)
    yield from _in_wip(ground)
    yield from _in_workers(ground)
    yield from _in_output(ground, census)


def sweeping(ground: Ground, is_there: Callable[[], bool]) -> Callable[[Hand], bool]:
    """Have a thorough sweep, by a hand, do it; it is done when ``is_there`` denies."""

    def mend(hand: Hand) -> bool:
        sweep(ground.layout, hand.lease, thorough=True)
        return not is_there()

    return mend


def _in_tmp(ground: Ground) -> Iterator[Suspicion]:
    names = 0
    for entry in reading.scan(ground.layout.tmp):
        names += 1
        if entry.name.startswith(".nfs"):
            continue
        status = reading.status(entry.path)
        if status is None:
            continue
        age = ground.now - min(status.st_mtime, status.st_ctime)  # its mtime may be a job's time
        owner = _owner(entry.name)
        if owner is None:
            if age > UNSWEPT:
                told = "in tmp/, with a name that we do not give"
                yield Suspicion(found("stranger", entry.path, told), ground.sight(entry.path))
        elif age > (UNSWEPT if is_worker(owner) else ABANDONED) and not (
            is_worker(owner) and ground.alive(owner)
        ):
            yield Suspicion(
                found("tmp-leftover", entry.path, f"{age:.0f} s old"),
                ground.sight(entry.path),
                remove_leftover(entry.path),
            )
    if (crowd := room.crowded(ground.layout.tmp, names)) is not None:
        yield crowd


def _owner(name: str) -> str | None:
    """Return who writes a file in ``tmp/``, by its name; None if it is none of ours."""
    first = name.partition(".")[0]
    if first in OWNERS:
        return first
    worker = ".".join(name.split(".")[:3])
    return worker if is_worker(worker) else None


def _in_wip(ground: Ground) -> Iterator[Suspicion]:
    layout = ground.layout
    for directory in reading.directories(layout.wip):
        path = layout.wip_of(directory)
        owner = owner_of(directory)
        if owner is None and not directory.endswith(RETURNED):
            continue  # the census tells of it
        if owner is not None and ground.alive(owner):
            continue
        number = len(reading.names(path) or ())
        if owner is not None and not number:
            continue  # its lock file tells of it, or the directory is about to go
        seen = ground.sight(path)

        def still(
            path: str = path, owner: str | None = owner, seen: Callable[[], bool] = seen
        ) -> bool:
            return (
                seen()
                and (owner is None or not liveness.alive(layout, owner, ground.now))
                and bool(reading.names(path))
            )

        told = f"{number} files of a worker that " + ("left" if owner is None else "is dead")
        yield Suspicion(found("orphan", path, told), still, sweeping(ground, seen))


def _in_workers(ground: Ground) -> Iterator[Suspicion]:
    layout = ground.layout
    for entry in reading.scan(layout.workers):
        worker, dot, kind = entry.name.rpartition(".")
        status = reading.status(entry.path)
        if status is None or entry.name.startswith(".nfs"):
            continue
        seen = ground.sight(entry.path)
        if dot + kind not in (".lock", SILENT, KNOWS) or not is_worker(worker):
            told = "in workers/, with a name that we do not give"
            yield Suspicion(found("stranger", entry.path, told), seen)
            continue
        yield from modes.file(ground, entry.path, alive=True)
        old = ground.now - status.st_mtime > REMOVED or not ground.workers()
        if kind == "lock":
            gone = not ground.alive(worker) and old and not reading.names(layout.wip_of(worker))
        else:
            gone = old and reading.status(layout.lock_of(worker)) is None
        if gone:
            told = "its lock is left" if kind == "lock" else "a note of it is left"
            yield Suspicion(found("dead-worker", entry.path, told), seen, sweeping(ground, seen))


def _in_output(ground: Ground, census: Census) -> Iterator[Suspicion]:
    layout = ground.layout
    for bucket in reading.directories(layout.output):
        yield from modes.directory(ground, f"{layout.output}/{bucket}")
        for entry in reading.scan(f"{layout.output}/{bucket}"):
            job_id = entry.name[:LENGTH]
            if entry.name.startswith(".nfs") or (is_id(job_id) and census.has(job_id)):
                continue

            def still(path: str = entry.path, job_id: str = job_id) -> bool:
                return reading.status(path) is not None and not is_somewhere(ground, job_id)

            mend = into_corrupt(layout, entry.path, "the output of a job that is not there")
            yield Suspicion(
                found("lone-output", entry.path, os.path.basename(entry.path)), still, mend
            )


def is_somewhere(ground: Ground, job_id: str) -> bool:
    """Tell whether there is a document of that id, whatever it holds; looks several times."""
    if not is_id(job_id):
        return False
    return any(
        reading.status(path) is not None
        for _ in range(lookup.LOOKS)
        for _, path, _ in lookup.places(ground.layout, job_id)
    )
