"""Lists of jobs a page at a time, however many there are.

A page ends with a cursor, which says where the next one begins.  Jobs that come to lie before it in
the meantime, or move on, are not on the pages that follow: nothing is held for who turns them.
"""

from __future__ import annotations

import os

from spoolcalc import lookup
from spoolcalc.errors import UsageError, shown
from spoolcalc.ids import is_id
from spoolcalc.job import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from spoolcalc.job import Job
    from spoolcalc.layout import Layout


def page(
    layout: Layout,
    state: State | None,
    size: int,
    *,
    cursor: str | None = None,
    wanted: Callable[[Job], bool] | None = None,
    most_read: int | None = None,
) -> tuple[list[Job], str | None]:
    """Return up to ``size`` jobs in a state, or in all, and the next page's cursor, if any.

    ``wanted`` chooses; however few it does, no more than ``most_read`` documents are read, so that
    a page may be short, or empty, and not be the last.
    """
    order = list(State)
    first, behind = _position(cursor, state)
    jobs: list[Job] = []
    read, last = 0, cursor
    for each in order if state is None else (state,):
        if order.index(each) < order.index(first):
            continue
        start = behind if each is first else ("", "")
        for path, job_id, worker in lookup.walk(layout, each, behind=start):
            if len(jobs) >= size or (most_read is not None and read >= most_read):
                return jobs, last
            last = f"{each}/{os.path.basename(os.path.dirname(path))}/{job_id}"
            job = lookup.load_if_readable(each, path, worker)
            read += 1
            if job is not None and (wanted is None or wanted(job)):
                jobs.append(job)
    return jobs, None


def newest(layout: Layout, state: State, number: int) -> list[Job]:
    """Return the jobs of a state that were submitted last; of ``pending``, those taken next."""
    jobs: list[Job] = []
    for path, _, worker in lookup.walk(layout, state, backwards=state is not State.PENDING):
        job = lookup.load_if_readable(state, path, worker)
        if job is not None:
            jobs.append(job)
        if len(jobs) >= number:
            break
    return jobs


def _position(cursor: str | None, state: State | None) -> tuple[State, tuple[str, str]]:
    """Return the state in which a page begins, and behind which directory and id."""
    if cursor is None:
        return state or next(iter(State)), ("", "")
    parts = cursor.split("/")
    known = {each.value: each for each in State}
    if len(parts) == 3 and parts[0] in known and is_id(parts[2]):
        first = known[parts[0]]
        if state in (None, first):
            return first, (parts[1], parts[2])
    raise UsageError(f"not a cursor of this list: {shown(cursor)}", "Take it from the page before.")
