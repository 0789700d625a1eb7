"""``submit`` of one job; ``feed`` does many."""

from __future__ import annotations

from spoolcalc import output
from spoolcalc.errors import OK
from spoolcalc.job import DEFAULT_PRIORITY
from spoolcalc.render import jobs
from spoolcalc.spool import Spool
from spoolcalc.submission import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def submit(
    path: str,
    operation: str,
    operands: Sequence[str],
    *,
    priority: int = DEFAULT_PRIORITY,
    as_json: bool = False,
    wait: bool = False,
    timeout: float | None = None,
) -> int:
    """Submit one job and print its id, or with ``wait`` its result."""
    document = prepare(operation, operands, priority=priority)  # before a spool is made for it
    spool = Spool(path, create=True)
    [job_id] = spool.publish([document])
    try:
        if wait:
            from spoolcalc.commands.fetching import fetch

            return fetch(path, [job_id], wait=True, timeout=timeout, as_json=as_json)
        output.answer(jobs.all_json([spool.find(job_id)]) if as_json else job_id + "\n")
    except BaseException:
        output.tell(f"spool: job {job_id} was submitted all the same")
        raise
    return OK
