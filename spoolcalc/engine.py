"""Where and how a claimed job is run: in place, in an executor, or as a command.

    in place    the built-in arithmetic, but for what may take long and has a time limit
    executor    operations of packages, and whatever has a time limit: children that can be killed,
                or what ``--executor`` names (a time limit still takes a child)
    command     ``exec``

An engine belongs to one worker; it is asked for the name of that at each start, because the worker
may take a new one, and then all that runs under the old one is ended.  Children, threads and the
modules for them are there only when they are needed.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from spoolcalc import files, operations, orphans
from spoolcalc.errors import StorageFailure
from spoolcalc.execute import is_light, work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from concurrent.futures import Executor, Future
    from typing import Any

    from spoolcalc.children import ChildExecutor
    from spoolcalc.executors import Maker, OthersExecutor
    from spoolcalc.layout import Layout
    from spoolcalc.nursery import Nursery
    from spoolcalc.runs import Run
    from spoolcalc.transitions import Claim

    #: Is called, on any thread, with what a job reports of its progress.
    Heard = Callable[[float | None, str], object]

#: Executors by name; anything else is ``module:callable``, which is called for one.
PROCESS, THREAD = "process", "thread"


#: After so many seconds an operation that did not load is tried again.
TRY_AGAIN = 60.0
#: A time limit (seconds) that what is light cannot come near.
LONG = 1.0


class Engine:
    """Runs jobs of the spool at ``layout``, at most ``jobs`` beside each other.

    ``executor`` is what :data:`PROCESS` says; ``timeout`` (seconds) the limit of jobs that have
    none; ``allow`` may hold ``exec``, for commands of a spool to which others may write; ``wake``
    is called, on any thread, when a run has ended.  Raises UsageError.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        jobs: int = 1,
        executor: str = PROCESS,
        timeout: float | None = None,
        allow: Collection[str] = (),
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        self._layout = layout
        self._jobs = jobs
        self._timeout = timeout
        self._wake = wake
        self._commands = not layout.file_mode & 0o077 or operations.COMMAND in allow
        self._executor = executor
        self._make: Maker | None = None
        if executor not in (PROCESS, THREAD):
            from spoolcalc.executors import maker

            self._make = maker(executor)
        self._threads = executor == THREAD
        self._unknown: dict[str, float] = {}
        self._children: ChildExecutor | None = None
        self._pool: Executor | None = None
        self._other: OthersExecutor | None = None
        self._nursery: Nursery | None = None

    def knows(self, operation: str) -> bool:
        """Tell whether jobs of that operation can be run here, as far as is known."""
        if operation == operations.COMMAND:
            return self._commands
        since = self._unknown.get(operation)
        if since is not None and time.monotonic() - since < TRY_AGAIN:
            return False
        return operations.is_offered(operation)

    def known(self) -> list[str]:
        """Return the names of all operations that can be run here, as far as is known."""
        return [name for name in operations.names() if self.knows(name)]

    def forget(self, operation: str) -> None:
        """Remember for a while that an operation turned out to be none that can be run here."""
        self._unknown[operation] = time.monotonic()

    def limit(self, claim: Claim) -> float | None:
        """Return how long (seconds) a job may run; None: as long as it takes."""
        own: float | None = claim.document.get("timeout")
        return self._timeout if own is None else own

    def is_in_place(self, claim: Claim, operands: Sequence[str]) -> bool:
        """Tell whether the worker itself runs a job, in its main thread."""
        operation = claim.document["operation"]
        if not operations.is_built_in(operation) or operation == operations.COMMAND:
            return False
        own = claim.document.get("timeout")
        if own is None and self._timeout is None:
            return True
        return (own is None or own >= LONG) and is_light(operation, operands)

    def start(self, claim: Claim, operands: Sequence[str], heard: Heard) -> Run:
        """Start a job that is not run in place.

        Raises :class:`~spoolcalc.errors.StorageFailure` if the environment does not allow it.
        """
        if claim.document["operation"] == operations.COMMAND:
            return self._start_command(claim, operands)
        from spoolcalc.runs import FutureRun

        job_id, attempt = claim.document["id"], len(claim.document["attempts"]) + 1
        arguments = (claim.document["operation"], list(operands), job_id, attempt)
        future: Future[Any]
        if self.limit(claim) is None and self._threads:
            future = self._thread_pool().submit(work, *arguments, heard)
        elif self.limit(claim) is None and self._make is not None:
            future = self._others(self._make, claim.worker).submit(work, *arguments)
        else:
            future = self._child_executor(claim.worker).start(
                work, arguments, on_message=lambda told: heard(*told)
            )
        future.add_done_callback(lambda _: self._wake())
        return FutureRun(future)

    def discard(self, claim: Claim) -> None:
        """Remove what a command wrote in an attempt that does not count, as far as that goes.

        A disk that it has filled would otherwise stay full.
        """
        if claim.document["operation"] == operations.COMMAND:
            for path in self._output_of(claim):
                with suppress(StorageFailure):  # who cleans removes it with the job
                    files.remove(path)

    def kill(self, worker: str) -> None:
        """Kill every process of this host that was started for a worker's jobs and can be found.

        For what did not end when it was told to; what runs in a thread goes on.
        """
        if self._other is not None:
            self._other.kill()
        orphans.kill_marked(worker)

    def close(self) -> None:
        """End the children; what runs in a thread or somebody else's executor goes on."""
        if self._children is not None:
            self._children.shutdown()
            self._children = None
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        if self._other is not None:
            self._other.close()
            self._other = None

    def _child_executor(self, worker: str) -> ChildExecutor:
        if self._children is not None and self._children.worker != worker:
            self._children.shutdown()
            self._children = None
        if self._children is None:
            from spoolcalc.children import ChildExecutor

            self._children = ChildExecutor(self._jobs, worker=worker)
        return self._children

    def _thread_pool(self) -> Executor:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="spool job")
        return self._pool

    def _others(self, make: Maker, worker: str) -> OthersExecutor:
        if self._other is not None and self._other.worker != worker:
            self._other.close()
            self._other = None
        if self._other is None:
            from spoolcalc.executors import OthersExecutor

            self._other = OthersExecutor(make, self._jobs, worker, self._executor)
        return self._other

    def _start_command(self, claim: Claim, operands: Sequence[str]) -> Run:
        from spoolcalc.command import Command
        from spoolcalc.runs import CommandRun

        job_id, attempt = claim.document["id"], len(claim.document["attempts"]) + 1
        asked = claim.document.get("command") or {}
        stdout, stderr = self._output_of(claim)
        command = Command(
            operands,
            cwd=asked.get("cwd") or os.getcwd(),
            env=self._environment(asked.get("env") or {}, job_id, attempt),
            stdin=asked.get("stdin"),
            stdout=stdout,
            stderr=stderr,
            max_output=claim.document.get("max_output"),
            mode=self._layout.file_mode,
        )
        nursery = self._nursery_of(claim.worker)
        for path in (stdout, stderr):  # of an attempt that was given back and does not count
            files.remove(path)
        for _ in range(files.TRIES):  # an empty bucket is removed by who cleans
            files.make_directory(os.path.dirname(stdout), self._layout.directory_mode)
            try:
                return CommandRun(command.start(nursery))
            except StorageFailure as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
                refused = error
        raise refused

    def _output_of(self, claim: Claim) -> list[str]:
        job_id, attempt = claim.document["id"], len(claim.document["attempts"]) + 1
        return [
            self._layout.output_of(job_id, attempt, claim.worker, stream)
            for stream in ("stdout", "stderr")
        ]

    def _nursery_of(self, worker: str) -> Nursery:
        if self._nursery is not None and self._nursery.worker != worker:
            self._nursery.close()
            self._nursery = None
        if self._nursery is None:
            from spoolcalc.nursery import Nursery

            self._nursery = Nursery(worker)
        return self._nursery

    def _environment(self, asked: Mapping[str, str], job_id: str, attempt: int) -> dict[str, str]:
        return {
            **os.environ,
            **asked,
            "SPOOL_JOB_ID": job_id,
            "SPOOL_ATTEMPT": str(attempt),
            "SPOOL_DIR": self._layout.root,
        }
