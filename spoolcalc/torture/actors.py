"""What the processes of the storm do, each until its time is over.

They use the spool as everybody does, and note what they were told: what was printed to a user, what
a worker reported, what was delivered.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from typing import TYPE_CHECKING

from spoolcalc.errors import CorruptDocument, NoSuchJob, NotFinished, StorageFailure
from spoolcalc.job import State
from spoolcalc.reporting import Report
from spoolcalc.spool import Spool
from spoolcalc.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spoolcalc.errors import SpoolError
    from spoolcalc.job import Job, Outcome
    from spoolcalc.sweep import Swept
    from spoolcalc.torture.journal import Journal

    Act = Callable[[Journal], object]

#: No worker that lives is given up within a storm,
LONG_LEASE = 3_600.0
#: but for those that are stopped to see what they do when they come back.
SHORT_LEASE = 1.0
#: No job becomes poison, however many workers are killed.
MAX_CRASHES = 1_000_000
#: So many jobs wait at most, about: who submits waits for the workers.
BACKLOG = 60


def worker(root: str, until: float, *, lease: float = LONG_LEASE) -> Act:
    """Run jobs as ``spool work`` does."""

    def act(journal: Journal) -> None:
        if lease < LONG_LEASE:
            journal.note("short")
        it = Worker(Spool(root), lease=lease, poll=0.05, report=_Noted(journal))
        signal.signal(signal.SIGTERM, lambda *_: it.stop())
        signal.setitimer(signal.ITIMER_REAL, max(0.01, until - time.monotonic()))
        signal.signal(signal.SIGALRM, lambda *_: it.stop())
        it.run()

    return act


class _Noted(Report):
    """Notes what a worker reports."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def started(self, worker: str) -> None:
        self._journal.note("as", worker)

    def claimed(self, job: Job) -> None:
        self._journal.note("claimed", job.id)

    def ended(self, job: Job, outcome: Outcome, seconds: float) -> None:  # noqa: ARG002 - as told
        self._journal.note("ended", job.id, outcome.state.value, outcome.result)

    def returned(self, job: Job, unknown: str | None = None) -> None:  # noqa: ARG002 - as told
        self._journal.note("returned", job.id)

    def discarded(self, job: Job) -> None:
        self._journal.note("discarded", job.id)

    def swept(self, swept: Swept) -> None:
        for name, reason in swept.workers.items():
            self._journal.note("gave-up", name, reason)

    def trouble(self, error: SpoolError, **_: object) -> None:
        self._journal.note("refused", error.message)


def submitter(root: str, until: float) -> Act:
    """Submit sums, one by one and in groups, now and then for a little later."""

    def act(journal: Journal) -> None:
        spool = Spool(root)
        for _ in _rounds(until):
            while _waiting(spool) > BACKLOG and time.monotonic() < until:
                time.sleep(0.02)
            number = random.choice((1, 1, 1, 2, 8))
            sums = [_operands() for _ in range(number)]
            if number == 1:
                delay = random.random() if random.random() < 0.2 else None
                ids = [spool.submit("add", sums[0], delay=delay, max_crashes=MAX_CRASHES)]
            else:
                ids = list(spool.submit_many((("add", s) for s in sums), max_crashes=MAX_CRASHES))
            journal.note_all(
                [("printed", job_id, *operands) for job_id, operands in zip(ids, sums, strict=True)]
            )

    return act


def fetcher(root: str, until: float) -> Act:
    """Fetch what is completed; that it was delivered is noted before it is marked."""

    def act(journal: Journal) -> None:
        spool = Spool(root)
        for _ in _rounds(until):
            for job in itertools.islice(spool.list(State.COMPLETED), 20):
                try:
                    spool.fetch(job.id, lambda it: journal.note("delivered", it.id, it.result))
                except NoSuchJob:
                    continue  # another one fetched it, and it was cleaned
                except NotFinished:
                    journal.note("unfinished", job.id)
            time.sleep(0.02)

    return act


def cleaner(root: str, until: float) -> Act:
    """Remove what was fetched, at once."""

    def act(journal: Journal) -> None:
        spool = Spool(root)
        for _ in _rounds(until):
            journal.note("cleaned", spool.clean().retrieved)
            time.sleep(0.1)

    return act


def reader(root: str, until: float, journals: str) -> Act:
    """Look up jobs whose ids were printed."""

    def act(journal: Journal) -> None:
        spool = Spool(root)
        known: list[str] = []
        read: dict[str, int] = {}
        for number in _rounds(until):
            if number % 50 == 0:
                known += _printed(journals, read)
            if not known:
                time.sleep(0.01)
                continue
            job_id = random.choice(known[-200:])
            if not _look(spool, job_id, journal):
                known.remove(job_id)
            if number % 50 == 49:
                journal.note("looked", 50)
            time.sleep(0.001)

    return act


def _look(spool: Spool, job_id: str, journal: Journal) -> bool:
    """Look a job up; False if it cannot be found."""
    try:
        spool.find(job_id)
    except CorruptDocument as error:
        journal.note("torn", job_id, error.message)
    except NoSuchJob:
        journal.note("missing", job_id)
        return False
    return True


def _printed(journals: str, read: dict[str, int]) -> list[str]:
    """Return the ids that were printed since the last look."""
    ids = []
    for name in os.listdir(journals):
        if name.startswith("submitter."):
            with open(f"{journals}/{name}", "rb") as file:
                file.seek(read.get(name, 0))
                whole, newline, _ = file.read().rpartition(b"\n")
            read[name] = read.get(name, 0) + len(whole) + len(newline)
            lines = [line.split() for line in whole.decode().splitlines()]
            ids += [line[2] for line in lines if line[1] == "printed"]
    return ids


def _operands() -> tuple[str, str]:
    return str(random.randrange(10**6)), str(random.randrange(10**6))


def _waiting(spool: Spool) -> int:
    counts = spool.counts()
    return counts[State.PENDING] + counts[State.DELAYED]


def _rounds(until: float) -> Iterator[int]:
    """Yield numbers until the time is over."""
    for number in itertools.count():
        if time.monotonic() >= until:
            return
        yield number


def enduring(act: Act) -> Act:
    """Have what the environment refuses noted, and tried again."""

    def again(journal: Journal) -> None:
        for _ in range(1_000):
            try:
                act(journal)
            except StorageFailure as error:
                journal.note("refused", error.message)
                time.sleep(0.1)
            else:
                return

    return again
