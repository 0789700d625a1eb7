"""``config``: what is set, and where each value comes from."""

from __future__ import annotations

from spoolcalc import output
from spoolcalc.configuration import entries
from spoolcalc.errors import OK
from spoolcalc.render import settings as views
from spoolcalc.render.text import json_answer
from spoolcalc.spool import Spool


def show(path: str, *, as_json: bool = False) -> int:
    """Print every setting, those that are built in too."""
    spool = Spool(path)
    found = list(entries(spool.settings))
    if as_json:
        told = json_answer(
            spool=spool.path,
            file=spool.layout.settings,
            settings=[views.as_object(*entry) for entry in found],
        )
        output.answer(told)
    elif output.on_terminal():
        output.answer(views.as_table(found, output.width()))
    else:
        output.answer("".join(views.as_line(*entry) for entry in found))
    return OK
