"""What all answers are made of: fields, JSON objects, drawn tables."""

from __future__ import annotations

import json

from spoolcalc.errors import plain

#: How a backslash and what controls a terminal stand in a field.
_ESCAPED = {
    **{number: f"\\x{number:02x}" for number in (*range(0x20), *range(0x7F, 0xA0))},
    **{ord(character): f"\\{name}" for character, name in zip("\\\t\n\r", "\\tnr", strict=True)},
}
#: Characters of a value that a table shows.
_SHOWN = 60


def json_answer(**content: object) -> str:
    """Return one JSON object of the current schema, with a newline."""
    return json.dumps({"schema": 1, **content}) + "\n"


def field(value: object) -> str:
    """Return a value as it stands between two tabs."""
    if value is None or value == "":
        return "-"
    return str(value).translate(_ESCAPED)


def short(text: str, most: int = _SHOWN) -> str:
    """Return as much of a text as a table shows."""
    text = plain(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def drawn(table: object, width: int) -> str:
    """Return a table of rich's as plain text."""
    from io import StringIO

    from rich.console import Console

    paper = StringIO()
    console = Console(file=paper, width=width, force_terminal=False, highlight=False, markup=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in paper.getvalue().splitlines()) + "\n"
