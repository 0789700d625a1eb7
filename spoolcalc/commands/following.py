"""``logs``: what a command has written so far, and with ``-f`` what it goes on to write.

Every attempt writes into files of its own; the newest one's are shown, and who follows is told on
stderr when another attempt begins.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

from spoolcalc import lookup, output, reading
from spoolcalc.bell import Bell
from spoolcalc.errors import OK, NoSuchJob, NotFinished, UsageError, plain
from spoolcalc.job import COMMAND
from spoolcalc.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.job import Job

#: How often (seconds) who follows looks although nothing woke him, and how seldom if much does.
POLL, PAUSE = 0.5, 0.01
#: Bytes that are read at once to find the last lines.
_CHUNK = 1 << 16


def logs(
    path: str, job_id: str, *, errors: bool = False, follow: bool = False, tail: int | None = None
) -> int:
    """Print what a command wrote to its stdout, or with ``errors`` to its stderr.

    ``tail``: the last so many lines of what is there.  ``follow``: go on until the job has ended.
    """
    spool = Spool(path)
    stream = "stderr" if errors else "stdout"
    job = spool.find(job_id)
    if job.operation != COMMAND:
        raise UsageError(
            f"job {job_id} is no command: {plain(job.operation)}", "`spool fetch` prints results."
        )
    with ExitStack() as stack:
        tap = _Tap()
        stack.callback(tap.close)
        bell = stack.enter_context(Bell(spool.layout.done)) if follow else None
        while True:
            # The order matters: what an ended job wrote is all there to be copied.
            job = _find(spool, job_id, tap)
            newest = lookup.output_of(spool.layout, job, stream)
            if newest is not None and not tap.shows(newest):
                if tap.path is not None:
                    tap.copy()
                    output.tell(_succession(job, newest, again=newest == tap.path))
                tap.open(newest, tail)
                if bell is not None:
                    bell.also(newest)
            tap.copy()
            if bell is None or job.state.finished:
                break
            bell.wait(POLL)
            time.sleep(PAUSE)
        if tap.path is None:
            _tell_nothing(job)
    return OK


class _Tap:
    """The file that is being shown."""

    def __init__(self) -> None:
        self.path: str | None = None
        self._descriptor: int | None = None

    def shows(self, path: str) -> bool:
        """Tell whether this is the file at ``path``, and not one that lay there before it.

        What was given back and is begun again by the same worker writes into a new file.
        """
        if path != self.path or self._descriptor is None:
            return path == self.path
        there, ours = reading.status(path), os.fstat(self._descriptor)
        return there is None or (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def open(self, path: str, tail: int | None) -> None:
        self.close()
        self.path = path
        self._descriptor = reading.plain_file(path)
        if self._descriptor is not None and tail is not None:
            os.lseek(self._descriptor, _last_lines(self._descriptor, tail), os.SEEK_SET)

    def copy(self) -> None:
        if self._descriptor is not None and self.path is not None:
            output.copy(self._descriptor, self.path)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _find(spool: Spool, job_id: str, tap: _Tap) -> Job:
    try:
        return spool.find(job_id)
    except NoSuchJob:
        tap.copy()  # fetched and cleaned while we slept: the file is still open
        raise


def _last_lines(descriptor: int, number: int) -> int:
    """Return where the last so many lines of a file begin."""
    end = position = os.fstat(descriptor).st_size
    missing = number + 1  # the newline before them; that at the end of the file is theirs
    if number and end and os.pread(descriptor, 1, end - 1) != b"\n":
        missing = number
    if number == 0:
        return end
    while position > 0:
        start = max(0, position - _CHUNK)
        chunk = os.pread(descriptor, position - start, start)
        found = chunk.count(b"\n")
        if found >= missing:
            at = len(chunk)
            for _ in range(missing):
                at = chunk.rindex(b"\n", 0, at)
            return start + at + 1
        missing -= found
        position = start
    return 0


def _succession(job: Job, newest: str, *, again: bool) -> str:
    number = os.path.basename(newest).removeprefix(f"{job.id}.").partition(".")[0]
    if again:
        return f"spool: attempt {number} of job {job.id} was given back, and began again"
    began = f"spool: attempt {number} of job {job.id} began"
    before = next((a for a in reversed(job.attempts[: int(number) - 1]) if a.error), None)
    return f"{began}; the one before: {plain(before.error or '')}" if before else began


def _tell_nothing(job: Job) -> None:
    if not job.state.finished:
        raise NotFinished(f"no output yet: job {job.id} is {job.state}")
    output.tell(f"spool: job {job.id} wrote nothing that was kept: {plain(job.error or '')}")
