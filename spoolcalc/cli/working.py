"""``spool work``: the worker's options, and the signals that end it."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from spoolcalc import output
from spoolcalc.cli.app import finish
from spoolcalc.cli.options import SpoolOption
from spoolcalc.errors import INTERRUPTED, OK, UsageError, shown
from spoolcalc.units import seconds

if TYPE_CHECKING:
    from spoolcalc.notify import Announcer
    from spoolcalc.worker import Worker


def work(
    context: typer.Context,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Recover the dead, run what can be run, and end.")
    ] = False,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", min=1, help="Run so many jobs at the same time.")
    ] = 1,
    timeout: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="DURATION",
            help="How long a job may run that has no limit of its own. [default: no limit]",
        ),
    ] = None,
    executor: Annotated[
        str,
        typer.Option(
            help="Where operations of packages run: process, thread, or MODULE:CALLABLE, "
            "which gives a concurrent.futures.Executor."
        ),
    ] = "process",
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPERATION",
            help="exec: run commands also in a spool to which others may write.",
        ),
    ] = None,
    until_empty: Annotated[
        bool,
        typer.Option(
            "--until-empty",
            help="End when nothing is pending; wait for what is pending and cannot be run.",
        ),
    ] = False,
    single: Annotated[
        bool, typer.Option("--single", help="End at once if another such run is at this spool.")
    ] = False,
    max_jobs: Annotated[int | None, typer.Option(min=1, help="End after so many jobs.")] = None,
    max_time: Annotated[
        float | None,
        typer.Option(parser=seconds, metavar="DURATION", help="Begin no job after this time."),
    ] = None,
    drain_time: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="DURATION",
            help="Told to end, give back what still runs after this time. [default: no limit]",
        ),
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
    hook_time: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="DURATION",
            help="Kill a hook that takes longer. [default: 30s]",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Log only what failed.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Log claims too.")] = False,
    spool: SpoolOption = None,
) -> None:
    """Run jobs, until SIGTERM, SIGINT or SIGHUP; a second one breaks off the jobs at hand."""

    def action(path: str) -> int:
        from spoolcalc import orphans
        from spoolcalc.engine import PROCESS
        from spoolcalc.hooks import SECONDS
        from spoolcalc.job import SHORTEST_LEASE
        from spoolcalc.locks import try_alone
        from spoolcalc.log import Log
        from spoolcalc.notify import Announcer, ServiceManager
        from spoolcalc.operations import COMMAND
        from spoolcalc.spool import Spool
        from spoolcalc.worker import DEFAULT_POLL, Worker

        if lease is not None and lease < SHORTEST_LEASE:
            raise UsageError(f"--lease {lease:g}s is too short", f"At least {SHORTEST_LEASE} s.")
        strange = sorted(set(allow or ()) - {COMMAND})
        if strange:
            raise UsageError(f"--allow {shown(strange[0])}", f"Only {COMMAND} can be allowed.")
        if once and until_empty:
            raise UsageError("--once and --until-empty exclude each other")
        opened = Spool(path, create=True)
        lock = try_alone(opened.layout, "work") if single else None
        if single and lock is None:
            if verbose:
                output.tell("spool: another --single run is at this spool")
            return OK
        manager = ServiceManager.of_this_process()
        told = {"quiet": quiet, "verbose": verbose, "stays": not once}
        announcer = Announcer(manager, **told) if manager else None
        worker = Worker(
            opened,
            jobs=jobs,
            executor=executor,
            timeout=timeout,
            allow=allow or (),
            lease=lease,
            once=once,
            until_empty=until_empty,
            max_jobs=max_jobs,
            max_time=max_time,
            poll=poll or DEFAULT_POLL,
            hook_time=SECONDS if hook_time is None else hook_time,
            report=announcer or Log(**told),
        )
        if executor != PROCESS:
            orphans.bind_forks()
        try:
            return _run(worker, drain_time, announcer)
        finally:
            if lock is not None:
                lock.release()

    finish(context, spool, action)


def _run(worker: Worker, drain_time: float | None, announcer: Announcer | None) -> int:
    from spoolcalc.term import Interrupted

    caught: list[int] = []

    def stop(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a handler
        if number == signal.SIGHUP and caught:
            return  # a terminal that goes sends several
        caught.append(number)
        if len(caught) > 1:
            worker.stop_now()
            return
        worker.stop()
        if drain_time is not None:
            signal.setitimer(signal.ITIMER_REAL, max(drain_time, 0.001))
        if announcer is not None:
            announcer.stopping()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # else it was started by nohup
        signal.signal(signal.SIGHUP, stop)
    try:
        worker.run()
    except Interrupted:
        output.tell("spool: interrupted; the job at hand was given back")
        if threading.active_count() > 1:
            os._exit(INTERRUPTED)  # a job in a thread cannot be ended in any other way
        return INTERRUPTED
    return OK
