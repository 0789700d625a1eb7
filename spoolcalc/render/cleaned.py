"""What a cleaning removed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from spoolcalc.cleaning import Cleaned


def as_object(cleaned: Cleaned, *, dry_run: bool) -> dict[str, Any]:
    """Return what a cleaning removed as the object that JSON answers hold."""
    names = ("retrieved", "completed", "failed", "leftovers", "bytes")
    return {"dry_run": dry_run, **{name: getattr(cleaned, name) for name in names}}


def as_line(cleaned: Cleaned, *, dry_run: bool) -> str:
    """Return what a cleaning removed as a sentence."""
    jobs = cleaned.retrieved + cleaned.completed + cleaned.failed
    parts = [
        f"{number} {name}"
        for name in ("retrieved", "completed", "failed")
        if (number := getattr(cleaned, name))
    ]
    told = f"{_number(jobs, 'job')}" + (f" ({', '.join(parts)})" if parts else "")
    if cleaned.leftovers:
        told += f" and {_number(cleaned.leftovers, 'leftover')} in tmp/"
    return f"{'would remove' if dry_run else 'removed'} {told}, {cleaned.bytes} bytes\n"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
