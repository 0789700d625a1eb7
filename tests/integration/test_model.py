"""A model in memory and a real spool do the same, whatever happens in whatever order."""

from __future__ import annotations

import os
import shutil
import tempfile

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

from spoolcalc import Claim, Lease, NoSuchJob, NotFinished, Outcome, Spool, State


class SpoolMachine(RuleBasedStateMachine):
    """The model: each job's state, its crashes, and who has it."""

    jobs = Bundle("jobs")
    workers = Bundle("workers")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.path = tempfile.mkdtemp(prefix="spool-model-")
        self.spool = Spool(self.path, create=True)
        self.state: dict[str, State] = {}
        self.order: dict[str, tuple[int, str]] = {}
        self.crashes: dict[str, int] = {}
        self.holder: dict[str, str] = {}
        self.dead: list[str] = []
        self.cleaned: list[str] = []

    def teardown(self) -> None:
        """Remove the spool."""
        shutil.rmtree(self.path)

    @rule(target=jobs, priority=st.integers(0, 9))
    def submit(self, priority: int) -> str:
        """A new job is pending."""
        job_id = self.spool.submit("add", ["12", "23"], priority=priority)
        self.state[job_id] = State.PENDING
        self.order[job_id] = (priority, job_id)
        self.crashes[job_id] = 0
        return job_id

    @rule(target=jobs, number=st.integers(1, 4))
    def submit_many(self, number: int) -> object:
        """Several jobs come in order."""
        ids = list(self.spool.submit_many([("neg", [str(n)]) for n in range(number)]))
        assert ids == sorted(ids)
        for job_id in ids:
            self.state[job_id] = State.PENDING
            self.order[job_id] = (5, job_id)
            self.crashes[job_id] = 0
        return multiple(*ids)

    @rule(target=workers)
    def register(self) -> Lease:
        """A worker comes."""
        return Lease.take(self.spool.layout)

    @rule(target=claims, worker=workers)
    def claim(self, worker: Lease) -> object:
        """The most urgent job, and of those the oldest, goes to who asks; a dead one gets none."""
        if worker.worker in self.dead:
            return multiple()
        self.spool = Spool(self.path)  # forget the listing: a fresh process looks
        runnable = [i for i, state in self.state.items() if state is State.PENDING]
        claimed = self.spool.claim(worker)
        if not runnable:
            assert claimed is None
            return multiple()
        assert claimed is not None
        assert claimed.job.id == min(runnable, key=lambda i: self.order[i])
        self.state[claimed.job.id] = State.WIP
        self.holder[claimed.job.id] = worker.worker
        return claimed

    def _holds(self, claimed: Claim) -> bool:
        return self.holder.get(claimed.job.id) == claimed.worker and claimed.worker not in self.dead

    @rule(claimed=consumes(claims), works=st.booleans())
    def finish(self, claimed: Claim, works: bool) -> None:
        """An outcome is recorded if the job is still its claimer's."""
        outcome = Outcome.completed("35") if works else Outcome.failed("it did not work")
        if claimed.worker in self.dead and self.holder.get(claimed.job.id) == claimed.worker:
            return  # a dead worker finishes nothing
        recorded = self.spool.finish(claimed, outcome)
        assert recorded == (outcome.state if self._holds(claimed) else None)
        if recorded:
            self.state[claimed.job.id] = outcome.state
            del self.holder[claimed.job.id]

    @rule(claimed=consumes(claims))
    def give_back(self, claimed: Claim) -> None:
        """A returned job is pending, uncharged."""
        if claimed.worker in self.dead and self.holder.get(claimed.job.id) == claimed.worker:
            return
        returned = self.spool.give_back(claimed)
        assert returned == self._holds(claimed)
        if returned:
            self.state[claimed.job.id] = State.PENDING
            del self.holder[claimed.job.id]

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
        for job_id, holder in list(self.holder.items()):
            if holder == worker.worker:
                self.state[job_id] = State.PENDING
                del self.holder[job_id]
        self.dead.append(worker.worker)

    @rule()
    def sweep(self) -> None:
        """The jobs of the dead go back, or end as poison; those of the living stay."""
        self.spool.sweep()
        for job_id, holder in list(self.holder.items()):
            if holder in self.dead:
                self.crashes[job_id] += 1
                poisoned = self.crashes[job_id] >= 3
                self.state[job_id] = State.FAILED if poisoned else State.PENDING
                del self.holder[job_id]
        assert not [d for d in os.listdir(self.spool.layout.wip) if d in self.dead]

    @rule(job_id=jobs, keep=st.booleans())
    def fetch(self, job_id: str, keep: bool) -> None:
        """A finished job can be fetched again and again; a completed one is retrieved by it."""
        if job_id in self.cleaned:
            with pytest.raises(NoSuchJob):
                self.spool.fetch(job_id, keep=keep)
        elif not self.state[job_id].finished:
            with pytest.raises(NotFinished):
                self.spool.fetch(job_id, keep=keep)
        else:
            self.spool.fetch(job_id, keep=keep)
            if self.state[job_id] is State.COMPLETED and not keep:
                self.state[job_id] = State.RETRIEVED

    @rule()
    def clean(self) -> None:
        """What was retrieved goes, and nothing else."""
        gone = [i for i, state in self.state.items() if state is State.RETRIEVED]
        assert self.spool.clean().retrieved == len(gone)
        for job_id in gone:
            del self.state[job_id]
            self.cleaned.append(job_id)

    @precondition(lambda self: self.state)
    @invariant()
    def every_job_is_where_the_model_says(self) -> None:
        """In exactly one state, with a whole document."""
        listed = {job.id: state for state in State for job in self.spool.list(state)}
        assert listed == self.state
        counts = self.spool.counts()
        assert counts == {s: list(self.state.values()).count(s) for s in State}

    @precondition(lambda self: State.PENDING not in self.state.values())
    @invariant()
    def pending_is_empty_when_nothing_can_be_run_after_a_look(self) -> None:
        """A worker that found nothing leaves no bucket behind."""
        lease = Lease.take(self.spool.layout)
        assert Spool(self.path).claim(lease) is None
        self.spool.leave(lease)
        assert os.listdir(self.spool.layout.pending) == []

    @invariant()
    def nothing_was_quarantined(self) -> None:
        """There was nothing to."""
        assert os.listdir(self.spool.layout.corrupt) == []


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
