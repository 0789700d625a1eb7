"""Durations as people write and read them."""

from __future__ import annotations

import pytest

from spoolcalc.errors import UsageError
from spoolcalc.units import age, seconds


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
