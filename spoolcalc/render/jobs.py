"""Jobs as lines, sheets, tables and JSON."""

from __future__ import annotations

import json

from spoolcalc.errors import plain
from spoolcalc.ids import seconds_of
from spoolcalc.job import State, timestamp
from spoolcalc.render.text import drawn, field, json_answer, short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from spoolcalc.job import Job

#: The columns of a job's line.
FIELDS = (
    "id",
    "state",
    "operation",
    "operands",
    "submitted",
    "last_updated",
    "attempts",
    "worker",
    "completed_on",
    "result",
    "error",
)


def as_object(job: Job) -> dict[str, Any]:
    """Return a job as the object that JSON answers hold."""
    outcome = job.outcome
    attempts = [
        {name: getattr(attempt, name) for name in ("worker", "started", "ended", "end", "error")}
        for attempt in job.attempts
    ]
    return {
        "id": job.id,
        "state": job.state.value,
        "operation": job.operation,
        "operands": list(job.operands),
        "priority": job.priority,
        "submitted": timestamp(seconds_of(job.id)),
        "last_updated": timestamp(job.updated),
        "attempts": attempts,
        "worker": _worker(job),
        "completed_on": job.completed_on,
        "result": outcome and outcome.result,
        "exact": outcome and outcome.exact,
        "precision": outcome and outcome.precision,
        "error": outcome and outcome.error,
        "reason": outcome and outcome.reason,
    }


def all_json(jobs: Iterable[Job]) -> str:
    """Return jobs as one JSON object."""
    return json_answer(jobs=[as_object(job) for job in jobs])


def as_item(job: Job) -> str:
    """Return one job as it stands in the list of :func:`all_json`."""
    return json.dumps(as_object(job))


def as_line(job: Job) -> str:
    """Return a job as one line of tab-separated fields."""
    return "\t".join(map(field, _values(job))) + "\n"


def as_sheet(job: Job) -> str:
    """Return a job as a sheet for a terminal: a line for each field that has a value."""
    rows = [
        (name, value)
        for name, value in zip(FIELDS, _values(job), strict=True)
        if value not in (None, "")
    ]
    lines = [f"{name.replace('_', ' '):<13} {plain(str(value))}" for name, value in rows]
    for number, attempt in enumerate(job.attempts, 1):
        error = f": {attempt.error}" if attempt.error else ""
        told = f"{attempt.ended} {attempt.end} by {attempt.worker}{error}"
        lines.append(f"  attempt {number:<3} {plain(told)}")
    return "\n".join(lines) + "\n"


def as_table(jobs: Sequence[Job], title: str, width: int) -> str:
    """Return jobs as a table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("id", "state", "job", "submitted", "attempts", "outcome"):
        table.add_column(name, no_wrap=name in ("id", "state"), overflow="fold")
    for job in jobs:
        outcome = job.result if job.result is not None else job.error or ""
        cells = (
            job.id,
            job.state.value,
            short(" ".join((job.operation, *job.operands))),
            timestamp(seconds_of(job.id))[5:19].replace("T", " "),
            str(len(job.attempts)),
            short(outcome),
        )
        table.add_row(*map(Text, cells))
    return drawn(table, width)


def _worker(job: Job) -> str | None:
    """Who has the job, or who ended it."""
    if job.worker is not None or job.state is State.PENDING:
        return job.worker
    return job.attempts[-1].worker if job.attempts else None


def _values(job: Job) -> tuple[object, ...]:
    return (
        job.id,
        job.state.value,
        job.operation,
        " ".join(job.operands),
        timestamp(seconds_of(job.id)),
        timestamp(job.updated),
        len(job.attempts),
        _worker(job),
        job.completed_on,
        job.result,
        job.error,
    )
