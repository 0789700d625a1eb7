"""Commands that are built when they are wanted, so that ``spool --help`` imports none of them.

Building all commands takes typer longer than all the rest of a start: it inspects each option of
each function.  A command is a function of its own name in a module of this package.
"""

from __future__ import annotations

import importlib
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

#: What every typer of ours is told.
PLAIN: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False}


class Row:
    """What is known of a command before it is built: its module, a short help, its class."""

    __slots__ = ("help", "module", "parser")

    def __init__(self, module: str, help: str, parser: str | None = None) -> None:  # noqa: A002 - typer's word
        self.module = module
        self.help = help
        self.parser = parser

    def build(self, name: str) -> Any:
        """Return the command as typer wants it."""
        module = importlib.import_module(f"spoolcalc.cli.{self.module}")
        alone = typer.Typer(add_completion=False, **PLAIN)
        parser = getattr(module, self.parser) if self.parser else None
        alone.command(name, cls=parser, short_help=self.help)(getattr(module, name))
        return typer.main.get_command(alone)


class Table(MutableMapping[str, "Any"]):
    """The commands by name; each is built when it is looked up."""

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self._rows = rows
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Return the command of that name."""
        if name not in self._built:
            self._built[name] = self._rows[name].build(name)
        return self._built[name]

    def __setitem__(self, name: str, command: Any) -> None:
        """Put a command there that somebody else has built."""
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        """Forget a command that somebody else has put there."""
        del self._built[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order of the help."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._rows)


def group(rows: Mapping[str, Row]) -> type[TyperGroup]:
    """Return the class of a program that has these commands."""

    class Group(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands = Table(rows)

        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer calls it so
            return list(rows)

        def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the same
            with formatter.section("Commands"):
                formatter.write_dl([(name, row.help) for name, row in rows.items()])

    return Group
