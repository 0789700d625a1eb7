"""``spool events``, ``spool metrics`` and ``spool top``."""

from __future__ import annotations

from typing import Annotated

import typer

from spoolcalc.cli.app import finish
from spoolcalc.cli.options import SpoolOption, offer_ids
from spoolcalc.commands import telling
from spoolcalc.units import since as beginning


def events(
    context: typer.Context,
    *,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on with what happens from now on.")
    ] = False,
    since: Annotated[
        float | None,
        typer.Option(
            parser=beginning,
            metavar="TIME",
            help="From then on: 2026-12-01T03:00, or how long ago, like 10m.",
        ),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Those of one job.", autocompletion=offer_ids),
    ] = None,
    spool: SpoolOption = None,
) -> None:
    """Print what has happened, a line of JSON for each change of a job's state."""
    finish(context, spool, lambda path: telling.events(path, follow=follow, since=since, job=job))


def metrics(
    context: typer.Context,
    *,
    textfile: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Put them into this file, for node_exporter."),
    ] = None,
    spool: SpoolOption = None,
) -> None:
    """Print figures in Prometheus' text format."""
    finish(context, spool, lambda path: telling.metrics(path, textfile))


def top(
    context: typer.Context,
    *,
    once: Annotated[bool, typer.Option("--once", help="Print one look, and end.")] = False,
    spool: SpoolOption = None,
) -> None:
    """Show the queue, live: counts, rates, workers and what they are at, the last failures."""

    def action(path: str) -> int:
        from spoolcalc.commands import top as deed

        return deed.top(path, once=once)

    finish(context, spool, action)
