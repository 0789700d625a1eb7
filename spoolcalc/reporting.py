"""What a worker says of its work, and to whom: the seam between it and whatever shows it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
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

    def returned(self, job: Job) -> None:
        """Give a job back, uncharged: it could not be run here."""

    def discarded(self, job: Job) -> None:
        """Throw away an outcome: the job was given to another worker meanwhile."""

    def swept(self, swept: Swept) -> None:
        """Give others' jobs on."""

    def adopted(self, adopted: Adopted) -> None:
        """Make jobs of what lay in ``inbox/``."""

    def trouble(self, error: SpoolError) -> None:
        """Meet a refusal of the environment."""

    def well(self) -> None:
        """Get on, in both threads.  Called on the keeper's, some times a second, while it is so."""
