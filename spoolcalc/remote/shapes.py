"""From a server's JSON to the values of the library: jobs, the overview, errors."""

from __future__ import annotations

from spoolcalc.errors import (
    BUG,
    CANCELLED,
    FAILED,
    NO_SUCH_JOB,
    NOT_FINISHED,
    UNUSABLE,
    USAGE,
    JobCancelled,
    JobFailed,
    NoSuchJob,
    NotFinished,
    SpoolError,
    SpoolUnusable,
    UsageError,
)
from spoolcalc.job import Job, State
from spoolcalc.overview import Overview, WorkerView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KINDS: dict[int, type[SpoolError]] = {
    USAGE: UsageError,
    FAILED: JobFailed,
    CANCELLED: JobCancelled,
    NO_SUCH_JOB: NoSuchJob,
    NOT_FINISHED: NotFinished,
    UNUSABLE: SpoolUnusable,
    BUG: SpoolError,
}
#: Fields of a job that are those of its document, and those of its outcome.
_SAME = (
    *("id", "operation", "operands", "priority", "submitted", "label", "key", "timeout"),
    *("retries", "backoff", "not_before", "max_output", "command"),
)
_OUTCOME = ("result", "exact", "precision", "error", "reason", "exit_code", "cut")


def error_of(told: object, status: int) -> SpoolError:
    """Return the error that a problem document tells of."""
    if not isinstance(told, dict) or not isinstance(told.get("detail"), str):
        return SpoolUnusable(f"the server answers {status}, and does not say why")
    code = told.get("exit_code")
    kind = _KINDS.get(code, SpoolUnusable) if isinstance(code, int) else SpoolUnusable
    hint = str(told.get("hint", ""))
    if status == 401:
        hint = "SPOOL_TOKEN_FILE names a file that has it."
    error = kind(told["detail"], hint)
    number = told.get("job")
    if isinstance(number, int):
        error.message = error.message.removeprefix(f"job {number}: ")
        error.number = number  # type: ignore[attr-defined] # which one of many it was
    return error


def job_of(told: dict[str, Any]) -> Job:
    """Return the job that an answer tells of."""
    state = State(told["status"])
    document = {name: told[name] for name in _SAME if told.get(name) is not None}
    outcome = None
    if told["completed_on"] is not None:
        ended = State.FAILED if told["error"] is not None else State.COMPLETED
        outcome = {"state": ended.value, "finished": told["completed_on"]}
        outcome |= {name: told[name] for name in _OUTCOME if told[name] is not None}
    document |= {
        "after": told["after"],
        "attempts": told["attempts"],
        "outcome": outcome,
    }
    worker = told["worker"] if state is State.WIP else None
    return Job(document, state, worker=worker, updated=_seconds(told["last_updated"]))


def overview_of(told: dict[str, Any]) -> Overview:
    """Return the overview that an answer tells."""
    workers = []
    for view in told["workers"]:
        jobs = [_brief(job, view["worker"]) for job in view["jobs"]]
        name, host, pid, started = (view[n] for n in ("worker", "host", "pid", "started"))
        workers.append(WorkerView(name, host, pid, started, jobs))
    counts = {State(name): number for name, number in told["counts"].items()}
    oldest, corrupt = told["oldest_pending_seconds"], told["corrupt"]
    return Overview(
        told["spool"], counts, corrupt, told["inbox"], oldest, workers, told.get("hint")
    )


def _brief(told: dict[str, Any], worker: str) -> Job:
    document = {"id": told["id"], "operation": told["operation"], "operands": told["operands"]}
    return Job(document, State.WIP, worker=worker, updated=_seconds(told["since"]))


def _seconds(written: str) -> float:
    from datetime import datetime

    # Half a millisecond more, so that it is written as it was read.
    return datetime.fromisoformat(written).timestamp() + 0.0005
