"""A job that cannot be read: who asks for it is told, and who waits for it does not do so for ever.

And one of a later version is there, though this one cannot read it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import (
    CorruptDocument,
    NoSuchJob,
    Outcome,
    Quarantined,
    Spool,
    State,
    Worker,
    dependants,
)
from spoolcalc.cleaning import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Jobs, Ran


def drain(spool: Spool) -> None:
    """Run all that can be run."""
    Worker(spool, once=True).run()


def quarantined(spool: Spool, jobs: Jobs) -> str:
    """Submit a job, spoil it, and have it moved away."""
    job_id = spool.submit("add", ["1", "2"], key="spoilt")
    jobs.path(job_id).write_bytes(b"{")
    drain(spool)
    return job_id


def make_newer(path: Path) -> None:
    """Let a later version have written a document."""
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "format": 2}))


@pytest.mark.parametrize("command", ["status", "wait", "fetch", "cancel", "retry"])
def test_who_asks_is_told_why_and_where(
    run: Callable[..., Ran], spool: Spool, jobs: Jobs, command: str
) -> None:
    """It was submitted here, and it was not cleaned."""
    job_id = quarantined(spool, jobs)
    said = run(command, job_id)
    assert said.returncode == 7
    assert said.stdout == ""
    assert f"job {job_id} cannot be read any more, and was moved to" in said.stderr
    assert f"{spool.layout.corrupt}/{job_id}.json." in said.stderr
    assert "not JSON" in said.stderr


def test_who_needs_it_is_refused(run: Callable[..., Ran], spool: Spool, jobs: Jobs) -> None:
    """In the same words, and nothing is left of it."""
    job_id = quarantined(spool, jobs)
    said = run("submit", "--after", job_id, "add", "1", "2")
    assert said.returncode == 7
    assert "cannot be read any more" in said.stderr
    with pytest.raises(Quarantined):
        spool.submit("neg", [f"@{job_id}"])
    assert not list(Path(spool.layout.waits).iterdir())


def test_one_that_lies_spoilt_in_its_place_is_refused_too(spool: Spool, jobs: Jobs) -> None:
    """And no note of who would have waited is left."""
    job_id = spool.submit("add", ["1", "2"])
    jobs.path(job_id).write_bytes(b"{")
    with pytest.raises(CorruptDocument):
        spool.submit("neg", [f"@{job_id}"])
    assert not list(Path(spool.layout.waits).iterdir())


def test_its_key_is_free(spool: Spool, jobs: Jobs) -> None:
    """Who sends it again gets a job that can be run."""
    first = quarantined(spool, jobs)
    again = spool.submit("add", ["1", "2"], key="spoilt")
    assert again != first
    drain(spool)
    assert spool.find(again).result == "3"


def test_once_corrupt_is_emptied_there_is_no_such_job(spool: Spool, jobs: Jobs) -> None:
    """A reason alone speaks of no file."""
    job_id = quarantined(spool, jobs)
    [file] = [p for p in Path(spool.layout.corrupt).iterdir() if p.suffix != ".reason"]
    file.unlink()
    with pytest.raises(NoSuchJob, match="no such job") as told:
        spool.find(job_id)
    assert type(told.value) is NoSuchJob


def test_a_needed_job_of_a_later_version_is_waited_for(spool: Spool, jobs: Jobs) -> None:
    """It is there: a newer worker will run it."""
    needed = spool.submit("add", ["1", "2"], delay=3600.0)
    waits = spool.submit("neg", [f"@{needed}"])
    make_newer(jobs.path(needed))
    blocked = jobs.path(waits)
    bucket = Path(spool.layout.pending_bucket(5, waits))
    bucket.mkdir()
    blocked.rename(bucket / blocked.name)  # let go too early
    drain(spool)
    assert (spool.find(waits).state, spool.find(waits).error) == (State.BLOCKED, None)
    spool.sweep()
    drain(spool)
    assert spool.find(waits).state is State.BLOCKED


def test_what_a_job_of_a_later_version_needs_is_not_cleaned(spool: Spool, jobs: Jobs) -> None:
    """It may have to wait on, or be run with that result."""
    needed = spool.submit("add", ["1", "2"])
    waits = spool.submit("neg", [f"@{needed}"], delay=3600.0)
    with spool.register() as lease:
        claimed = spool.claim(lease)
        assert claimed is not None
        spool.finish(claimed, Outcome.completed("3"))
    make_newer(jobs.path(waits))
    spool.fetch(needed)
    assert dependants.is_needed(spool.layout, needed)
    assert clean(spool.layout, 0.0).retrieved == 0


@pytest.mark.parametrize("place", ["pending", "completed"])
def test_nobody_waits_for_ever_for_one_that_cannot_be_read(
    spool: Spool, jobs: Jobs, place: str
) -> None:
    """It goes to ``corrupt/`` when it is taken; what has ended is taken no more."""
    needed = spool.submit("add", ["1", "2"])
    waits = spool.submit("neg", [f"@{needed}"], delay=0.0)
    if place == "completed":
        with spool.register() as lease:
            claimed = spool.claim(lease)
            assert claimed is not None
            spool.finish(claimed, Outcome.completed("3"))
    jobs.path(needed).write_bytes(b"{")
    drain(spool)
    spool.sweep()
    drain(spool)
    job = spool.find(waits)
    assert (job.state, job.outcome and job.outcome.reason) == (State.FAILED, "dependency")
    assert "cannot be read" in (job.error or "")
