"""The spool: one directory, and all that can be asked of it.

This is the library's front; the command line and every other front say what they mean through it.
What workers ask of it (``register`` to ``finish``, ``sweep``) is written in ``claims``.

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

import os
from contextlib import contextmanager

from spoolcalc import access, lookup, submission, transitions
from spoolcalc.claims import Claims
from spoolcalc.errors import NoSuchJob, NotFinished, UsageError
from spoolcalc.ids import is_id
from spoolcalc.job import State
from spoolcalc.submission import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Unpack

    from spoolcalc.byhand import ByHand
    from spoolcalc.cleaning import Cleaned
    from spoolcalc.job import Document, Job
    from spoolcalc.options import Options
    from spoolcalc.overview import Overview
    from spoolcalc.settings import Settings


class Spool(Claims):
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
        super().__init__(access.open_spool(os.fspath(path), create=create))
        self._given = settings
        self._settings: Settings | None = None

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
        """Make jobs that :func:`prepare` made durable together, and return their ids.

        All of them or none, but that what the operating system refuses may leave some of those that
        have a key: to submit all of them again makes none twice.
        """
        return submission.submit(self.layout, self.settings, documents)

    def resolve(self, job_id: str) -> str:
        """Return a job's id, given that or the name of the file in ``inbox/`` that it was made of.

        All that looks at a job or changes it takes such a name, and raises
        :class:`~spoolcalc.errors.NotAdopted` while the file is no job yet, and
        :class:`~spoolcalc.errors.Rejected` if it cannot be one.
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
    def by_hand(self) -> Iterator[ByHand]:
        """Give what cancels many jobs, or has them run again, for the length of a ``with`` block.

        Its ``cancel`` and ``retry`` are those of the Spool, but it registers only once.
        """
        from spoolcalc.byhand import ByHand
        from spoolcalc.hand import Hand

        with Hand(self.layout) as hand:
            yield ByHand(self.layout, hand)

    def cancel(self, job_id: str, *, patience: float | None = None) -> Job:
        """End a job as cancelled, and return it; it may have ended otherwise before.

        Raises :class:`~spoolcalc.errors.NotFinished` if the worker that runs it has not obeyed
        within ``patience`` seconds (10), and as :meth:`find` does.
        """
        with self.by_hand() as hand:
            return hand.cancel(job_id, patience=patience)

    def retry(self, job_id: str) -> Job:
        """Have a failed job run again, none of its attempts held against it, and return it.

        Raises :class:`~spoolcalc.errors.UsageError` if it has not failed, and as :meth:`find` does.
        """
        with self.by_hand() as hand:
            return hand.retry(job_id)

    def retry_failed(self, operation: str | None = None) -> Iterator[str]:
        """Have all failed jobs (of one operation) run again; yield the id of each."""
        with self.by_hand() as hand:
            for job in self.list(State.FAILED):
                if operation is None or job.operation == operation:
                    try:
                        yield hand.retry(job.id).id
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
