"""Cancelling and running again, at moments that a command hardly meets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from spoolcalc import Lease, NotFinished, Outcome, Spool, State, StorageFailure

if TYPE_CHECKING:
    from conftest import Jobs

    from spoolcalc import Claim
    from spoolcalc.layout import Layout


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the hands that have registered."""
    taken: list[str] = []
    real = Lease.take

    def take(layout: Layout, *args: float, hand: bool = False) -> Lease:
        lease = real(layout, *args, hand=hand)
        taken.extend([lease.worker] * hand)
        return lease

    monkeypatch.setattr(Lease, "take", take)
    return taken


def wish(spool: Spool, job_id: str) -> None:
    """Wish that a job be cancelled, and do not wait for it."""
    with pytest.raises(NotFinished):
        spool.cancel(job_id, patience=0.0)


@pytest.mark.parametrize("how", ["failed", "crashed"])
def test_a_wish_holds_for_a_job_that_would_be_tried_again(spool: Spool, how: str) -> None:
    """It could not be ended while it ran; there is no further attempt."""

    def end(claim: Claim) -> State | None:
        if how == "failed":
            return spool.finish(claim, Outcome.failed("boom"))
        return spool.crashed(claim, "boom")

    job_id = spool.submit("add", ["12", "23"], retries=3, backoff=0.0)
    with spool.register() as lease:
        claim = spool.claim(lease)
        assert claim is not None
        wish(spool, job_id)
        assert end(claim) is State.FAILED
    job = spool.find(job_id)
    assert job.outcome == Outcome.cancelled()
    assert [(attempt.end, attempt.error) for attempt in job.attempts] == [(how, "boom")]


def test_a_wish_does_not_change_an_end(spool: Spool, jobs: Jobs) -> None:
    """Neither a result nor the last failure."""
    completes, fails = jobs.pending(), jobs.pending()
    with spool.register() as lease:
        for outcome in (Outcome.completed("35"), Outcome.failed("boom")):
            claim = spool.claim(lease)
            assert claim is not None
            wish(spool, claim.job.id)
            spool.finish(claim, outcome)
    assert spool.find(completes).result == "35"
    assert spool.find(fails).error == "boom"


def test_a_wish_holds_for_a_job_that_is_handed_back(spool: Spool, jobs: Jobs) -> None:
    """Its worker leaves before it has obeyed."""
    job_id = jobs.pending()
    with spool.register() as lease:
        assert spool.claim(lease) is not None
        wish(spool, job_id)
    assert spool.find(job_id).outcome == Outcome.cancelled()
    assert os.listdir(spool.layout.wip) == os.listdir(spool.layout.workers) == []


def test_one_hand_does_many(spool: Spool, jobs: Jobs, hands: list[str]) -> None:
    """It registers once, when it first needs to, and is gone at the end."""
    waiting = [jobs.pending() for _ in range(3)]
    with spool.by_hand() as hand:
        assert hands == []
        for job_id in waiting:
            assert hand.cancel(job_id).state is State.FAILED
        for job_id in waiting:
            assert hand.retry(job_id).state is State.PENDING
        assert len(hands) == 1
    assert list(spool.retry_failed()) == []
    assert len(hands) == 1
    assert os.listdir(spool.layout.wip) == os.listdir(spool.layout.workers) == []


def test_a_hand_that_was_given_up_is_another_one_then(
    spool: Spool, jobs: Jobs, hands: list[str]
) -> None:
    """It may have waited for long for a job that runs."""
    with spool.by_hand() as hand:
        hand.cancel(jobs.pending())
        os.rmdir(spool.layout.wip_of(hands[0]))
        assert hand.cancel(jobs.pending()).outcome == Outcome.cancelled()
    assert len(hands) == 2
    spool.sweep()
    assert os.listdir(spool.layout.wip) == os.listdir(spool.layout.workers) == []


def test_what_a_hand_is_refused_goes_back_at_once(
    spool: Spool, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not stay with it for as long as there are others."""

    def refuse(*_: object) -> bool:
        raise StorageFailure("write", "there", OSError(28, "No space left on device"))

    job_id, other = jobs.pending(), jobs.pending()
    with spool.by_hand() as hand:
        with monkeypatch.context() as patch:
            patch.setattr("spoolcalc.byhand.conclude", refuse)
            with pytest.raises(StorageFailure):
                hand.cancel(job_id)
        assert spool.find(job_id).state is State.PENDING
        assert hand.cancel(other).outcome == Outcome.cancelled()


@pytest.mark.parametrize("state", ["pending", "blocked", "failed"])
def test_an_empty_bucket_goes_with_its_last_job(spool: Spool, jobs: Jobs, state: str) -> None:
    """So that pending/ is empty when nothing can be run; no worker comes by."""
    if state == "failed":
        spool.retry(jobs.failed())
    else:
        spool.cancel(jobs.of_each_state()[state])
    assert os.listdir(f"{spool.path}/{state}") == []
