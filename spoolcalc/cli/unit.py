"""``spool unit``."""

from __future__ import annotations

from typing import Annotated

import typer

from spoolcalc.boundary import guard
from spoolcalc.commands import unit as deed
from spoolcalc.systemd import NAMES


def offer_names(incomplete: str) -> list[str]:
    """Complete the name of a unit."""
    return [name for name in NAMES if name.startswith(incomplete)]


def unit(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", autocompletion=offer_names, show_default=False),
    ] = None,
    *,
    install: Annotated[
        bool, typer.Option("--install", help="Write them, and tell what to do next.")
    ] = False,
    own: Annotated[
        bool, typer.Option("--user", help="For your own service manager, not the system's.")
    ] = False,
    user_name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who runs the system's units. [default: spool]"),
    ] = None,
    directory: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Where to write; else where systemd finds them."),
    ] = None,
    spool: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="The spool; else /var/lib/spoolcalc/spool, and with --user the usual one.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print the units for systemd, or the one of that name."""
    path = spool if spool is not None else context.obj
    raise typer.Exit(
        guard(
            lambda: deed.unit(
                name, spool=path, install=install, own=own, user=user_name, directory=directory
            )
        )
    )
