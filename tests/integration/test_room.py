"""Nothing that we write makes a job's document too large to be read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import Outcome, Spool, State, UsageError
from spoolcalc.document import MAX_DOCUMENT, ROOM, encode, new_document
from spoolcalc.endings import crashed
from spoolcalc.ids import new_id
from spoolcalc.job import LONGEST_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Jobs, Ran

#: A character that takes twelve bytes in a document.
WIDE = "\U0001f600"


def finish(spool: Spool, outcome: Outcome) -> State | None:
    """Take the next job and end it."""
    with spool.register() as lease:
        claimed = spool.claim(lease)
        assert claimed is not None
        return spool.finish(claimed, outcome)


def fill(path: Path, left: int) -> None:
    """Give a job so many attempts that only so many bytes are left for more."""
    document = json.loads(path.read_bytes())
    ended = {"worker": "w", "started": "s", "ended": "e", "end": "failed", "error": "no"}
    each = len(json.dumps(ended, separators=(",", ":"))) + 1
    document["attempts"] = [ended] * ((MAX_DOCUMENT - ROOM - left) // each)
    path.write_bytes(encode(document))


@pytest.mark.parametrize("result", ["é" * 3_000_000, WIDE * 1_400_000, "x" * MAX_DOCUMENT])
def test_a_result_without_room_is_a_failure(spool: Spool, result: str) -> None:
    """Which says why, and can be read."""
    job_id = spool.submit("add", ["1", "2"])
    assert finish(spool, Outcome.completed(result)) is State.FAILED
    error = spool.fetch(job_id).error or ""
    assert error.startswith("the result takes 1")
    assert error.endswith("are left")


def test_a_result_that_has_room_is_kept(spool: Spool) -> None:
    """However many bytes its characters take."""
    job_id = spool.submit("add", ["1", "2"])
    assert finish(spool, Outcome.completed(WIDE * 1_200_000)) is State.COMPLETED
    assert spool.fetch(job_id).result == WIDE * 1_200_000


def test_a_worker_tells_what_it_records(
    run: Callable[..., Ran], spool: Spool, tmp_path: Path, commands: Any
) -> None:
    """Its log and its hooks hear of the failure, too."""
    package = tmp_path / "package"
    (package / "wide-1.dist-info").mkdir(parents=True)
    (package / "wide.py").write_text("def wide() -> str:\n    return 'é' * 3_000_000\n")
    entry = "[spoolcalc.operations]\nwide = wide:wide\n"
    (package / "wide-1.dist-info" / "entry_points.txt").write_text(entry)
    (package / "wide-1.dist-info" / "METADATA").write_text("Name: wide\nVersion: 1\n")
    env = {"PYTHONPATH": f"{package}:{commands.environment['PYTHONPATH']}"}
    job_id = run("submit", "wide", env=env).stdout.strip()
    worked = run("work", "--once", env=env)
    assert f"failed {job_id} wide failed: the result takes 18,0" in worked.stderr
    assert spool.find(job_id).state is State.FAILED


@pytest.mark.parametrize("retries", [0, 1])
def test_a_long_error_is_cut(spool: Spool, retries: int) -> None:
    """It says so; and the job can be tried again."""
    job_id = spool.submit("add", ["1", "2"], retries=retries, backoff=0)
    finish(spool, Outcome.failed("x" * 17_000_000))
    job = spool.find(job_id)
    error = job.attempts[0].error or ""
    assert len(error) == LONGEST_ERROR
    assert error.endswith("xxx... (cut; it had 17,000,000 characters)")
    assert job.error == (None if retries else error)


def test_an_error_that_is_cut_is_not_cut_again() -> None:
    """It says how long it was at first."""
    error = Outcome.failed("x" * 5_000).error
    assert error is not None
    assert Outcome.failed(error).error == error


@pytest.mark.parametrize(("left", "went"), [(1000, State.PENDING), (10, State.FAILED)])
def test_attempts_end_when_the_document_is_full(
    spool: Spool, jobs: Jobs, left: int, went: State
) -> None:
    """The job has failed then, and says why."""
    job_id = spool.submit("div", ["1", "0"], retries=10_000, backoff=0)
    document = json.loads(jobs.path(job_id).read_bytes())
    jobs.path(job_id).write_bytes(encode({**document, "retries": 10**6}))
    fill(jobs.path(job_id), left)
    assert finish(spool, Outcome.failed("division by zero")) is went
    job = spool.find(job_id)
    if went is State.FAILED:
        assert job.error == (
            "the job's document has no room for more attempts, so that it is not tried again: "
            "division by zero"
        )
        with pytest.raises(UsageError, match="no room for more attempts"):
            spool.retry(job_id)


def test_so_do_crashes(spool: Spool, jobs: Jobs) -> None:
    """However many of them it may have."""
    job_id = spool.submit("add", ["1", "2"], max_crashes=1_000_000)
    fill(jobs.path(job_id), 10)
    with spool.register() as lease:
        claimed = spool.claim(lease)
        assert claimed is not None
        assert crashed(spool.layout, claimed, "it died") is State.FAILED
    assert (spool.find(job_id).error or "").startswith("poison: 1 of its attempts crashed")


def test_a_job_without_room_for_an_outcome_is_refused(spool: Spool) -> None:
    """By the check before anything is written, and by who writes."""
    env = {"A": "x" * (MAX_DOCUMENT - ROOM)}
    with pytest.raises(UsageError, match="the job is too large"):
        spool.submit("exec", ["true"], env=env)
    document = new_document(new_id(), "add", ["1" * (MAX_DOCUMENT - ROOM)])
    with pytest.raises(UsageError, match="the job is too large"):
        spool.publish([document])
    assert not any(spool.counts().values())
    assert not list(Path(spool.layout.tmp).iterdir())


def test_one_that_somebody_else_wrote_goes_to_corrupt(spool: Spool, jobs: Jobs) -> None:
    """It can be run, and there is no room to say what came of it."""
    job_id = spool.submit("add", ["1", "2"])
    document = json.loads(jobs.path(job_id).read_bytes())
    rest = MAX_DOCUMENT - len(encode({**document, "note": ""}))
    jobs.path(job_id).write_bytes(encode({**document, "note": "x" * rest}))
    assert finish(spool, Outcome.completed("3")) is None
    [reason] = Path(spool.layout.corrupt).glob("*.reason")
    assert "no room for more attempts, and none for its outcome" in reason.read_text()
