"""Durations, sizes and moments as people write and read them.

``30s``, ``10m``, ``1h30m``, ``2d``; ``512``, ``64K``, ``10M``, ``1.5G``; ``2026-12-01T03:00``.
All readers raise :class:`~spoolcalc.errors.UsageError` with an example of how to write it.
"""

from __future__ import annotations

import re
import time

from spoolcalc.errors import UsageError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_SIZES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([KMGT]?)(?:i?B)?", re.ASCII)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d|w)")


def seconds(text: str) -> float:
    """Return a duration in seconds; a bare number is taken as seconds."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"not a duration: {text[:40]!r}", "Write it like 30s, 10m, 1h30m or 2d.")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def size(text: str) -> int:
    """Return a size in bytes; K, M, G and T are powers of 1024."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(f"not a size: {text[:40]!r}", "Write it like 512, 64K, 10M or 1.5G.")
    return int(float(found[1]) * _SIZES[found[2]])


def moment(text: str) -> float:
    """Return a date and time in seconds since the epoch; local time unless it says where."""
    from datetime import datetime

    if _MOMENT.fullmatch(text):
        try:
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError, OSError):  # the 30th of February; before all calendars
            pass
    raise UsageError(
        f"not a date and time: {text[:40]!r}",
        "Write it like 2026-12-01T03:00 (local time) or 2026-12-01T03:00Z.",
    )


def written_duration(duration: float) -> str:
    """Return a number of seconds as :func:`seconds` reads it: ``10m``, ``1h30m``, ``250ms``."""
    rest = round(duration * 1000)
    text = ""
    for unit in ("d", "h", "m", "s", "ms"):
        number, rest = divmod(rest, round(_UNITS[unit] * 1000))
        text += f"{number}{unit}" if number else ""
    return text or "0s"


def written_size(number: float) -> str:
    """Return a number of bytes as :func:`size` reads it: ``64K``, ``10M``; exactly."""
    whole = int(number)
    for unit in "TGMK":
        if whole and whole % _SIZES[unit] == 0:
            return f"{whole // _SIZES[unit]}{unit}"
    return f"{whole}"


def since(text: str) -> float:
    """Return a moment that is given as such or as how long ago it is."""
    try:
        return time.time() - seconds(text)
    except UsageError:
        return moment(text)


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
