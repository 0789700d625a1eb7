"""The command line, by typer: parse, call, exit.  All of it that is not a plain form.

A command here is its options and one call; what it does is in ``commands`` and ``worker``.
Errors leave through ``boundary.guard``, as on the quick way in.

``app`` is what all commands share, ``options`` the types of their options; each other module is a
command or a few that belong together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spoolcalc.boundary import guard
from spoolcalc.cli.app import app
from spoolcalc.cli.catalogue import operations
from spoolcalc.cli.changing import cancel, pause, resume, retry
from spoolcalc.cli.reading import fetch, logs, status, wait
from spoolcalc.cli.submitting import SubmitCommand, submit
from spoolcalc.cli.unit import unit
from spoolcalc.cli.upkeep import clean, init
from spoolcalc.cli.working import work
from spoolcalc.errors import OK

if TYPE_CHECKING:
    from collections.abc import Sequence

# No -h here: `submit add -1h 2` must say that -1h is no number, not show help and exit with 0.
app.command(
    cls=SubmitCommand,
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)(submit)
for _command in (
    status,
    wait,
    fetch,
    logs,
    cancel,
    retry,
    work,
    pause,
    resume,
    operations,
    clean,
    init,
    unit,
):
    app.command()(_command)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    return guard(lambda: app(list(arguments), prog_name="spool") or OK)
