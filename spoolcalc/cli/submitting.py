"""``spool submit``: one job, or with ``--from`` many."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from spoolcalc import output
from spoolcalc.cli.app import finish
from spoolcalc.cli.options import JsonOption, SpoolOption, offer_operations
from spoolcalc.commands import submitting
from spoolcalc.errors import OK, UsageError
from spoolcalc.job import DEFAULT_PRIORITY
from spoolcalc.units import seconds


def submit(
    context: typer.Context,
    operation: Annotated[
        str | None, typer.Argument(autocompletion=offer_operations, show_default=False)
    ] = None,
    operands: Annotated[list[str] | None, typer.Argument(show_default=False)] = None,
    *,
    from_file: Annotated[
        str | None,
        typer.Option("--from", metavar="FILE", help="Submit each line of FILE; - is stdin."),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="With --from: pass over bad lines, exit 2.")
    ] = False,
    priority: Annotated[
        int, typer.Option(min=0, max=9, help="0 is taken first, 9 last.")
    ] = DEFAULT_PRIORITY,
    wait: Annotated[bool, typer.Option("--wait", help="Print the result, as fetch does.")] = False,
    wait_timeout: Annotated[
        float | None,
        typer.Option(parser=seconds, metavar="DURATION", help="Wait no longer than this."),
    ] = None,
    as_json: JsonOption = False,
    spool: SpoolOption = None,
) -> None:
    """Submit a job and print its id, once it is safe on disk."""

    def action(path: str) -> int:
        words = [*([operation] if operation is not None else []), *(operands or [])]
        if words == ["-h"]:
            output.answer(context.get_help() + "\n")
            return OK
        _refuse_unknown_options(words)
        if from_file is not None:
            if words or wait or wait_timeout is not None:
                raise UsageError("--from takes its jobs from the file and waits for none")
            return _submit_from(
                path, from_file, priority=priority, keep_going=keep_going, as_json=as_json
            )
        if operation is None:
            raise UsageError(
                "submit needs an operation, or --from FILE", "Like: spool submit add 1 2"
            )
        if keep_going:
            raise UsageError("--keep-going goes with --from")
        if wait_timeout is not None and not wait:
            raise UsageError("--wait-timeout goes with --wait")
        return submitting.submit(
            path,
            operation,
            operands or [],
            priority=priority,
            as_json=as_json,
            wait=wait,
            timeout=wait_timeout,
        )

    finish(context, spool, action)


def _refuse_unknown_options(words: list[str]) -> None:
    """Name a mistyped option; the parser takes it for an operand, so that ``-3`` can be one."""
    for word in words:
        if word.startswith("--") and "--" not in sys.argv:
            raise UsageError(
                f"no such option: {word[:40]!r}", "An operand like this goes after a lone --."
            )


def _submit_from(path: str, file: str, *, priority: int, keep_going: bool, as_json: bool) -> int:
    from spoolcalc import feed

    if not output.errors_on_terminal() or output.on_terminal():
        return feed.submit_from(
            path, file, priority=priority, keep_going=keep_going, as_json=as_json
        )
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TextColumn("{task.fields[jobs]} jobs"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=feed.size_of(file), jobs=0)
        return feed.submit_from(
            path,
            file,
            priority=priority,
            keep_going=keep_going,
            as_json=as_json,
            on_progress=lambda read, jobs: progress.update(task, completed=read, jobs=jobs),
        )
