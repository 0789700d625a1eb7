"""Durations, sizes and moments as people write and read them."""

from __future__ import annotations

import time

import pytest

from spoolcalc.errors import UsageError
from spoolcalc.units import age, moment, seconds, size, written_duration, written_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0.0),
        ("90", 90.0),
        ("1.5", 1.5),
        ("30s", 30.0),
        ("250ms", 0.25),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("2d", 172_800.0),
        ("1w", 604_800.0),
    ],
)
def test_durations_are_read(text: str, expected: float) -> None:
    """A bare number is seconds."""
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "-1s", "s", "1x", "1s ", "1 s", "\u0661s", "1e3", "inf", "nan", "1h30", "9" * 30]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """With an example of what is one."""
    with pytest.raises(UsageError, match="not a duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("512", 512),
        ("64K", 65_536),
        ("10M", 10_485_760),
        ("1.5G", 1_610_612_736),
        ("2T", 2_199_023_255_552),
        ("1MiB", 1_048_576),
        ("100MB", 104_857_600),
    ],
)
def test_sizes_are_read(text: str, expected: int) -> None:
    """A bare number is bytes."""
    assert size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "-1", "K", "10XB", "1k", "10 M", "1e3", "inf", "\u0661", "9" * 30]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    """With an example of what is one."""
    with pytest.raises(UsageError, match="not a size"):
        size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02T00:00Z", 86_400.0),
        ("1970-01-01T00:00:00.5Z", 0.5),
        ("1970-01-01 01:00+01:00", 0.0),
        ("2026-12-01T03:00:00-05:00", 1_796_112_000.0),
    ],
)
def test_moments_are_read(text: str, expected: float) -> None:
    """With where they are meant."""
    assert moment(text) == expected


@pytest.mark.parametrize("text", ["2026-12-01T03:00", "2026-12-01 03:00:00"])
def test_a_moment_is_local_unless_it_says_otherwise(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three at night is three at night where it was written."""
    monkeypatch.setenv("TZ", "XXX-2")
    time.tzset()
    try:
        assert moment(text) == moment("2026-12-01T01:00Z")
        assert moment("2026-12-01") == moment("2026-11-30T22:00Z")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "2026-13-01T00:00", "2026-02-30", "20261201T0300", "2026-W01-1", "03:00"],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    """With an example of what is one."""
    with pytest.raises(UsageError, match="not a date and time"):
        moment(text)


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (42, "42 s"),
        (60, "1 min"),
        (192, "3 min 12 s"),
        (7200, "2 h"),
        (187_200, "2 d 4 h"),
    ],
)
def test_ages_are_written(duration: float, expected: str) -> None:
    """In at most two units."""
    assert age(duration) == expected


@pytest.mark.parametrize("text", ["0s", "1ms", "250ms", "1s500ms", "10m", "1h30m", "30d", "1d1h1m"])
def test_a_duration_is_written_as_it_is_read(text: str) -> None:
    """So that what is shown can be copied."""
    assert written_duration(seconds(text)) == text


@pytest.mark.parametrize("text", ["0", "1", "1000", "1K", "1536K", "100M", "3G", "2T"])
def test_a_size_is_written_as_it_is_read(text: str) -> None:
    """Exactly, in the largest unit that allows it."""
    assert written_size(size(text)) == text
