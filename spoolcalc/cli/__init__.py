"""The command line, by typer: parse, call, exit.  All of it that is not a plain form.

A command here is its options and one call; what it does is in ``commands`` and ``worker``.
Errors leave through ``boundary.guard``, as on the quick way in.

``app`` is what all commands share, ``options`` the types of their options, ``lazy`` builds a
command when it is wanted; each other module is a command or a few that belong together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spoolcalc.boundary import guard
from spoolcalc.cli.app import program
from spoolcalc.cli.lazy import Row
from spoolcalc.errors import OK

if TYPE_CHECKING:
    from collections.abc import Sequence

#: In the order of ``spool --help``, which has these words; a command's own help says more.
COMMANDS = {
    "submit": Row("submitting", "Submit a job and print its id.", "SubmitCommand"),
    "status": Row("reading", "Tell how the queue is, or all about some jobs."),
    "wait": Row("reading", "Wait until jobs have ended."),
    "fetch": Row("reading", "Print results, and mark the jobs retrieved."),
    "logs": Row("reading", "Print what a command has written so far."),
    "cancel": Row("changing", "Cancel jobs, also running ones."),
    "retry": Row("changing", "Have failed jobs run again."),
    "work": Row("working", "Run jobs."),
    "serve": Row("serving", "Serve the spool over HTTP."),
    "pause": Row("changing", "Have the workers take no more jobs."),
    "resume": Row("changing", "Have the workers take jobs again."),
    "top": Row("watching", "Show the queue, live."),
    "events": Row("watching", "Print what has happened, and what happens."),
    "metrics": Row("watching", "Print figures for Prometheus."),
    "operations": Row("catalogue", "List the operations that are known here."),
    "clean": Row("upkeep", "Remove what was retrieved, and old leftovers."),
    "config": Row("config", "Show what is set for the spool, and by what."),
    "doctor": Row("examining", "Tell what is wrong with the spool, and mend it."),
    "torture": Row("examining", "Try whether a file system keeps what is promised."),
    "init": Row("upkeep", "Make a spool, private or for a group."),
    "upgrade": Row("upkeep", "Bring a spool of an earlier version up to date."),
    "unit": Row("unit", "Print or install the units for systemd."),
}


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    app = program(COMMANDS)
    return guard(lambda: app(list(arguments), prog_name="spool") or OK)
