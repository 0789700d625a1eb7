"""What is noted beside the jobs (who waits for whom, keys), files to adopt, and rejected ones."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

from spoolcalc import inbox, keys, lookup, reading, waits
from spoolcalc.dependants import SUBMITTING
from spoolcalc.doctor.findings import Suspicion, found
from spoolcalc.doctor.ground import INDEX
from spoolcalc.doctor.leftovers import is_somewhere, sweeping
from spoolcalc.doctor.repair import into_corrupt
from spoolcalc.document import MAX_DOCUMENT
from spoolcalc.errors import CorruptDocument, NewerFormat, NoSuchJob
from spoolcalc.ids import is_id
from spoolcalc.job import State
from spoolcalc.layout import name_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from spoolcalc.doctor.ground import Ground
    from spoolcalc.hand import Hand

#: A file in ``inbox/`` that is younger than this (seconds) is left to the workers.
FRESH = 5.0
_NEW = ".new"


def look(ground: Ground) -> Iterator[Suspicion]:
    """Look at all of it; of an index, at the first names, unless it is a deep look."""
    yield from _waits(ground)
    yield from _blocked(ground)
    yield from _keys(ground)
    yield from _inbox(ground)
    number = lookup.count_corrupt(ground.layout)
    if number:
        path = ground.layout.corrupt
        yield Suspicion(found("corrupt", path, f"{number} things"))


def _some(ground: Ground, path: str) -> Iterator[os.DirEntry[str]]:
    return islice(reading.scan(path), None if ground.deep else INDEX)


def _waits(ground: Ground) -> Iterator[Suspicion]:
    """Find notes of jobs that have ended, or are nowhere."""
    layout = ground.layout
    for entry in _some(ground, layout.waits):
        job_id = entry.name.removesuffix(_NEW)
        if entry.name != job_id:
            status = reading.status(entry.path)
            if status is None or ground.now - status.st_mtime <= SUBMITTING:
                continue
            seen = ground.sight(entry.path)
            told = "a submit that came to no end"
            yield Suspicion(found("stale-index", entry.path, told), seen, sweeping(ground, seen))
        elif is_id(job_id) and not _waits_still(ground, job_id):
            yield _stale(ground, entry.path, job_id, waits.needs_of(layout, job_id))
    listening = (
        (needed, waiting)
        for needed in _some(ground, layout.waited)
        for waiting in reading.scan(needed.path)
    )
    for needed, waiting in islice(listening, None if ground.deep else INDEX):
        if is_id(waiting.name) and not _waits_still(ground, waiting.name):
            yield _stale(ground, waiting.path, waiting.name, [needed.name])


def _stale(ground: Ground, path: str, job_id: str, needed: list[str]) -> Suspicion:
    def still() -> bool:
        return reading.status(path) is not None and not _waits_still(ground, job_id)

    def mend(_: Hand) -> bool:
        if still():
            waits.forget(ground.layout, job_id, needed)
        return reading.status(path) is None

    return Suspicion(found("stale-index", path, f"{job_id} does not wait"), still, mend)


def _waits_still(ground: Ground, job_id: str) -> bool:
    """Tell whether a job has not ended, or is only being submitted."""
    if waits.is_new(ground.layout, job_id):
        return True
    try:
        return not lookup.find(ground.layout, job_id)[0].state.finished
    except NoSuchJob:
        return False
    except (CorruptDocument, NewerFormat):
        return True  # the census tells of it


def _blocked(ground: Ground) -> Iterator[Suspicion]:
    """Find blocked jobs of which nobody noted what they wait for."""
    layout = ground.layout
    for path, job_id, _ in islice(
        lookup.walk(layout, State.BLOCKED), None if ground.deep else INDEX
    ):
        still = _unnoted(ground, path, job_id)
        if still():
            told = "what it waits for is not noted"
            yield Suspicion(found("blocked", job_id, told), still, sweeping(ground, still))


def _unnoted(ground: Ground, path: str, job_id: str) -> Callable[[], bool]:
    def still() -> bool:
        return (
            not waits.is_new(ground.layout, job_id)
            and reading.status(f"{ground.layout.waits}/{job_id}") is None
            and reading.status(path) is not None
        )

    return still


def _keys(ground: Ground) -> Iterator[Suspicion]:
    layout = ground.layout
    for entry in _some(ground, layout.keys):
        if entry.name.startswith(".nfs"):
            continue
        job_id = keys.job_in(entry.path)
        if job_id is None:
            seen = ground.sight(entry.path)
            told = "not a key as we write it"
            mend = into_corrupt(layout, entry.path, told)
            yield Suspicion(found("stale-key", entry.path, told), seen, mend)
        elif not is_somewhere(ground, job_id):
            yield Suspicion(
                found("stale-key", entry.path, f"its job {job_id} is not there"),
                lambda path=entry.path: keys.is_stale(layout, path),  # type: ignore[misc] # bound
                lambda _, path=entry.path: keys.drop_stale(layout, path),  # type: ignore[misc] # bound
            )


def _inbox(ground: Ground) -> Iterator[Suspicion]:
    layout = ground.layout
    for entry in _some(ground, layout.inbox):
        status = reading.status(entry.path)
        if entry.name.startswith(".") or status is None or ground.now - status.st_mtime < FRESH:
            continue
        wrong = _unfit(entry.path, entry.name)
        if wrong is not None:
            seen = ground.sight(entry.path)
            mend = into_corrupt(layout, entry.path, wrong)
            yield Suspicion(found("inbox-bad", entry.path, wrong), seen, mend)


def _unfit(path: str, name: str) -> str | None:
    """Return why a file cannot be made a job, as far as a look at it tells."""
    if name_of(name) is None:
        return inbox.BAD_NAME
    try:
        read = reading.read(path, MAX_DOCUMENT)
        asked = json.loads(read[0]) if read else {"operation": "", "operands": []}
    except reading.Unreadable as error:
        return str(error)
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error})"
    if not isinstance(asked, dict):
        return "not a JSON object"
    missing = [field for field in ("operation", "operands") if field not in asked]
    return f"the field {missing[0]!r} is missing" if missing else None
