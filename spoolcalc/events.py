"""What happens to jobs is told: a line of JSON for each change of state, for audit and for pipes.

    events/<number>.jsonl    the newest has the highest number; some files of a few megabytes

Who makes a transition tells it after its commit point: :func:`tell` adds the lines of a group by
one write that is not synced.  What a worker is about to have an outcome for :func:`hold` keeps
until the next :func:`tell`, so that small jobs cost no write of their own; :func:`flush` is for who
is about to do something long.

The documents are the truth and this is a tale of them: a line is lost when its process is killed
between the two, or when the disk refuses it, and that is nobody's failure.  Who sees that a file is
full begins the next one, and has :mod:`~spoolcalc.totals` count the oldest ones and remove them.
No locks: a file that is full may still get a line of somebody who was slow.
"""

from __future__ import annotations

import json
import time
from _thread import RLock  # threading, which has it too, costs a submit a millisecond
from contextlib import suppress
from json.encoder import encode_basestring_ascii as quoted

from spoolcalc import files, history, reading
from spoolcalc.errors import StorageFailure
from spoolcalc.job import timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from spoolcalc.job import Document
    from spoolcalc.layout import Layout

#: A file that has so many bytes is full; of so many files the oldest goes.
LARGEST, FILES = 4 * 1024 * 1024, 4
#: Characters of an operation's name, and of an error, that a line has.
_NAME, _ERROR = 100, 200
#: So many lines are held at most.
_GROUP = 512
#: How often another file is tried when one was removed under the writer.
_TRIES = 3

_lock = RLock()
_held: list[str] = []
_held_for: Layout | None = None
#: A second since the epoch, and how the time of what is told in it begins.
_second = -1, ""
#: The spool that was told of last, and the number of its newest file.
_newest: tuple[str, int] = "", 0


def tell(layout: Layout, lines: Sequence[str]) -> None:
    """Add lines, after those that are held, by one write."""
    with _lock:
        if _held and _held_for is not None and _held_for.root != layout.root:
            _let_out()
        held = "".join(_held)
        _held.clear()
        _add(layout, held + "".join(lines))


def hold(layout: Layout, line: str) -> None:
    """Keep a line for the next :func:`tell` or :func:`flush`."""
    global _held_for  # noqa: PLW0603 - one process tells of one spool, nearly always
    with _lock:
        if _held and _held_for is not None and _held_for.root != layout.root:
            _let_out()
        _held_for = layout
        _held.append(line)
        if len(_held) >= _GROUP:
            _let_out()


def flush() -> None:
    """Write what is held."""
    if _held:
        with _lock:
            _let_out()


def submitted(document: Document, was: str | None, to: str) -> str:
    """Return the line of a job that came to be."""
    return _line("submitted", document["operation"], was, to, document["id"])


def moved(event: str, document: Document, was: str, to: str, worker: str | None = None) -> str:
    """Return the line of a job that went from one state to another, and did not run."""
    return _line(event, document["operation"], was, to, document["id"], worker=worker)


def claimed(document: Document, was: str, worker: str, started: float) -> str:
    """Return the line of a job that a worker took at ``started``."""
    attempt = len(document["attempts"]) + 1
    job = ("claimed", document["operation"], was, "wip", document["id"])
    return _line(*job, worker=worker, attempt=attempt, now=started)


def ended(document: Document, to: str, worker: str, seconds: float | None) -> str:
    """Return the line of an attempt that has ended, or of a job that ended without one.

    The event is ``completed`` or ``failed`` if the job has an outcome.  Else it is to be tried
    again: ``postponed`` if it failed, ``crashed`` or ``lost`` if not that was its end.
    """
    outcome = document["outcome"]
    attempts = document["attempts"]
    last = attempts[-1] if attempts else None
    if last is not None and outcome is not None and last["ended"] != outcome["finished"]:
        last = None  # it has ended without being run again
    told = outcome or last or {}
    event = str(outcome["state"] if outcome else last and last["end"])
    more: dict[str, Any] = {
        "reason": told.get("reason"),
        "exit_code": told.get("exit_code"),
        "error": told.get("error"),
        "worker": worker,
    }
    if last is not None:
        more["end"] = last["end"]
        more["attempt"] = len(attempts)
        more["worker"] = last["worker"]
        more["seconds"] = _seconds(last) if seconds is None else seconds
    event = "postponed" if outcome is None and event == "failed" else event
    return _line(event, document["operation"], "wip", to, document["id"], **more)


def gone(event: str, job_id: str, was: str, to: str | None, **more: Any) -> str:
    """Return the line of a job whose document was not looked at."""
    return _line(event, None, was, to, job_id, **more)


def _line(
    event: str,
    operation: str | None,
    was: str | None,
    to: str | None,
    job_id: str,
    *,
    now: float | None = None,
    end: str | None = None,
    reason: object = None,
    exit_code: object = None,
    worker: str | None = None,
    attempt: int | None = None,
    seconds: float | None = None,
    error: object = None,
) -> str:
    """Return a line.  What is counted stands first, up to the id: ``totals`` relies on it."""
    parts = [f'{{"time":"{_stamp(time.time() if now is None else now)}","event":"{event}"']
    if operation is not None:
        parts.append(f',"operation":{quoted(operation[:_NAME])}')
    parts.append(f',"from":"{was}"' if was else ',"from":null')
    parts.append(f',"to":"{to}"' if to else ',"to":null')
    if end is not None:
        parts.append(f',"end":{quoted(end)}')
    if reason is not None:
        parts.append(f',"reason":{json.dumps(reason)}')
    if exit_code is not None:
        parts.append(f',"exit_code":{json.dumps(exit_code)}')
    parts.append(f',"id":{quoted(job_id)}')
    if seconds is not None:
        parts.append(f',"seconds":{seconds:.6f}')
    if worker is not None:
        parts.append(f',"worker":{quoted(worker)}')
    if attempt is not None:
        parts.append(f',"attempt":{attempt}')
    if error is not None:
        parts.append(f',"error":{quoted(str(error)[:_ERROR])}')
    parts.append("}\n")
    return "".join(parts)


def _stamp(seconds: float) -> str:
    """Return what ``timestamp`` does; of the lines of one second it makes most once."""
    global _second  # noqa: PLW0603 - half of what a line costs
    milliseconds = int(seconds * 1000)
    whole, text = _second
    if whole != milliseconds // 1000:
        whole, text = _second = milliseconds // 1000, timestamp(seconds)[: -len("000Z")]
    return f"{text}{milliseconds % 1000:03d}Z"


def _seconds(attempt: dict[str, Any]) -> float | None:
    """Return how long an attempt took, by what its document says."""
    from datetime import datetime

    try:
        began, ended = (datetime.fromisoformat(attempt[name]) for name in ("started", "ended"))
        return max(0.0, (ended - began).total_seconds())
    except (KeyError, TypeError, ValueError):
        return None


def _let_out() -> None:
    held = "".join(_held)
    _held.clear()
    if _held_for is not None:
        _add(_held_for, held)


def _add(layout: Layout, text: str) -> None:
    if not text:
        return
    try:
        _append(layout, text.encode("ascii"))
    except StorageFailure:
        return  # it is not told


def _append(layout: Layout, data: bytes) -> None:
    global _newest  # noqa: PLW0603 - looked up once for each spool, not for each write
    root, number = _newest
    if root != layout.root:
        number = 0
    for _ in range(_TRIES):
        sure = number > 0
        number = number or history.newest(layout) or 1
        try:
            there = files.append(layout.events_file(number), data, layout.file_mode, make=not sure)
        except StorageFailure:
            if sure or reading.status(layout.events) or not reading.status(layout.root):
                raise
            files.make_directory(layout.events, layout.directory_mode)
            number = 0
            continue
        if there is not None and there.st_nlink:
            break
        number = 0  # it was removed as the oldest one: this process had slept
    else:
        return
    if there.st_size >= LARGEST:
        number = _turn(layout, number)
    _newest = layout.root, number


def _turn(layout: Layout, full: int) -> int:
    """Return the number of the file to go on with, which is begun if nobody has done that yet."""
    last = history.newest(layout)
    if last <= full:
        last = full + 1
        files.append(layout.events_file(last), b"", layout.file_mode, make=True)
    if len(history.numbers(layout)) > FILES:
        from spoolcalc import totals

        with suppress(StorageFailure):  # when the next file is full, then
            totals.shorten(layout, FILES)
    return last
