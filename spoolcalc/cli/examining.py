"""``spool doctor`` and ``spool torture``."""

from __future__ import annotations

from typing import Annotated

import typer

from spoolcalc.cli.app import finish
from spoolcalc.cli.options import JsonOption, SpoolOption
from spoolcalc.units import seconds


def doctor(
    context: typer.Context,
    *,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what can be mended, losing nothing.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every document, however many there are.")
    ] = False,
    max_wait: Annotated[
        float,
        typer.Option(parser=seconds, metavar="DURATION", help="How long a job may wait."),
    ] = "15m",  # type: ignore[assignment] # typer gives the default to the parser
    as_json: JsonOption = False,
    spool: SpoolOption = None,
) -> None:
    """Tell what is wrong with the spool, what it means, and what to do.

    Exits with 0 if all is well, 1 if somebody should look, 2 if jobs do not run or may be lost: a
    monitoring system can call it. It may look at a spool in use at any time.
    """

    def action(path: str) -> int:
        from spoolcalc.commands.examining import doctor_

        return doctor_(path, fix=fix, deep=deep, patience=max_wait, as_json=as_json)

    finish(context, spool, action)


def torture(
    context: typer.Context,
    directory: Annotated[
        str | None,
        typer.Argument(
            metavar="[DIRECTORY]",
            help="On whose file system; else the spool's own.",
            show_default=False,
        ),
    ] = None,
    *,
    duration: Annotated[
        float,
        typer.Option("--seconds", min=1.0, metavar="N", help="For so long; it takes a bit more."),
    ] = 30.0,
    as_json: JsonOption = False,
    spool: SpoolOption = None,
) -> None:
    """Try whether a file system keeps what is promised, and tell.

    In a throw-away spool there, real workers and others are killed at random moments and at random
    system calls, while all of them race for the same jobs; your own jobs are not touched. Exits
    with 0 if all promises were kept, 1 if too little could be tried, 2 if one was broken.
    """

    def action(path: str) -> int:
        from spoolcalc.commands.torturing import torture as deed

        return deed(path, directory, seconds=duration, as_json=as_json)

    finish(context, spool, action)
