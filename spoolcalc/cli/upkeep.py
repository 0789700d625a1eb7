"""``spool clean``, ``spool init`` and ``spool upgrade``."""

from __future__ import annotations

from typing import Annotated

import typer

from spoolcalc import access, output
from spoolcalc.cli.app import finish
from spoolcalc.cli.options import JsonOption, SpoolOption
from spoolcalc.document import FORMAT
from spoolcalc.errors import OK
from spoolcalc.render.cleaned import as_line, as_object
from spoolcalc.render.text import json_answer
from spoolcalc.units import seconds


def clean(
    context: typer.Context,
    *,
    grace: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="DURATION",
            help="Only what was retrieved so long ago. [default: keep_retrieved, or 0s]",
        ),
    ] = None,
    grace_unless_set: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="DURATION",
            help="What --grace is unless that or keep_retrieved is given.",
        ),
    ] = None,
    completed_older_than: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="DURATION",
            help="Also completed jobs never retrieved. [default: keep_completed, or never]",
        ),
    ] = None,
    failed_older_than: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="DURATION",
            help="Also failed jobs. [default: keep_failed, or never]",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell, remove nothing.")] = False,
    as_json: JsonOption = False,
    spool: SpoolOption = None,
) -> None:
    """Remove what was retrieved, and old leftovers."""

    def action(path: str) -> int:
        from spoolcalc.spool import Spool

        there = Spool(path)
        unset = grace is None and there.settings.keep_retrieved is None
        removed = there.clean(
            grace=grace_unless_set if unset else grace,
            completed_older_than=completed_older_than,
            failed_older_than=failed_older_than,
            dry_run=dry_run,
        )
        if as_json:
            output.answer(json_answer(**as_object(removed, dry_run=dry_run)))
        else:
            output.answer(as_line(removed, dry_run=dry_run))
        return OK

    finish(context, spool, action)


def init(
    context: typer.Context,
    group: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Share it with all members of this group."),
    ] = None,
    *,
    spool: SpoolOption = None,
) -> None:
    """Make a spool; submit and work make a private one by themselves."""

    def action(path: str) -> int:
        if group is None:
            layout = access.open_spool(path, create=True)
        else:
            layout = access.make_shared(path, group)
        output.answer(f"{layout.root}\n")
        return OK

    finish(context, spool, action)


def upgrade(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    spool: SpoolOption = None,
) -> None:
    """Bring a spool of an earlier version up to date, and print what it lacked.

    It may be in use, and every job stays where it is. A spool of a newer version is refused.
    """

    def action(path: str) -> int:
        layout, made = access.upgrade(path)
        if as_json:
            output.answer(json_answer(spool=layout.root, format=FORMAT, made=made))
        elif made:
            output.answer("".join(f"made {name}\n" for name in made))
        else:
            output.tell("spool: it lacks nothing")
        return OK

    finish(context, spool, action)
