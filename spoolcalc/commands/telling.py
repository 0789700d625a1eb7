"""``events`` and ``metrics``: what has happened, for other programs."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress

from spoolcalc import files, output
from spoolcalc.bell import Bell
from spoolcalc.errors import OK, StorageFailure
from spoolcalc.history import History
from spoolcalc.ids import is_id
from spoolcalc.job import timestamp
from spoolcalc.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: How often (seconds) who follows looks although nothing woke him, and how seldom if much does.
POLL, PAUSE = 0.5, 0.02
#: So many lines are written at once.
GROUP = 512
#: How a line begins; its time follows, in so many characters.
_BEGINNING, _TIME = b'{"time":"', len("2026-11-24T03:00:00.000Z")


def events(
    path: str, *, follow: bool = False, since: float | None = None, job: str | None = None
) -> int:
    """Print events, those of ``job`` alone, and from the time ``since`` on.

    With ``follow`` go on with what comes, and begin with that unless ``since`` says otherwise.
    """
    spool = Spool(path)
    wanted = _filter(spool, since, job)
    layout = spool.layout
    with suppress(StorageFailure):  # of a spool that an earlier version made; else it is looked at
        files.make_directory(layout.events, layout.directory_mode)
    with History(layout) as history:
        if not follow:
            _print(history, wanted)
            return OK
        with Bell(layout.events) as bell:
            if since is None:
                history.to_end()
            while True:
                _print(history, wanted)
                bell.wait(POLL)
                time.sleep(PAUSE)


def _filter(spool: Spool, since: float | None, job: str | None) -> Callable[[bytes], bool]:
    """Return what tells whether a line is wanted, which is one."""
    first = b"" if since is None else timestamp(since).encode("ascii")
    job_id = None if job is None else job if is_id(job) else spool.resolve(job)
    begins = len(_BEGINNING)

    def is_wanted(line: bytes) -> bool:
        if not line.startswith(_BEGINNING) or line[begins : begins + _TIME] < first:
            return False
        if job_id is not None and job_id.encode("ascii") not in line:
            return False
        try:
            told = json.loads(line)
        except ValueError:  # torn by a full disk
            return False
        return job_id is None or told.get("id") == job_id

    return is_wanted


def _print(history: History, is_wanted: Callable[[bytes], bool]) -> None:
    lines: list[str] = []
    for line in history.lines():
        if is_wanted(line):
            lines.append(line.decode("ascii", "backslashreplace") + "\n")
        if len(lines) >= GROUP:
            output.answer("".join(lines))
            lines.clear()
    if lines:
        output.answer("".join(lines))


def metrics(path: str, textfile: str | None = None) -> int:
    """Print the spool's figures for Prometheus, or put them into the file ``textfile``.

    Who reads that file finds the old figures or the new ones, whole.
    """
    from spoolcalc.metrics import figures
    from spoolcalc.render.metrics import as_text

    text = as_text(figures(Spool(path).layout))
    if textfile is None:
        output.answer(text)
        return OK
    directory, name = os.path.split(os.path.abspath(textfile))
    temporary = f"{directory}/.{name}.{os.urandom(4).hex()}"
    files.write_durably(temporary, text.encode("utf-8", "backslashreplace"), 0o644)
    try:
        files.move(temporary, f"{directory}/{name}")
    except StorageFailure:
        with suppress(StorageFailure):
            files.remove(temporary)
        raise
    return OK
