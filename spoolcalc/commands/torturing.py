"""``torture``: try a file system, and tell whether it keeps what is promised."""

from __future__ import annotations

import os
import signal

from spoolcalc import access, output
from spoolcalc.errors import UsageError, shown
from spoolcalc.render import torture as views
from spoolcalc.render.text import json_answer
from spoolcalc.torture import torture as deed

_CODES = {"passed": 0, "inconclusive": 1, "broken": 2}


def torture(path: str, directory: str | None, *, seconds: float, as_json: bool = False) -> int:
    """Torture the file system of the spool at ``path``, or of a directory; print the verdict."""
    if directory is None:
        place = access.open_spool(path).tmp
    else:
        place = os.path.abspath(directory)
        if not os.path.isdir(place):
            raise UsageError(f"not a directory: {shown(directory)}", "Name one that is there.")
    if output.errors_on_terminal():
        output.tell(f"torturing {place} for {seconds:.0f} s ...")
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: nothing is left behind
        signal.signal(number, signal.default_int_handler)
    verdict = deed(place, seconds)
    if as_json:
        output.answer(json_answer(**views.as_object(verdict)))
    elif output.on_terminal():
        output.answer(views.as_report(verdict))
    else:
        output.answer(views.as_lines(verdict))
    return _CODES[verdict.word]
