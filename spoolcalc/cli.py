"""The command line, by typer: parse, call, exit.  All of it that is not a plain form.

A command here is its options and one call; what it does is in ``commands``, ``feed`` and
``worker``.  Errors leave through ``boundary.guard``, as on the quick way in.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from spoolcalc import __version__, access, commands, output, render
from spoolcalc.boundary import guard
from spoolcalc.errors import INTERRUPTED, OK, UsageError
from spoolcalc.job import DEFAULT_PRIORITY, State
from spoolcalc.units import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spoolcalc.worker import Worker

#: How many ids the shell is offered.
OFFERED = 50

app = typer.Typer(
    name="spool",
    help="A job queue that needs no server, no broker and no database, only a directory.",
    epilog="Exit codes: 0 ok, 1 the job failed, 2 usage, 3 no such job, 4 not finished, "
    "7 the spool cannot be used, 70 a bug of ours, 130 interrupted. "
    "Treat an unknown code as a failure.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    return guard(lambda: app(list(arguments), prog_name="spool") or OK)


def _offer_ids(incomplete: str) -> list[str]:
    """Complete a job id with those that lie in the spool now."""
    from itertools import islice

    from spoolcalc.errors import SpoolError
    from spoolcalc.lookup import walk

    try:
        layout = access.open_spool(access.default_path())
        ids = (job_id for state in State for _, job_id, _ in walk(layout, state))
        return list(islice((i for i in ids if i.startswith(incomplete)), OFFERED))
    except SpoolError:
        return []


def _offer_operations(incomplete: str) -> list[str]:
    from spoolcalc import operations

    return [name for name in operations.names() if name.startswith(incomplete)]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        output.answer(f"spool {__version__}\n")
        raise typer.Exit


SpoolOption = Annotated[
    str | None,
    typer.Option(
        "--spool",
        metavar="PATH",
        help="The spool directory; else SPOOL_DIR, else ~/.local/state/spool.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until it is finished.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        parser=seconds, metavar="DURATION", help="Wait no longer than this, like 30s or 10m."
    ),
]
Ids = Annotated[
    list[str], typer.Argument(metavar="ID...", autocompletion=_offer_ids, show_default=False)
]
IdsOrNone = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID...]", autocompletion=_offer_ids, show_default=False),
]
Duration = Annotated[float | None, typer.Option(parser=seconds, metavar="DURATION")]


@app.callback()
def _main(
    context: typer.Context,
    spool: SpoolOption = None,
    version: Annotated[  # noqa: ARG001 - its callback does it all
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    context.obj = spool


def _finish(context: typer.Context, spool: str | None, action: Callable[[str], int]) -> NoReturn:
    path = spool if spool is not None else context.obj
    code = guard(lambda: action(access.default_path() if path is None else path))
    raise typer.Exit(code)


# No -h here: `submit add -1h 2` must say that -1h is no number, not show help and exit with 0.
@app.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
def submit(
    context: typer.Context,
    operation: Annotated[
        str | None, typer.Argument(autocompletion=_offer_operations, show_default=False)
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
        return commands.submit(
            path,
            operation,
            operands or [],
            priority=priority,
            as_json=as_json,
            wait=wait,
            timeout=wait_timeout,
        )

    _finish(context, spool, action)


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


@app.command()
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
            return commands.status(path, ids, as_json=as_json)
        if state is not None:
            return commands.listing(path, state, as_json=as_json)
        return commands.overview(path, as_json=as_json)

    _finish(context, spool, action)


@app.command()
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
        return commands.fetch(path, ids, wait=wait, timeout=timeout, keep=keep, as_json=as_json)

    _finish(context, spool, action)


@app.command()
def work(
    context: typer.Context,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Recover the dead, run what can be run, and end.")
    ] = False,
    max_jobs: Annotated[int | None, typer.Option(min=1, help="End after so many jobs.")] = None,
    max_time: Annotated[
        float | None,
        typer.Option(parser=seconds, metavar="DURATION", help="Begin no job after this time."),
    ] = None,
    lease: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="DURATION",
            help="Silent for so long, its jobs are given to others. [default: 60s]",
        ),
    ] = None,
    poll: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="DURATION",
            help="Look at least so often when idle. [default: 2s]",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Log only what failed.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Log claims too.")] = False,
    spool: SpoolOption = None,
) -> None:
    """Run jobs, until SIGTERM or SIGINT; a second one breaks off the job at hand."""

    def action(path: str) -> int:
        from spoolcalc.lease import DEFAULT_LEASE, SHORTEST_LEASE
        from spoolcalc.log import Log
        from spoolcalc.spool import Spool
        from spoolcalc.worker import DEFAULT_POLL, Worker

        if lease is not None and lease < SHORTEST_LEASE:
            raise UsageError(f"--lease {lease:g}s is too short", f"At least {SHORTEST_LEASE} s.")
        worker = Worker(
            Spool(path, create=True),
            lease=lease or DEFAULT_LEASE,
            once=once,
            max_jobs=max_jobs,
            max_time=max_time,
            poll=poll or DEFAULT_POLL,
            report=Log(quiet=quiet, verbose=verbose),
        )
        return _run(worker)

    _finish(context, spool, action)


def _run(worker: Worker) -> int:
    from spoolcalc.worker import Interrupted

    caught = []

    def stop(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a handler
        caught.append(number)
        if len(caught) == 1:
            worker.stop()
        else:
            worker.stop_now()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        worker.run()
    except Interrupted:
        output.tell("spool: interrupted; the job at hand was given back")
        return INTERRUPTED
    return OK


@app.command()
def clean(
    context: typer.Context,
    *,
    grace: Annotated[
        float,
        typer.Option(
            parser=seconds, metavar="DURATION", help="Only what was retrieved so long ago."
        ),
    ] = "0s",  # type: ignore[assignment] # typer gives the default to the parser
    completed_older_than: Annotated[
        float | None,
        typer.Option(
            parser=seconds, metavar="DURATION", help="Also completed jobs never retrieved."
        ),
    ] = None,
    failed_older_than: Annotated[
        float | None,
        typer.Option(parser=seconds, metavar="DURATION", help="Also failed jobs."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell, remove nothing.")] = False,
    as_json: JsonOption = False,
    spool: SpoolOption = None,
) -> None:
    """Remove what was retrieved, and old leftovers."""

    def action(path: str) -> int:
        from spoolcalc.spool import Spool

        cleaned = Spool(path).clean(
            grace=grace,
            completed_older_than=completed_older_than,
            failed_older_than=failed_older_than,
            dry_run=dry_run,
        )
        if as_json:
            output.answer(render.as_json(**render.cleaned_object(cleaned, dry_run=dry_run)))
        else:
            output.answer(render.cleaned_line(cleaned, dry_run=dry_run))
        return OK

    _finish(context, spool, action)


@app.command()
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

    _finish(context, spool, action)
