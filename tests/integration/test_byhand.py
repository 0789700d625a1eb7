"""Cancelling and running again, at moments that a command hardly meets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from spoolcalc import NotFinished, Outcome, Spool, State

if TYPE_CHECKING:
    from conftest import Jobs

    from spoolcalc import Claim


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
