"""What all commands share: the program's own options and help, and how a command ends."""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from spoolcalc import __version__, access, output
from spoolcalc.boundary import guard
from spoolcalc.cli.lazy import PLAIN, group
from spoolcalc.cli.options import PlaceOption

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spoolcalc.cli.lazy import Row


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        output.answer(f"spool {__version__}\n")
        raise typer.Exit


def _main(
    context: typer.Context,
    spool: PlaceOption = None,
    version: Annotated[  # noqa: ARG001 - its callback does it all
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    context.obj = spool


def program(commands: Mapping[str, Row]) -> typer.Typer:
    """Return the program ``spool`` with these commands."""
    app = typer.Typer(
        name="spool",
        cls=group(commands),
        help="A job queue that needs no server, no broker and no database, only a directory.",
        epilog="Exit codes: 0 ok, 1 the job failed, 2 usage, 3 no such job, 4 not finished, "
        "5 cancelled, 7 the spool cannot be used, 70 a bug of ours, 130 interrupted. "
        "Treat an unknown code as a failure.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        **PLAIN,
    )
    app.callback()(_main)
    return app


def finish(context: typer.Context, spool: str | None, action: Callable[[str], int]) -> NoReturn:
    """Call ``action`` with the spool's path and exit with its code; errors become messages."""
    path = spool if spool is not None else context.obj
    code = guard(lambda: action(_checked(path)))
    raise typer.Exit(code)


def _checked(path: str | None) -> str:
    if path is None:
        return access.default_path()
    if f"--url={path}" in sys.argv or ("--url", path) in pairwise(sys.argv):
        return access.checked_url(path)  # --spool, the other name of the option, takes paths too
    return path
