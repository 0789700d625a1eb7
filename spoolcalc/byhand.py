"""What somebody does to jobs by hand: cancel them, run them again; and pause the whole spool."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack, contextmanager

from spoolcalc import files, liveness, lookup, reading
from spoolcalc.bell import Bell
from spoolcalc.dependants import wait_on
from spoolcalc.document import has_room, started_over
from spoolcalc.endings import conclude, record
from spoolcalc.errors import NotFinished, StorageFailure, UsageError
from spoolcalc.ids import is_id
from spoolcalc.job import Outcome, State, timestamp
from spoolcalc.layout import CANCEL, owner_of
from spoolcalc.submission import make_durable
from spoolcalc.sweep import recover
from spoolcalc.transitions import claim, put_back, try_to_remove, try_to_remove_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from spoolcalc.hand import Hand
    from spoolcalc.job import Job
    from spoolcalc.layout import Layout
    from spoolcalc.transitions import Claim

#: How long (seconds) the owner of a running job has to obey.
PATIENCE = 10.0
#: How often (seconds) who waits for that looks by himself.
_POLL = 0.25
#: The largest note of a pause, in bytes, that is read.
_LARGEST = 64 * 1024


class ByHand:
    """Cancels jobs and has them run again, as many as there are, by one hand.  For one thread."""

    def __init__(self, layout: Layout, hand: Hand) -> None:
        self._layout = layout
        self._hand = hand

    def cancel(self, word: str, *, patience: float | None = None) -> Job:
        """Have a job end in ``failed`` as cancelled; return it: ended otherwise, if too late.

        One that waits never runs.  One that runs is ended by its worker, which looks for such a
        wish some times a second, or here if that is dead; raises
        :class:`~spoolcalc.errors.NotFinished` if that takes more than ``patience`` seconds (10).
        """
        layout, job_id = self._layout, _id_of(self._layout, word)
        until = time.monotonic() + (PATIENCE if patience is None else patience)
        with ExitStack() as held:
            bell: Bell | None = None
            while True:
                job, path = lookup.find(layout, job_id)
                if job.state.finished:
                    return job
                if job.state is not State.WIP:
                    if self._end(path):
                        return lookup.find(layout, job_id)[0]
                    continue  # somebody took it while we looked
                files.note(os.path.dirname(path), job_id + CANCEL, layout.file_mode, None)
                if self._recover(os.path.dirname(path)):
                    continue
                if time.monotonic() >= until:
                    raise NotFinished(
                        f"job {job_id} is to be cancelled, and its worker has not done so yet",
                        f"It is with {job.worker}. The wish stays with the job.",
                    )
                if bell is None:  # and look once more, now that it listens
                    files.ring(layout.done, layout.file_mode)  # so that there is one
                    bell = held.enter_context(Bell(layout.done))
                else:
                    bell.wait(min(_POLL, max(0.0, until - time.monotonic())))

    def retry(self, word: str) -> Job:
        """Have a failed job run again, with none of its attempts held against it.

        Raises :class:`~spoolcalc.errors.UsageError` if it has not failed, or too often.
        """
        layout, job_id = self._layout, _id_of(self._layout, word)
        while True:
            job, path = lookup.find(layout, job_id)
            if job.state is not State.FAILED:
                raise UsageError(
                    f"job {job_id} is {job.state}", "Only a job that has failed can be tried again."
                )
            if not has_room(job.document):
                told = f"the document of job {job_id} has no room for more attempts"
                raise UsageError(told, "Submit it anew.")
            with self._taking(path) as taken:
                if taken is None:
                    continue
                taken.document = started_over(taken.document)
                if record(layout, taken.worker, taken.path, taken.document):
                    _let_go(layout, taken)
                    make_durable(layout, [job_id])
                    return lookup.find(layout, job_id)[0]

    def _recover(self, directory: str) -> bool:
        """Look after what lies in a directory of ``wip/`` if nobody is alive who will obey.

        With the wish beside it, the job ends as cancelled.
        """
        name = os.path.basename(directory)
        owner = owner_of(name)
        if owner is not None and liveness.alive(self._layout, owner):
            return False
        return recover(self._layout, self._hand.lease, name)

    def _end(self, path: str) -> bool:
        """End a job that waits; False if somebody else was quicker."""
        with self._taking(path) as taken:
            return taken is not None and conclude(self._layout, taken, Outcome.cancelled())

    @contextmanager
    def _taking(self, path: str) -> Iterator[Claim | None]:
        """Take the job at ``path``; None if somebody else did.  What is refused is handed back."""
        bucket, name = os.path.split(path)
        try:
            taken = claim(self._layout, self._hand.lease.worker, bucket, name)
            if taken is not None:
                try_to_remove_directory(bucket)
            yield taken
        except BaseException:
            self._hand.close()
            raise


def pause(layout: Layout, reason: str = "") -> None:
    """Have all workers claim nothing more, until :func:`resume`."""
    told = {"since": timestamp(time.time()), "reason": reason, "user": os.geteuid()}
    temporary = layout.temporary("pause", os.urandom(8).hex())
    files.write_durably(temporary, (json.dumps(told) + "\n").encode("ascii"), layout.file_mode)
    try:
        files.move(temporary, layout.paused)
    except StorageFailure:
        try_to_remove(temporary)
        raise
    files.sync_directory(layout.root)
    files.ring(layout.bell, layout.file_mode)


def resume(layout: Layout) -> bool:
    """End a pause; False if there was none."""
    ended = files.remove(layout.paused)
    files.sync_directory(layout.root)
    files.ring(layout.bell, layout.file_mode)
    return ended


def paused(layout: Layout) -> dict[str, Any] | None:
    """Return since when (``since``) the spool is paused, and the ``reason``; None if it is not."""
    try:
        read = reading.read(layout.paused, _LARGEST)
        told = json.loads(read[0]) if read else None
    except (ValueError, RecursionError, reading.Unreadable):
        told = {}
    if told is None:
        return None
    told = told if isinstance(told, dict) else {}
    return {name: str(told.get(name, "")) for name in ("since", "reason")}


def _id_of(layout: Layout, word: str) -> str:
    """Return the id of the job that is meant by an id, or by a name of ``inbox/``."""
    if is_id(word):
        return word
    from spoolcalc.names import resolve

    return resolve(layout, word)


def _let_go(layout: Layout, taken: Claim) -> None:
    """Put a job that starts over where it belongs; what it needs is kept for it again."""
    if "after" in taken.document:
        wait_on(layout, taken, "retried")
    else:
        put_back(layout, taken.path, taken.document, "retried")
