"""What a worker says of its work, and to whom: the seam between it and whatever shows it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from spoolcalc.errors import SpoolError
    from spoolcalc.inbox import Adopted
    from spoolcalc.job import Job, Outcome, State
    from spoolcalc.sweep import Swept


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

    def crashed(self, job: Job, error: str, went: State) -> None:
        """Charge a job with the death of its process; it went back, or to failed as poison."""

    def returned(self, job: Job, unknown: str | None = None) -> None:
        """Give a job back, uncharged: it could not be run here.

        ``unknown`` is why its operation is none that this worker knows, if that is the reason.
        """

    def left(self, operations: Mapping[str, int]) -> None:
        """End with so many pending jobs of these operations left, which cannot be run here."""

    def discarded(self, job: Job) -> None:
        """Throw away an outcome: the job was given to another worker meanwhile."""

    def swept(self, swept: Swept) -> None:
        """Give others' jobs on."""

    def adopted(self, adopted: Adopted) -> None:
        """Make jobs of what lay in ``inbox/``."""

    def hooked(self, hook: str, job_id: str, said: str, wrong: str | None) -> None:
        """Hear that a hook has ended, of what it wrote, and what went ``wrong``; on any thread."""

    def paused(self, since: str, reason: str) -> None:
        """Find the spool paused, since when (RFC 3339) and why: nothing is claimed."""

    def resumed(self) -> None:
        """Find that the pause has ended."""

    def trouble(self, error: SpoolError, *, again: bool = True) -> None:
        """Meet a refusal of the environment, after which it is tried ``again`` or not."""

    def well(self) -> None:
        """Get on, in both threads.  Called on the keeper's, some times a second, while it is so."""


class Relay(Report):
    """Hands all that it is told on to another one; others override what they listen to."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def started(self, worker: str) -> None:
        """Hand it on."""
        self._report.started(worker)

    def claimed(self, job: Job) -> None:
        """Hand it on."""
        self._report.claimed(job)

    def ended(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Hand it on."""
        self._report.ended(job, outcome, seconds)

    def postponed(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Hand it on."""
        self._report.postponed(job, outcome, seconds)

    def crashed(self, job: Job, error: str, went: State) -> None:
        """Hand it on."""
        self._report.crashed(job, error, went)

    def returned(self, job: Job, unknown: str | None = None) -> None:
        """Hand it on."""
        self._report.returned(job, unknown)

    def left(self, operations: Mapping[str, int]) -> None:
        """Hand it on."""
        self._report.left(operations)

    def discarded(self, job: Job) -> None:
        """Hand it on."""
        self._report.discarded(job)

    def swept(self, swept: Swept) -> None:
        """Hand it on."""
        self._report.swept(swept)

    def adopted(self, adopted: Adopted) -> None:
        """Hand it on."""
        self._report.adopted(adopted)

    def hooked(self, hook: str, job_id: str, said: str, wrong: str | None) -> None:
        """Hand it on."""
        self._report.hooked(hook, job_id, said, wrong)

    def paused(self, since: str, reason: str) -> None:
        """Hand it on."""
        self._report.paused(since, reason)

    def resumed(self) -> None:
        """Hand it on."""
        self._report.resumed()

    def trouble(self, error: SpoolError, *, again: bool = True) -> None:
        """Hand it on."""
        self._report.trouble(error, again=again)

    def well(self) -> None:
        """Hand it on."""
        self._report.well()
