"""``fetch``: results, which count as retrieved only once they have left this process."""

from __future__ import annotations

import os
import time

from spoolcalc import lookup, output, reading
from spoolcalc.commands.several import beside, code_of, each, ids_from, spool_at
from spoolcalc.errors import OK
from spoolcalc.job import COMMAND, State
from spoolcalc.render import jobs
from spoolcalc.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spoolcalc.job import Job
    from spoolcalc.remote.spool import Remote


def fetch(
    path: str,
    words: Sequence[str],
    *,
    wait: bool = False,
    timeout: float | None = None,
    keep: bool = False,
    exit_code: bool = False,
    as_json: bool = False,
) -> int:
    """Print results, and mark them retrieved once they have left this process.

    A command's result is what it wrote to its stdout, byte by byte.  ``exit_code``: return its own.
    """
    spool = spool_at(path)
    until = None if timeout is None else time.monotonic() + timeout
    found: list[Job] = []

    def print_result(job: Job) -> None:
        if job.operation == COMMAND:
            _print_output(spool, job)
        elif job.result is not None:
            output.answer(job.result + "\n")

    def serve(job_id: str) -> int:
        if wait:
            from spoolcalc.commands.waiting import until_finished

            until_finished(spool, job_id, until)
        deliver = found.append if as_json else print_result
        job = spool.fetch(job_id, deliver, keep=keep or as_json)
        if not as_json:
            _tell(job)
        return code_of(job, as_command=exit_code)

    code = each(ids_from(words), serve)
    if as_json:
        output.answer(jobs.all_json(found, beside(spool)))
        if not keep:
            code = max(code, each([job.id for job in found], lambda i: _mark(spool, i)))
    return code


def _print_output(spool: Spool | Remote, job: Job) -> None:
    """Print what a command wrote; one that failed may have been ended before it was begun."""
    if not isinstance(spool, Spool):
        output.pour(spool.output(job, "stdout"))
        return
    path = lookup.output_of(spool.layout, job, "stdout")
    descriptor = None if path is None else reading.plain_file(path)
    if path is not None and descriptor is not None:
        try:
            output.copy(descriptor, path)
        finally:
            os.close(descriptor)
    elif job.state is not State.FAILED:
        raise lookup.output_gone(spool.layout, job)


def _tell(job: Job) -> None:
    outcome, failure = job.outcome, jobs.failure(job)
    if failure is not None:
        output.tell(f"spool: {failure.message}")
    if outcome is not None and outcome.cut:
        output.tell(f"spool: job {job.id} wrote more than was kept of it")


def _mark(spool: Spool | Remote, job_id: str) -> int:
    spool.fetch(job_id)
    return OK
