"""``status``: some jobs, those of a state, or the whole spool at one look."""

from __future__ import annotations

import itertools

from spoolcalc import output
from spoolcalc.commands.several import answer_json, each, ids_from
from spoolcalc.errors import OK
from spoolcalc.render import jobs
from spoolcalc.render import overview as views
from spoolcalc.render.text import json_answer
from spoolcalc.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spoolcalc.job import Job, State

#: How many jobs a table on a terminal shows.
TABLE = 200


def status(path: str, words: Sequence[str], *, as_json: bool = False) -> int:
    """Print what is known of each job."""
    spool = Spool(path)
    found: list[Job] = []
    shape = jobs.as_sheet if output.on_terminal() else jobs.as_line

    def serve(job_id: str) -> int:
        job = spool.find(job_id)
        if as_json:
            found.append(job)
        else:
            output.answer(shape(job))
        return OK

    code = each(ids_from(words), serve)
    if as_json:
        output.answer(jobs.all_json(found))
    return code


def overview(path: str, *, as_json: bool = False) -> int:
    """Print the counts, the age of the oldest pending job, and the workers."""
    seen = Spool(path).overview()
    if as_json:
        output.answer(json_answer(**views.as_object(seen)))
        return OK
    if output.on_terminal():
        output.answer(views.as_table(seen, output.width()))
    else:
        output.answer(views.as_lines(seen))
    if seen.hint:
        output.tell(f"hint: {seen.hint}")
    return OK


def listing(path: str, state: State, *, as_json: bool = False) -> int:
    """Print the jobs in a state; however many there are, few are in memory at once."""
    listed = Spool(path).list(state)
    if as_json:
        answer_json(listed)
    elif output.on_terminal():
        first = list(itertools.islice(listed, TABLE + 1))
        output.answer(jobs.as_table(first[:TABLE], state.value, output.width()))
        if len(first) > TABLE:
            output.tell(
                f"The first {TABLE} are shown; `spool status --state {state} | cat` has all."
            )
    else:
        for job in listed:
            output.answer(jobs.as_line(job))
    return OK
