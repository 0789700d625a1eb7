"""A torture's verdict as a report for people, lines for pipes, JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spoolcalc.errors import plain
from spoolcalc.render.text import field

if TYPE_CHECKING:
    from typing import Any

    from spoolcalc.torture import Verdict

#: What the counts mean, in the order in which they are told.
_COUNTS = {
    "races": "races of several processes at one instant",
    "submitted": "jobs submitted",
    "completed": "jobs run to their end",
    "delivered": "results fetched",
    "cleaned": "jobs cleaned",
    "looked_up": "times a job was looked up",
    "deaths": "processes killed",
    "deaths_at_system_calls": "of these by themselves, at some system call",
    "stopped": "workers stopped for longer than their lease",
    "given_up": "workers given up by others",
    "discarded": "late outcomes discarded",
}


def as_object(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as the object that JSON answers hold."""
    return {
        "verdict": verdict.word,
        "directory": verdict.directory,
        "file_system": verdict.file_system,
        "seconds": round(verdict.seconds, 1),
        "counts": {name: verdict.counts.get(name, 0) for name in _COUNTS},
        "too_few": verdict.too_few,
        "broken": [{"promise": b.promise, "evidence": b.evidence} for b in verdict.broken],
        "notes": verdict.notes,
        "kept": verdict.kept,
    }


def as_lines(verdict: Verdict) -> str:
    """Return a verdict as tab-separated lines, the first field naming what the line tells."""
    rows: list[tuple[object, ...]] = [
        ("verdict", verdict.word),
        ("directory", verdict.directory),
        ("file_system", verdict.file_system),
        ("seconds", f"{verdict.seconds:.1f}"),
        *((name, verdict.counts.get(name, 0)) for name in _COUNTS),
        *(("broken", broken.promise, broken.evidence) for broken in verdict.broken),
        *(("too_few", name) for name in verdict.too_few),
        *(("note", note) for note in verdict.notes),
        ("kept", verdict.kept),
    ]
    return "".join("\t".join(map(field, row)) + "\n" for row in rows)


def as_report(verdict: Verdict) -> str:
    """Return a verdict as a person reads it."""
    text = f"{verdict.word}: {plain(verdict.directory)}, {verdict.file_system}, "
    text += f"{verdict.seconds:.1f} s\n\n"
    for name, means in _COUNTS.items():
        text += f"{verdict.counts.get(name, 0):>8} {means}\n"
    if verdict.broken:
        text += "\nbroken, by the names in docs/guarantees.md:\n"
        text += "".join(f"  {b.promise}: {plain(b.evidence)}\n" for b in verdict.broken)
        text += f"What is left lies in {plain(verdict.kept or '')}\n"
        text += "Do not rely on this file system.\n"
    if verdict.too_few:
        text += f"\ntoo few to prove anything: {', '.join(verdict.too_few)}; try longer\n"
    return text + "".join(f"\nnote: {plain(note)}\n" for note in verdict.notes)
