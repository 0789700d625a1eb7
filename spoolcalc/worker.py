"""The worker: claim, run, finish, until told to stop.

Arithmetic is run in place, one job after the other, and the outcomes go into a batch; everything
else runs beside it in slots, so that its limits, cancellations and ends are looked after by the
same loop, in one thread.  It knows no signals and prints nothing: :meth:`Worker.stop` and
:meth:`Worker.stop_now` are called by whoever catches them, and a
:class:`~spoolcalc.reporting.Report` is told what happens.  What the environment refuses (disk full,
no permission) costs a job nothing: the worker says so, waits, and tries again, or with ``once``
hands back what it holds and raises.
"""

from __future__ import annotations

import math
import time
from collections import deque
from contextlib import suppress

from spoolcalc import events
from spoolcalc.batch import Batch, is_sociable
from spoolcalc.bell import Bell
from spoolcalc.endings import blame
from spoolcalc.engine import PROCESS, Engine
from spoolcalc.errors import CeilingReached, SpoolUnusable, StorageFailure, UsageError
from spoolcalc.execute import execute
from spoolcalc.hooks import SECONDS, Hooks
from spoolcalc.inbox import Inbox
from spoolcalc.job import DEFAULT_LEASE, Outcome
from spoolcalc.keeper import Keeper, Pulse
from spoolcalc.lease import Lease
from spoolcalc.reporting import Report
from spoolcalc.slots import GRACE, HANGS, Slots
from spoolcalc.sweep import hand_back_others
from spoolcalc.term import Interrupted, Term

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from spoolcalc.job import Job, State
    from spoolcalc.runs import End
    from spoolcalc.slots import Slot
    from spoolcalc.spool import Spool
    from spoolcalc.transitions import Claim

#: How often (seconds) an idle worker looks although no bell rang.
DEFAULT_POLL = 2.0
#: The first and the longest pause (seconds) after the environment refused something.
PAUSE, LONGEST_PAUSE = 0.5, 30.0


class Worker:
    """Works on a spool's jobs.

    ``jobs`` is how many it runs at the same time, ``executor`` where operations of packages run
    (``process``, ``thread`` or ``module:callable``), ``timeout`` the limit (seconds) of jobs that
    have none of their own, ``grace`` how long (seconds) a job has from SIGTERM to SIGKILL, and
    ``allow`` may hold ``exec``: commands of a spool to which others may write.

    ``lease`` is how long (seconds) it may be silent before its jobs are given to others, if it is
    not given what the spool's settings say, which it reads once, before it begins; ``once`` ends it
    when nothing can be run; ``until_empty`` when nothing is pending, and waits for what is and
    cannot be run now; ``max_jobs`` and ``max_time`` (seconds) when so many jobs were run, or before
    the first job after that time; ``poll`` is how often (seconds) it looks by itself when idle;
    ``hook_time`` how long (seconds) a hook may run.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        jobs: int = 1,
        executor: str = PROCESS,
        timeout: float | None = None,
        grace: float = GRACE,
        allow: Collection[str] = (),
        lease: float | None = None,
        once: bool = False,
        until_empty: bool = False,
        max_jobs: int | None = None,
        max_time: float | None = None,
        poll: float = DEFAULT_POLL,
        hook_time: float = SECONDS,
        report: Report | None = None,
    ) -> None:
        if jobs < 1:
            raise UsageError(f"not a number of jobs at a time: {jobs}", "At least 1.")
        self._spool = spool
        settings = spool.settings
        self._seconds = lease or settings.lease or DEFAULT_LEASE
        self._term = Term(once=once, until_empty=until_empty, max_jobs=max_jobs, max_time=max_time)
        self._poll = poll
        self._report = Hooks(spool.layout, report or Report(), hook_time)
        self._bell = Bell(spool.layout.bell)
        self._bell.also_into(spool.layout.inbox)
        self._inbox = Inbox(spool.layout, settings)
        self._engine = Engine(
            spool.layout,
            jobs=jobs,
            executor=executor,
            timeout=timeout,
            allow=allow,
            wake=self._bell.wake,
        )
        self._pulse = Pulse()
        self._batch = Batch(spool, self._recorded)
        self._slots = Slots(spool.layout, self._engine, self._bell, jobs, grace)
        self._over: deque[tuple[Slot, End]] = deque()
        self._unrecorded: dict[str, Claim] = {}  # of slots, their outcomes in the batch
        self._stopping = False
        self._at_once = False
        self._computing = False
        self._at_hand: Claim | None = None  # what a bug would be charged to
        self._bug: Exception | None = None
        self._paused = False
        self._begun = 0
        self._ended = 0
        self._pause = PAUSE

    def stop(self) -> None:
        """Finish the jobs at hand, and then end.  May be called from a signal handler."""
        self._stopping = True
        self._bell.wake()

    def stop_now(self) -> None:
        """End at once: raises :class:`Interrupted` into a running job.  For signal handlers."""
        self._at_once = True
        self.stop()
        if self._computing:
            raise Interrupted

    def run(self) -> int:
        """Work; return the number of jobs that were run.

        Raises :class:`~spoolcalc.errors.SpoolUnusable` if the spool cannot be used at the start or,
        with ``once``, later; and :class:`Interrupted` after :meth:`stop_now`.
        """
        self._term.begin()
        with self._bell:
            self._lease = Lease.take(self._spool.layout, self._seconds)
            about = self._spool, self._inbox, self._lease, self._report, self._pulse
            self._keeper = Keeper(*about, self._engine.known, self._bell.wake)
            try:
                self._work()
            except SpoolUnusable:
                raise
            except Exception as error:
                self._bug = error
                raise
            finally:
                self._leave()
        return self._ended

    def _leave(self) -> None:
        """End what still runs, record what is done, and hand the rest back, uncharged."""
        try:
            self._pulse.beat(HANGS)
            for slot in self._slots.abandon():  # a wish stays with the job that is handed back
                self._engine.discard(slot.claim)
            self._engine.close()
            self._blame()
            for slot, end in self._over:
                if (outcome := slot.outcome(end)) is not None:
                    self._batch.add(slot.claim, outcome, slot.seconds)
            with suppress(StorageFailure):  # told before; what is left is handed back
                self._batch.flush()  # else what was done would be done again
        finally:
            self._report.finish(lambda: self._at_once, lambda: self._pulse.beat(HANGS))
            if self._keeper.is_alive():
                self._keeper.end()
            self._spool.leave(self._lease)

    def _blame(self) -> None:
        """Charge the job that a bug of ours was met with, now that nothing of it runs any more."""
        blamed = self._batch.culprit or self._at_hand
        if self._bug is not None and blamed is not None:
            self._over = deque(one for one in self._over if one[0].claim is not blamed)
            with suppress(StorageFailure):  # it is handed back, then
                blame(self._spool.layout, blamed, self._bug)

    def _work(self) -> None:
        self._report.started(self._lease.worker)
        self._report.swept(self._spool.sweep(self._lease))
        self._keeper.start()
        refused = False
        while not self._is_over():
            try:
                if refused:  # what was claimed and could not be read must not stay with us
                    if not self._record():
                        break
                    held = {*self._slots, *(slot.job_id for slot, _ in self._over)}
                    hand_back_others(self._spool.layout, self._lease, held)
                    refused = False
                if not self._step():
                    break
                self._pause = PAUSE
            except StorageFailure as error:
                refused, self._at_hand = True, None
                self._endure(error)
        if self._at_once and self._slots:
            raise Interrupted
        self._record()
        if self._term.once:
            self._report.left(self._spool.passed_by)

    def _is_over(self) -> bool:
        if self._at_once:
            return True
        return (
            (self._stopping or self._term.is_spent(self._begun))
            and not self._slots
            and not self._over
        )

    def _step(self) -> bool:
        """Do one job, start one, or sleep until there may be one; False if there is no more."""
        self._see_to_slots()
        if self._batch and (self._batch.due or not self._spool.sees_more):
            self._record()
            return True
        if self._lease.doubtful and self._lease.renew() is None:
            self._register_again()
        if self._stopping or self._term.is_spent(self._begun) or not self._slots.free:
            self._record()
            if self._slots and not self._is_given_up():  # without slots it is over
                rest = min(self._slots.patience(), self._lease.heartbeat)
                self._pulse.beat(rest)
                self._bell.rest(rest)
            return True
        claimed = self._spool.claim(self._lease, self._engine.knows, told=False)
        self._notice_pause()
        if claimed is not None:
            self._do(claimed)
        elif self._batch:
            self._record()
        elif self._is_given_up() or self._adopt():
            pass  # it may claim again; there may be something to claim now
        elif not self._slots and self._term.is_done(self._spool):
            return False
        else:
            rest = min(self._poll, self._term.left, self._spool.rest)
            self._sleep(min(rest, self._slots.patience()))
        return True

    def _notice_pause(self) -> None:
        """Say once that the spool is paused, and once that it is no longer."""
        if self._spool.sees_pause == self._paused:
            return
        self._paused = not self._paused
        if self._paused:
            told = self._spool.paused or {"since": "just now", "reason": ""}
            self._report.paused(told["since"], told["reason"])
        else:
            self._report.resumed()

    def _adopt(self) -> bool:
        """Make jobs of what lies in ``inbox/``; tell whether there are new ones."""
        stays = not self._term.once
        try:
            self._report.adopted(self._inbox.adopt(self._lease, woken=stays))
        except CeilingReached as error:
            if not stays:
                # What is there is run all the same, and makes room.
                self._report.trouble(error, again=False)
        except StorageFailure:
            if not stays:
                raise
            # The keeper says so and tries again; those jobs that are there are not to wait for it.
        return self._inbox.news()

    def _is_given_up(self) -> bool:
        """Tell whether this worker was given up; if so, it is a new one now."""
        if not self._lease.fenced():
            return False
        self._register_again()
        return True

    def _sleep(self, seconds: float) -> None:
        if not self._slots:
            self._slots.look(self._lease.worker)
        self._pulse.beat(seconds)
        self._bell.wait(seconds)

    def _do(self, claimed: Claim) -> None:
        """Run a job in place, or start it."""
        alone = not is_sociable(claimed)
        if alone and not self._record():
            return  # told to stop: it is handed back unrun
        self._at_hand = claimed
        self._run(claimed, flush=alone)
        self._at_hand = None
        if alone:
            self._record()

    def _run(self, claimed: Claim, *, flush: bool) -> None:
        job = claimed.job
        operands = self._spool.operands(claimed)
        if operands is None:
            return
        self._report.claimed(job)
        if isinstance(operands, Outcome):
            recorded = self._spool.conclude(claimed, operands)
            self._recorded(job, operands, 0.0, operands.state if recorded else None)
            return
        in_place = self._engine.is_in_place(claimed, operands)
        if flush or not in_place:
            events.flush()  # it may take long, and who looks on is to know
        if in_place:
            self._compute(claimed, operands)
        else:
            self._slots.start(claimed, operands)
        self._begun += 1

    def _compute(self, claimed: Claim, operands: Sequence[str]) -> None:
        began = time.perf_counter()
        self._computing = True
        self._pulse.beat(math.inf)
        try:
            outcome = execute(claimed.document["operation"], operands)
        finally:
            self._computing = False
        self._ended += 1
        self._batch.add(claimed, outcome, time.perf_counter() - began)

    def _see_to_slots(self) -> None:
        """Look after the slots, and be done with what has ended."""
        self._serve()
        while self._over:
            self._end(*self._over[0])

    def _serve(self) -> None:
        """Look after the slots; what has ended waits to be done with."""
        if self._keeper.failure is not None:
            raise self._keeper.failure
        self._pulse.beat()
        self._over.extend(self._slots.serve(self._lease.worker))

    def _end(self, slot: Slot, end: End) -> None:
        """Do with the first of those that have ended what its end says.

        If that is refused, it is still the first, to be tried again.
        """
        self._at_hand = slot.claim
        outcome = slot.outcome(end)
        if outcome is None and end.crash is None and self._slots.wished(slot.claim):
            outcome = Outcome.cancelled()  # else the wish would go, and the job go on
        job = slot.claim.job
        if outcome is not None:
            self._batch.add(slot.claim, outcome, slot.seconds)
        elif end.crash is not None:
            went = self._spool.crashed(slot.claim, end.crash)
            if went is None:
                self._report.discarded(job)
            else:
                self._report.crashed(job, end.crash, went)
        else:
            if end.unknown is not None:
                self._engine.forget(job.operation)
            self._engine.discard(slot.claim)
            self._spool.give_back(slot.claim)
            self._report.returned(job, end.unknown)
        self._over.popleft()
        self._at_hand = None
        if outcome is not None:
            self._unrecorded[job.id] = slot.claim
        else:
            self._slots.tidy(slot.claim)
        if outcome is not None or end.crash is not None:
            self._ended += 1
        else:
            self._begun -= 1
        if end.refused is not None and outcome is None:
            raise end.refused

    def _recorded(self, job: Job, outcome: Outcome, seconds: float, went: State | None) -> None:
        if (claimed := self._unrecorded.pop(job.id, None)) is not None:
            self._slots.tidy(claimed)
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
                    self._report.trouble(error, again=False)
                    return False
                self._endure(error)
        return True

    def _endure(self, error: StorageFailure) -> None:
        """Say what the environment refused, and wait for it to get better."""
        if self._term.once:
            raise error
        self._report.trouble(error)
        until = time.monotonic() + self._pause
        while not self._stopping and (rest := until - time.monotonic()) > 0:
            self._serve()  # limits are kept, whatever the disk says
            self._sleep(min(rest, self._slots.patience()))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _register_again(self) -> None:
        """Go on under a new name: this one was given up, and what it held belongs to others."""
        self._pulse.beat(HANGS)
        for slot in self._slots.abandon():
            self._report.discarded(slot.claim.job)
        given_up, self._lease = self._lease, Lease.take(self._spool.layout, self._seconds)
        self._keeper.lease = self._lease
        given_up.release()
        self._report.started(self._lease.worker)
