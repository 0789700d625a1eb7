"""A model in memory and a real spool do the same, whatever happens in whatever order."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from spoolcalc import (
    Claim,
    Lease,
    NoSuchJob,
    NotFinished,
    Outcome,
    Spool,
    State,
    UsageError,
)
from spoolcalc.document import due_of

#: States of jobs that nobody has in hand and that have not ended.
WAITING = (State.BLOCKED, State.DELAYED, State.PENDING)


class Model:
    """What is known of one job."""

    def __init__(self, priority: int, due: float, key: str | None, after: dict[str, str]) -> None:
        self.state = State.PENDING
        self.priority = priority
        self.not_before = self.due = due
        self.key = key
        self.after = after
        self.retries = 0
        self.crashes = 0
        self.failures = 0
        self.holder: str | None = None


class SpoolMachine(RuleBasedStateMachine):
    """The model: each job's state, what it waits for, its failures, and who has it.

    The clock stands still but for the rule that moves it.
    """

    jobs = Bundle("jobs")
    workers = Bundle("workers")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.now = time.time()
        self.patches = ExitStack()
        self.patches.enter_context(mock.patch("time.time", lambda: self.now))  # noqa: PT008 - it moves
        # A look promotes all that is due, however slow the machine is.
        self.patches.enter_context(mock.patch("spoolcalc.due.SLICE", 60.0))
        self.path = tempfile.mkdtemp(prefix="spool-model-")
        self.spool = Spool(self.path, create=True)
        self.model: dict[str, Model] = {}
        self.dead: list[str] = []
        self.wishes: set[tuple[str, str]] = set()
        self.cleaned: list[str] = []
        self.paused = False

    def teardown(self) -> None:
        """Remove the spool."""
        self.patches.close()
        shutil.rmtree(self.path)

    # --- what follows from what

    def place(self, job_id: str) -> None:
        """A job that has not ended and that nobody holds is where its needs and its time say."""
        job = self.model[job_id]
        job.holder = None
        job.state = State.DELAYED if job.due > self.now else State.PENDING

    def must_wait(self, job: Model) -> bool:
        """Whether a job cannot be run, nor ended, before others have ended."""
        states = {needed: self.state_of(needed) for needed in job.after}
        failed = any(
            need == "ok" and states[needed] is State.FAILED for needed, need in job.after.items()
        )
        return not failed and not all(state is None or state.finished for state in states.values())

    def state_of(self, job_id: str) -> State | None:
        """Return the state of a job; None if it was cleaned."""
        return self.model[job_id].state if job_id in self.model else None

    def end(self, job_id: str, state: State) -> None:
        """A job ends, and those are let go that waited for it and for nothing else."""
        job = self.model[job_id]
        job.state, job.holder = state, None
        for waiting, other in self.model.items():
            if other.state is State.BLOCKED and job_id in other.after and not self.must_wait(other):
                self.place(waiting)

    def fail(self, job_id: str) -> None:
        """A try fails, which may be tried again."""
        job = self.model[job_id]
        job.failures += 1
        if job.failures > job.retries or self.is_wished(job_id):
            self.end(job_id, State.FAILED)
            return
        due = due_of(self.spool.find(job_id)._document)
        assert due is not None
        wait = 100 * 2 ** (job.failures - 1)
        assert 0.9 * wait - 1 <= due - self.now <= 1.1 * wait + 1
        job.due = due
        self.place(job_id)

    def crash(self, job_id: str) -> None:
        """A try takes its worker, or its process, down."""
        job = self.model[job_id]
        job.crashes += 1
        if job.crashes >= 3 or self.is_wished(job_id):
            self.end(job_id, State.FAILED)
        else:
            self.place(job_id)

    def is_wished(self, job_id: str) -> bool:
        """Whether somebody asked who holds it to cancel it."""
        return (self.model[job_id].holder, job_id) in self.wishes

    def hand_on(self, worker: str, *, charged: bool) -> None:
        """What a worker held goes to others, but for what was to be cancelled."""
        for job_id, job in list(self.model.items()):
            if job.holder == worker:
                if self.is_wished(job_id):
                    self.end(job_id, State.FAILED)
                elif charged:
                    self.crash(job_id)
                else:
                    self.place(job_id)

    def is_runnable(self, job: Model) -> bool:
        """Whether a worker that looks finds a job."""
        due = job.state is State.DELAYED and job.due <= self.now
        return due or job.state is State.PENDING

    def is_needed(self, job_id: str) -> bool:
        """Whether a job that has not ended needs this one."""
        return any(job_id in job.after and not job.state.finished for job in self.model.values())

    def holds(self, claimed: Claim) -> bool:
        """Whether a job is still its claimer's."""
        job = self.model.get(claimed.job.id)
        return job is not None and job.holder == claimed.worker and claimed.worker not in self.dead

    def is_corpse(self, claimed: Claim) -> bool:
        """Whether the claimer is dead and nobody has noticed: it does nothing more."""
        job = self.model.get(claimed.job.id)
        return claimed.worker in self.dead and job is not None and job.holder == claimed.worker

    # --- submitting

    @rule(
        target=jobs,
        priority=st.integers(0, 9),
        delay=st.sampled_from([None, 0.0, 50.0, 500.0]),
        retries=st.integers(0, 2),
        needs=st.dictionaries(jobs, st.sampled_from(["ok", "any"]), max_size=2),
        key=st.sampled_from([None, None, None, "a", "b"]),
    )
    def submit(
        self,
        priority: int,
        delay: float | None,
        retries: int,
        needs: dict[str, str],
        key: str | None,
    ) -> object:
        """A new job waits, is delayed or can be run; or its key has a job; or a need is gone."""

        def submit() -> str:
            return self.spool.submit(
                "add",
                ["12", "23"],
                priority=priority,
                delay=delay,
                retries=retries,
                backoff=100.0,
                after=list(needs.items()),
                key=key,
            )

        same = [i for i, job in self.model.items() if key is not None and job.key == key]
        if same:
            assert [submit()] == same
            return multiple()
        if any(needed in self.cleaned for needed in needs):
            with pytest.raises(NoSuchJob):
                submit()
            return multiple()
        job_id = submit()
        due = 0.0 if delay is None else int((self.now + delay) * 1000) / 1000
        job = self.model[job_id] = Model(priority, due, key, needs)
        job.retries = retries
        if self.must_wait(job):
            job.state = State.BLOCKED
        else:
            self.place(job_id)
        return job_id

    @rule(target=jobs, number=st.integers(1, 4))
    def submit_many(self, number: int) -> object:
        """Several jobs come in order."""
        ids = list(self.spool.submit_many([("neg", [str(n)]) for n in range(number)]))
        assert ids == sorted(ids)
        self.model.update((job_id, Model(5, 0.0, None, {})) for job_id in ids)
        return multiple(*ids)

    # --- working

    @rule(target=workers)
    def register(self) -> Lease:
        """A worker comes."""
        return Lease.take(self.spool.layout)

    @rule(target=claims, worker=workers)
    def claim(self, worker: Lease) -> object:
        """The most urgent job, and of those the oldest, goes to who asks; a dead one gets none.

        What is due can be run. What needs others is not run before they have ended.
        """
        if worker.worker in self.dead:
            return multiple()
        self.spool = Spool(self.path)  # forget the listing: a fresh process looks
        claimed = self.spool.claim(worker)
        self.promote()
        runnable = [i for i, job in self.model.items() if job.state is State.PENDING]
        if not runnable or self.paused:
            assert claimed is None
            return multiple()
        assert claimed is not None
        job_id = claimed.job.id
        assert job_id == min(runnable, key=lambda i: (self.model[i].priority, i))
        job = self.model[job_id]
        job.state, job.holder = State.WIP, worker.worker
        operands = self.spool.operands(claimed)
        if self.must_wait(job):
            assert operands is None
            job.state, job.holder = State.BLOCKED, None
            return multiple()
        if any(n == "ok" and self.state_of(i) is State.FAILED for i, n in job.after.items()):
            assert isinstance(operands, Outcome)
            assert self.spool.conclude(claimed, operands)
            self.end(job_id, State.FAILED)
            return multiple()
        assert operands == list(claimed.job.operands)
        return claimed

    def promote(self) -> None:
        """Who looks for jobs makes runnable what is due."""
        for job_id, job in self.model.items():
            if job.state is State.DELAYED:
                self.place(job_id)

    @rule(seconds=st.sampled_from([60.0, 600.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(claimed=consumes(claims), works=st.booleans())
    def finish(self, claimed: Claim, works: bool) -> None:
        """An outcome is recorded if the job is still its claimer's."""
        if self.is_corpse(claimed):
            return
        outcome = Outcome.completed("35") if works else Outcome.failed("it did not work")
        held = self.holds(claimed)
        went = self.spool.finish(claimed, outcome)
        if not held:
            assert went is None
        elif works:
            self.end(claimed.job.id, State.COMPLETED)
        else:
            self.fail(claimed.job.id)
        assert not held or went is self.model[claimed.job.id].state

    @rule(claimed=consumes(claims))
    def child_dies(self, claimed: Claim) -> None:
        """The process that ran a job dies, and its worker does not."""
        if self.is_corpse(claimed):
            return
        held = self.holds(claimed)
        went = self.spool.crashed(claimed, "killed by SIGSEGV")
        if held:
            self.model[claimed.job.id].due = self.now
            self.crash(claimed.job.id)
        assert went is (self.model[claimed.job.id].state if held else None)

    @rule(claimed=consumes(claims))
    def give_back(self, claimed: Claim) -> None:
        """A returned job is runnable, uncharged."""
        if self.is_corpse(claimed):
            return
        held = self.holds(claimed)
        assert self.spool.give_back(claimed) == held
        if held:
            self.place(claimed.job.id)

    @rule(worker=consumes(workers))
    def die(self, worker: Lease) -> None:
        """The kernel drops a dead worker's lock, and leaves its files."""
        if worker.worker not in self.dead:
            worker._lock.release()
            self.dead.append(worker.worker)

    @rule(worker=consumes(workers))
    def leave(self, worker: Lease) -> None:
        """A worker that ends hands back what it holds, uncharged."""
        self.spool.leave(worker)
        self.hand_on(worker.worker, charged=False)
        self.dead.append(worker.worker)

    @rule()
    def sweep(self) -> None:
        """The jobs of the dead go back, or end as poison; those of the living stay."""
        self.spool.sweep()
        for worker in self.dead:
            self.hand_on(worker, charged=True)
        assert not [d for d in os.listdir(self.spool.layout.wip) if d in self.dead]

    # --- by hand

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        """What waits ends; who has it is asked to end it; what has ended stays as it is.

        What a dead worker has is taken from it, and ends too.
        """
        if job_id in self.cleaned:
            with pytest.raises(NoSuchJob):
                self.spool.cancel(job_id)
            return
        job = self.model[job_id]
        if job.holder is not None:
            self.wishes.add((job.holder, job_id))
            if job.holder in self.dead:
                assert self.spool.cancel(job_id, patience=0.0).outcome == Outcome.cancelled()
                self.hand_on(job.holder, charged=True)
            else:
                with pytest.raises(NotFinished):
                    self.spool.cancel(job_id, patience=0.0)
            return
        waited = job.state in WAITING
        ended = self.spool.cancel(job_id)
        assert (ended.outcome == Outcome.cancelled()) or not waited
        if waited:
            self.end(job_id, State.FAILED)

    @rule(job_id=jobs)
    def retry(self, job_id: str) -> None:
        """A failed job starts over; no other does."""
        if job_id in self.cleaned:
            with pytest.raises(NoSuchJob):
                self.spool.retry(job_id)
            return
        job = self.model[job_id]
        if job.state is not State.FAILED:
            with pytest.raises(UsageError):
                self.spool.retry(job_id)
            return
        job.crashes = job.failures = 0
        job.due = job.not_before
        if self.must_wait(job):
            job.state = State.BLOCKED
        else:
            self.place(job_id)
        assert self.spool.retry(job_id).state is job.state

    @rule()
    def pause(self) -> None:
        """Nothing is claimed any more."""
        self.spool.pause("for a while")
        self.paused = True

    @precondition(lambda self: self.paused)
    @rule()
    def resume(self) -> None:
        """All goes on."""
        assert self.spool.resume()
        self.paused = False

    # --- the end

    @rule(job_id=jobs, keep=st.booleans())
    def fetch(self, job_id: str, keep: bool) -> None:
        """A finished job can be fetched again and again; a completed one is retrieved by it."""
        if job_id in self.cleaned:
            with pytest.raises(NoSuchJob):
                self.spool.fetch(job_id, keep=keep)
        elif not self.model[job_id].state.finished:
            with pytest.raises(NotFinished):
                self.spool.fetch(job_id, keep=keep)
        else:
            self.spool.fetch(job_id, keep=keep)
            if self.model[job_id].state is State.COMPLETED and not keep:
                self.model[job_id].state = State.RETRIEVED

    @rule()
    def clean(self) -> None:
        """What was retrieved goes unless it is still needed, and nothing else."""
        gone = [
            job_id
            for job_id, job in self.model.items()
            if job.state is State.RETRIEVED and not self.is_needed(job_id)
        ]
        assert self.spool.clean().retrieved == len(gone)
        for job_id in gone:
            del self.model[job_id]
            self.cleaned.append(job_id)

    # --- what holds all the time

    @invariant()
    def every_job_is_where_the_model_says(self) -> None:
        """In exactly one state, with a whole document."""
        states = {job_id: job.state for job_id, job in self.model.items()}
        assert {job.id: state for state in State for job in self.spool.list(state)} == states
        counts = self.spool.counts()
        assert counts == {s: list(states.values()).count(s) for s in State}
        assert (self.spool.paused is not None) == self.paused

    @invariant()
    def nothing_is_left_of_what_has_ended(self) -> None:
        """Notes are there for those that wait, keys for jobs that are there."""
        dependants = [job for job in self.model.values() if job.after and not job.state.finished]
        noted = os.listdir(self.spool.layout.waited)
        assert set(noted) == {needed for job in dependants for needed in job.after}
        keys = {job.key for job in self.model.values() if job.key is not None}
        assert len(os.listdir(self.spool.layout.keys)) == len(keys)

    @precondition(lambda self: not any(self.is_runnable(job) for job in self.model.values()))
    @invariant()
    def pending_is_empty_when_nothing_can_be_run_after_a_look(self) -> None:
        """A worker that found nothing leaves no bucket behind."""
        lease = Lease.take(self.spool.layout)
        assert Spool(self.path).claim(lease) is None
        self.spool.leave(lease)
        assert self.paused or os.listdir(self.spool.layout.pending) == []

    @invariant()
    def nothing_was_quarantined(self) -> None:
        """There was nothing to."""
        assert os.listdir(self.spool.layout.corrupt) == []


class LongMachine(SpoolMachine):
    """The same, for many more lives: what is rare shows in one of some hundreds."""


HOWEVER_LONG = settings(
    stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(HOWEVER_LONG, max_examples=25)
TestSpoolAtLength = pytest.mark.slow(LongMachine.TestCase)
TestSpoolAtLength.settings = settings(HOWEVER_LONG, max_examples=1000)
