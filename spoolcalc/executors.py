"""Somebody else's executor, as ``module:callable`` names it, and the processes that it starts.

What it starts on this host ends with its worker, or before its jobs are given on, as far as it can
be told.  What the worker's main thread forks dies with the worker, if whoever runs the worker has
called :func:`spoolcalc.orphans.bind_forks`; what is executed anew (by ``spawn`` or ``forkserver``)
carries the worker's mark, and outlives a worker that was killed until somebody sweeps.  A worker
that leaves ends those, and what :mod:`multiprocessing` forked.  What runs in a thread, on another
host or in a service that was there before is not ended.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import BrokenExecutor
from contextlib import suppress

from spoolcalc import orphans
from spoolcalc.errors import ExecutorRefused, UsageError, shown
from spoolcalc.job import shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future
    from multiprocessing.process import BaseProcess
    from typing import Any

    #: Makes an executor, told how many jobs there are at once.
    Maker = Callable[[int], Executor]


class OthersExecutor:
    """What ``make`` gives for ``jobs`` at a time, while it runs jobs of ``worker``.

    It is made when the first job comes; ``name`` is what it is called when it refuses.  Until
    :meth:`close` this process has the worker's mark in its own environment, so that what the
    executor starts inherits it, whenever that is.
    """

    def __init__(self, make: Maker, jobs: int, worker: str, name: str) -> None:
        self.worker = worker
        self._make = make
        self._jobs = jobs
        self._name = name
        self._strangers = set(_forked())
        self._executor: Executor | None = None
        _have_tracker()
        self._former = os.environ.get(orphans.MARK)
        os.environ[orphans.MARK] = worker

    def submit(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Have it run a function; one that broke is replaced once.

        Raises :class:`~spoolcalc.errors.ExecutorRefused`, whatever it raised itself: what cannot be
        begun is no fault of the job's.
        """
        try:
            try:
                return self._made().submit(function, *arguments)
            except BrokenExecutor:
                self._executor = None
                return self._made().submit(function, *arguments)
        except (Exception, SystemExit) as error:
            if isinstance(error, BrokenExecutor):
                self._executor = None
            raise ExecutorRefused(self._name, _said(error)) from error

    def kill(self) -> None:
        """Kill what it forked; what carries the mark is for :func:`orphans.kill_marked`."""
        killed = [process for process in _forked() if process not in self._strangers]
        for process in killed:
            process.kill()
        for process in killed:
            process.join(orphans.PATIENCE)

    def close(self) -> None:
        """Let go of it; what it has begun cannot be ended in this way.

        The environment is as it was before, unless somebody else has changed it since.
        """
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        if os.environ.get(orphans.MARK) == self.worker:
            if self._former is None:
                del os.environ[orphans.MARK]
            else:
                os.environ[orphans.MARK] = self._former

    def _made(self) -> Executor:
        if self._executor is None:
            self._executor = self._make(self._jobs)
        return self._executor


def maker(name: str) -> Maker:
    """Return what makes the executor ``module:callable``.  Raises UsageError."""
    module, colon, attribute = name.partition(":")
    hint = "There are process and thread; or name a callable that gives one, as module:callable."
    if not (module and colon and attribute):
        raise UsageError(f"no such executor: {shown(name)}", hint)
    from importlib import import_module

    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        why = " ".join(str(error).split())
        raise UsageError(f"the executor {shown(name)} cannot be loaded: {why}", hint) from error
    if not callable(found):
        raise UsageError(f"the executor {shown(name)} is nothing that can be called", hint)

    def make(jobs: int) -> Executor:
        import inspect

        try:
            takes = "max_workers" in inspect.signature(found).parameters
        except (TypeError, ValueError):
            takes = False
        executor: Executor = found(max_workers=jobs) if takes else found()
        return executor

    return make


def _have_tracker() -> None:
    """Have multiprocessing's tracker started without the mark, if that was ever used.

    It ends by itself with the last who use it, and it complains about what it tracks in stack
    traces if it is killed before them.
    """
    if "multiprocessing" in sys.modules:
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()


def _said(error: BaseException) -> str:
    """Return in one line what somebody else's code raised, even if it cannot say what it is."""
    text = ""
    with suppress(Exception):
        text = " ".join(str(error).split())
    return shortened(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _forked() -> list[BaseProcess]:
    """Return the processes of this one's that multiprocessing has started, if it was ever used."""
    if "multiprocessing" not in sys.modules:
        return []
    from multiprocessing import active_children

    return active_children()
