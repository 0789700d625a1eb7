"""A bug of ours that is met with one job ends that job in time, and not each worker that takes it.

The bugs are planted; a document that nobody thought of may meet a real one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import (
    Lease,
    Spool,
    State,
    Worker,
    batch,
    document,
    endings,
    liveness,
    sweep,
    transitions,
)
from spoolcalc.errors import UsageError
from spoolcalc.inbox import Adopted, Inbox

if TYPE_CHECKING:
    from collections.abc import Callable


class Bug(ArithmeticError):
    """What nobody thought of."""


def met_with(job_id: str, function: Callable[..., Any], which: int = 0) -> Callable[..., Any]:
    """Return the function with a bug that is met with one job alone."""

    def call(*arguments: Any, **more: Any) -> Any:
        given = arguments[which]
        if job_id in str(getattr(given, "document", given)):
            raise Bug("planted")
        return function(*arguments, **more)

    return call


def work(spool: Spool) -> None:
    """Have a worker do what there is to do."""
    Worker(spool, once=True).run()


def in_corrupt(spool: Spool) -> str:
    """Return the one reason that lies in ``corrupt/``."""
    [path] = Path(spool.layout.corrupt).glob("*.reason")
    return path.read_text()


@pytest.mark.parametrize("where", ["before it runs", "as it is recorded"])
def test_a_job_is_charged_with_the_bug_that_is_met_with_it(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The worker ends, and tells; the job is poison after three, and the others get through."""
    jobs = [spool.submit("add", ["12", str(number)]) for number in range(4)]
    bad = jobs[1]
    if where == "before it runs":
        monkeypatch.setattr(Spool, "operands", met_with(bad, Spool.operands, 1))
    else:
        monkeypatch.setattr(endings, "_ended", met_with(bad, endings._ended))
    for crashes in (1, 2, 3):
        with pytest.raises(Bug):
            work(spool)
        assert len(spool.find(bad).attempts) == crashes
    work(spool)
    job = spool.find(bad)
    assert (job.state, job.outcome and job.outcome.reason) == (State.FAILED, "poison")
    assert job.error is not None
    assert job.error.endswith("the last one: a bug in spool: Bug: planted")
    for good in set(jobs) - {bad}:
        assert (spool.find(good).state, len(spool.find(good).attempts)) == (State.COMPLETED, 1)


def test_one_that_cannot_be_charged_goes_to_corrupt(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is to be written of it, the bug is met."""
    bad, good = (spool.submit("add", ["1", "2"]) for _ in range(2))
    monkeypatch.setattr(endings, "encode", met_with(bad, document.encode))
    with pytest.raises(Bug):
        work(spool)
    work(spool)
    assert spool.find(good).state is State.COMPLETED
    assert "a bug in spool: Bug: planted" in in_corrupt(spool)


def test_a_bug_met_in_a_batch_is_charged_to_its_job_alone(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those whose outcomes waited with it are recorded, before it and behind it."""
    monkeypatch.setattr(batch, "OLDEST", 60.0)
    jobs = [spool.submit("add", ["12", str(number)]) for number in range(5)]
    monkeypatch.setattr(endings, "_ended", met_with(jobs[2], endings._ended))
    with pytest.raises(Bug):
        work(spool)
    states = [(spool.find(job).state, len(spool.find(job).attempts)) for job in jobs]
    done = (State.COMPLETED, 1)
    assert states == [done, done, (State.PENDING, 1), done, done]


def test_a_sweeper_goes_on(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be handed on goes to ``corrupt/``, and the rest is handed on."""
    bad, good = (spool.submit("add", ["1", "2"]) for _ in range(2))
    lease = Lease.take(spool.layout)
    assert spool.claim(lease)
    assert spool.claim(lease)
    lease._lock.release()  # it died
    monkeypatch.setattr(sweep, "charge", met_with(bad, endings.charge, 3))
    swept = spool.sweep()
    assert swept.put_back == [good]
    assert [Path(path).name for path in swept.quarantined] == [f"{bad}.json"]
    assert "a bug in spool: Bug: planted" in in_corrupt(spool)


def test_an_adopter_goes_on(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does who looks into ``inbox/``."""
    job = '{"operation": "add", "operands": ["1", "2"]}'
    for name in ("bad", "good"):
        Path(spool.layout.inbox, f"{name}.json").write_text(job)
    inbox = Inbox(spool.layout)
    monkeypatch.setattr(inbox, "_document", met_with("bad", inbox._document))
    with spool.register() as lease:
        adopted = inbox.adopt(lease)
    assert [name for name, _ in adopted.jobs] == ["good"]
    assert adopted.rejected == [("bad", "a bug in spool: Bug: planted")]


def test_a_document_that_nobody_thought_of_cannot_be_read(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks is told so, and who claims it moves it away."""
    job_id = spool.submit("add", ["1", "2"])

    def check(value: object) -> bool:
        raise Bug("planted")

    monkeypatch.setitem(document._CHECKS, "operands", check)
    with spool.register() as lease:
        bucket = spool.layout.pending_bucket(5, job_id)
        assert transitions.claim(spool.layout, lease.worker, bucket, f"{job_id}.json") is None
    assert "it cannot be read (Bug: planted)" in in_corrupt(spool)


def test_a_worker_ends_with_its_keeper(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nobody would show a sign of life; and what ran goes back, uncharged."""
    job_id = spool.submit("exec", ["sleep", "100"], cwd="/")
    adopt = Inbox.adopt

    def break_once_it_runs(inbox: Inbox, lease: Lease, *, woken: bool = False) -> Adopted:
        if not woken and spool.find(job_id).state is State.WIP:
            raise Bug("planted")
        return adopt(inbox, lease, woken=woken)

    monkeypatch.setattr(Inbox, "adopt", break_once_it_runs)
    with pytest.raises(Bug):
        Worker(spool).run()
    job = spool.find(job_id)
    assert (job.state, job.attempts) == (State.PENDING, ())


@pytest.mark.parametrize("lease", ["1" + "0" * 400, "1e999", "-1", "0", "NaN", "true"])
def test_an_odd_lease_in_a_lock_file_is_none(spool: Spool, lease: str) -> None:
    """Its worker has the usual one."""
    worker = "host.1.0a0b0c0d"
    told = f'{{"host": "host", "lease": {lease}}}'
    Path(spool.layout.lock_of(worker)).write_text(told)
    assert liveness.read_identity(spool.layout, worker) == {"host": "host"}


@pytest.mark.parametrize("seconds", [0, -1, 1e10, float("inf"), float("nan")])
def test_nobody_takes_an_odd_lease(spool: Spool, seconds: float) -> None:
    """Others would not believe it."""
    with pytest.raises(UsageError, match="not a lease"), spool.register(seconds):
        raise AssertionError
    assert not list(Path(spool.layout.tmp).iterdir())
