"""A worker's log on stderr: one line for each job, and one for whatever an administrator must know.

With ``quiet`` only what went wrong; with ``verbose`` also claims, and whose jobs were taken over.
A pause is told once, but for a worker that ends by itself and has nobody to tell it to: cron, which
starts one each minute, would send as many mails.  In the journal each line has its level and no
time, which the journal has itself.
"""

from __future__ import annotations

import os
import time

from spoolcalc import output
from spoolcalc.errors import plain, shown
from spoolcalc.job import COMMAND, State, timestamp
from spoolcalc.output import DEBUG, ERROR, INFO, WARNING
from spoolcalc.reporting import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from spoolcalc.errors import SpoolError
    from spoolcalc.inbox import Adopted
    from spoolcalc.job import Job, Outcome
    from spoolcalc.sweep import Swept

#: Characters of an operand list or a result that a line shows.
_SHOWN = 60
_RED, _DIM, _PLAIN = "\x1b[31m", "\x1b[2m", "\x1b[0m"


class Log(Report):
    """Writes what a worker reports."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False, stays: bool = True) -> None:
        self._tells_pause = verbose or (not quiet and (stays or output.errors_on_terminal()))
        self._quiet = quiet
        self._verbose = verbose
        self._unknown: set[str] = set()
        self._journaled = output.errors_to_journal()
        self._coloured = output.errors_on_terminal() and "NO_COLOR" not in os.environ

    def started(self, worker: str) -> None:
        """Name the worker."""
        if self._verbose:
            self._line("started", worker, DEBUG)

    def claimed(self, job: Job) -> None:
        """Name the job."""
        if self._verbose:
            self._line("claimed", f"{job.id} {shown_briefly(job)}", DEBUG)

    def ended(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Tell how the job ended."""
        failed = outcome.state is State.FAILED
        if self._quiet and not failed:
            return
        if failed:
            came = f" failed: {outcome.error}"
        elif outcome.exit_code is not None:
            came = f": exit {outcome.exit_code}"
        else:
            came = f" = {_short(outcome.result)}" if outcome.result else ""
        cut = "; its output was cut" if outcome.cut else ""
        told = f"{job.id} {shown_briefly(job)}{came}{cut} ({seconds * 1000:.1f} ms)"
        self._line(outcome.state.value, told, WARNING if failed else INFO)

    def postponed(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Tell that the job failed and will be tried again."""
        told = f"{job.id} {shown_briefly(job)} failed: {outcome.error} ({seconds * 1000:.1f} ms)"
        self._line("postponed", f"{told}; it will be tried again", WARNING)

    def crashed(self, job: Job, error: str, went: State) -> None:
        """Tell how the process that ran a job died."""
        then = "it will be run again" if went is not State.FAILED else "it has failed"
        self._line("crashed", f"{job.id} {shown_briefly(job)}: {error}; {then}", ERROR)

    def returned(self, job: Job, unknown: str | None = None) -> None:
        """Tell why its operation cannot be run here; once, for it is tried again now and then."""
        if unknown is not None and unknown not in self._unknown:
            self._unknown.add(unknown)
            self._line("unknown", f"{unknown}; its jobs are left to other workers", WARNING)
        if self._verbose:
            self._line("returned", f"{job.id} {shown_briefly(job)}", DEBUG)

    def left(self, operations: Mapping[str, int]) -> None:
        """Tell what is left for others."""
        for operation, number in operations.items() if self._verbose else ():
            jobs = "1 pending job" if number == 1 else f"{number} pending jobs"
            why = f"--allow {COMMAND} is not given" if operation == COMMAND else "not known here"
            self._line("left", f"{jobs} of {shown(operation)}: {why}", DEBUG)

    def discarded(self, job: Job) -> None:
        """Tell that the outcome came too late."""
        told = (
            f"{job.id} {shown_briefly(job)}: this worker was taken for dead, and the job given on"
        )
        self._line("discarded", told, ERROR)

    def swept(self, swept: Swept) -> None:
        """Tell which workers were given up and what became of their jobs."""
        for worker, reason in swept.workers.items():
            if swept.put_back or swept.poisoned or swept.finished:
                self._line("recovered", f"the jobs of {worker}: {reason}", WARNING)
        for job_id in swept.poisoned:
            self._line("poison", f"{job_id} took down too many workers and has failed", ERROR)
        for path in swept.quarantined:
            self._line("corrupt", f"{path} cannot be read and was moved to corrupt/", ERROR)
        if self._verbose:
            for job_id in swept.put_back:
                self._line("pending", f"{job_id} is runnable again", DEBUG)

    def adopted(self, adopted: Adopted) -> None:
        """Tell what came in through ``inbox/``."""
        for name, reason in adopted.rejected:
            self._line("rejected", f"{name} was moved to corrupt/: {reason}", WARNING)
        if self._verbose:
            for name, job_id in adopted.jobs:
                self._line("adopted", f"{job_id} from {name}", DEBUG)
            for name in adopted.again:
                self._line("adopted", f"{name} again, which is a job already", DEBUG)

    def hooked(self, hook: str, job_id: str, said: str, wrong: str | None) -> None:
        """Tell what a hook wrote, and what went wrong with it."""
        told = f"{hook} {job_id}".rstrip()
        if not self._quiet:
            for line in said.splitlines():
                self._line("hook", f"{told}: {line}", INFO)
        if wrong is not None:
            self._line("hook", f"{told}: {wrong}", WARNING)

    def paused(self, since: str, reason: str) -> None:
        """Tell of a pause."""
        if self._tells_pause:
            told = f"since {since}" + (f": {reason}" if reason else "")
            self._line("paused", f"{told}; no job is taken until `spool resume`", INFO)

    def resumed(self) -> None:
        """Tell of its end."""
        if self._tells_pause:
            self._line("resumed", "jobs are taken again", INFO)

    def trouble(self, error: SpoolError, *, again: bool = True) -> None:
        """Tell what the environment refused, and what to do."""
        told = error.message + (f". {error.hint}" if error.hint else "")
        self._line("trouble", f"{told} Trying again." if again else told, ERROR)

    def _line(self, kind: str, told: str, level: int) -> None:
        when = timestamp(time.time())
        told = plain(told)
        if self._journaled:
            output.tell(f"{kind} {told}", level)
        elif self._coloured:
            colour = _RED if level <= WARNING else ""
            output.tell(f"{_DIM}{when[11:19]}{_PLAIN} {colour}{kind:<9}{_PLAIN} {told}")
        else:
            output.tell(f"{when} {kind} {told}")


def shown_briefly(job: Job) -> str:
    """Return what a job is to do, in a few words of one line."""
    return _short(" ".join((job.operation, *job.operands)))


def _short(text: str) -> str:
    text = plain(text[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
