"""``fetch``: results, which count as retrieved only once they have left this process."""

from __future__ import annotations

import time

from spoolcalc import output
from spoolcalc.commands.several import code_of, each, ids_from
from spoolcalc.errors import OK, plain
from spoolcalc.render import jobs
from spoolcalc.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spoolcalc.job import Job


def fetch(
    path: str,
    words: Sequence[str],
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
            from spoolcalc.commands.waiting import until_finished

            until_finished(spool, job_id, until)
        deliver = found.append if as_json else _print_result
        job = spool.fetch(job_id, deliver, keep=keep or as_json)
        if job.result is not None:
            return OK
        if not as_json:
            output.tell(f"spool: job {job_id} failed: {plain(job.error or '')}")
        return code_of(job)

    code = each(ids_from(words), serve)
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
