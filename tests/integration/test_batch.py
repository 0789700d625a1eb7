"""Outcomes that are recorded together, and who may be in such company."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from spoolcalc import Outcome, Spool, State, StorageFailure, Worker, batch, files, term, worker
from spoolcalc.batch import LARGEST, Batch, is_sociable
from spoolcalc.document import new_document
from spoolcalc.execute import LIGHT, execute
from spoolcalc.ids import new_id
from spoolcalc.reporting import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from spoolcalc import Job, Lease
    from spoolcalc.errors import SpoolError
    from spoolcalc.transitions import Claim


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Make a fresh spool."""
    return Spool(tmp_path / "spool", create=True)


class Told:
    """What a batch tells."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.discarded: list[str] = []

    def batch(self, spool: Spool) -> Batch:
        """Return a new batch that tells it."""
        return Batch(
            spool,
            lambda job, _, __, went: (self.ended if went else self.discarded).append(job.id),
        )


def claims(spool: Spool, lease: Lease) -> Iterator[Claim]:
    """Claim all there is."""
    while (claim := spool.claim(lease)) is not None:
        yield claim


@contextmanager
def refused(monkeypatch: pytest.MonkeyPatch, call: str, job_id: str) -> Iterator[None]:
    """Let every ``call`` with a job's id in a path be refused."""
    real = getattr(os, call)

    def refuse(*args: object) -> object:
        if any(job_id in str(argument) for argument in args):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), args[0])
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(f"spoolcalc.files.os.{call}", refuse)
        yield


@pytest.mark.parametrize("call", ["open", "rename"])
def test_who_is_refused_is_refused_alone(
    call: str, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others of a batch are recorded, and the one is kept to be tried again."""
    ids = [spool.submit("neg", [str(n)]) for n in range(5)]
    told = Told()
    held = told.batch(spool)
    with spool.register() as lease:
        for claim in claims(spool, lease):
            held.add(claim, Outcome.completed("x"), 0.0)
        with (
            refused(monkeypatch, call, ids[2]),
            pytest.raises(StorageFailure, match="No space left"),
        ):
            held.flush()
        assert (told.ended, len(held)) == ([*ids[:2], *ids[3:]], 1)
        held.flush()
    assert told.ended[-1] == ids[2]
    assert {spool.find(job_id).state for job_id in ids} == {State.COMPLETED}
    assert {len(spool.find(job_id).attempts) for job_id in ids} == {1}
    assert os.listdir(spool.layout.tmp) == []


def test_late_outcomes_are_discarded_one_by_one(spool: Spool) -> None:
    """Of a worker that was given up, what another one has done stays done."""
    ids = [spool.submit("neg", [str(n)]) for n in range(3)]
    told = Told()
    held = told.batch(spool)
    with spool.register() as lease:
        for claim in claims(spool, lease):
            held.add(claim, Outcome.completed("late"), 0.0)
        directory = spool.layout.wip_of(lease.worker)
        os.rename(directory, f"{directory}.returned")
        Worker(Spool(spool.path), once=True).run()
        held.flush()
    assert (told.ended, told.discarded) == ([], ids)
    assert [spool.find(job_id).result for job_id in ids] == ["0", "-1", "-2"]


@pytest.mark.parametrize(
    ("operation", "operands", "crashes", "sociable"),
    [
        ("add", ["1", "2"], 3, True),
        ("add", ["1", "2"], 2, True),
        ("add", ["1", "2"], 1, False),
        ("neg", ["1" * LIGHT], 3, True),
        ("neg", ["1" * (LIGHT + 1)], 3, False),
        ("resize", ["1"], 3, False),
        ("exec", ["true"], 3, False),
    ],
)
def test_only_light_jobs_that_can_bear_a_loss_are_sociable(
    operation: str, operands: list[str], crashes: int, spool: Spool, *, sociable: bool
) -> None:
    """Neither others' operations, nor long operands, nor a job that one loss would make poison."""
    spool.publish([new_document(new_id(), operation, operands, max_crashes=crashes)])
    with spool.register() as lease:
        [claim] = claims(spool, lease)
        assert is_sociable(claim) is sociable


def test_nobody_is_charged_twice_for_others(spool: Spool) -> None:
    """A worker's death costs all that were in company one attempt, and from then on they are alone.

    So an innocent job does not become poison, however many workers die beside it.
    """
    spool.submit("neg", ["1"])
    spool.submit("neg", ["2"])
    with spool.register() as dying:
        assert all(map(is_sociable, claims(spool, dying)))
        directory = spool.layout.wip_of(dying.worker)
        os.unlink(spool.layout.lock_of(dying.worker))
        assert spool.sweep().put_back
        assert not os.path.exists(directory)
    with spool.register() as lease:
        again = list(claims(spool, lease))
        assert [[a.end for a in claim.job.attempts] for claim in again] == [["lost"]] * 2
        assert not any(map(is_sociable, again))


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many outcomes are recorded together, each time."""
    sizes: list[int] = []
    real = Spool.finish_many

    def noted(
        self: Spool, finished: Sequence[tuple[Claim, Outcome]]
    ) -> Sequence[State | StorageFailure | None]:
        if finished:
            sizes.append(len(finished))
        return real(self, finished)

    monkeypatch.setattr(Spool, "finish_many", noted)
    monkeypatch.setattr(batch, "OLDEST", 3600.0)
    return sizes


def test_a_worker_records_together_what_it_can(spool: Spool, groups: list[int]) -> None:
    """Full batches, and the rest as soon as nothing more is known to be runnable."""
    for n in range(2 * LARGEST + 3):
        spool.submit("neg", [str(n)])
    assert Worker(spool, once=True).run() == 2 * LARGEST + 3
    assert groups == [LARGEST, LARGEST, 3]


def test_who_may_kill_the_worker_is_run_alone(spool: Spool, groups: list[int]) -> None:
    """What was done before it is recorded first, and its own outcome is recorded at once."""
    for crashes in (3, 3, 1, 3, 3, 3):
        spool.submit("neg", ["1"], max_crashes=crashes)
    Worker(spool, once=True).run()
    assert groups == [2, 1, 3]


def test_an_outcome_does_not_wait_for_long(
    spool: Spool, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each job takes its time, none waits for a batch to be full."""
    monkeypatch.setattr(batch, "OLDEST", 0.0)
    for _ in range(3):
        spool.submit("neg", ["1"])
    Worker(spool, once=True).run()
    assert groups == [1, 1, 1]


def test_max_jobs_counts_what_waits_to_be_recorded(spool: Spool, groups: list[int]) -> None:
    """No job more is run because outcomes are still in hand."""
    for _ in range(5):
        spool.submit("neg", ["1"])
    assert Worker(spool, max_jobs=3).run() == 3
    assert groups == [3]
    assert spool.counts()[State.PENDING] == 2


def in_the_third_job(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let something happen while the third job is run."""
    run: list[str] = []

    def executing(operation: str, operands: Sequence[str]) -> Outcome:
        run.append(operation)
        if len(run) == 3:
            act()
        return execute(operation, operands)

    monkeypatch.setattr(worker, "execute", executing)


def test_told_to_stop_it_records_what_it_has(
    spool: Spool, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job at hand is finished, and nothing that was done is done again."""
    for _ in range(5):
        spool.submit("neg", ["1"])
    one = Worker(spool)
    in_the_third_job(monkeypatch, one.stop)
    assert one.run() == 3
    counts = spool.counts()
    assert (counts[State.COMPLETED], counts[State.PENDING]) == (3, 2)
    assert groups == [3]


def test_told_to_stop_at_once_it_gives_back_the_job_at_hand_alone(
    spool: Spool, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was finished before is recorded; what is given back is not charged."""
    ids = [spool.submit("neg", ["1"]) for _ in range(5)]
    one = Worker(spool)
    in_the_third_job(monkeypatch, one.stop_now)
    with pytest.raises(term.Interrupted):
        one.run()
    states = [spool.find(job_id).state for job_id in ids]
    assert states == [State.COMPLETED] * 2 + [State.PENDING] * 3
    assert spool.find(ids[2]).attempts == ()


class Troubled(Report):
    """Notes the trouble and what ended, and does something at each trouble."""

    def __init__(self) -> None:
        self.troubles = 0
        self.recorded: list[str] = []
        self.act: Callable[[], object] = lambda: None

    def trouble(self, error: SpoolError, *, again: bool = True) -> None:
        """Note it."""
        self.troubles += 1
        self.act()

    def ended(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Note it."""
        self.recorded.append(job.id)


def full_disk(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let so many outcomes find the disk full."""
    real = files.write
    left = iter(range(times))

    def write(path: str, data: bytes, mode: int) -> int:
        if b'"completed"' in data and next(left, None) is not None:
            raise StorageFailure("write", path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        return real(path, data, mode)

    monkeypatch.setattr("spoolcalc.transitions.files.write", write)


def test_a_full_disk_is_waited_for(
    spool: Spool, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could be recorded is, the rest as soon as there is space, and no attempt is charged."""
    ids = [spool.submit("neg", [str(n)]) for n in range(4)]
    report = Troubled()
    monkeypatch.setattr(worker, "PAUSE", 0.01)
    full_disk(monkeypatch, 6)
    assert Worker(spool, max_jobs=4, report=report).run() == 4
    assert groups == [4, 4, 2]
    assert report.troubles == 2
    assert sorted(report.recorded) == ids
    assert [[a.end for a in spool.find(i).attempts] for i in ids] == [["completed"]] * 4


def test_told_to_stop_on_a_full_disk_it_hands_back(
    spool: Spool, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is charged, and whoever comes next does those jobs again."""
    ids = [spool.submit("neg", [str(n)]) for n in range(4)]
    report = Troubled()
    one = Worker(spool, max_jobs=3, report=report)
    report.act = one.stop
    full_disk(monkeypatch, 1_000)
    assert one.run() == 3
    assert report.recorded == []
    assert spool.counts()[State.PENDING] == 4
    assert [spool.find(job_id).attempts for job_id in ids] == [()] * 4
    assert os.listdir(spool.layout.tmp) == []


def test_once_a_full_disk_is_an_error(
    spool: Spool, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single pass says what was refused, and hands back what it could not record."""
    ids = [spool.submit("neg", [str(n)]) for n in range(3)]
    full_disk(monkeypatch, 4)
    with pytest.raises(StorageFailure, match="No space left"):
        Worker(spool, once=True).run()
    states = [spool.find(job_id).state for job_id in ids]
    assert sorted(states) == [State.COMPLETED] * 2 + [State.PENDING]
    assert all(a.end == "completed" for job_id in ids for a in spool.find(job_id).attempts)
