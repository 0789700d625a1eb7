"""The spool: one directory, and all that can be asked of it.

This is the library's front; the command line and every other front say what they mean through it.

    spool = Spool("/var/spool/calc")
    job_id = spool.submit("add", ["12", "23"])
    with spool.register() as lease:
        claim = spool.claim(lease)
        spool.finish(claim, Outcome.completed("35"))
    spool.fetch(job_id).result

Every method may raise :class:`~spoolcalc.errors.SpoolUnusable`; what else it raises it says.  A
Spool may be shared between threads, but for :meth:`claim`, which is for one.  Jobs are frozen
values: what they were when looked at.
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager

from spoolcalc import access, events, lookup, submission, transitions
from spoolcalc.errors import NewerFormat, NoSuchJob, NotFinished, UsageError
from spoolcalc.ids import is_id
from spoolcalc.job import DEFAULT_LEASE, State
from spoolcalc.submission import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Unpack

    from spoolcalc.cleaning import Cleaned
    from spoolcalc.errors import StorageFailure
    from spoolcalc.job import Document, Job, Outcome
    from spoolcalc.lease import Lease
    from spoolcalc.options import Options
    from spoolcalc.overview import Overview
    from spoolcalc.pending import Cursor
    from spoolcalc.settings import Settings
    from spoolcalc.sweep import Swept
    from spoolcalc.transitions import Claim


class Spool:
    """A spool directory.

    ``path`` is where it is, ``create`` whether to make it (0700) if there is none.  ``settings``
    are by name what this one sets for itself, above the environment and the spool's ``spool.toml``.
    Raises :class:`~spoolcalc.errors.NoSpool`, :class:`~spoolcalc.errors.NotYours` or
    :class:`~spoolcalc.errors.NewerFormat`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = False,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.layout = access.open_spool(os.fspath(path), create=create)
        self._given = settings
        self._settings: Settings | None = None
        self._cursor: Cursor | None = None

    @property
    def settings(self) -> Settings:
        """What is set, as it was found when first needed, by a submit, a worker or a cleaning.

        Raises :class:`~spoolcalc.errors.BadSettings`, or :class:`~spoolcalc.errors.UsageError`.
        """
        if self._settings is None:
            from spoolcalc.settings import load

            self._settings = load(self.layout, self._given)
        return self._settings

    @property
    def path(self) -> str:
        """The directory, absolute."""
        return self.layout.root

    def submit(
        self,
        operation: str,
        operands: Sequence[str],
        *,
        delay: float | None = None,
        **options: Unpack[Options],
    ) -> str:
        """Check a job, make it durable, and return its id.

        ``delay`` is in how many seconds it may run at the earliest; the other options are those of
        :class:`spoolcalc.options.Options`.  An operand ``@ID`` stands for that job's result.  With
        a ``key`` that has a job already, that job's id is returned, and nothing is submitted.
        Raises :class:`~spoolcalc.errors.UsageError` or one of its kinds before anything is written,
        as are :class:`~spoolcalc.errors.CeilingReached` and :class:`~spoolcalc.errors.BadSettings`,
        and :class:`~spoolcalc.errors.NoSuchJob` for a job to wait for that is not there.
        """
        defaults = self.settings.at_submit
        document = prepare(operation, operands, delay=delay, defaults=defaults, **options)
        return self.publish([document])[0]

    def submit_many(
        self,
        jobs: Iterable[tuple[str, Sequence[str]]],
        **options: Unpack[Options],
    ) -> Iterator[str]:
        """Submit jobs in groups, and yield each id once its job is durable, in order.

        Memory stays bounded however many there are.  A bad one raises as :meth:`submit` does, after
        those before it were submitted and yielded.
        """
        return submission.submit_many(self.layout, self.settings, jobs, options)

    def publish(self, documents: Sequence[Document]) -> Sequence[str]:
        """Make jobs that :func:`prepare` made durable together, and return their ids."""
        return submission.submit(self.layout, self.settings, documents)

    def resolve(self, job_id: str) -> str:
        """Return a job's id, given that or the name of the file in ``inbox/`` that it was made of.

        All that takes an id takes such a name, and raises :class:`~spoolcalc.errors.NotAdopted`
        while the file is no job yet, and :class:`~spoolcalc.errors.Rejected` if it cannot be one.
        """
        if is_id(job_id):
            return job_id
        from spoolcalc.names import resolve

        return resolve(self.layout, job_id)

    def find(self, job_id: str) -> Job:
        """Return the job of that id.

        Raises :class:`~spoolcalc.errors.BadJobId`, :class:`~spoolcalc.errors.NoSuchJob` or
        :class:`~spoolcalc.errors.CorruptDocument`.
        """
        return lookup.find(self.layout, self.resolve(job_id))[0]

    def list(self, state: State) -> Iterator[Job]:
        """Yield the jobs in a state, as they were when met; those that move meanwhile are left out.

        Pending ones come in the order in which they will be taken, others in that of submission.
        What is no readable job is left out too.
        """
        for path, _, worker in lookup.walk(self.layout, state):
            job = lookup.load_if_readable(state, path, worker)
            if job is not None:
                yield job

    def counts(self) -> dict[State, int]:
        """Return how many jobs are in each state, one look after the other."""
        return {state: lookup.count(self.layout, state) for state in State}

    def overview(self) -> Overview:
        """Return the counts, the oldest pending job's age, and who works on what."""
        from spoolcalc.overview import overview

        return overview(self.layout)

    def fetch(
        self, job_id: str, deliver: Callable[[Job], object] | None = None, *, keep: bool = False
    ) -> Job:
        """Return a finished job, and mark it retrieved if it completed (unless ``keep``).

        ``deliver`` is called with the job first; when it raises, the job stays unretrieved.  A
        failed job stays in ``failed/``.  Raises as :meth:`find` does, and
        :class:`~spoolcalc.errors.NotFinished`.
        """
        job, path = lookup.find(self.layout, self.resolve(job_id))
        if not job.state.finished:
            raise NotFinished(f"not finished: job {job_id} is {job.state}")
        if deliver is not None:
            deliver(job)
        if job.state is State.COMPLETED and not keep:
            transitions.retire(self.layout, path, job.document)
        return job

    @contextmanager
    def register(self, seconds: float | None = None) -> Iterator[Lease]:
        """Be a worker for the length of a ``with`` block; ``seconds`` is the lease.

        The lease must be renewed (:meth:`~spoolcalc.Lease.renew`) more often than it runs out.
        What is still claimed at the end of the block is handed back, uncharged.
        """
        from spoolcalc.lease import Lease

        taken = Lease.take(self.layout, DEFAULT_LEASE if seconds is None else seconds)
        try:
            yield taken
        finally:
            self.leave(taken)

    def leave(self, lease: Lease) -> None:
        """End a worker's lease; what it still holds is handed back, uncharged.

        When the operating system refuses, the next sweep of anybody's does it.
        """
        from spoolcalc.sweep import hand_back

        try:
            hand_back(self.layout, lease)
        finally:
            lease.release()

    def claim(
        self, lease: Lease, knows: Callable[[str], bool] | None = None, *, told: bool = True
    ) -> Claim | None:
        """Take the next job; None if there is none, or if ``lease`` was given up.

        A job whose operation ``knows`` denies is left to other workers, and this Spool will not
        take it again.  Without ``told`` the event of the claim is written with the next one.
        """
        claimed = self._claim(lease, knows)
        if told:
            events.flush()
        return claimed

    def _claim(self, lease: Lease, knows: Callable[[str], bool] | None) -> Claim | None:
        from spoolcalc.pending import Cursor

        cursor = self._cursor = self._cursor or Cursor(self.layout)
        while (found := cursor.next()) is not None:
            bucket, name = found
            try:
                claimed = transitions.claim(self.layout, lease.worker, bucket, name)
            except NewerFormat:
                cursor.pass_by(name)
                continue
            if claimed is None:
                if lease.fenced():
                    return None
                cursor.skip()
            elif knows is None or knows(claimed.document["operation"]):
                return claimed
            else:
                cursor.pass_by(name)
                self.give_back(claimed)
        return None

    def finish(self, claim: Claim, outcome: Outcome) -> State | None:
        """Record an outcome, and return where the job went: ``delayed`` if it is tried again.

        None if it was given to another worker meanwhile.  After a StorageFailure it may be called
        again.
        """
        from spoolcalc import endings

        return endings.finish(self.layout, claim, outcome)

    def finish_many(
        self, finished: Sequence[tuple[Claim, Outcome]]
    ) -> Sequence[State | StorageFailure | None]:
        """Record outcomes together, which takes the disk a fraction of the time; answer for each.

        The answer is as that of :meth:`finish`, or a StorageFailure: then that one may be tried
        again, and it alone.
        """
        from spoolcalc import endings

        return endings.finish_together(self.layout, finished)

    @property
    def rest(self) -> float:
        """In how many seconds, from the last :meth:`claim` on, a delayed job may be due."""
        return math.inf if self._cursor is None else self._cursor.rest

    @property
    def sees_more(self) -> bool:
        """Whether the last look of :meth:`claim` showed more jobs than were claimed since."""
        return self._cursor is not None and self._cursor.sees_more

    def crashed(self, claim: Claim, error: str) -> State | None:
        """Charge a job with the death of the process that ran it; return where it went.

        It is runnable again, or has failed as poison; None as for :meth:`finish`.
        """
        from spoolcalc import endings

        return endings.crashed(self.layout, claim, error)

    def conclude(self, claim: Claim, outcome: Outcome) -> bool:
        """End a claimed job that was not run; False if it was given to another worker meanwhile."""
        from spoolcalc import endings

        return endings.conclude(self.layout, claim, outcome)

    def operands(self, claim: Claim) -> Sequence[str] | Outcome | None:
        """Return what to run a claimed job with, the results of other jobs put in.

        An Outcome to :meth:`conclude` it with if a job that it needs has failed.  None if it has to
        wait on: then it is not ours any more.
        """
        if "after" not in claim.document:
            operands: Sequence[str] = claim.document["operands"]
            return operands
        from spoolcalc import dependants

        found = dependants.ready(self.layout, claim.document)
        if found is None:
            dependants.wait_on(self.layout, claim)
        return found

    def give_back(self, claim: Claim) -> bool:
        """Return a claimed job unrun, uncharged; False if it was given to another meanwhile."""
        return transitions.put_back(self.layout, claim.path, claim.document) is not None

    def cancel(self, job_id: str, *, patience: float | None = None) -> Job:
        """End a job as cancelled, and return it; it may have ended otherwise before.

        Raises :class:`~spoolcalc.errors.NotFinished` if the worker that runs it has not obeyed
        within ``patience`` seconds (10), and as :meth:`find` does.
        """
        from spoolcalc import byhand

        return byhand.cancel(
            self.layout, self.resolve(job_id), byhand.PATIENCE if patience is None else patience
        )

    def retry(self, job_id: str) -> Job:
        """Have a failed job run again, none of its attempts held against it, and return it.

        Raises :class:`~spoolcalc.errors.UsageError` if it has not failed, and as :meth:`find` does.
        """
        from spoolcalc import byhand

        return byhand.retry(self.layout, self.resolve(job_id))

    def retry_failed(self, operation: str | None = None) -> Iterator[str]:
        """Have all failed jobs (of one operation) run again; yield the id of each."""
        for job in self.list(State.FAILED):
            if operation is None or job.operation == operation:
                try:
                    yield self.retry(job.id).id
                except (NoSuchJob, UsageError):
                    continue  # somebody else has seen to it

    def pause(self, reason: str = "") -> None:
        """Have no worker claim anything more, until :meth:`resume`; what runs goes on."""
        from spoolcalc import byhand

        byhand.pause(self.layout, reason)

    def resume(self) -> bool:
        """End a pause; False if there was none."""
        from spoolcalc import byhand

        return byhand.resume(self.layout)

    @property
    def paused(self) -> dict[str, str] | None:
        """Since when (``since``, RFC 3339) it is paused and the ``reason``; None if it is not."""
        from spoolcalc import byhand

        return byhand.paused(self.layout)

    def sweep(self, lease: Lease | None = None, *, thorough: bool = True) -> Swept:
        """Give the jobs of dead and silent workers to others.

        ``lease`` is the sweeper's own; without one, it registers for as long as the sweep takes.
        """
        from spoolcalc.sweep import sweep

        if lease is not None:
            return sweep(self.layout, lease, thorough=thorough)
        with self.register() as taken:
            return sweep(self.layout, taken, thorough=thorough)

    def clean(
        self,
        *,
        grace: float | None = None,
        completed_older_than: float | None = None,
        failed_older_than: float | None = None,
        dry_run: bool = False,
    ) -> Cleaned:
        """Remove retrieved jobs older than ``grace`` seconds, and old leftovers in ``tmp/``.

        Completed and failed ones are removed only where their age (seconds since they finished) is
        given, here or by the settings.
        """
        from spoolcalc.cleaning import clean

        kept, settings = [grace, completed_older_than, failed_older_than], self.settings
        for number, set_for in enumerate(("keep_retrieved", "keep_completed", "keep_failed")):
            if kept[number] is None:
                kept[number] = getattr(settings, set_for)
        return clean(self.layout, kept[0] or 0.0, kept[1], kept[2], dry_run=dry_run)
