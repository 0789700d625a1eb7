"""``wait``: sleep until jobs have ended, and say of each how, as soon as it has.

The bell wakes at each outcome in the spool.  To look for ten thousand jobs takes some milliseconds,
and a sleeper that looked at every ring would take that ten thousand times; so looking takes
at most a tenth of the time, and what ends meanwhile is found together.
"""

from __future__ import annotations

import time

from spoolcalc import output
from spoolcalc.awaiting import Awaited
from spoolcalc.bell import Bell
from spoolcalc.commands.several import answer_json, code_of, ids_from
from spoolcalc.errors import FAILED, OK, NotAdopted, NotFinished, SpoolError
from spoolcalc.ids import is_id
from spoolcalc.job import State
from spoolcalc.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spoolcalc.job import Job

#: How often (seconds) a sleeper looks although no bell rang.
POLL = 1.0
#: The part of the time that looking may take.
SHARE = 0.1
#: Of the jobs that have not ended, so many, or a part of this size, are looked up at each look, in
#: turn: one that was fetched and cleaned between two looks has gone without a trace.
TURN = 16
PART = 64


def wait(
    path: str,
    words: Sequence[str],
    *,
    first: bool = False,
    timeout: float | None = None,
    exit_code: bool = False,
    as_json: bool = False,
) -> int:
    """Print each job's id and state as it ends; with ``first``, of the first one alone.

    ``exit_code``: return a command's own exit code.
    """
    spool = Spool(path)
    sleep = _Sleep(spool, ids_from(words), first=first, timeout=timeout, exit_code=exit_code)
    if as_json:
        ended = (job_id for batch in sleep.batches() for job_id, _ in batch)
        answer_json(spool, (job for job in map(sleep.find, ended) if job is not None))
    else:
        for batch in sleep.batches():
            output.answer("".join(f"{job_id}\t{state}\n" for job_id, state in batch))
    return sleep.code


class _Sleep:
    """A wait for many jobs.  ``code`` is the highest exit code so far; errors are told."""

    def __init__(
        self,
        spool: Spool,
        ids: Sequence[str],
        *,
        first: bool,
        timeout: float | None,
        exit_code: bool,
    ) -> None:
        self.code = OK
        self._spool = spool
        self._first = first
        self._exit_code = exit_code
        self._until = None if timeout is None else time.monotonic() + timeout
        self._awaited = Awaited(spool.layout, filter(None, map(self._id, ids)))
        self._turn: Iterator[str] = iter(())

    def batches(self) -> Iterator[list[tuple[str, State]]]:
        """Yield the ids and states of the jobs that have ended, those of one look together."""
        awaited = self._awaited
        with Bell(self._spool.layout.done) as bell:
            searched = len(awaited)  # all of them at first, for those that are not there at all
            while awaited:
                began = time.monotonic()
                batch = self._look()
                took = time.monotonic() - began
                if batch:
                    yield batch
                    if self._first:
                        return
                began = time.monotonic()
                self._search(searched)
                searched = max(TURN, len(awaited) // PART)
                if awaited and not self._doze(bell, took + time.monotonic() - began):
                    return

    def find(self, job_id: str) -> Job | None:
        """Return a job, or None after it was told why there is none."""
        try:
            return self._spool.find(job_id)
        except SpoolError as error:
            self._worse(error)
            return None

    def _id(self, word: str) -> str | None:
        """Return an id, or None after it was told why there is none."""
        try:
            return until_adopted(self._spool, word, self._until)
        except SpoolError as error:
            self._worse(error)
            return None

    def _look(self) -> list[tuple[str, State]]:
        batch = []
        for job_id, state in self._awaited.look():
            batch.append((job_id, state))
            if state is State.FAILED or self._exit_code:
                self.code = max(self.code, self._code_of(job_id, state))
            if self._first:
                break
        return batch

    def _code_of(self, job_id: str, state: State) -> int:
        job = self.find(job_id)
        if job is None or job.outcome is None:  # tried again meanwhile
            return FAILED if state is State.FAILED else OK
        return code_of(job, as_command=self._exit_code)

    def _search(self, number: int) -> None:
        """Look so many of the open ones up, and wait no longer for those that are gone."""
        for _ in range(min(number, len(self._awaited))):
            job_id = next(self._turn, None)
            if job_id is None:
                self._turn = iter(list(self._awaited.open))
                job_id = next(self._turn)
            if job_id in self._awaited and self.find(job_id) is None:
                self._awaited.discard(job_id)
                if not self._awaited:
                    return

    def _doze(self, bell: Bell, took: float) -> bool:
        """Sleep until something may have ended; False when the time is up."""
        rest = POLL if self._until is None else min(POLL, self._until - time.monotonic())
        if rest <= 0:
            self._give_up()
            return False
        pause = min(rest, took * (1 / SHARE - 1))
        time.sleep(pause)
        bell.wait(rest - pause)
        return True

    def _give_up(self) -> None:
        number = len(self._awaited)
        job = self.find(next(self._awaited.open))
        if number == 1 and job is not None:
            self._worse(too_late(self._spool, job))
        else:
            self._worse(NotFinished(f"not finished in time: {number} jobs"))

    def _worse(self, error: SpoolError) -> None:
        output.tell_error(error)
        self.code = max(self.code, error.exit_code)


def until_adopted(spool: Spool, word: str, until: float | None) -> str:
    """Return an id, that of a name as soon as there is one; raise NotAdopted at ``until``."""
    if is_id(word):
        return word
    with Bell(spool.layout.bell) as bell:
        while True:
            try:
                return spool.resolve(word)
            except NotAdopted:
                rest = POLL if until is None else min(POLL, until - time.monotonic())
                if rest <= 0:
                    raise
            bell.wait(rest)


def until_finished(spool: Spool, job_id: str, until: float | None) -> None:
    """Return when the job is finished; raise NotFinished at ``until``, a monotonic time."""
    job_id = until_adopted(spool, job_id, until)
    if spool.find(job_id).state.finished:
        return
    with Bell(spool.layout.done) as bell:
        while not (job := spool.find(job_id)).state.finished:
            rest = POLL if until is None else min(POLL, until - time.monotonic())
            if rest <= 0:
                raise too_late(spool, job)
            bell.wait(rest)


def too_late(spool: Spool, job: Job) -> NotFinished:
    """Return the error of a wait that ran out, with what may be the cause."""
    hint = ""
    if job.state is State.PENDING:
        if spool.paused is not None:
            hint = "The spool is paused: `spool resume` ends that."
        elif not spool.overview().workers:
            hint = "No worker is alive: start one with `spool work`."
    return NotFinished(f"not finished in time: job {job.id} is {job.state}", hint)
