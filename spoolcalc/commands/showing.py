"""``status``: some jobs, those of a state, or the whole spool at one look."""

from __future__ import annotations

import itertools

from spoolcalc import output
from spoolcalc.commands.several import answer_json, beside, each, ids_from, spool_at
from spoolcalc.errors import OK
from spoolcalc.job import State
from spoolcalc.render import jobs
from spoolcalc.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spoolcalc.job import Job
    from spoolcalc.remote.spool import Remote

#: How many jobs a table on a terminal shows.
TABLE = 200


def status(path: str, words: Sequence[str], *, as_json: bool = False) -> int:
    """Print what is known of each job."""
    spool = spool_at(path)
    found: list[Job] = []
    look = beside(spool)
    sheets = output.on_terminal() and not as_json

    def serve(job_id: str) -> int:
        job = spool.find(job_id)
        if sheets:
            output.answer("\n" * bool(found) + jobs.as_sheet(job, **look(job)))
        elif not as_json:
            output.answer(jobs.as_line(job, **look(job)))
        if sheets or as_json:
            found.append(job)
        return OK

    code = each(ids_from(words), serve)
    if as_json:
        output.answer(jobs.all_json(found, look))
    return code


def overview(path: str, *, as_json: bool = False) -> int:
    """Print the counts, the age of the oldest pending job, and the workers."""
    from spoolcalc.render import overview as views
    from spoolcalc.render.text import json_answer

    spool = spool_at(path)
    seen, paused = spool.overview(), spool.paused
    if as_json:
        output.answer(json_answer(**views.as_object(seen, paused)))
        return OK
    if output.on_terminal():
        output.answer(views.as_table(seen, paused, output.width()))
    else:
        output.answer(views.as_lines(seen, paused))
    hint = seen.hint if paused is None else "workers take no job until `spool resume`"
    if hint:
        output.tell(f"hint: {hint}")
    return OK


def listing(
    path: str,
    state: State | None,
    *,
    label: str | None = None,
    operation: str | None = None,
    as_json: bool = False,
) -> int:
    """Print the jobs in a state, or in all, that have this label and operation.

    However many there are, few are in memory at once.
    """
    spool = spool_at(path)
    listed = _selected(spool, state, label, operation)
    look = beside(spool)
    if as_json:
        answer_json(spool, listed)
    elif output.on_terminal():
        from shlex import quote

        first = list(itertools.islice(listed, TABLE + 1))
        title = "all jobs" if state is None else state.value
        labelled = label is not None
        table = jobs.as_table(first[:TABLE], title, output.width(), labelled=labelled)
        output.answer(table)
        if len(first) > TABLE:
            options = {"state": state, "label": label, "operation": operation}
            words = [f"--{name} {quote(value)}" for name, value in options.items() if value]
            output.tell(
                f"The first {TABLE} are shown; `spool status {' '.join(words)} | cat` has all."
            )
    else:
        for job in listed:
            output.answer(jobs.as_line(job, **look(job)))
    return OK


def _selected(
    spool: Spool | Remote, state: State | None, label: str | None, operation: str | None
) -> Iterator[Job]:
    """Yield jobs, each once, though one may move on from state to state meanwhile."""
    given = set()
    for each_state in State if state is None else (state,):
        if isinstance(spool, Spool):
            listed = spool.list(each_state)
        else:
            listed = spool.list(each_state, label, operation)  # so few are sent
        for job in listed:
            if label in (None, job.label) and operation in (None, job.operation):
                if state is None and job.id in given:
                    continue
                given.add(job.id)
                yield job
