"""Serving several jobs, one after the other.

An error of one does not stop the others, and the exit code is the highest.
"""

from __future__ import annotations

from spoolcalc import output
from spoolcalc.errors import OK, SpoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def each(ids: Sequence[str], serve: Callable[[str], int]) -> int:
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
