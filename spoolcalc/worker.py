"""The worker: claim, execute, finish, until told to stop.

It knows no signals and prints nothing: :meth:`Worker.stop` and :meth:`Worker.stop_now` are called
by whoever catches them, and a :class:`Report` is told what happens.  What the environment refuses
(disk full, no permission) costs a job nothing: the worker says so, waits, and tries again, or with
``once`` hands back what it holds and raises.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress

from spoolcalc.batch import Batch, is_sociable
from spoolcalc.bell import Bell
from spoolcalc.errors import SpoolError, StorageFailure
from spoolcalc.execute import execute, knows
from spoolcalc.job import Outcome
from spoolcalc.keeper import Keeper
from spoolcalc.lease import DEFAULT_LEASE, Lease
from spoolcalc.sweep import hand_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.job import Job, State
    from spoolcalc.spool import Spool
    from spoolcalc.sweep import Swept
    from spoolcalc.transitions import Claim

#: How often (seconds) an idle worker looks although no bell rang.
DEFAULT_POLL = 2.0
#: The first and the longest pause (seconds) after the environment refused something.
PAUSE, LONGEST_PAUSE = 0.5, 30.0


class Interrupted(BaseException):
    """The job at hand was broken off; it goes back to pending, uncharged."""


class Report:
    """Is told what a worker does.  This one ignores it all; others override what they show."""

    def started(self, worker: str) -> None:
        """Begin to work under the name ``worker``."""

    def claimed(self, job: Job) -> None:
        """Take a job, about to be run."""

    def ended(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Record an outcome, after ``seconds`` of running."""

    def postponed(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Record a failure after ``seconds`` of running; the job will be tried again."""

    def discarded(self, job: Job) -> None:
        """Throw away an outcome: the job was given to another worker meanwhile."""

    def swept(self, swept: Swept) -> None:
        """Give others' jobs on."""

    def trouble(self, error: SpoolError) -> None:
        """Meet a refusal of the environment."""


class Worker:
    """Works on a spool's jobs, one at a time.

    ``lease`` is how long (seconds) it may be silent before its jobs are given to others; ``once``
    ends it when nothing can be run; ``max_jobs`` and ``max_time`` (seconds) when so many jobs were
    run, or before the first job after that time; ``poll`` is how often (seconds) it looks by
    itself when idle.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        lease: float = DEFAULT_LEASE,
        once: bool = False,
        max_jobs: int | None = None,
        max_time: float | None = None,
        poll: float = DEFAULT_POLL,
        report: Report | None = None,
    ) -> None:
        self._spool = spool
        self._seconds = lease
        self._once = once
        self._max_jobs = max_jobs
        self._max_time = max_time
        self._poll = poll
        self._report = report or Report()
        self._batch = Batch(spool, self._recorded)
        self._bell = Bell(spool.layout.bell)
        self._stopping = False
        self._computing = False
        self._jobs = 0
        self._pause = PAUSE

    def stop(self) -> None:
        """Finish the job at hand, and then end.  May be called from a signal handler."""
        self._stopping = True
        self._bell.wake()

    def stop_now(self) -> None:
        """End at once: raises :class:`Interrupted` into a running job.  For signal handlers."""
        self.stop()
        if self._computing:
            raise Interrupted

    def run(self) -> int:
        """Work; return the number of jobs that were run.

        Raises :class:`~spoolcalc.errors.SpoolUnusable` if the spool cannot be used at the start or,
        with ``once``, later; and :class:`Interrupted` after :meth:`stop_now`.
        """
        self._started = time.monotonic()
        with self._bell:
            self._lease = Lease.take(self._spool.layout, self._seconds)
            self._keeper = Keeper(
                self._spool, self._lease, self._report.swept, self._report.trouble
            )
            try:
                self._work()
            finally:
                try:
                    with suppress(StorageFailure):  # told before; what is left is handed back
                        self._batch.flush()  # else what was done would be done again
                finally:
                    if self._keeper.is_alive():
                        self._keeper.end()
                    self._spool.leave(self._lease)
        return self._jobs

    def _work(self) -> None:
        self._report.started(self._lease.worker)
        self._report.swept(self._spool.sweep(self._lease))
        self._keeper.start()
        refused = False
        while not self._stopping and not self._spent():
            try:
                if refused:  # what was claimed and could not be read must not stay with us
                    if not self._record():
                        break
                    hand_back(self._spool.layout, self._lease)
                    refused = False
                if not self._step():
                    break
                self._pause = PAUSE
            except StorageFailure as error:
                refused = True
                self._endure(error)
        self._record()

    def _step(self) -> bool:
        """Do one job, or sleep until there may be one; False when there is no more to do."""
        if self._batch and (self._batch.due or not self._spool.sees_more):
            self._record()
            return True
        if self._lease.doubtful and self._lease.renew() is None:
            self._register_again()
        claimed = self._spool.claim(self._lease, knows)
        if claimed is not None:
            self._do(claimed)
        elif self._batch:
            self._record()
        elif self._lease.fenced():
            self._register_again()
        elif self._once:
            return False
        else:
            self._bell.wait(min(self._poll, self._time_left(), self._spool.rest))
        return True

    def _do(self, claimed: Claim) -> None:
        alone = not is_sociable(claimed)
        if alone and not self._record():
            return  # told to stop: it is handed back unrun
        job = claimed.job
        operands = self._spool.operands(claimed)
        if operands is None:
            return
        self._report.claimed(job)
        began = time.perf_counter()
        if isinstance(operands, Outcome):
            self._spool.conclude(claimed, operands)
            self._recorded(job, operands, 0.0, operands.state)
            return
        self._computing = True
        try:
            outcome = execute(job.operation, operands)
        finally:
            self._computing = False
        self._batch.add(claimed, outcome, time.perf_counter() - began)
        self._jobs += 1
        if alone:
            self._record()

    def _recorded(self, job: Job, outcome: Outcome, seconds: float, went: State | None) -> None:
        if went is None:
            self._report.discarded(job)
        elif went.finished:
            self._report.ended(job, outcome, seconds)
        else:
            self._report.postponed(job, outcome, seconds)

    def _record(self) -> bool:
        """Record the outcomes in hand; while refused, try again until told to stop (False)."""
        while self._batch:
            try:
                self._batch.flush()
            except StorageFailure as error:
                if self._stopping:
                    self._report.trouble(error)
                    return False
                self._endure(error)
        return True

    def _endure(self, error: StorageFailure) -> None:
        """Say what the environment refused, and wait for it to get better."""
        if self._once:
            raise error
        self._report.trouble(error)
        until = time.monotonic() + self._pause
        while not self._stopping and (rest := until - time.monotonic()) > 0:
            self._bell.wait(rest)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _register_again(self) -> None:
        """Go on under a new name: this one was given up, and what it held belongs to others."""
        given_up, self._lease = self._lease, Lease.take(self._spool.layout, self._seconds)
        self._keeper.lease = self._lease
        given_up.release()
        self._report.started(self._lease.worker)

    def _spent(self) -> bool:
        jobs_left = math.inf if self._max_jobs is None else self._max_jobs - self._jobs
        return jobs_left <= 0 or self._time_left() <= 0

    def _time_left(self) -> float:
        """Return the seconds in which a job may still be begun."""
        if self._max_time is None:
            return math.inf
        return self._started + self._max_time - time.monotonic()
