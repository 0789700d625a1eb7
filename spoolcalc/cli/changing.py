"""``spool cancel``, ``spool retry``, ``spool pause`` and ``spool resume``."""

from __future__ import annotations

from typing import Annotated

import typer

from spoolcalc.cli.app import finish
from spoolcalc.cli.options import (
    Ids,
    IdsOrNone,
    JsonOption,
    PlaceOption,
    SpoolOption,
    offer_operations,
)
from spoolcalc.commands import changing
from spoolcalc.errors import UsageError
from spoolcalc.units import seconds


def cancel(
    context: typer.Context,
    ids: Ids,
    *,
    timeout: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="DURATION",
            help="Give a worker so long to end a job that runs. [default: 10s]",
        ),
    ] = None,
    as_json: JsonOption = False,
    spool: PlaceOption = None,
) -> None:
    """Cancel jobs: what waits never runs, what runs is ended."""

    def action(path: str) -> int:
        return changing.cancel(path, ids, patience=timeout, as_json=as_json)

    finish(context, spool, action)


def retry(
    context: typer.Context,
    ids: IdsOrNone = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="All that have failed.")] = False,
    operation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --failed: those of this operation alone.",
            autocompletion=offer_operations,
        ),
    ] = None,
    spool: PlaceOption = None,
) -> None:
    """Have failed jobs run again, no attempt held against them, and print their ids."""

    def action(path: str) -> int:
        if bool(ids) == failed:
            raise UsageError("retry takes the ids of failed jobs, or --failed for all of them")
        if operation is not None and not failed:
            raise UsageError("--operation goes with --failed")
        if failed:
            return changing.retry_failed(path, operation)
        return changing.retry(path, ids or [])

    finish(context, spool, action)


def pause(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Shown by status.")] = "",
    spool: SpoolOption = None,
) -> None:
    """Have all workers take no more jobs, until resume; what runs goes on."""
    finish(context, spool, lambda path: changing.pause(path, reason))


def resume(context: typer.Context, *, spool: SpoolOption = None) -> None:
    """Have the workers take jobs again."""
    finish(context, spool, changing.resume)
