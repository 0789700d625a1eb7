"""A glance at a spool as one screen: as many lines as that has, none wider than it is."""

from __future__ import annotations

import time

from spoolcalc.errors import plain
from spoolcalc.units import age

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from spoolcalc.glance import Glance
    from spoolcalc.overview import WorkerView

#: The width of a state's column.
_COLUMN = 11
#: The least that failures get of the lines that they share with workers.
_SHARE = 3


def frame(seen: Glance, width: int, height: int) -> Text:
    """Return the screen."""
    from rich.text import Text

    lines = [_head(seen, width), "", *_counts(seen), _rates(seen), *_remarks(seen), ""]
    jobs = _jobs(seen, width)
    failures = _failures(seen, width)
    rest = max(0, height - len(lines) - 4)  # two titles, a line between, the keys
    few = min(len(failures), max(_SHARE, rest // 3))
    shown = _cut(jobs, max(1, rest - few))
    busy = sum(1 for view in seen.workers if view.jobs)
    lines += [f"WORKERS {len(seen.workers)}, {busy} busy", *shown, ""]
    left = max(1, height - len(lines) - 2)
    lines += ["LAST FAILURES", *failures[:left]]
    lines += [""] * (height - 1 - len(lines))
    lines = [*lines[: height - 1], "q quits"]
    text = Text(no_wrap=True, overflow="crop", end="")
    for number, line in enumerate(lines):
        title = line.startswith(("spool ", "WORKERS ", "LAST ")) or number == len(lines) - 1
        text.append(line[:width], style="bold" if title else "")
        if number < len(lines) - 1:
            text.append("\n")
    return text


def _head(seen: Glance, width: int) -> str:
    now = time.strftime("%H:%M:%S")
    name = plain(seen.path)
    room = width - len(now) - len("spool  ")
    if len(name) > room:
        name = "…" + name[-max(1, room - 1) :]
    return f"spool {name:<{room}} {now}"


def _counts(seen: Glance) -> list[str]:
    names = "".join(f"{state.value:>{_COLUMN}}" for state in seen.counts)
    return [names, "".join(f"{number:>{_COLUMN},}" for number in seen.counts.values())]


def _rates(seen: Glance) -> str:
    told = "   ".join(f"{event} {rate:,.1f}/s" for event, rate in seen.rates.items())
    oldest = "-" if seen.oldest is None else age(seen.oldest)
    return f"{told}   oldest pending {oldest}"


def _remarks(seen: Glance) -> list[str]:
    """Return a line of what there usually is none of."""
    remarks = []
    if seen.paused:
        remarks.append("PAUSED: `spool resume` ends it")
    if seen.corrupt:
        remarks.append(f"{seen.corrupt} in corrupt/")
    if seen.inbox:
        remarks.append(f"{seen.inbox} in inbox/")
    if not seen.workers:
        remarks.append("no worker is alive")
    return ["   ".join(remarks)] if remarks else []


def _jobs(seen: Glance, width: int) -> list[str]:
    """Return a line for each running job, and for each idle worker after them."""
    worker, spent, progress = 20, 10, max(16, width // 4)
    room = max(8, width - worker - spent - progress - 3)
    lines = []
    idle = []
    for view in seen.workers:
        name = _fitted(_short_name(view), worker)
        for job in view.jobs:
            words = _fitted(" ".join((job.operation, *job.operands)), room)
            since = age(max(0.0, time.time() - job.updated))
            told = _fitted(_progress(seen.progress.get(job.id)), progress)
            lines.append(f"{name} {since:>{spent}} {told} {words}")
        if not view.jobs:
            idle.append(f"{name} {'idle':>{spent}}")
    return lines + idle


def _failures(seen: Glance, width: int) -> list[str]:
    lines = []
    for told in seen.failures:
        when, reason = str(told.get("time"))[11:19], plain(str(told.get("reason") or "error"))
        what = plain(f"{told.get('operation')} {told.get('id')}")
        line = f"{when} {reason:<10} {what}: {plain(str(told.get('error') or ''))}"
        lines.append(_fitted(line, width).rstrip())
    return lines or ["none"]


def _progress(told: dict[str, object] | None) -> str:
    """Return how far a job is: a bar, and what it said."""
    if told is None:
        return ""
    fraction, text = told.get("fraction"), str(told.get("text") or "")
    if not isinstance(fraction, int | float):
        return text
    done = round(max(0.0, min(1.0, float(fraction))) * 8)
    return f"{'█' * done}{'░' * (8 - done)} {fraction:4.0%} {text}"


def _short_name(view: WorkerView) -> str:
    return f"{view.host}.{view.pid}"


def _fitted(text: str, room: int) -> str:
    text = plain(text)
    return f"{text:<{room}}" if len(text) <= room else text[: room - 1] + "…"


def _cut(lines: Sequence[str], most: int) -> list[str]:
    """Return as many lines as there is room for, the last one telling how many there are more."""
    if len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], f"and {len(lines) - most + 1} more"]
