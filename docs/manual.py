"""Writes the manual pages from the docs' own pages: ``docs/manual.py``.

    docs/cli.md     ->  man/spool.1
    docs/format.md  ->  man/spool-format.5

A page's sections stay as they are; a name, a synopsis and what to see also are added.  The
language is that of man(7), with tables for tbl(1).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from spoolcalc import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markdown_it.token import Token

DOCS = Path(__file__).parent
MAN = DOCS.parent / "man"


class Page:
    """A manual page: which, what it is for, how it is called, from which page of the docs."""

    def __init__(self, name: str, section: int, source: str, purpose: str, *synopsis: str) -> None:
        self.name = name
        self.section = section
        self.source = source
        self.purpose = purpose
        self.synopsis = synopsis

    @property
    def path(self) -> Path:
        """Where it is written."""
        return MAN / f"{self.name}.{self.section}"

    def text(self) -> str:
        """Return it as it should be now."""
        title = self.name.upper().replace("-", r"\-")
        lines = [
            "'\\\" t",
            f'.\\" Made from docs/{self.source} by docs/manual.py.',
            f'.TH {title} {self.section} "" "spoolcalc {__version__}"',
            ".SH NAME",
            f"{escaped(self.name)} \\- {escaped(self.purpose)}",
            ".SH SYNOPSIS",
        ]
        for usage in self.synopsis:
            lines += [".B " + escaped(usage), ".br"]
        lines += [".SH DESCRIPTION", *roff((DOCS / self.source).read_text()), ".SH SEE ALSO"]
        others = [page for page in PAGES if page is not self]
        lines.append(",\n".join(f".BR {escaped(page.name)} ({page.section})" for page in others))
        return "\n".join(lines) + "\n"


PAGES = (
    Page(
        "spool",
        1,
        "cli.md",
        "a job queue that needs no server, only a directory",
        "spool [--spool PATH] COMMAND [OPTION...] [ARGUMENT...]",
        "spool submit add 12 23",
        "spool work --once",
        "spool fetch ID",
    ),
    Page("spool-format", 5, "format.md", "what is in a spool directory", "$SPOOL_DIR"),
)


def roff(markdown: str) -> Iterator[str]:
    """Translate a page; its title is left out, as the manual page has its own."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    position = 0
    while position < len(tokens):
        end = _end(tokens, position)
        block = tokens[position:end]
        if not (block[0].type == "heading_open" and block[0].tag == "h1"):
            yield from _block(block)
        position = end


def escaped(text: str) -> str:
    """Return text as roff shows it literally."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    text = text.replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")
    text = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in text)
    return f"\\&{text}" if text.startswith(".") else text


def _end(tokens: Sequence[Token], start: int) -> int:
    """Return where the block ends that begins at ``start``."""
    depth = 0
    for position in range(start, len(tokens)):
        depth += tokens[position].nesting
        if depth == 0:
            return position + 1
    raise ValueError("a block without an end")


def _block(block: Sequence[Token]) -> Iterator[str]:
    first = block[0]
    if first.type == "heading_open":
        title = _inline(block[1]).replace("\\fB", "").replace("\\fR", "")
        if first.tag == "h2" and "`" not in block[1].content:  # which is a command's name
            title = title.upper()
        yield f"{'.SH' if first.tag == 'h2' else '.SS'} {title}"
    elif first.type == "paragraph_open":
        yield ".PP"
        yield from _lines(_inline(block[1]))
    elif first.type in ("fence", "code_block"):
        yield from (".PP", ".in +4n", ".EX")
        yield from (escaped(line) for line in first.content.rstrip("\n").split("\n"))
        yield from (".EE", ".in")
    elif first.type in ("bullet_list_open", "ordered_list_open"):
        yield from _list(block)
    elif first.type == "table_open":
        yield from _table(block)
    elif first.type not in ("hr", "html_block"):
        raise ValueError(f"a page has what no manual page can show: {first.type}")


def _list(block: Sequence[Token]) -> Iterator[str]:
    position, number = 1, int(block[0].attrs.get("start", 1))
    while position < len(block) - 1:
        end = _end(block, position)
        bullet = "\\(bu" if block[0].type == "bullet_list_open" else f"{number}."
        yield f".IP {bullet} 4"
        inner = position + 1
        while inner < end - 1:
            stop = _end(block, inner)
            lines = list(_block(block[inner:stop]))
            if inner == position + 1 and lines[0] == ".PP":
                yield from lines[1:]
            else:
                yield from (".RS 4", *lines, ".RE")
            inner = stop
        position, number = end, number + 1


def _table(block: Sequence[Token]) -> Iterator[str]:
    rows: list[list[str]] = []
    for token in block:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_inline(token))
    columns = len(rows[0])
    yield from (".PP", ".TS", "allbox;", " ".join(["lb"] * columns))
    yield " ".join(["l"] * (columns - 1) + ["lx"]) + "."
    for row in rows:
        yield "\t".join(f"T{{\n{cell}\nT}}" for cell in row)
    yield ".TE"


def _inline(token: Token) -> str:
    """Return text with its fonts; of a link the text, and the address if it has a host."""
    shown = ""
    address = ""
    for child in token.children or ():
        if child.type == "code_inline":
            shown += f"\\fB{escaped(child.content)}\\fR"
        elif child.type == "text":
            shown += escaped(child.content)
        elif child.type == "softbreak":
            shown += "\n"
        elif child.type == "link_open":
            address = str(child.attrs["href"])
        elif child.type == "link_close" and address.startswith("http"):
            shown += f" ({escaped(address)})"
        elif child.type.endswith("_open"):
            shown += "\\fI" if child.type == "em_open" else "\\fB"
        elif child.type in ("em_close", "strong_close"):
            shown += "\\fR"
        elif child.type != "link_close":
            raise ValueError(f"a page has what no manual page can show: {child.type}")
    return shown


def _lines(text: str) -> Iterator[str]:
    """Return lines none of which roff takes for a request."""
    for line in text.split("\n"):
        yield re.sub(r"^(?=[.'])", r"\\&", line.strip())


if __name__ == "__main__":
    MAN.mkdir(exist_ok=True)
    for page in PAGES:
        page.path.write_text(page.text())
