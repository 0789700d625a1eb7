"""Who works, since when something waits, and whether it waits in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spoolcalc import byhand, liveness, lookup, operations, reading
from spoolcalc.doctor.findings import Severity, Suspicion, found
from spoolcalc.ids import seconds_of
from spoolcalc.job import DEFAULT_LEASE, State
from spoolcalc.layout import due_from, id_of, is_bucket, is_hand, is_pending_bucket

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from spoolcalc.doctor.ground import Ground

#: For so long (seconds) jobs may wait with nobody working: cron comes every minute.
UNTENDED = 120.0
#: So many of the jobs that are next are asked how long they wait, and what they are.
NEXT = 1_000
#: A bucket of ``delayed/`` is that long, in seconds.
_BUCKET = 65.536


def look(ground: Ground) -> Iterator[Suspicion]:
    """Tell of the workers, of what waits for them, and of a pause."""
    alive = ground.workers()
    waits = longest_wait(ground)
    yield Suspicion(found("workers", ground.layout.root, _told(ground, alive, waits), Severity.OK))
    for worker in alive:
        yield from _silent(ground, worker)
    paused = byhand.paused(ground.layout)
    if paused is not None:
        told = f"since {paused['since']}" + (f": {paused['reason']}" if paused["reason"] else "")
        again = lambda: byhand.paused(ground.layout) is not None  # noqa: E731 - a second look
        yield Suspicion(found("paused", ground.layout.paused, told), again)
    elif waits is not None and not alive:
        if waits > min(UNTENDED, ground.patience):
            severity = Severity.CRITICAL if waits > ground.patience else Severity.WARNING
            told = f"the oldest one waits for {waits:.0f} s"
            yield Suspicion(
                found("workers", ground.layout.root, told, severity),
                lambda: not ground.workers() and longest_wait(ground) is not None,
            )
    elif waits is not None and waits > ground.patience:
        told = f"for {waits:.0f} s, and {ground.patience:.0f} s is the limit"
        yield Suspicion(
            found("waiting", ground.layout.pending, told),
            lambda: (longest_wait(ground) or 0.0) > ground.patience,
        )
    yield from _unknown(ground, alive)


def longest_wait(ground: Ground) -> float | None:
    """Return how long (seconds) the oldest job has waited that could be run; None if none does."""
    layout = ground.layout
    waits = []
    seen: set[str] = set()  # the priorities whose oldest bucket that is not empty was found
    for bucket in sorted(filter(is_pending_bucket, reading.names(layout.pending) or ())):
        path = f"{layout.pending}/{bucket}"
        names = [] if bucket[0] in seen else reading.names(path) or []
        seen.update(bucket[:1] if names else "")
        for name in sorted(names)[: NEXT // 10]:
            job_id = id_of(name)
            status = reading.status(f"{path}/{name}")
            if job_id is not None and status is not None:
                waits.append(ground.now - _runnable_since(status, job_id))
    for bucket in filter(is_bucket, reading.directories(layout.delayed)):
        over = ground.now - due_from(bucket) - _BUCKET
        if over > 0 and reading.names(f"{layout.delayed}/{bucket}"):
            waits.append(over)
    for name in reading.names(layout.inbox) or ():
        status = None if name.startswith(".") else reading.status(f"{layout.inbox}/{name}")
        if status is not None:
            waits.append(ground.now - max(status.st_mtime, status.st_ctime))
    return max(0.0, *waits) if waits else None


def _runnable_since(status: os.stat_result, job_id: str) -> float:
    """Return when a job came to be runnable: it may have been delayed, blocked, or put back."""
    return max(seconds_of(job_id), status.st_mtime, status.st_ctime)


def _told(ground: Ground, alive: list[str], waits: float | None) -> str:
    told = f"{len(alive)} alive"
    sign = _last_sign(ground)
    if sign is not None:
        told += f", the last sign of one {max(0.0, ground.now - sign):.0f} s ago"
    return told + ("" if waits is None else f"; the oldest job waits for {waits:.0f} s")


def _last_sign(ground: Ground) -> float | None:
    """Return when a worker last showed that it was there, or a job got its outcome."""
    layout = ground.layout
    marks = [layout.done]
    marks += [layout.lock_of(w) for w in liveness.workers(layout) if not is_hand(w)]
    times = [status.st_mtime for path in marks if (status := reading.status(path)) is not None]
    return max(times) if times else None


def _silent(ground: Ground, worker: str) -> Iterator[Suspicion]:
    """Find that a worker is there, and has not touched its file for longer than its lease."""
    path = ground.layout.lock_of(worker)
    lease = float(liveness.read_identity(ground.layout, worker).get("lease", DEFAULT_LEASE))
    status = reading.status(path)
    if status is not None and ground.now - status.st_mtime > lease:
        told = f"for {ground.now - status.st_mtime:.0f} s, and its lease is {lease:.0f} s"
        yield Suspicion(found("silent-worker", path, told), ground.sight(path))


def _unknown(ground: Ground, alive: list[str]) -> Iterator[Suspicion]:
    """Find jobs that nobody can run; a worker that has not noted what it knows may know it."""
    waiting: dict[str, tuple[str, str, int]] = {}
    for number, (path, job_id, _) in enumerate(lookup.walk(ground.layout, State.PENDING)):
        if number >= NEXT and not ground.deep:
            break
        job = lookup.load_if_readable(State.PENDING, path)
        if job is not None:
            _, _, before = waiting.get(job.operation, ("", "", 0))
            waiting[job.operation] = job_id, path, before + 1
    for operation, (job_id, path, number) in sorted(waiting.items()):
        if _is_known(ground, alive, operation):
            continue
        who = "no worker" if alive else "this installation"
        told = f"{operation}: {number} pending jobs, and {who} knows it"
        told = told if alive else told.replace("knows it", "does not know it")
        yield Suspicion(
            found("unknown-operation", job_id, told),
            lambda path=path, operation=operation: (  # type: ignore[misc] # bound as they are now
                reading.status(path) is not None
                and not _is_known(ground, ground.workers(), operation)
            ),
        )


def _is_known(ground: Ground, alive: list[str], operation: str) -> bool:
    if not alive:
        return operations.is_offered(operation)
    return any(liveness.may_know(ground.layout, worker, operation) for worker in alive)
