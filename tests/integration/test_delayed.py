"""Many jobs whose time comes at once."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from spoolcalc import Spool, State, Worker, due, reading
from spoolcalc.due import Calendar

if TYPE_CHECKING:
    from collections.abc import Callable

PENDING, DELAYED = State.PENDING, State.DELAYED


@pytest.fixture
def ids(spool: Spool) -> list[str]:
    """Return the ids of ten jobs of one bucket, in the order in which they come to be due."""
    first = ((int((time.time() + 3600) * 1000) >> 16) + 1 << 16) / 1000
    later = [spool.submit("neg", [str(n)], at=first + n / 100) for n in range(10)]
    assert len(os.listdir(spool.layout.delayed)) == 1
    return later


@pytest.fixture
def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the time come."""
    real = time.time

    def come() -> None:
        monkeypatch.setattr(time, "time", lambda: real() + 3800)

    return come


def test_a_look_promotes_for_a_short_time(
    spool: Spool,
    ids: list[str],
    an_hour_later: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first to be due go first, and what it lists is listed once."""
    monkeypatch.setattr(due, "SLICE", -1.0)  # no time at all: one a look
    an_hour_later()
    calendar = Calendar(spool.layout)
    assert calendar.promote() == 0
    listed: list[str] = []
    real = reading.names
    monkeypatch.setattr(reading, "names", lambda path: listed.append(path) or real(path))  # type: ignore[func-returns-value]
    for number in range(1, 9):
        assert [spool.find(i).state for i in ids] == [PENDING] * number + [DELAYED] * (10 - number)
        listed.clear()
        assert calendar.promote() == 0
        assert listed == []
    assert calendar.promote() > 0
    assert {spool.find(i).state for i in ids} == {PENDING}
    assert os.listdir(spool.layout.delayed) == []


def test_a_worker_that_ends_by_itself_runs_them_all(
    spool: Spool,
    ids: list[str],
    an_hour_later: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even if others take what it promotes, and when the spool is paused it ends all the same."""
    monkeypatch.setattr(due, "SLICE", -1.0)
    an_hour_later()
    spool.pause()
    assert Worker(Spool(spool.path), once=True).run() == 0
    assert {spool.find(i).state for i in ids} == {PENDING}
    spool.resume()
    assert Worker(Spool(spool.path), once=True).run() == 10
