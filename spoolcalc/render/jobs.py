"""Jobs as lines, sheets, tables and JSON.

``more`` is what lies beside a job's document, where somebody has looked: ``progress``, as the
worker wrote it, and ``output``, the paths of what a command writes.
"""

from __future__ import annotations

import json

from spoolcalc.errors import JobCancelled, JobFailed, plain
from spoolcalc.ids import seconds_of
from spoolcalc.job import State, timestamp
from spoolcalc.render.text import drawn, field, json_answer, short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from rich.text import Text

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
    "label",
    "key",
    "timeout",
    "retries",
    "not_before",
    "after",
    "exit_code",
    "progress",
)

#: The characters of a label that a table shows, and where nothing else is cut for them.
_LABEL, _LABEL_IF_ROOM = 10, 20
#: The columns of a table that are cut where the terminal is narrow, and how wide they stay.
_CUT, _LEAST = ("job", "outcome"), 7
#: The columns that are left out, in this order, where it is too narrow even so.
_SPARED = ("submitted", "attempts", "label")
#: How many characters rich leaves between two columns.
_GAP = 2


def as_object(job: Job, **more: object) -> dict[str, Any]:
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
        "label": job.label,
        "key": job.key,
        "timeout": job.timeout,
        "retries": job.retries,
        "backoff": job.backoff if job.retries else None,
        "not_before": job.not_before,
        "after": [{"id": job_id, "need": need} for job_id, need in job.after],
        "command": job.command,
        "max_output": job.max_output,
        "exit_code": outcome and outcome.exit_code,
        "cut": outcome and outcome.cut,
        "progress": None,
        "output": None,
        **more,
    }


def all_json(jobs: Iterable[Job], look: Callable[[Job], dict[str, object]]) -> str:
    """Return jobs as one JSON object; ``look`` gives each one's ``more``."""
    return json_answer(jobs=[as_object(job, **look(job)) for job in jobs])


def as_item(job: Job, **more: object) -> str:
    """Return one job as it stands in the list of :func:`all_json`."""
    return json.dumps(as_object(job, **more))


def failure(job: Job) -> JobFailed | None:
    """Return the error that tells people why a job has failed; None if it has not."""
    if job.state is not State.FAILED:
        return None
    if job.outcome is not None and job.outcome.reason == "cancelled":
        return JobCancelled(f"job {job.id} was cancelled")
    return JobFailed(f"job {job.id} failed: {plain(job.error or '')}")


def too_late(job: Job) -> JobFailed:
    """Return the error of who wanted to cancel a job that has ended by itself."""
    return JobFailed(f"too late to cancel job {job.id}: it is {job.state}")


def as_line(job: Job, **more: object) -> str:
    """Return a job as one line of tab-separated fields."""
    return "\t".join(map(field, _values(job, more))) + "\n"


def as_sheet(job: Job, **more: object) -> str:
    """Return a job as a sheet for a terminal: a line for each field that has a value."""
    rows = [
        (name, value)
        for name, value in zip(FIELDS, _values(job, more), strict=True)
        if value not in (None, "") and (name, value) != ("retries", 0)
    ]
    written = more.get("output")
    if isinstance(written, dict):
        rows += [(stream, path) for stream, path in written.items() if path is not None]
    lines = [f"{name.replace('_', ' '):<13} {plain(str(value))}" for name, value in rows]
    for number, attempt in enumerate(job.attempts, 1):
        error = f": {attempt.error}" if attempt.error else ""
        told = f"{attempt.ended} {attempt.end} by {attempt.worker}{error}"
        lines.append(f"  attempt {number:<3} {plain(told)}")
    return "\n".join(lines) + "\n"


def as_table(jobs: Sequence[Job], title: str, width: int, *, labelled: bool = False) -> str:
    """Return jobs as a table for a terminal, a line for each.

    A column in which there is nothing to tell is left out, and so is the label of jobs that are
    ``labelled`` all alike; what jobs do and what came of it is cut.
    """
    from rich.table import Table
    from rich.text import Text

    columns = {
        "id": [job.id for job in jobs],
        "state": [job.state.value for job in jobs],
        "label": [short(job.label or "", _LABEL_IF_ROOM) for job in jobs],
        "job": [short(" ".join((job.operation, *job.operands))) for job in jobs],
        "submitted": [timestamp(seconds_of(job.id))[5:19].replace("T", " ") for job in jobs],
        "attempts": [str(len(job.attempts)) for job in jobs],
        "outcome": [short(job.error or "" if job.result is None else job.result) for job in jobs],
    }
    told = {
        "state": {*columns["state"]} != {title},
        "label": any(columns["label"]) and not labelled,
        "attempts": any(len(job.attempts) > 1 for job in jobs),
        "outcome": any(columns["outcome"]),
    }
    cells = {n: [*map(Text, texts)] for n, texts in columns.items() if told.get(n, True)}
    width = _fit(cells, width)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in cells:
        table.add_column(name, no_wrap=name not in _CUT, overflow="fold")
    for row in zip(*cells.values(), strict=True):
        table.add_row(*row)
    return drawn(table, width)


def _fit(cells: dict[str, list[Text]], width: int) -> int:
    """Cut texts and leave out columns, so that a row has ``width`` characters; return how many.

    They are more only where the columns that always stay are wider.
    """
    wide = {n: max([len(n), *(c.cell_len for c in column)]) for n, column in cells.items()}
    label = wide.get("label", 0)
    if "label" in wide:
        wide["label"] = min(label, _LABEL)
    for name in (*_SPARED, None):
        gaps = _GAP * (len(wide) - 1)
        taken = sum(wide[n] for n in wide if n not in _CUT) + gaps
        least = taken + sum(min(wide[n], _LEAST) for n in wide if n in _CUT)
        if name is None or least <= width:
            break
        wide.pop(name, None)
        cells.pop(name, None)
    width = max(width, least)  # or else the terminal folds
    room = width - taken
    wanted = wide["job"] + wide.get("outcome", 0)
    share = max(room // 2, room - wide["job"]) if "outcome" in wide else 0
    outcome = min(wide.get("outcome", 0), share)
    most = {"outcome": outcome, "job": room - outcome}
    if "label" in wide:
        most["label"] = min(label, wide["label"] + max(0, room - wanted))
        most["job"] -= most["label"] - wide["label"]
    for name, characters in most.items():
        for cell in cells.get(name, ()):
            cell.truncate(characters, overflow="ellipsis")
    return width


def _worker(job: Job) -> str | None:
    """Who has the job, or who ended it."""
    if job.worker is not None or job.state is State.PENDING:
        return job.worker
    return job.attempts[-1].worker if job.attempts else None


def _progress(told: object) -> str | None:
    """Return how far a job is as people read it: ``40% half the files``."""
    if not isinstance(told, dict):
        return None
    fraction, text = told.get("fraction"), str(told.get("text") or "")
    percent = f"{fraction:.0%}" if isinstance(fraction, (int, float)) else ""
    return " ".join(filter(None, (percent, text))) or None


def _values(job: Job, more: dict[str, object]) -> tuple[object, ...]:
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
        job.label,
        job.key,
        None if job.timeout is None else f"{job.timeout:g}",
        job.retries,
        job.not_before,
        ",".join(f"{job_id}:{need}" for job_id, need in job.after),
        None if job.outcome is None else job.outcome.exit_code,
        _progress(more.get("progress")),
    )
