"""Durations as people write and read them: ``30s``, ``10m``, ``1h30m``, ``2d``."""

from __future__ import annotations

import re

from spoolcalc.errors import UsageError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d|w)")


def seconds(text: str) -> float:
    """Return a duration in seconds; a bare number is taken as seconds.

    Raises :class:`~spoolcalc.errors.UsageError`.
    """
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"not a duration: {text[:40]!r}", "Write it like 30s, 10m, 1h30m or 2d.")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def age(duration: float) -> str:
    """Return a number of seconds as people read it: ``0.4 s``, ``3 min 12 s``, ``2 d 4 h``."""
    if duration < 60:
        return f"{duration:.1f} s" if duration < 10 else f"{duration:.0f} s"
    whole = int(duration)
    for size, unit, smaller, smaller_unit in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    raise AssertionError("unreachable")
