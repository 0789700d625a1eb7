"""What the plain commands do, below the parsing of their options: submit, fetch, status.

Each takes parsed values and returns the exit code; both ways into the command, the quick one and
typer's, end here.  Several ids are served one after the other, an error of one does not stop the
others, and the exit code is the highest.
"""

from __future__ import annotations

import itertools
import time

from spoolcalc import output, render
from spoolcalc.errors import FAILED, OK, NotFinished, SpoolError, plain
from spoolcalc.job import DEFAULT_PRIORITY, State
from spoolcalc.spool import Spool, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from spoolcalc.job import Job

#: How many jobs a table on a terminal shows.
TABLE = 200
#: How often (seconds) a waiting fetch looks although no bell rang.
POLL = 1.0


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
            return fetch(path, [job_id], wait=True, timeout=timeout, as_json=as_json)
        output.answer(render.jobs_json([spool.find(job_id)]) if as_json else job_id + "\n")
    except BaseException:
        output.tell(f"spool: job {job_id} was submitted all the same")
        raise
    return OK


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

    code = _each(ids, serve)
    if as_json:
        output.answer(render.jobs_json(found))
        if not keep:
            code = max(code, _each([job.id for job in found], lambda i: _mark(spool, i)))
    return code


def status(path: str, ids: Sequence[str], *, as_json: bool = False) -> int:
    """Print what is known of each job."""
    spool = Spool(path)
    found: list[Job] = []
    shape = render.job_sheet if output.on_terminal() else render.job_line

    def serve(job_id: str) -> int:
        job = spool.find(job_id)
        if as_json:
            found.append(job)
        else:
            output.answer(shape(job))
        return OK

    code = _each(ids, serve)
    if as_json:
        output.answer(render.jobs_json(found))
    return code


def overview(path: str, *, as_json: bool = False) -> int:
    """Print the counts, the age of the oldest pending job, and the workers."""
    seen = Spool(path).overview()
    if as_json:
        output.answer(render.as_json(**render.overview_object(seen)))
        return OK
    if output.on_terminal():
        output.answer(render.overview_table(seen, output.width()))
    else:
        output.answer(render.overview_lines(seen))
    if seen.hint:
        output.tell(f"hint: {seen.hint}")
    return OK


def listing(path: str, state: State, *, as_json: bool = False) -> int:
    """Print the jobs in a state; however many there are, few are in memory at once."""
    jobs = Spool(path).list(state)
    if as_json:
        _print_all_json(jobs)
    elif output.on_terminal():
        first = list(itertools.islice(jobs, TABLE + 1))
        output.answer(render.jobs_table(first[:TABLE], state.value, output.width()))
        if len(first) > TABLE:
            output.tell(
                f"The first {TABLE} are shown; `spool status --state {state} | cat` has all."
            )
    else:
        for job in jobs:
            output.answer(render.job_line(job))
    return OK


def _print_all_json(jobs: Iterable[Job]) -> None:
    """Print what jobs_json() would, a job at a time."""
    opening, closing = render.jobs_json([]).split("[]")
    output.answer(opening + "[")
    for number, job in enumerate(jobs):
        output.answer((", " if number else "") + render.as_item(job))
    output.answer("]" + closing)


def _print_result(job: Job) -> None:
    if job.result is not None:
        output.answer(job.result + "\n")


def _mark(spool: Spool, job_id: str) -> int:
    spool.fetch(job_id)
    return OK


def _each(ids: Sequence[str], serve: Callable[[str], int]) -> int:
    """Serve each id; a lone one's error is raised, several ones' are told as they come."""
    if len(ids) == 1:
        return serve(ids[0])
    worst = OK
    for job_id in ids:
        try:
            code = serve(job_id)
        except SpoolError as error:
            output.tell_error(error)
            code = error.exit_code
        worst = max(worst, code)
    return worst


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
