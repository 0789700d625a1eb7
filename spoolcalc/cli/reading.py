"""``spool status``, ``spool wait`` and ``spool fetch``."""

from __future__ import annotations

from typing import Annotated

import typer

from spoolcalc.cli.app import finish
from spoolcalc.cli.options import Ids, IdsOrNone, JsonOption, SpoolOption, TimeoutOption, WaitOption
from spoolcalc.commands import fetching, showing, waiting
from spoolcalc.errors import UsageError
from spoolcalc.job import State


def status(
    context: typer.Context,
    ids: IdsOrNone = None,
    *,
    state: Annotated[State | None, typer.Option(help="List the jobs in this state.")] = None,
    as_json: JsonOption = False,
    spool: SpoolOption = None,
) -> None:
    """Tell how many jobs there are in each state and who works, or all about some jobs."""

    def action(path: str) -> int:
        if ids and state is not None:
            raise UsageError("--state lists a state; it goes without ids")
        if ids:
            return showing.status(path, ids, as_json=as_json)
        if state is not None:
            return showing.listing(path, state, as_json=as_json)
        return showing.overview(path, as_json=as_json)

    finish(context, spool, action)


def wait(
    context: typer.Context,
    ids: Ids,
    *,
    first: Annotated[bool, typer.Option("--any", help="Wait for the first of them alone.")] = False,
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
    spool: SpoolOption = None,
) -> None:
    """Wait until jobs have ended, and print each one's id and state as it ends."""

    def action(path: str) -> int:
        return waiting.wait(path, ids, first=first, timeout=timeout, as_json=as_json)

    finish(context, spool, action)


def fetch(
    context: typer.Context,
    ids: Ids,
    *,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not mark it retrieved.")] = False,
    as_json: JsonOption = False,
    spool: SpoolOption = None,
) -> None:
    """Print each job's result, and mark it retrieved."""

    def action(path: str) -> int:
        if timeout is not None and not wait:
            raise UsageError("--timeout goes with --wait")
        return fetching.fetch(path, ids, wait=wait, timeout=timeout, keep=keep, as_json=as_json)

    finish(context, spool, action)
