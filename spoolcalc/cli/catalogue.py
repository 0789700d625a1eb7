"""``spool operations``."""

from __future__ import annotations

from typing import Annotated

import typer

from spoolcalc.boundary import guard
from spoolcalc.cli.options import JsonOption, offer_operations
from spoolcalc.commands import catalogue


def operations(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", autocompletion=offer_operations, show_default=False),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the operations that are known here, or tell all about one."""
    if name is None:
        code = guard(lambda: catalogue.listing(as_json=as_json))
    else:
        code = guard(lambda: catalogue.show(name, as_json=as_json))
    raise typer.Exit(code)
