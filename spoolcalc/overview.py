"""The whole spool at one look: how many jobs in each state, how old, and who works on what."""

from __future__ import annotations

import itertools
import time

from spoolcalc import liveness, lookup, reading
from spoolcalc.errors import shown
from spoolcalc.ids import seconds_of
from spoolcalc.job import COMMAND, State
from spoolcalc.layout import id_of, is_hand, is_pending_bucket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.job import Job
    from spoolcalc.layout import Layout

#: How many pending jobs are looked at for one that no worker can run.
NEXT = 16


class WorkerView:
    """A living worker: its name, host, process id and start (RFC 3339), and the jobs it is at."""

    __slots__ = ("host", "jobs", "pid", "started", "worker")

    def __init__(self, worker: str, host: str, pid: int, started: str, jobs: list[Job]) -> None:
        self.worker = worker
        self.host = host
        self.pid = pid
        self.started = started
        self.jobs = jobs


class Overview:
    """``oldest`` is the age of the oldest pending job in seconds, None if there is none.

    ``inbox`` is how many files wait to be made jobs; ``stuck`` says, in one line, that workers are
    alive and none of them can run what is pending, as far as that was looked at.
    """

    __slots__ = ("corrupt", "counts", "inbox", "oldest", "path", "stuck", "workers")

    def __init__(
        self,
        path: str,
        counts: dict[State, int],
        corrupt: int,
        inbox: int,
        oldest: float | None,
        workers: list[WorkerView],
        stuck: str | None = None,
    ) -> None:
        self.path = path
        self.counts = counts
        self.corrupt = corrupt
        self.inbox = inbox
        self.oldest = oldest
        self.workers = workers
        self.stuck = stuck

    @property
    def hint(self) -> str | None:
        """What the administrator should do now, if anything."""
        waiting = sum(number for state, number in self.counts.items() if not state.finished)
        waiting += self.inbox
        if waiting and not self.workers:
            jobs = "1 job waits" if waiting == 1 else f"{waiting} jobs wait"
            return f"{jobs} and no worker is alive: start one with `spool work`"
        if self.stuck:
            return self.stuck
        if self.corrupt:
            return f"{self.corrupt} unreadable in {self.path}/corrupt; each has its .reason there"
        return None


def overview(layout: Layout) -> Overview:
    """Look at the whole spool.

    One listing of every directory; no document but those in wip, and when jobs wait although no
    worker is at any, the next few of these.
    """
    counts = {state: lookup.count(layout, state) for state in State}
    corrupt, inbox = lookup.count_corrupt(layout), lookup.count_inbox(layout)
    views = workers(layout)
    idle = counts[State.PENDING] and views and not any(view.jobs for view in views)
    stuck = _stuck(layout, views) if idle else None
    return Overview(layout.root, counts, corrupt, inbox, oldest(layout), views, stuck)


def _stuck(layout: Layout, views: list[WorkerView]) -> str | None:
    """Say that a job which is next cannot be run by any of these workers, if one cannot."""
    for path, _, _ in itertools.islice(lookup.walk(layout, State.PENDING), NEXT):
        job = lookup.load_if_readable(State.PENDING, path)
        if job is None or any(liveness.may_know(layout, v.worker, job.operation) for v in views):
            continue
        told = f"no living worker can run {shown(job.operation)}, of which jobs wait"
        if job.operation == COMMAND:
            return f"{told}: in a shared spool it takes `spool work --allow {COMMAND}`"
        return f"{told}: install its package where workers run"
    return None


def has_worker(layout: Layout) -> bool:
    """Tell whether any worker is alive."""
    return any(
        not is_hand(worker) and liveness.alive(layout, worker)
        for worker in liveness.workers(layout)
    )


def oldest(layout: Layout) -> float | None:
    """Return the age (seconds) of the oldest pending job, None if there is none."""
    first: dict[str, str] = {}  # the oldest job of each priority
    for bucket in sorted(filter(is_pending_bucket, reading.names(layout.pending) or ())):
        if bucket[0] not in first:  # the buckets before it were empty: their last jobs run
            ids = map(id_of, reading.names(f"{layout.pending}/{bucket}") or ())
            if job_id := min(filter(None, ids), default=None):
                first[bucket[0]] = job_id
    return max(0.0, time.time() - seconds_of(min(first.values()))) if first else None


def workers(layout: Layout) -> list[WorkerView]:
    """Return the living workers, and what they are at."""
    jobs: dict[str, list[Job]] = {}
    for path, _, worker in lookup.walk(layout, State.WIP):
        job = lookup.load_if_readable(State.WIP, path, worker)
        if job is not None and worker is not None:
            jobs.setdefault(worker, []).append(job)
    views = []
    for worker in liveness.workers(layout):
        if not is_hand(worker) and liveness.alive(layout, worker):
            told = liveness.read_identity(layout, worker)
            host, pid = str(told.get("host", "?")), int(told.get("pid", 0))
            started = str(told.get("started", "?"))
            views.append(WorkerView(worker, host, pid, started, jobs.get(worker, [])))
    return views
