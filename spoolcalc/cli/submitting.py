"""``spool submit``: one job, or with ``--from`` many."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from spoolcalc import access, output
from spoolcalc.cli.app import finish
from spoolcalc.cli.options import JsonOption, PlaceOption, offer_operations
from spoolcalc.commands import submitting
from spoolcalc.errors import OK, UsageError, shown
from spoolcalc.job import COMMAND, DEFAULT_PRIORITY
from spoolcalc.units import moment, seconds, size

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What ``--after`` takes behind the id.
_NEEDS = ("ok", "any")
#: As many symbolic links as the kernel follows.
_LINKS = 40


class SubmitCommand(TyperCommand):
    """The parser of ``submit``: what follows ``exec`` belongs to the command that is to be run.

    It knows no ``-h``: ``submit add -1h 2`` must say that ``-1h`` is no number, not show the help
    and exit with 0.
    """

    def __init__(self, **settings: Any) -> None:
        own = {"ignore_unknown_options": True, "help_option_names": ["--help"]}
        super().__init__(**{**settings, "context_settings": own})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options, which all stand before ``exec``, if that is the operation."""
        parser = self.make_parser(ctx)
        parser.allow_interspersed_args = False
        found, _, _ = parser.parse_args(args=list(args))
        if found.get("operation") == COMMAND:
            before = len(args) - 1 - len(found.get("operands") or ())
            if args[before - 1 : before] != ["--"]:
                args = [*args[:before], "--", *args[before:]]
        return super().parse_args(ctx, args)


def submit(
    context: typer.Context,
    operation: Annotated[
        str | None, typer.Argument(autocompletion=offer_operations, show_default=False)
    ] = None,
    operands: Annotated[
        list[str] | None,
        typer.Argument(
            help="@ID stands for the result of another job. "
            "exec takes a command and its arguments; options of ours go before exec.",
            show_default=False,
        ),
    ] = None,
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
    max_crashes: Annotated[
        int | None,
        typer.Option(min=1, help="Give it up after the loss of so many workers. [default: 3]"),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(parser=seconds, metavar="DURATION", help="End an attempt that takes longer."),
    ] = None,
    retries: Annotated[
        int | None, typer.Option(min=0, help="Try so often again after a failure.")
    ] = None,
    backoff: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="DURATION",
            help="Wait so long before the first retry, twice as long before each further one. "
            "[default: 10s]",
        ),
    ] = None,
    delay: Annotated[
        float | None,
        typer.Option(parser=seconds, metavar="DURATION", help="Run it not before so much time."),
    ] = None,
    at: Annotated[
        float | None,
        typer.Option(
            parser=moment,
            metavar="TIME",
            help="Run it not before then: 2026-12-01T03:00, local time unless Z or an offset "
            "follows.",
        ),
    ] = None,
    after: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID[:ok|:any]",
            help="Run it once that job has completed (ok) or has ended in any way (any). "
            "May be given several times.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="If a job has this key already, print its id instead. "
            "With --from, what the lines' keys begin with: the same file can be submitted again.",
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="TEXT", help="A word of yours, to find it by.")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=VALUE]",
            help="exec: give the command this variable, without a value as it is here. "
            "May be given several times.",
            show_default=False,
        ),
    ] = None,
    stdin: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="exec: what the command reads, a regular file."),
    ] = None,
    max_output: Annotated[
        int | None,
        typer.Option(
            parser=size, metavar="SIZE", help="exec: keep so much of each output, like 10M."
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Print the result, as fetch does.")] = False,
    wait_timeout: Annotated[
        float | None,
        typer.Option(parser=seconds, metavar="DURATION", help="Wait no longer than this."),
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="With --wait: exit as the command did.")
    ] = False,
    as_json: JsonOption = False,
    spool: PlaceOption = None,
) -> None:
    """Submit a job and print its id, once it is safe on disk."""

    def action(path: str) -> int:
        words = [*([operation] if operation is not None else []), *(operands or [])]
        if words == ["-h"]:
            output.answer(context.get_help() + "\n")
            return OK
        _refuse_unknown_options(words)
        given: dict[str, Any] = {
            "priority": priority,
            "max_crashes": max_crashes,
            "timeout": timeout,
            "retries": retries,
            "backoff": backoff,
            "delay": delay,
            "at": at,
            "after": [_need(word) for word in after or ()] or None,
            "key": key,
            "label": label,
            "env": dict(_variable(word) for word in env or ()) or None,
            "stdin": None if stdin is None else _file(stdin),
            "max_output": max_output,
        }
        options = {name: value for name, value in given.items() if value is not None}
        if from_file is not None:
            if words or wait or wait_timeout is not None or exit_code:
                raise UsageError("--from takes its jobs from the file and waits for none")
            return _submit_from(path, from_file, options, keep_going=keep_going, as_json=as_json)
        if operation is None:
            raise UsageError(
                "submit needs an operation, or --from FILE", "Like: spool submit add 1 2"
            )
        if keep_going:
            raise UsageError("--keep-going goes with --from")
        if (wait_timeout is not None or exit_code) and not wait:
            raise UsageError("--wait-timeout and --exit-code go with --wait")
        return submitting.submit(
            path,
            operation,
            operands or [],
            as_json=as_json,
            wait=wait,
            patience=wait_timeout,
            exit_code=exit_code,
            **options,
        )

    finish(context, spool, action)


def _refuse_unknown_options(words: Sequence[str]) -> None:
    """Name a mistyped option; the parser takes it for an operand, so that ``-3`` can be one."""
    if words[:1] == [COMMAND] or "--" in sys.argv:
        return
    for word in words:
        if word.startswith("--"):
            raise UsageError(
                f"no such option: {word[:40]!r}", "An operand like this goes after a lone --."
            )


def _need(word: str) -> tuple[str, str]:
    """Return the job that ``--after`` names, and whether it must complete."""
    job_id, _, need = word.partition(":")
    if need not in ("", *_NEEDS):
        raise UsageError(
            f"not a way to wait for a job: {word[:80]!r}", "Write ID, ID:ok or ID:any."
        )
    return job_id, need or "ok"


def _variable(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals and name not in os.environ:
        raise UsageError(f"no such variable here: {name[:40]!r}", "Give it a value: NAME=VALUE.")
    return name, value if equals else os.environ[name]


def _file(path: str) -> str:
    if path in ("", "-") or _is_passing(os.path.abspath(path)):
        named = "" if path in ("", "-") else f", and {shown(path)} is none"
        raise UsageError(
            f"--stdin takes a file, which the command reads when it is run{named}",
            "Our own stdin may be gone by then; put it into a file.",
        )
    return os.path.abspath(path)


def _is_passing(path: str) -> bool:
    """Tell whether a path names a descriptor of ours, or a pipe, a terminal or the like.

    By the time a worker opens it, it is gone or something else; without a word, if it is the
    worker's own /dev/stdin.
    """
    place = path
    for _ in range(_LINKS):
        directory, name = os.path.split(place)
        place = os.path.join(os.path.realpath(directory), name)
        if place.startswith(("/dev/fd/", "/dev/std")):
            return True
        if place.startswith("/proc/") and place.split("/")[-2] == "fd":
            return True
        try:
            place = os.path.join(os.path.dirname(place), os.readlink(place))
        except OSError:  # it is no link, or is not there (yet)
            break
    try:
        found = os.stat(path)
        return not (stat.S_ISREG(found.st_mode) or os.path.samestat(found, os.stat(os.devnull)))
    except OSError:
        return False


def _submit_from(
    path: str,
    file: str,
    options: dict[str, Any],
    *,
    keep_going: bool,
    as_json: bool,
) -> int:
    from spoolcalc.commands import feeding, sending

    submit_from = sending.send_from if access.is_url(path) else feeding.submit_from
    if not output.errors_on_terminal() or output.on_terminal():
        return submit_from(path, file, keep_going=keep_going, as_json=as_json, **options)
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TextColumn("{task.fields[jobs]} jobs"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=feeding.size_of(file), jobs=0)
        return submit_from(
            path,
            file,
            keep_going=keep_going,
            as_json=as_json,
            on_progress=lambda read, jobs: progress.update(task, completed=read, jobs=jobs),
            **options,
        )
