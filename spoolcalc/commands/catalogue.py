"""``operations``: which there are, or all about one."""

from __future__ import annotations

from spoolcalc import catalogue, output
from spoolcalc.errors import OK
from spoolcalc.render import catalogue as views
from spoolcalc.render.text import json_answer


def listing(*, as_json: bool = False) -> int:
    """Print all operations, those that do not load too."""
    entries = catalogue.entries()
    if as_json:
        output.answer(json_answer(operations=[views.as_object(entry) for entry in entries]))
    elif output.on_terminal():
        output.answer(views.as_table(entries, output.width()))
    else:
        for entry in entries:
            output.answer(views.as_line(entry))
    return OK


def show(name: str, *, as_json: bool = False) -> int:
    """Print all about one operation."""
    entry = catalogue.entry(name)
    if as_json:
        output.answer(json_answer(operations=[views.as_object(entry)]))
    else:
        output.answer(views.as_sheet(entry))
    return OK
