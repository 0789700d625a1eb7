"""The job's id."""

from __future__ import annotations

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoolcalc import ids


def test_ids_are_uuids_of_version_7() -> None:
    """An independent implementation agrees on version, variant and time."""
    made = ids.new_id()
    parsed = uuid.UUID(made)
    assert str(parsed) == made
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert abs((parsed.int >> 80) / 1000 - time.time()) < 5
    assert ids.seconds_of(made) == (parsed.int >> 80) / 1000


def test_ids_of_one_process_rise_whatever_the_clock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is set back, or stands still, does not turn the order round."""
    monkeypatch.setattr(ids, "_last", ids._last)
    now = time.time_ns() + 10**12
    readings = iter([now, now, now - 10**10, now + 1, now + 10**9])
    monkeypatch.setattr(time, "time_ns", lambda: next(readings))
    made = [ids.new_id() for _ in range(5)]
    assert made == sorted(made)
    assert len(set(made)) == 5


def test_ten_thousand_ids_are_unique_and_in_order() -> None:
    """However quickly they are made."""
    made = [ids.new_id() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert all(map(ids.is_id, made))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "../../etc/passwd",
        "01a20f20-b358-75fa-ab79-9c641df4b44f\n",
        "01A20F20-B358-75FA-AB79-9C641DF4B44F",
        "01a20f20-b358-45fa-ab79-9c641df4b44f",
        "01a20f20-b358-75fa-cb79-9c641df4b44f",
        "01a20f20b35875faab799c641df4b44f",
        "01a20f20-b358-75fa-ab79-9c641df4b4-f",
        "01a20f20-b358-75fa-ab79-9c641df4b44g",
        "0" * 10_000,
    ],
)
def test_what_is_no_id_is_told(text: str) -> None:
    """Anything but the canonical form of the right version is refused."""
    assert not ids.is_id(text)


@given(st.text(max_size=40))
def test_only_uuids_are_ids(text: str) -> None:
    """Whatever passes is a UUID that an independent parser writes the same way."""
    if ids.is_id(text):
        assert str(uuid.UUID(text)) == text
