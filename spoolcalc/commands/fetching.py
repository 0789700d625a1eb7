"""``fetch``: results, which count as retrieved only once they have left this process."""

from __future__ import annotations

import time

from spoolcalc import output
from spoolcalc.commands.several import each
from spoolcalc.errors import FAILED, OK, NotFinished, plain
from spoolcalc.job import State
from spoolcalc.render import jobs
from spoolcalc.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spoolcalc.job import Job

#: How often (seconds) a waiting fetch looks although no bell rang.
POLL = 1.0


def fetch(
    path: str,
    ids: Sequence[str],
    *,
    wait: bool = False,
    timeout: float | None = None,
    keep: bool = False,
    as_json: bool = False,
) -> int:
    """Print results, and mark them retrieved once they have left this process."""
    spool = Spool(path)
    until = None if timeout is None else time.monotonic() + timeout
    found: list[Job] = []

    def serve(job_id: str) -> int:
        if wait:
            _wait(spool, job_id, until)
        deliver = found.append if as_json else _print_result
        job = spool.fetch(job_id, deliver, keep=keep or as_json)
        if job.result is not None:
            return OK
        if not as_json:
            output.tell(f"spool: job {job_id} failed: {plain(job.error or '')}")
        return FAILED

    code = each(ids, serve)
    if as_json:
        output.answer(jobs.all_json(found))
        if not keep:
            code = max(code, each([job.id for job in found], lambda i: _mark(spool, i)))
    return code


def _print_result(job: Job) -> None:
    if job.result is not None:
        output.answer(job.result + "\n")


def _mark(spool: Spool, job_id: str) -> int:
    spool.fetch(job_id)
    return OK


def _wait(spool: Spool, job_id: str, until: float | None) -> None:
    """Return when the job is finished; raise NotFinished when the time is up."""
    if spool.find(job_id).state.finished:
        return
    from spoolcalc.bell import Bell

    with Bell(spool.layout.done) as bell:
        while not (job := spool.find(job_id)).state.finished:
            rest = POLL if until is None else min(POLL, until - time.monotonic())
            if rest <= 0:
                raise NotFinished(
                    f"not finished in time: job {job_id} is {job.state}",
                    _hint(spool, job),
                )
            bell.wait(rest)


def _hint(spool: Spool, job: Job) -> str:
    if job.state is State.PENDING and not spool.overview().workers:
        return "No worker is alive: start one with `spool work`."
    return ""
