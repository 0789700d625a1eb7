"""Operations as lines, a table, a sheet and JSON."""

from __future__ import annotations

from spoolcalc.errors import plain
from spoolcalc.render.text import drawn, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from spoolcalc.catalogue import Entry

#: The columns of an operation's line.
FIELDS = ("name", "usage", "help", "package", "version", "error")


def as_object(entry: Entry) -> dict[str, Any]:
    """Return an operation as the object that JSON answers hold."""
    parameters = entry.parameters
    return {
        **{name: getattr(entry, name) for name in (*FIELDS, "doc")},
        "operands": parameters
        and [
            {
                "name": parameter.name,
                "expected": parameter.kind.expected,
                "required": parameter.required,
                "repeated": parameter.repeated,
            }
            for parameter in parameters
        ],
    }


def as_line(entry: Entry) -> str:
    """Return an operation as one line of tab-separated fields."""
    return "\t".join(field(getattr(entry, name)) for name in FIELDS) + "\n"


def as_table(entries: Iterable[Entry], width: int) -> str:
    """Return operations as a table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("operation", "what it gives", "from"):
        table.add_column(name, overflow="fold")
    for entry in entries:
        told = entry.help if entry.error is None else f"! {entry.error}"
        cells = (f"{entry.name} {entry.usage}".rstrip(), told, _origin(entry))
        table.add_row(*(Text(plain(cell)) for cell in cells))
    return drawn(table, width)


def as_sheet(entry: Entry) -> str:
    """Return all about one operation, as a page to read."""
    paragraphs = [f"{entry.name} {entry.usage}".rstrip()]
    if entry.doc:
        paragraphs.append("\n".join(plain(line).rstrip() for line in entry.doc.splitlines()))
    if entry.parameters:
        rows = [(parameter.usage, parameter.kind.expected) for parameter in entry.parameters]
        wide = max(len(usage) for usage, _ in rows)
        paragraphs.append("\n".join(f"  {usage:<{wide}}  {what}" for usage, what in rows))
    paragraphs.append(f"from: {_origin(entry)}")
    return "\n\n".join(paragraphs) + "\n"


def _origin(entry: Entry) -> str:
    if entry.package is None:
        return "built in"
    return f"{entry.package or 'an unnamed package'} {entry.version or ''}".rstrip()
