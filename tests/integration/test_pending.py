"""What to claim next, when others come and go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spoolcalc import Spool, State, engine, pending
from spoolcalc.document import encode, new_document
from spoolcalc.engine import Engine
from spoolcalc.ids import new_id
from spoolcalc.pending import LOOK_AGAIN, Cursor


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Make a fresh spool."""
    return Spool(tmp_path / "spool", create=True)


def drain(cursor: Cursor) -> list[str]:
    """Return the ids that a cursor shows."""
    shown = []
    while (found := cursor.next()) is not None:
        bucket, name = found
        os.unlink(f"{bucket}/{name}")
        shown.append(name.removesuffix(".json"))
    return shown


def test_priority_comes_first_and_then_age(spool: Spool) -> None:
    """0 before 9, and the older before the younger."""
    late = spool.submit("neg", ["1"], priority=9)
    usual = [spool.submit("neg", ["1"]) for _ in range(3)]
    urgent = spool.submit("neg", ["1"], priority=0)
    assert drain(Cursor(spool.layout)) == [urgent, *usual, late]
    assert os.listdir(spool.layout.pending) == []


def test_an_urgent_job_overtakes_a_listing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that was read before it came does not hold it up for long."""
    clock = [100.0]
    monkeypatch.setattr("spoolcalc.pending.time.monotonic", lambda: clock[0])
    usual = [spool.submit("neg", [str(n)]) for n in range(5)]
    cursor = Cursor(spool.layout)
    found = cursor.next()
    assert found is not None
    assert found[1] == f"{usual[0]}.json"
    urgent = spool.submit("neg", ["1"], priority=1)
    clock[0] += 2 * LOOK_AGAIN
    found = cursor.next()
    assert found is not None
    assert found[1] == f"{urgent}.json"


def test_what_others_took_is_only_a_lost_race(spool: Spool) -> None:
    """Two workers share a listing; each job goes to one of them, and none is missed."""
    ids = [spool.submit("neg", [str(n)]) for n in range(20)]
    other = Spool(spool.path)
    with spool.register() as first, other.register() as second:
        taken = []
        while True:
            one, two = spool.claim(first), other.claim(second)
            taken += [claim.job.id for claim in (one, two) if claim is not None]
            if one is None and two is None:
                break
        assert sorted(taken) == ids


def test_jobs_that_come_while_a_listing_is_walked_are_found(spool: Spool) -> None:
    """Even into the bucket that is being walked."""
    cursor = Cursor(spool.layout)
    first = spool.submit("neg", ["1"])
    assert drain(cursor) == [first]
    second = spool.submit("neg", ["2"])
    assert drain(cursor) == [second]


def test_a_bucket_that_is_removed_under_a_submit_is_made_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making the bucket and publishing into it, a worker may remove it as empty."""
    link = os.link
    calls = []

    def racing_link(source: str, target: str) -> None:
        calls.append(target)
        bucket = os.path.dirname(target)
        if len(calls) <= 3 and os.path.isdir(bucket):
            os.rmdir(bucket)
        link(source, target)

    monkeypatch.setattr("spoolcalc.files.os.link", racing_link)
    job_id = spool.submit("neg", ["1"])
    assert len(calls) >= 4
    assert spool.find(job_id).state is State.PENDING


def test_what_was_left_to_others_is_forgotten_when_it_has_gone(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that goes on for years does not remember each job that it could not run."""
    monkeypatch.setattr(pending, "CROWD", 3)
    monkeypatch.setattr(pending, "LOOK_AGAIN", 0.0)
    cursor = Cursor(spool.layout)
    for number in range(20):
        cursor.pass_by(f"{number:08x}-0000-7000-8000-000000000000.json")
    kept = [spool.submit("neg", ["1"]) for _ in range(3)]
    for job_id in kept:
        cursor.pass_by(f"{job_id}.json")
    assert cursor.next() is None
    assert set(cursor._passed) == {f"{job_id}.json" for job_id in kept}
    assert cursor.next() is None


def test_what_is_no_job_goes_to_corrupt_with_a_reason(spool: Spool) -> None:
    """Foreign names in pending/ and in its buckets; NFS's own are left alone."""
    good = spool.submit("neg", ["1"])
    bucket = Path(spool.layout.pending_bucket(5, good))
    (bucket / "notes.txt").write_text("hello")
    (bucket / ".nfs0001").write_text("open elsewhere")
    Path(spool.layout.pending, "stray").write_text("x")
    Path(spool.layout.pending, "5-00000000").symlink_to("/")
    assert drain(Cursor(spool.layout)) == [good]
    corrupt = sorted(name.split(".")[0] for name in os.listdir(spool.layout.corrupt))
    assert corrupt == ["5-00000000"] * 2 + ["notes"] * 2 + ["stray"] * 2
    reasons = list(Path(spool.layout.corrupt).glob("*.reason"))
    assert len(reasons) == 3
    assert os.listdir(bucket) == [".nfs0001"]


def test_a_job_that_was_put_back_with_its_crash_noted_keeps_it(spool: Spool) -> None:
    """What is claimed is what lies there now, and not what a listing promised."""
    job_id = new_id()
    document = new_document(job_id, "neg", ["1"])
    spool.publish([document])
    lost = {"worker": "w", "started": "s", "ended": "e", "end": "lost", "error": "it died"}
    place = Path(spool.layout.pending_bucket(5, job_id), f"{job_id}.json")
    place.write_bytes(encode({**document, "attempts": [lost]}))
    with spool.register() as lease:
        claim = spool.claim(lease)
        assert claim is not None
        assert [attempt.end for attempt in claim.job.attempts] == ["lost"]


def test_what_was_passed_by_comes_again_once_its_operation_is_known(spool: Spool) -> None:
    """A package that did not load may have been repaired."""
    job_id = spool.submit("add", ["12", "23"])
    spool.submit("sub", ["12", "23"])
    with spool.register() as lease:
        claimed = spool.claim(lease, lambda operation: operation == "sub")
        assert claimed is not None
        assert claimed.job.operation == "sub"
        assert spool.claim(lease, lambda _: False) is None
        claimed = spool.claim(lease, lambda _: True)
        assert claimed is not None
        assert claimed.job.id == job_id


def test_an_operation_that_did_not_load_is_tried_again_after_a_while(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at each look, for it may take long to fail."""
    worker = Engine(spool.layout)
    worker.forget("add")
    assert not worker.knows("add")
    monkeypatch.setattr(engine, "TRY_AGAIN", 0.0)
    assert worker.knows("add")
