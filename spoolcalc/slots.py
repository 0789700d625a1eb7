"""The jobs that a worker has running beside itself: their limits, cancellations and progress.

Calling sequence: :meth:`Slots.start` while there is one :attr:`Slots.free`; then
:meth:`Slots.serve` whenever something may have happened, at least every :meth:`Slots.patience`
seconds, and do with each that has ended what its end says.  :meth:`Slots.abandon` ends them all
before their time.

A job may be told to end for two reasons, its limit and somebody's wish: a file
``wip/<worker>/<id>.cancel``.  What it reports goes to ``wip/<worker>/<id>.progress``.  Both files
are removed with the job's end; neither is synced, and nothing depends on them.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress

from spoolcalc import files, reading
from spoolcalc.errors import StorageFailure
from spoolcalc.job import Outcome, timestamp
from spoolcalc.layout import CANCEL, PROGRESS, beside, file_name
from spoolcalc.units import age

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spoolcalc.bell import Bell
    from spoolcalc.engine import Engine
    from spoolcalc.layout import Layout
    from spoolcalc.runs import End, Run
    from spoolcalc.transitions import Claim

#: How often (seconds) is looked for wishes, and progress is written, at most.
TICK = 0.25
#: How long (seconds) a job has after SIGTERM, until SIGKILL.
GRACE = 5.0
#: The same for one that is cancelled, which is over within a second of the wish.
CANCEL_GRACE = 0.5
#: How long (seconds) is waited for what was killed at once.
HANGS = 15.0


class Slot:
    """A job that runs."""

    __slots__ = ("_heard", "_shown", "began", "claim", "due", "ending", "limit", "run")

    def __init__(self, claim: Claim, limit: float | None) -> None:
        self.claim = claim
        self.limit = limit
        self.began = time.monotonic()
        self.due = None if limit is None else self.began + limit
        self.ending: str | None = None
        self.run: Run
        self._heard: tuple[float | None, str] | None = None
        self._shown: tuple[float | None, str] | None = None

    @property
    def job_id(self) -> str:
        """The job's id."""
        return str(self.claim.document["id"])

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self.began

    def heard(self, fraction: float | None, text: str) -> None:
        """Take in a report; on any thread."""
        self._heard = (fraction, text)

    def news(self) -> tuple[float | None, str] | None:
        """Return the newest report if it was not asked for before."""
        heard = self._heard
        if heard is self._shown:
            return None
        self._shown = heard
        return heard

    def end(self, grace: float, reason: str) -> None:
        """Tell it to end, for a reason that its outcome will have."""
        if self.ending is None and self.run.kill(grace):
            self.ending = reason
            self.due = None

    def outcome(self, end: End) -> Outcome | None:
        """Return the outcome of a run that has ended; None if it has none."""
        if end.killed is None:
            cancelled = self.ending == "cancelled" and end.outcome is None
            return Outcome.cancelled() if cancelled else end.outcome
        if self.ending == "timeout":
            error = f"it ran longer than its limit of {age(self.limit or 0.0)}"
        elif self.ending == "cancelled":
            error = Outcome.cancelled().error or ""
        else:
            return None
        code, cut = end.killed.exit_code, end.killed.cut
        return Outcome.failed(error, reason=self.ending, exit_code=code, cut=cut)


class Slots:
    """At most ``number`` jobs that run at the same time."""

    def __init__(
        self, layout: Layout, engine: Engine, bell: Bell, number: int, grace: float = GRACE
    ) -> None:
        self._layout = layout
        self._engine = engine
        self._bell = bell
        self._number = number
        self._grace = grace
        self._slots: dict[str, Slot] = {}
        self._looked = 0.0

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    @property
    def free(self) -> bool:
        """Whether one more job can be run."""
        return len(self._slots) < self._number

    def start(self, claim: Claim, operands: Sequence[str]) -> None:
        """Have a job run; raises :class:`~spoolcalc.errors.StorageFailure` if it cannot be."""
        slot = Slot(claim, self._engine.limit(claim))
        slot.run = self._engine.start(claim, operands, slot.heard)
        if slot.run.descriptor is not None:
            self._bell.watch(slot.run.descriptor)
        self._slots[slot.job_id] = slot

    def serve(self, worker: str) -> list[tuple[Slot, End]]:
        """Look after all of them; return those that have ended, which it lets go."""
        now = time.monotonic()
        for slot in self._slots.values():
            if slot.due is not None and now >= slot.due:
                slot.end(self._grace, "timeout")
        ended = self._reap()
        if self._slots:
            self.look(worker)
        return ended

    def look(self, worker: str) -> None:
        """Obey the wishes, show the progress, and remove what lies beside no job.

        A wish stays with a job whose end is not recorded: it may be one to be tried again.  Once a
        tick at most.  :meth:`serve` does it while there are jobs; before a worker falls asleep it
        is done for those wishes that came too late.
        """
        now = time.monotonic()
        if now - self._looked < TICK:
            return
        self._looked = now
        directory = self._layout.wip_of(worker)
        names: set[str] = set()
        with suppress(StorageFailure):  # at the next look, then
            names = set(reading.names(directory) or ())
        for name in names:
            job_id = name.partition(".")[0]
            if name.endswith(CANCEL) and job_id in self._slots:
                self._slots[job_id].end(min(self._grace, CANCEL_GRACE), "cancelled")
            elif beside(name) and job_id not in self._slots and file_name(job_id) not in names:
                with suppress(StorageFailure):  # as above
                    files.remove(f"{directory}/{name}")
        for slot in self._slots.values():
            news = slot.news()
            if news is not None:
                with suppress(StorageFailure):  # it is shown another time, or not at all
                    self._show(slot, *news)

    def patience(self) -> float:
        """Return after how many seconds at most they have to be served again."""
        if not self._slots:
            return float("inf")
        now = time.monotonic()
        due = [slot.due - now for slot in self._slots.values() if slot.due is not None]
        return max(0.0, min([TICK - (now - self._looked), *due]))

    def wished(self, claim: Claim) -> bool:
        """Tell whether somebody wishes that a job be cancelled, as far as that can be seen."""
        path = f"{self._layout.wip_of(claim.worker)}/{claim.document['id']}{CANCEL}"
        with suppress(StorageFailure):
            return reading.status(path) is not None
        return False

    def tidy(self, claim: Claim) -> None:
        """Remove what lies beside a job whose end is recorded, or that was given back."""
        base = f"{self._layout.wip_of(claim.worker)}/{claim.document['id']}"
        with suppress(StorageFailure):  # nothing depends on them, and a sweep removes them
            files.remove(base + PROGRESS)
            files.remove(base + CANCEL)

    def abandon(self) -> list[Slot]:
        """End all of them at once; return them when they have gone, whatever their end was.

        Of one that does not end, every process that can be found is killed; it is returned all the
        same.
        """
        slots = list(self._slots.values())
        stubborn = [slot for slot in slots if not slot.run.kill(0)]
        until = time.monotonic() + HANGS
        while len(self._slots) > len(stubborn) and time.monotonic() < until:
            self._reap()
            if len(self._slots) > len(stubborn):
                self._bell.rest(0.05)
        if self._slots:  # before anybody else can have these jobs
            for worker in {slot.claim.worker for slot in self._slots.values()}:
                self._engine.kill(worker)
            self._reap()
            self._slots.clear()
        return slots

    def _reap(self) -> list[tuple[Slot, End]]:
        """Let go of those that have ended, and return them."""
        ended = []
        for job_id, slot in list(self._slots.items()):
            watched = slot.run.descriptor
            end = slot.run.poll()
            if end is not None:
                if watched is not None:
                    self._bell.unwatch(watched)
                del self._slots[job_id]
                ended.append((slot, end))
        return ended

    def _show(self, slot: Slot, fraction: float | None, text: str) -> None:
        told = {"fraction": fraction, "text": text, "at": timestamp(time.time())}
        temporary = self._layout.temporary(slot.claim.worker, f"{slot.job_id}{PROGRESS}")
        data = (json.dumps(told) + "\n").encode("ascii")
        files.remove(temporary)
        files.close([files.write(temporary, data, self._layout.file_mode)])
        path = f"{self._layout.wip_of(slot.claim.worker)}/{slot.job_id}{PROGRESS}"
        if not files.move(temporary, path):
            files.remove(temporary)
