"""The types of options and arguments that several commands have, and what completes them."""

from __future__ import annotations

from typing import Annotated

import typer

from spoolcalc.units import seconds

#: How many ids the shell is offered.
OFFERED = 50


def offer_ids(incomplete: str) -> list[str]:
    """Complete a job id with those that lie in the spool now."""
    from itertools import islice

    from spoolcalc import access
    from spoolcalc.errors import SpoolError
    from spoolcalc.job import State
    from spoolcalc.lookup import walk

    try:
        layout = access.open_spool(access.default_path())
        ids = (job_id for state in State for _, job_id, _ in walk(layout, state))
        return list(islice((i for i in ids if i.startswith(incomplete)), OFFERED))
    except SpoolError:
        return []


def offer_operations(incomplete: str) -> list[str]:
    """Complete the name of an operation with those installed here."""
    from spoolcalc import operations

    return [name for name in operations.names() if name.startswith(incomplete)]


SpoolOption = Annotated[
    str | None,
    typer.Option(
        "--spool",
        metavar="PATH",
        help="The spool directory; else SPOOL_DIR, else ~/.local/state/spool.",
        show_default=False,
    ),
]
#: That of commands which can also ask a server.
PlaceOption = Annotated[
    str | None,
    typer.Option(
        "--spool",
        "--url",
        metavar="PATH",
        help="The spool directory, or a server's URL; else SPOOL_URL, else SPOOL_DIR, "
        "else ~/.local/state/spool.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until it is finished.")]
ExitCodeOption = Annotated[
    bool, typer.Option("--exit-code", help="Exit as the command did, if the job was one.")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        parser=seconds, metavar="DURATION", help="Wait no longer than this, like 30s or 10m."
    ),
]
Ids = Annotated[
    list[str],
    typer.Argument(
        metavar="ID...",
        help="- reads them from stdin, one a line.",
        autocompletion=offer_ids,
        show_default=False,
    ),
]
IdsOrNone = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID...]",
        help="- reads them from stdin, one a line.",
        autocompletion=offer_ids,
        show_default=False,
    ),
]
