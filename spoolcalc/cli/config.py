"""``spool config``."""

from __future__ import annotations

import typer  # noqa: TC002 - typer reads the type

from spoolcalc.cli.app import finish
from spoolcalc.cli.options import JsonOption, SpoolOption


def config(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    spool: SpoolOption = None,
) -> None:
    """Show what is set for the spool, and where each value comes from.

    An option beats the environment (SPOOL_TIMEOUT=10m), that beats spool.toml in the spool.
    """

    def action(path: str) -> int:
        from spoolcalc.commands.config import show

        return show(path, as_json=as_json)

    finish(context, spool, action)
