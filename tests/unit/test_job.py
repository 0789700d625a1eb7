"""The job's document and the frozen values."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoolcalc import Attempt, Job, NewerFormat, Outcome, State
from spoolcalc.document import (
    Malformed,
    crashes,
    decode,
    encode,
    new_document,
    with_attempt,
    with_outcome,
)
from spoolcalc.ids import new_id
from spoolcalc.job import timestamp


def document() -> dict[str, Any]:
    """Return a fresh job's document."""
    return new_document(new_id(), "add", ["12", "23"])


@given(st.text(min_size=1), st.lists(st.text()))
def test_a_document_comes_back_as_it_was_written(operation: str, operands: list[str]) -> None:
    """Any text survives, in one line of ASCII."""
    written = new_document(new_id(), operation, operands)
    data = encode(written)
    assert data.isascii()
    assert data.count(b"\n") == 1
    assert decode(data) == written


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_torn_document_is_never_taken_for_a_job(length: int, byte: int) -> None:
    """Cut anywhere, or followed by rubbish, it is malformed."""
    data = encode(document())
    torn = data[: min(length, len(data) - 2)]
    with pytest.raises(Malformed):
        decode(torn)
    with pytest.raises(Malformed):
        decode(data + bytes([byte]) + b"{")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "../../etc/passwd"),
        ("id", 7),
        ("operation", ""),
        ("operation", None),
        ("operands", "12"),
        ("operands", [12]),
        ("priority", 10),
        ("priority", True),
        ("priority", "5"),
        ("max_crashes", 0),
        ("attempts", {}),
        ("attempts", [{"worker": "w"}]),
        ("outcome", {"state": "completed"}),
        ("outcome", {"state": "pending", "finished": "x"}),
        ("outcome", {"state": "completed", "finished": "x", "result": 35}),
        ("outcome", {"state": "failed", "finished": "x", "error": "e", "exit_code": "abc"}),
        ("outcome", {"state": "failed", "finished": "x", "error": "e", "exit_code": 10**400}),
        ("outcome", {"state": "failed", "finished": "x", "error": "e", "reason": ["error"]}),
        ("outcome", {"state": "completed", "finished": "x", "result": "35", "exact": 1}),
        ("attempts", [{"worker": "w", "ended": "x", "end": "failed", "started": 7}]),
        ("attempts", [{"worker": "w", "ended": "x", "end": "failed", "error": ["e"]}]),
        ("max_crashes", 10**400),
        ("retries", 10**400),
        ("forgiven", -1),
        ("backoff", 10**400),
        ("backoff", 1e10),
        ("timeout", 10**400),
        ("timeout", -1),
        ("format", "1"),
        ("format", 0),
        ("submitted", None),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    """So that a person can mend it."""
    with pytest.raises(Malformed, match=field):
        decode(json.dumps({**document(), field: value}).encode())


@pytest.mark.parametrize("field", sorted(document()))
def test_a_missing_field_is_named(field: str) -> None:
    """None of them is optional."""
    rest = {name: value for name, value in document().items() if name != field}
    with pytest.raises(Malformed, match=field):
        decode(json.dumps(rest).encode())


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"{" + b'"a":' * 10]
)
def test_what_is_no_document_is_malformed(data: bytes) -> None:
    """And nothing worse comes up."""
    with pytest.raises(Malformed):
        decode(data)


def test_a_newer_document_is_told_from_a_broken_one() -> None:
    """It is not for us to judge what a later version wrote."""
    with pytest.raises(NewerFormat, match="format 2"):
        decode(json.dumps({"format": 2, "anything": "else"}).encode())


def test_what_the_submitter_wrote_never_changes() -> None:
    """Attempts and outcome are added to a copy."""
    first = document()
    kept = json.loads(json.dumps(first))
    lost = Attempt("w", "s", "e", "lost", "it died")
    second = with_outcome(with_attempt(first, lost), Outcome.completed("35", exact=True), "now")
    assert first == kept
    assert {name: second[name] for name in kept if name not in ("attempts", "outcome")} == {
        name: kept[name] for name in kept if name not in ("attempts", "outcome")
    }
    job = Job(decode(encode(second)), State.COMPLETED)
    assert job.attempts == (lost,)
    assert job.outcome == Outcome.completed("35", exact=True)
    assert job.result == "35"
    assert job.error is None
    assert job.completed_on == "now"
    assert crashes(second) == 1


def test_values_cannot_be_changed() -> None:
    """A job is what it was when it was looked at."""
    job = Job(document(), State.PENDING)
    with pytest.raises(AttributeError, match="cannot be changed"):
        job.state = State.FAILED
    with pytest.raises(AttributeError, match="cannot be changed"):
        del job.worker
    assert job == Job(job._document, State.PENDING)
    assert job != Job(job._document, State.FAILED)
    assert len({job, Job(job._document, State.PENDING)}) == 1
    assert "PENDING" in repr(job)


def test_times_are_utc() -> None:
    """RFC 3339 in documents, aware datetimes in values."""
    assert timestamp(0.0015) == "1970-01-01T00:00:00.001Z"
    submitted = Job(document(), State.PENDING).submitted
    assert submitted.tzinfo is UTC
    assert abs((datetime.now(UTC) - submitted).total_seconds()) < 5
