r"""Values to text: lines for pipes, tables for terminals, JSON for programs.

In a pipe a job is one line of tab-separated fields, in the order of :data:`FIELDS`; a field without
a value is ``-``; tab, newline and backslash inside a field are written as ``\t``, ``\n``,
``\\``.  JSON is one object with ``"schema": 1``; times are RFC 3339, UTC.
"""

from __future__ import annotations

import json
import time

from spoolcalc.errors import plain
from spoolcalc.ids import seconds_of
from spoolcalc.job import State, timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from spoolcalc.job import Job
    from spoolcalc.overview import Overview
    from spoolcalc.sweep import Cleaned

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
#: Characters of a value that a table shows.
_SHOWN = 60


def job_object(job: Job) -> dict[str, Any]:
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


def as_json(**content: object) -> str:
    """Return one JSON object of the current schema, with a newline."""
    return json.dumps({"schema": 1, **content}) + "\n"


def jobs_json(jobs: Iterable[Job]) -> str:
    """Return jobs as one JSON object."""
    return as_json(jobs=[job_object(job) for job in jobs])


def as_item(job: Job) -> str:
    """Return one job as it stands in the list of :func:`jobs_json`."""
    return json.dumps(job_object(job))


def job_line(job: Job) -> str:
    """Return a job as one line of tab-separated fields."""
    return "\t".join(map(_field, _values(job))) + "\n"


def job_sheet(job: Job) -> str:
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


def jobs_table(jobs: Sequence[Job], title: str, width: int) -> str:
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
            _short(" ".join((job.operation, *job.operands))),
            timestamp(seconds_of(job.id))[5:19].replace("T", " "),
            str(len(job.attempts)),
            _short(outcome),
        )
        table.add_row(*map(Text, cells))
    return _drawn(table, width)


def overview_object(overview: Overview) -> dict[str, Any]:
    """Return the overview as the object that JSON answers hold."""
    return {
        "spool": overview.path,
        "counts": {state.value: number for state, number in overview.counts.items()},
        "corrupt": overview.corrupt,
        "oldest_pending_seconds": overview.oldest and round(overview.oldest, 3),
        "workers": [
            {
                "worker": view.worker,
                "host": view.host,
                "pid": view.pid,
                "started": view.started,
                "jobs": [
                    {"id": job.id, "operation": job.operation, "since": timestamp(job.updated)}
                    for job in view.jobs
                ],
            }
            for view in overview.workers
        ],
        "hint": overview.hint,
    }


def overview_lines(overview: Overview) -> str:
    """Return the overview as tab-separated lines, the first field naming what the line tells."""
    lines = [f"{state.value}\t{number}" for state, number in overview.counts.items()]
    lines.append(f"corrupt\t{overview.corrupt}")
    oldest = "-" if overview.oldest is None else f"{overview.oldest:.3f}"
    lines.append(f"oldest_pending_seconds\t{oldest}")
    lines.append(f"workers\t{len(overview.workers)}")
    for view in overview.workers:
        at = ",".join(job.id for job in view.jobs)
        fields = ("worker", view.worker, view.host, view.pid, view.started, at)
        lines.append("\t".join(map(_field, fields)))
    return "\n".join(lines) + "\n"


def overview_table(overview: Overview, width: int) -> str:
    """Return the overview as tables for a terminal."""
    from rich.table import Table
    from rich.text import Text

    from spoolcalc.units import age

    counts = Table(title=overview.path, title_justify="left", box=None, pad_edge=False)
    counts.add_column("state")
    counts.add_column("jobs", justify="right")
    for state, number in overview.counts.items():
        counts.add_row(state.value, str(number))
    if overview.corrupt:
        counts.add_row("corrupt", str(overview.corrupt))
    text = _drawn(counts, width)
    if overview.oldest is not None:
        text += f"oldest pending: {age(overview.oldest)}\n"
    if overview.workers:
        table = Table(box=None, pad_edge=False)
        for name in ("worker", "pid", "at", "for"):
            table.add_column(name, overflow="fold")
        for view in overview.workers:
            at = [_short(" ".join((job.operation, *job.operands))) for job in view.jobs]
            since = [age(max(0.0, time.time() - job.updated)) for job in view.jobs]
            cells = (view.worker, str(view.pid), "\n".join(at) or "idle", "\n".join(since))
            table.add_row(*map(Text, cells))
        text += _drawn(table, width)
    else:
        text += "no worker is alive\n"
    return text


def cleaned_object(cleaned: Cleaned, *, dry_run: bool) -> dict[str, Any]:
    """Return what a cleaning removed as the object that JSON answers hold."""
    names = ("retrieved", "completed", "failed", "leftovers", "bytes")
    return {"dry_run": dry_run, **{name: getattr(cleaned, name) for name in names}}


def cleaned_line(cleaned: Cleaned, *, dry_run: bool) -> str:
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


def _field(value: object) -> str:
    if value is None or value == "":
        return "-"
    escaped = str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    return escaped.replace("\r", "\\r")


def _short(text: str) -> str:
    text = plain(text)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _drawn(table: object, width: int) -> str:
    from io import StringIO

    from rich.console import Console

    paper = StringIO()
    console = Console(file=paper, width=width, force_terminal=False, highlight=False, markup=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in paper.getvalue().splitlines()) + "\n"
