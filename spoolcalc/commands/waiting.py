"""``wait``: sleep until jobs have ended, and say of each how, as soon as it has.

The bell wakes at each outcome in the spool.  To look for ten thousand jobs takes some milliseconds,
and a sleeper that looked at every ring would take that ten thousand times; so looking takes
at most a tenth of the time, and what ends meanwhile is found together.
"""

from __future__ import annotations

import itertools
import math
import time

from spoolcalc import output
from spoolcalc.awaiting import Awaited
from spoolcalc.bell import Bell
from spoolcalc.commands.several import answer_json, code_of, ids_from, spool_at
from spoolcalc.errors import FAILED, OK, NotAdopted, NotFinished, SpoolError
from spoolcalc.ids import is_id
from spoolcalc.job import State
from spoolcalc.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spoolcalc.job import Job
    from spoolcalc.remote.spool import Remote

#: How often (seconds) a sleeper looks although no bell rang.
POLL = 1.0
#: The part of the time that looking may take.
SHARE = 0.1
#: Of the jobs that have not ended, so many, or a part of this size, are looked up at each look, in
#: turn: one that was fetched and cleaned between two looks has gone without a trace.
TURN = 16
PART = 64
#: So many jobs are asked a server for at once.
MOST = 10_000


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
    spool = spool_at(path)
    until = None if timeout is None else time.monotonic() + timeout
    sleep: _Sleep | _DistantSleep
    if isinstance(spool, Spool):
        sleep = _Sleep(spool, until, ids_from(words), first=first, exit_code=exit_code)
    else:
        sleep = _DistantSleep(spool, until, ids_from(words), first=first, exit_code=exit_code)
    if as_json:
        ended = (job_id for batch in sleep.batches() for job_id, _ in batch)
        answer_json(spool, (job for job in map(sleep.find, ended) if job is not None))
    else:
        for batch in sleep.batches():
            output.answer("".join(f"{job_id}\t{state}\n" for job_id, state in batch))
    return sleep.code


class _Told:
    """What waits here and elsewhere share.  ``code`` is the highest exit code; errors are told."""

    def __init__(
        self, spool: Spool | Remote, until: float | None, *, first: bool, exit_code: bool
    ) -> None:
        self.code = OK
        self._any_spool = spool
        self._until = until
        self._first = first
        self._exit_code = exit_code

    def find(self, job_id: str) -> Job | None:
        """Return a job, or None after it was told why there is none."""
        try:
            return self._any_spool.find(job_id)
        except SpoolError as error:
            self._worse(error)
            return None

    def _id(self, word: str) -> str | None:
        """Return an id, or None after it was told why there is none."""
        try:
            return until_adopted(self._any_spool, word, self._until)
        except SpoolError as error:
            self._worse(error)
            return None

    def _count(self, job_id: str, state: State) -> None:
        if state is State.FAILED or self._exit_code:
            self.code = max(self.code, self._code_of(job_id, state))

    def _code_of(self, job_id: str, state: State) -> int:
        job = self.find(job_id)
        if job is None or job.outcome is None:  # tried again meanwhile
            return FAILED if state is State.FAILED else OK
        return code_of(job, as_command=self._exit_code)

    def _tell_open(self, number: int, job_id: str) -> None:
        """Tell that the time is up, for so many jobs, one of which is given."""
        job = self.find(job_id)
        if number == 1 and job is not None:
            self._worse(too_late(self._any_spool, job))
        else:
            self._worse(NotFinished(f"not finished in time: {number} jobs"))

    def _worse(self, error: SpoolError) -> None:
        output.tell_error(error)
        self.code = max(self.code, error.exit_code)


class _DistantSleep(_Told):
    """A wait for jobs of a server, which does the sleeping."""

    def __init__(
        self,
        spool: Remote,
        until: float | None,
        ids: Sequence[str],
        *,
        first: bool,
        exit_code: bool,
    ) -> None:
        super().__init__(spool, until, first=first, exit_code=exit_code)
        self._spool = spool
        self._open = dict.fromkeys(filter(None, map(self._id, ids)))

    def batches(self) -> Iterator[list[tuple[str, State]]]:
        """Yield the ids and states of the jobs that have ended, those of one answer together."""
        while self._open:
            rest = math.inf if self._until is None else self._until - time.monotonic()
            some = list(itertools.islice(self._open, MOST))
            ended, errors = self._spool.wait(some, min(rest, POLL) if len(some) == MOST else rest)
            batch = ended[:1] if self._first else ended
            for job_id, state in batch:
                self._count(job_id, state)
                self._open.pop(job_id, None)
            for job_id, error in errors:
                self._worse(error)
                self._open.pop(job_id, None)
            if batch:
                yield batch
                if self._first:
                    return
            elif rest <= 0 and self._open:
                self._tell_open(len(self._open), next(iter(self._open)))
                return
            for job_id in some if len(self._open) > MOST else ():  # the others have their turn
                if self._open.pop(job_id, job_id) is None:
                    self._open[job_id] = None


class _Sleep(_Told):
    """A wait for jobs of a spool here."""

    def __init__(
        self,
        spool: Spool,
        until: float | None,
        ids: Sequence[str],
        *,
        first: bool,
        exit_code: bool,
    ) -> None:
        super().__init__(spool, until, first=first, exit_code=exit_code)
        self._spool = spool
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

    def _look(self) -> list[tuple[str, State]]:
        batch = []
        for job_id, state in self._awaited.look():
            batch.append((job_id, state))
            self._count(job_id, state)
            if self._first:
                break
        return batch

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
            self._tell_open(len(self._awaited), next(self._awaited.open))
            return False
        pause = min(rest, took * (1 / SHARE - 1))
        time.sleep(pause)
        bell.wait(rest - pause)
        return True


def until_adopted(spool: Spool | Remote, word: str, until: float | None) -> str:
    """Return an id, that of a name as soon as there is one; raise NotAdopted at ``until``."""
    if is_id(word):
        return word
    if not isinstance(spool, Spool):
        return _adopted_there(spool, word, until)
    with Bell(spool.layout.bell) as bell:
        while True:
            try:
                return spool.resolve(word)
            except NotAdopted:
                rest = POLL if until is None else min(POLL, until - time.monotonic())
                if rest <= 0:
                    raise
            bell.wait(rest)


def _adopted_there(spool: Remote, word: str, until: float | None) -> str:
    while True:
        rest = POLL if until is None else min(POLL, until - time.monotonic())
        try:
            return spool.ended(word, rest).id
        except NotFinished:
            if rest <= 0:
                raise


def until_finished(spool: Spool | Remote, job_id: str, until: float | None) -> None:
    """Return when the job is finished; raise NotFinished at ``until``, a monotonic time."""
    if not isinstance(spool, Spool):
        _finished_there(spool, job_id, until)
        return
    job_id = until_adopted(spool, job_id, until)
    if spool.find(job_id).state.finished:
        return
    with Bell(spool.layout.done) as bell:
        while not (job := spool.find(job_id)).state.finished:
            rest = POLL if until is None else min(POLL, until - time.monotonic())
            if rest <= 0:
                raise too_late(spool, job)
            bell.wait(rest)


def _finished_there(spool: Remote, word: str, until: float | None) -> None:
    while True:
        rest = math.inf if until is None else until - time.monotonic()
        try:
            job = spool.ended(word, rest)
        except NotFinished:  # a file that is no job yet
            if rest <= 0:
                raise
            continue
        if job.state.finished:
            return
        if rest <= 0:
            raise too_late(spool, job)


def too_late(spool: Spool | Remote, job: Job) -> NotFinished:
    """Return the error of a wait that ran out, with what may be the cause."""
    hint = ""
    if job.state is State.PENDING:
        if spool.paused is not None:
            hint = "The spool is paused: `spool resume` ends that."
        elif not spool.overview().workers:
            hint = "No worker is alive: start one with `spool work`."
    return NotFinished(f"not finished in time: job {job.id} is {job.state}", hint)
