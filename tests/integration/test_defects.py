"""A bug of ours that is met with one job ends that job in time, and not each worker that takes it.

The bugs are planted; a document that nobody thought of may meet a real one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import Lease, Spool, State, Worker, batch, document, endings, sweep, transitions
from spoolcalc.inbox import Inbox

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
