"""``spool status``, ``spool wait``, ``spool fetch`` and ``spool logs``."""

from __future__ import annotations

from typing import Annotated

import typer

from spoolcalc.cli.app import finish
from spoolcalc.cli.options import (
    ExitCodeOption,
    Ids,
    IdsOrNone,
    JsonOption,
    PlaceOption,
    SpoolOption,
    TimeoutOption,
    WaitOption,
    offer_ids,
    offer_operations,
)
from spoolcalc.commands import fetching, following, showing, waiting
from spoolcalc.errors import UsageError
from spoolcalc.job import State


def status(
    context: typer.Context,
    ids: IdsOrNone = None,
    *,
    state: Annotated[State | None, typer.Option(help="List the jobs in this state.")] = None,
    label: Annotated[
        str | None, typer.Option(metavar="TEXT", help="List the jobs with this label.")
    ] = None,
    operation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="List the jobs of this operation.",
            autocompletion=offer_operations,
        ),
    ] = None,
    as_json: JsonOption = False,
    spool: PlaceOption = None,
) -> None:
    """Tell how many jobs there are in each state and who works, or all about some jobs."""

    def action(path: str) -> int:
        lists = (state, label, operation) != (None, None, None)
        if ids and lists:
            raise UsageError("--state, --label and --operation list jobs; they go without ids")
        if ids:
            return showing.status(path, ids, as_json=as_json)
        if lists:
            return showing.listing(path, state, label=label, operation=operation, as_json=as_json)
        return showing.overview(path, as_json=as_json)

    finish(context, spool, action)


def wait(
    context: typer.Context,
    ids: Ids,
    *,
    first: Annotated[bool, typer.Option("--any", help="Wait for the first of them alone.")] = False,
    timeout: TimeoutOption = None,
    exit_code: ExitCodeOption = False,
    as_json: JsonOption = False,
    spool: PlaceOption = None,
) -> None:
    """Wait until jobs have ended, and print each one's id and state as it ends."""

    def action(path: str) -> int:
        return waiting.wait(
            path, ids, first=first, timeout=timeout, exit_code=exit_code, as_json=as_json
        )

    finish(context, spool, action)


def fetch(
    context: typer.Context,
    ids: Ids,
    *,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not mark it retrieved.")] = False,
    exit_code: ExitCodeOption = False,
    as_json: JsonOption = False,
    spool: PlaceOption = None,
) -> None:
    """Print each job's result, and mark it retrieved."""

    def action(path: str) -> int:
        if timeout is not None and not wait:
            raise UsageError("--timeout goes with --wait")
        return fetching.fetch(
            path,
            ids,
            wait=wait,
            timeout=timeout,
            keep=keep,
            exit_code=exit_code,
            as_json=as_json,
        )

    finish(context, spool, action)


def logs(
    context: typer.Context,
    job_id: Annotated[
        str, typer.Argument(metavar="ID", autocompletion=offer_ids, show_default=False)
    ],
    *,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on until the job has ended.")
    ] = False,
    errors: Annotated[
        bool, typer.Option("--stderr", help="What it wrote to stderr, in place of stdout.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option(min=0, help="Begin with the last so many lines.")
    ] = None,
    spool: SpoolOption = None,
) -> None:
    """Print what a command has written so far, in its newest attempt."""

    def action(path: str) -> int:
        return following.logs(path, job_id, errors=errors, follow=follow, tail=tail)

    finish(context, spool, action)
