"""Finding jobs: by id, by state, by number.  Reads only, and never waits for anybody.

A reader walks the states in the order in which jobs flow, so that a job that moves on while it
looks is met further down.  Jobs also go back (a worker died, a job was returned), so that a reader
looks again before it says "no such job".
"""

from __future__ import annotations

import json
import os

from spoolcalc import reading
from spoolcalc.document import MAX_DOCUMENT, Malformed, decode
from spoolcalc.errors import (
    BadJobId,
    CorruptDocument,
    NewerFormat,
    NoSuchJob,
    Quarantined,
    SpoolUnusable,
    shown,
)
from spoolcalc.ids import is_id
from spoolcalc.job import COMMAND, PRIORITIES, Job, State
from spoolcalc.layout import PROGRESS, file_name, id_of, is_bucket, is_pending_bucket, victim_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spoolcalc.layout import Layout

#: The largest note beside a job, in bytes, that is read.
LARGEST_NOTE = 64 * 1024
#: How often all states are walked before a job is said to be nowhere.
LOOKS = 3

_FINISHED = (State.COMPLETED, State.FAILED, State.RETRIEVED)


def find(layout: Layout, job_id: str) -> tuple[Job, str]:
    """Return a job and the path where it lay.

    Raises :class:`~spoolcalc.errors.BadJobId`, :class:`~spoolcalc.errors.NoSuchJob` (of what lies
    in ``corrupt/``, as its kind :class:`~spoolcalc.errors.Quarantined`), or
    :class:`~spoolcalc.errors.CorruptDocument`.  Costs at most some 20 system calls and one for each
    worker, however many jobs there are; one that is delayed, or nowhere, costs one more for each
    bucket of ``delayed/``, and what is nowhere is looked for ``LOOKS`` times.
    """
    if not is_id(job_id):
        raise BadJobId(
            f"not a job id: {shown(job_id)}",
            "An id is what `spool submit` prints, like 019ab2c4-5d6e-7f80-9a1b-2c3d4e5f6071.",
        )
    for _ in range(LOOKS):
        for state, path, worker in places(layout, job_id):
            found = load(state, path, worker)
            if found is not None:
                return found, path
    lies = rejection(layout, file_name(job_id).__eq__)
    if lies is not None and reading.status(lies[0]) is not None:
        raise Quarantined(job_id, *lies)
    raise NoSuchJob(
        f"no such job: {job_id} in {layout.root}", "It was never submitted here, or it was cleaned."
    )


def load(state: State, path: str, worker: str | None = None) -> Job | None:
    """Return the job at ``path``, or None if it is not there (any more)."""
    try:
        read = reading.read(path, MAX_DOCUMENT)
        if read is None:
            return None
        data, status = read
        return _placed(Job(decode(data), state, worker=worker, updated=status.st_ctime), path)
    except (reading.Unreadable, Malformed) as error:
        raise CorruptDocument(path, str(error)) from error


def _placed(job: Job, path: str) -> Job:
    """Return a job; raise Malformed if its document cannot belong where it lies."""
    if job.id != id_of(os.path.basename(path)):
        raise Malformed("the file's name is not the id inside it")
    outcome = job.outcome
    expected = State.COMPLETED if job.state is State.RETRIEVED else job.state
    if job.state.finished and (outcome is None or outcome.state is not expected):
        raise Malformed(f"it has no outcome of a job that is {job.state}")
    return job


def load_if_readable(state: State, path: str, worker: str | None = None) -> Job | None:
    """Return the job at ``path``, or None if it is not there or is no job this version can read."""
    try:
        return load(state, path, worker)
    except (CorruptDocument, NewerFormat):
        return None


def walk(
    layout: Layout,
    state: State,
    *,
    behind: tuple[str, str] = ("", ""),
    backwards: bool = False,
) -> Iterator[tuple[str, str, str | None]]:
    """Yield the path, the id and the worker (in ``wip``) of each job in a state, in order.

    In ``pending`` that is the order in which they will be taken; elsewhere, that of submission.
    ``behind`` is where to begin: behind the job of that directory and id.
    """
    top = layout.state(state)
    is_right = {State.PENDING: is_pending_bucket, State.WIP: _is_any}.get(state, is_bucket)
    for directory in sorted(filter(is_right, reading.directories(top)), reverse=backwards):
        if directory < behind[0]:
            continue
        worker = victim_of(directory) if state is State.WIP else None
        for name in sorted(reading.names(f"{top}/{directory}") or (), reverse=backwards):
            job_id = id_of(name)
            if job_id is not None and (directory, job_id) > behind:
                yield f"{top}/{directory}/{name}", job_id, worker


def count(layout: Layout, state: State) -> int:
    """Return how many jobs are in a state.  Reads names only, once each."""
    top = layout.state(state)
    return sum(
        sum(1 for name in reading.names(f"{top}/{directory}") or () if id_of(name) is not None)
        for directory in reading.directories(top)
    )


def output_of(layout: Layout, job: Job, stream: str) -> str | None:
    """Return the file that keeps ``stream`` (stdout, stderr) of a job's newest attempt, if any."""
    ended = [(number, attempt.worker) for number, attempt in enumerate(job.attempts, 1)]
    if job.state is State.WIP and job.worker is not None:
        ended.append((len(ended) + 1, job.worker))
    for number, worker in reversed(ended):
        path = layout.output_of(job.id, number, worker, stream)
        if reading.status(path) is not None:
            return path
    return None


def progress_of(layout: Layout, job: Job) -> dict[str, object] | None:
    """Return what a running job last told of how far it is: ``fraction``, ``text`` and ``at``."""
    path = f"{layout.wip_of(job.worker or '')}/{job.id}{PROGRESS}"
    try:
        found = reading.read(path, LARGEST_NOTE)
        told = json.loads(found[0]) if found else None
    except (reading.Unreadable, ValueError, RecursionError):
        return None  # being written
    return told if isinstance(told, dict) else None


def beside(layout: Layout, job: Job) -> dict[str, object]:
    """Return what lies beside a job's document, if it has that: its progress, its output."""
    more: dict[str, object] = {}
    if job.state is State.WIP:
        more["progress"] = progress_of(layout, job)
    if job.operation == COMMAND:
        more["output"] = {name: output_of(layout, job, name) for name in ("stdout", "stderr")}
    return more


def output_gone(layout: Layout, job: Job) -> SpoolUnusable:
    """Return the error of a command whose output is not where it should be."""
    return SpoolUnusable(
        f"what job {job.id} wrote is gone from {layout.output}",
        "Only `spool clean` should remove it, with its job.",
    )


def count_inbox(layout: Layout) -> int:
    """Return how many files wait to be made jobs."""
    return sum(1 for name in reading.names(layout.inbox) or () if not name.startswith("."))


def count_corrupt(layout: Layout) -> int:
    """Return how many things lie in ``corrupt/``, their reasons not counted."""
    return sum(1 for name in reading.names(layout.corrupt) or () if not name.endswith(".reason"))


def rejection(layout: Layout, is_meant: Callable[[str], bool]) -> tuple[str, str] | None:
    """Return where in ``corrupt/`` the latest file lies whose name was meant, and why."""
    found: list[tuple[str, str, str]] = []
    for name in reading.names(layout.corrupt) or ():
        kept = name.removesuffix(".reason")
        if kept == name or not is_meant(kept.rpartition(".")[0]):
            continue
        try:
            read = reading.read(f"{layout.corrupt}/{name}", LARGEST_NOTE)
            told = json.loads(read[0]) if read else {}
            moved, reason = str(told["moved"]), str(told["reason"])
        except (ValueError, RecursionError, LookupError, TypeError, reading.Unreadable):
            continue
        found.append((moved, f"{layout.corrupt}/{kept}", reason))
    return max(found)[1:] if found else None


def places(layout: Layout, job_id: str) -> Iterator[tuple[State, str, str | None]]:
    """Yield where a job may lie: the state, the path, and the worker (in ``wip``)."""
    name = file_name(job_id)
    for priority in PRIORITIES:
        yield State.PENDING, f"{layout.pending_bucket(priority, job_id)}/{name}", None
    for directory in reading.directories(layout.wip):
        yield State.WIP, f"{layout.wip_of(directory)}/{name}", victim_of(directory)
    for state in _FINISHED:
        yield state, f"{layout.finished_bucket(state, job_id)}/{name}", None
    # Those that wait come last: their places cost more to look through, and few are asked for.
    yield State.BLOCKED, f"{layout.blocked_bucket(job_id)}/{name}", None
    for bucket in filter(is_bucket, reading.directories(layout.delayed)):
        yield State.DELAYED, f"{layout.delayed}/{bucket}/{name}", None


def _is_any(name: str) -> bool:
    return os.sep not in name
