"""Settings as lines, a table and JSON.  Each is a name, a value, how it is written, its origin."""

from __future__ import annotations

import math

from spoolcalc.errors import plain
from spoolcalc.render.text import drawn, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def as_object(name: str, value: float, written: str, origin: str) -> dict[str, Any]:
    """Return a setting as the object that JSON answers hold; seconds, bytes, null for no limit."""
    number = None if value == math.inf else value
    return {"name": name, "value": number, "written": written, "origin": origin}


def as_line(name: str, value: float, written: str, origin: str) -> str:  # noqa: ARG001 - as it comes
    """Return a setting as one line of tab-separated fields."""
    return f"{name}\t{written}\t{field(origin)}\n"


def as_table(entries: Iterable[tuple[str, float, str, str]], width: int) -> str:
    """Return settings as a table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("setting", "value", "from"):
        table.add_column(title, overflow="fold")
    for name, _, written, origin in entries:
        table.add_row(name, written, Text(plain(origin)))
    return drawn(table, width)
