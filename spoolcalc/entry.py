"""The command's entry: the plain forms at once, everything else through typer.

Start-up is what a single ``spool submit`` costs, and importing typer takes five times as long as
starting Python.  So ``submit OPERATION OPERAND...``, ``fetch ID...`` and ``status ID...`` without
options are answered here; both ways call the same functions, and a test holds them to the same
behaviour, output and exit codes.
"""

from __future__ import annotations

import os
import sys

from spoolcalc import output
from spoolcalc.boundary import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Set by the shell when it asks for completions, which only typer can give.
_COMPLETING = "_SPOOL_COMPLETE"
#: The operation whose operands, a command, may look like options.
_COMMAND = "exec"
_DIGITS = frozenset("0123456789")
_NUMERIC = _DIGITS | frozenset(".eE+-")


def main() -> None:
    """Run the command with the arguments of this process, and exit."""
    output.hold_standard_descriptors()
    arguments = sys.argv[1:]
    if is_plain(arguments):
        # Nothing of ours waits for the interpreter to be taken apart, which takes a quarter as long
        # as the whole of `python -c pass`.
        output.leave(guard(lambda: run_plain(arguments)))
    from spoolcalc import cli

    sys.exit(guard(lambda: cli.run(arguments)))


def is_plain(arguments: Sequence[str]) -> bool:
    """Tell whether the arguments are a plain form."""
    if len(arguments) < 2 or arguments[0] not in ("submit", "fetch", "status"):
        return False
    if _COMPLETING in os.environ:
        return False
    if arguments[0] != "submit":
        return not any(map(_has_hyphen, arguments[1:]))
    return arguments[1] == _COMMAND or not any(map(_is_option, arguments[1:]))


def run_plain(arguments: Sequence[str]) -> int:
    """Answer a plain form and return its exit code; errors are raised."""
    from spoolcalc import access

    command, *rest = arguments
    path = access.default_path()
    if command == "submit":
        from spoolcalc.commands.submitting import submit

        return submit(path, rest[0], rest[1:])
    if command == "fetch":
        from spoolcalc.commands.fetching import fetch

        return fetch(path, rest)
    from spoolcalc.commands.showing import status

    return status(path, rest)


def _is_option(argument: str) -> bool:
    """Tell whether typer might take it for an option; ``-3`` and ``-.5e1`` are operands."""
    numeric = _NUMERIC.issuperset(argument) and not _DIGITS.isdisjoint(argument)
    return argument.startswith("-") and not numeric


def _has_hyphen(argument: str) -> bool:
    return argument.startswith("-")
