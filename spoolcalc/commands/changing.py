"""``cancel``, ``retry``, ``pause`` and ``resume``."""

from __future__ import annotations

from spoolcalc import output
from spoolcalc.commands.several import beside, code_of, each, ids_from, spool_at
from spoolcalc.errors import CANCELLED, FAILED, OK
from spoolcalc.render import jobs
from spoolcalc.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spoolcalc.job import Job


def cancel(
    path: str, words: Sequence[str], *, patience: float | None = None, as_json: bool = False
) -> int:
    """Cancel jobs: what waits never runs, what runs is ended.  Too late is told, and 1."""
    spool = spool_at(path)
    found: list[Job] = []

    def serve(job_id: str) -> int:
        job = hand.cancel(job_id, patience=patience)
        found.append(job)
        if code_of(job) == CANCELLED:
            return OK
        output.tell(f"spool: {jobs.too_late(job).message}")
        return FAILED

    with spool.by_hand() as hand:
        code = each(ids_from(words), serve)
    if as_json:
        output.answer(jobs.all_json(found, beside(spool)))
    return code


def retry(path: str, words: Sequence[str]) -> int:
    """Have failed jobs run again, and print their ids."""
    spool = spool_at(path)

    def serve(job_id: str) -> int:
        output.answer(hand.retry(job_id).id + "\n")
        return OK

    with spool.by_hand() as hand:
        return each(ids_from(words), serve)


def retry_failed(path: str, operation: str | None = None) -> int:
    """Have all failed jobs (of one operation) run again, and print their ids."""
    for job_id in spool_at(path).retry_failed(operation):
        output.answer(job_id + "\n")
    return OK


def pause(path: str, reason: str = "") -> int:
    """Have all workers claim nothing more."""
    Spool(path).pause(reason)
    return OK


def resume(path: str) -> int:
    """End a pause."""
    if not Spool(path).resume():
        output.tell("spool: it was not paused")
    return OK
