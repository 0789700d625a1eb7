"""The whole spool at one look, as lines, tables and JSON."""

from __future__ import annotations

import time

from spoolcalc.errors import plain
from spoolcalc.job import timestamp
from spoolcalc.render.text import drawn, field, short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from spoolcalc.overview import Overview


def as_object(overview: Overview, paused: dict[str, str] | None) -> dict[str, Any]:
    """Return the overview as the object that JSON answers hold.

    ``paused`` is since when (``since``) and for what ``reason``, None if the spool is not.
    """
    return {
        "spool": overview.path,
        "counts": {state.value: number for state, number in overview.counts.items()},
        "corrupt": overview.corrupt,
        "inbox": overview.inbox,
        "oldest_pending_seconds": overview.oldest and round(overview.oldest, 3),
        "workers": [
            {
                "worker": view.worker,
                "host": view.host,
                "pid": view.pid,
                "started": view.started,
                "jobs": [
                    {
                        "id": job.id,
                        "operation": job.operation,
                        "operands": list(job.operands),
                        "since": timestamp(job.updated),
                    }
                    for job in view.jobs
                ],
            }
            for view in overview.workers
        ],
        "hint": overview.hint,
        "paused": paused,
    }


def as_lines(overview: Overview, paused: dict[str, str] | None) -> str:
    """Return the overview as tab-separated lines, the first field naming what the line tells."""
    lines = [f"{state.value}\t{number}" for state, number in overview.counts.items()]
    lines.append(f"corrupt\t{overview.corrupt}")
    lines.append(f"inbox\t{overview.inbox}")
    oldest = "-" if overview.oldest is None else f"{overview.oldest:.3f}"
    lines.append(f"oldest_pending_seconds\t{oldest}")
    lines.append(f"workers\t{len(overview.workers)}")
    for view in overview.workers:
        at = ",".join(job.id for job in view.jobs)
        fields = ("worker", view.worker, view.host, view.pid, view.started, at)
        lines.append("\t".join(map(field, fields)))
    pause = ("paused", paused["since"], paused["reason"]) if paused else ("paused", None)
    lines.append("\t".join(map(field, pause)))
    return "\n".join(lines) + "\n"


def as_table(overview: Overview, paused: dict[str, str] | None, width: int) -> str:
    """Return the overview as tables for a terminal."""
    from rich.table import Table
    from rich.text import Text

    from spoolcalc.units import age

    counts = Table(box=None, pad_edge=False)
    counts.add_column("state")
    counts.add_column("jobs", justify="right")
    for state, number in overview.counts.items():
        counts.add_row(state.value, str(number))
    if overview.corrupt:
        counts.add_row("corrupt", str(overview.corrupt))
    if overview.inbox:
        counts.add_row("inbox", str(overview.inbox))
    text = f"{plain(overview.path)}\n{drawn(counts, width)}"
    if paused is not None:
        reason = f": {paused['reason']}" if paused["reason"] else ""
        text += f"paused since {plain(paused['since'])}{plain(reason)}\n"
    if overview.oldest is not None:
        text += f"oldest pending: {age(overview.oldest)}\n"
    if overview.workers:
        table = Table(box=None, pad_edge=False)
        for name in ("worker", "pid", "at", "for"):
            table.add_column(name, overflow="fold")
        for view in overview.workers:
            at = [short(" ".join((job.operation, *job.operands))) for job in view.jobs]
            since = [age(max(0.0, time.time() - job.updated)) for job in view.jobs]
            cells = (view.worker, str(view.pid), "\n".join(at) or "idle", "\n".join(since))
            table.add_row(*map(Text, cells))
        text += drawn(table, width)
    else:
        text += "no worker is alive\n"
    return text
