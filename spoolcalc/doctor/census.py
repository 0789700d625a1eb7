"""Every job once: where it lies, what its document says, and whether it is there only once.

All names are read, one directory after the other; of the documents only some, unless the look is a
deep one.  What is met twice may be a job that has moved on meanwhile: only files that lie still,
both of them, make one job two.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

from spoolcalc import lookup, reading
from spoolcalc.doctor import modes, room
from spoolcalc.doctor.documents import judge
from spoolcalc.doctor.findings import Suspicion, found
from spoolcalc.doctor.repair import into_corrupt, keep_one
from spoolcalc.ids import bucket_of, seconds_of
from spoolcalc.job import State
from spoolcalc.layout import (
    RETURNED,
    beside,
    claimed_file,
    id_of,
    is_bucket,
    is_pending_bucket,
    owner_of,
    victim_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spoolcalc.doctor.ground import Ground

#: A job whose id is so far (seconds) ahead of the clock is from the future.
AHEAD = 60.0
#: What NFS calls a file that was removed while somebody had it open.
_NFS = ".nfs"


class Census:
    """The jobs that were met in one look; ``ids`` are all of them, as numbers."""

    def __init__(self, ground: Ground) -> None:
        self.ids: set[int] = set()
        self.counts: dict[State, int] = dict.fromkeys(State, 0)
        self._ground = ground
        self._twice: dict[str, set[str]] = {}  # ids met again, and where
        self._misplaced: dict[str, set[str]] = {}  # ids in a wrong bucket, and where
        self._ahead: list[str] = []

    def has(self, job_id: str) -> bool:
        """Tell whether a job was met."""
        return _number(job_id) in self.ids

    def look(self) -> Iterator[Suspicion]:
        """Walk through all states."""
        for state in State:
            yield from self._state(state)
        for job_id, paths in self._twice.items():
            yield from self._double(job_id, paths | self._misplaced.get(job_id, set()))
        if self._ahead:
            first, number = min(self._ahead), len(self._ahead)
            late = seconds_of(first) - time.time()
            told = f"{number} of them, the first one {late:.0f} s ahead"
            yield Suspicion(found("future-job", first, told))

    def _state(self, state: State) -> Iterator[Suspicion]:
        layout = self._ground.layout
        top = layout.state(state)
        for entry in reading.scan(top):
            if entry.name.startswith(_NFS):
                continue
            if entry.is_symlink() or not entry.is_dir() or not _is_place(state, entry.name):
                seen = self._ground.sight(entry.path)
                if state is State.WIP and entry.is_dir(follow_symlinks=False):
                    told = "its name is not that of a worker"
                    yield Suspicion(found("stranger", entry.path, told), seen)
                    continue
                mend = into_corrupt(layout, entry.path, f"neither a job nor a bucket of {state}/")
                yield Suspicion(found("stranger", entry.path, f"in {state}/"), seen, mend)
                continue
            yield from modes.directory(self._ground, entry.path)
            yield from self._bucket(state, entry.name, entry.path)

    def _bucket(self, state: State, directory: str, path: str) -> Iterator[Suspicion]:
        alive = state is State.WIP and self._is_in_hand(directory)
        names = 0
        for entry in reading.scan(path):
            names += 1
            name = entry.name
            if name.startswith(_NFS):
                continue
            if state is State.WIP and (beside(name) or claimed_file(name) is not None):
                continue
            job_id = id_of(name)
            if job_id is None or not entry.is_file(follow_symlinks=False):
                yield from self._stray(state, entry, alive=alive)
                continue
            number = self.counts[state]
            self.counts[state] += 1
            self._note(state, job_id, entry.path)
            if not _is_right(state, directory, job_id):
                self._misplaced.setdefault(job_id, set()).add(entry.path)
            if self._ground.reads(number):
                yield from modes.file(self._ground, entry.path, alive=alive)
            if self._ground.reads(number) or not _is_right(state, directory, job_id):
                yield from judge(self._ground, state, directory, entry.path, alive=alive)
        if (crowd := room.crowded(path, names)) is not None:
            yield crowd

    def _stray(self, state: State, entry: os.DirEntry[str], *, alive: bool) -> Iterator[Suspicion]:
        layout, seen = self._ground.layout, self._ground.sight(entry.path)
        link = entry.is_symlink()
        told = "a symbolic link" if link else f"no job, in {state}/"
        # What lies with a living worker is that worker's to see to.
        mend = None if alive else into_corrupt(layout, entry.path, told)
        yield Suspicion(found("symlink" if link else "stranger", entry.path, told), seen, mend)

    def _note(self, state: State, job_id: str, path: str) -> None:
        number = _number(job_id)
        if number in self.ids:
            self._twice.setdefault(job_id, set()).add(path)
        self.ids.add(number)
        if not state.finished and seconds_of(job_id) > time.time() + AHEAD:
            self._ahead.append(job_id)

    def _double(self, job_id: str, paths: set[str]) -> Iterator[Suspicion]:
        layout = self._ground.layout
        paths = paths | {path for _, path, _ in lookup.places(layout, job_id)}
        there = sorted(path for path in paths if reading.status(path) is not None)
        if len(there) < 2:
            return
        told = "in " + " and ".join(os.path.relpath(os.path.dirname(p), layout.root) for p in there)
        still = self._ground.sight(*there)
        in_hand = partial(_is_held, self._ground)
        yield Suspicion(
            found("double", job_id, told), still, keep_one(layout, there, still, in_hand)
        )

    def _is_in_hand(self, directory: str) -> bool:
        owner = owner_of(directory)
        return owner is not None and self._ground.alive(owner)


def _is_held(ground: Ground, path: str) -> bool:
    """Tell whether a document lies with a living worker, who may be about to replace it."""
    directory = os.path.dirname(path)
    if os.path.dirname(directory) != ground.layout.wip:
        return False
    owner = owner_of(os.path.basename(directory))
    return owner is not None and ground.alive(owner)


def _number(job_id: str) -> int:
    return int(job_id.replace("-", ""), 16)


def _is_place(state: State, name: str) -> bool:
    if state is State.WIP:
        return owner_of(name) is not None or (
            name.endswith(RETURNED) and owner_of(victim_of(name)) is not None
        )
    return is_pending_bucket(name) if state is State.PENDING else is_bucket(name)


def _is_right(state: State, directory: str, job_id: str) -> bool:
    """Tell whether a job may lie in a directory, as far as its id says it."""
    if state in (State.WIP, State.DELAYED):
        return True
    return (
        directory[2:] == bucket_of(job_id)
        if state is State.PENDING
        else (directory == bucket_of(job_id))
    )
