"""Programs of the spool's owner that are run when a job has ended: ``hooks/on-failed`` and others.

A worker runs them for the jobs whose end it has made final, after that: also for those that it gave
up for another worker, and for those that failed since another one had.  A hook gets the job as JSON
on stdin and in its environment.  It runs beside the worker's jobs, in a session of its own, carries
the worker's mark and dies with it, and has :data:`SECONDS`; then all of it is killed.  What it
writes goes to the worker's log.  Whatever a hook does, the job has ended as it has.

Each is run at most once for an end: it is not, if its worker is killed before it.

Calling sequence: tell it what happens, as a Report, on any thread; :meth:`Hooks.finish` at the end.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from contextlib import suppress

from spoolcalc import files, lookup, reading
from spoolcalc.errors import SpoolError, StorageFailure, plain
from spoolcalc.hook import Hook, Unfit
from spoolcalc.job import State
from spoolcalc.reporting import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from spoolcalc.command import CommandEnd, RunningCommand
    from spoolcalc.job import Job, Outcome
    from spoolcalc.layout import Layout
    from spoolcalc.nursery import Nursery
    from spoolcalc.reporting import Report
    from spoolcalc.sweep import Swept

#: How long (seconds) a hook may run, and what it has to tidy up before it is killed.
SECONDS, GRACE = 30.0, 0.5
#: So many are run at the same time, and so many jobs may wait for theirs.
AT_ONCE, WAITING = 4, 10_000
#: Bytes of each of its outputs that the log gets.
OUTPUT = 16 * 1024
#: How often (seconds) is looked whether there are hooks, at most.
LOOK = 1.0
#: Characters of a value that a hook finds in its environment.
_VALUE = 2000


class _Run:
    """A hook that runs."""

    def __init__(self, name: str, job_id: str, hook: Hook, scraps: list[str]) -> None:
        self.name = name
        self.job_id = job_id
        self.hook = hook
        self.scraps = scraps  # what it reads, and what it writes
        self.running: RunningCommand
        self.until = 0.0
        self.late = False

    def said(self) -> str:
        """Return what it wrote."""
        texts = []
        for path in self.scraps[1:]:
            with suppress(SpoolError, reading.Unreadable):
                read = reading.read(path, 2 * OUTPUT)
                texts.append(read[0].decode("utf-8", "replace") if read else "")
        return "\n".join(text.rstrip("\n") for text in texts if text)

    def tidy(self) -> None:
        """Leave nothing behind."""
        self.hook.close()
        for path in self.scraps:
            with suppress(StorageFailure):  # a sweep removes it with the worker's other remains
                files.remove(path)


class Hooks(Relay):
    """Runs the hooks of the spool at ``layout``, each for ``seconds`` at most."""

    def __init__(self, layout: Layout, report: Report, seconds: float = SECONDS) -> None:
        super().__init__(report)
        self._layout = layout
        self._seconds = seconds
        self._worker = ""
        self._owed: deque[tuple[str, str | None]] = deque()
        self._runs: list[_Run] = []
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._looked = -LOOK
        self._there = False
        self._told: set[str] = set()
        self._nursery: Nursery | None = None
        self._reader = self._writer = -1
        self._closing = False
        self._at_once = False

    def started(self, worker: str) -> None:
        """Belong to a worker of that name from now on."""
        self._worker = worker
        super().started(worker)

    def ended(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Run the hook for a job's end."""
        super().ended(job, outcome, seconds)
        self._owe(job.id, f"on-{outcome.state}")

    def crashed(self, job: Job, error: str, went: State) -> None:
        """Run the hook if it was one crash too many."""
        super().crashed(job, error, went)
        if went is State.FAILED:
            self._owe(job.id, "on-failed")

    def swept(self, swept: Swept) -> None:
        """Run the hooks of the jobs that a sweep has brought to their end."""
        super().swept(swept)
        for job_id in swept.poisoned:
            self._owe(job_id, "on-failed")
        for job_id in swept.finished:
            self._owe(job_id, None)

    def finish(self, at_once: Callable[[], bool], beat: Callable[[], object]) -> None:
        """Wait until all hooks have ended that are owed; no longer than until ``at_once`` is true.

        ``beat`` is called all the while.
        """
        if self._thread is None:
            return
        self._closing = True
        self._wake()
        while self._thread.is_alive():
            beat()
            if at_once():
                self._at_once = True
                self._wake()
            self._thread.join(0.1)
        reader, writer = self._reader, self._writer
        self._reader = self._writer = -1
        files.close([reader, writer])

    def _owe(self, job_id: str, name: str | None) -> None:
        if not self._any():
            return
        with self._lock:
            if len(self._owed) >= WAITING:
                self._complain(name or "hooks", "", f"more than {WAITING:,} jobs wait for theirs")
                return
            self._owed.append((job_id, name))
            if self._thread is None:
                self._reader, self._writer = os.pipe()
                os.set_blocking(self._writer, False)
                self._thread = threading.Thread(target=self._serve, name="spool hooks", daemon=True)
                self._thread.start()
        self._wake()

    def _any(self) -> bool:
        """Tell whether the spool may have hooks; one look for all the jobs of a second."""
        now = time.monotonic()
        if now - self._looked >= LOOK:
            self._looked = now
            try:
                self._there = reading.status(self._layout.hooks) is not None
            except StorageFailure:
                self._there = False
        return self._there

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is awake
            os.write(self._writer, b"!")

    def _serve(self) -> None:
        """Run what is owed; the one thread that starts, and looks after, hooks."""
        try:
            while True:
                if self._at_once:
                    self._owed.clear()
                while self._owed and len(self._runs) < AT_ONCE:
                    job_id, name = self._owed.popleft()
                    try:
                        self._start(job_id, name)
                    except SpoolError as error:
                        self._report.hooked(name or "hook", job_id, "", f"not run: {error.message}")
                # Asked after the starts: if none of what was owed has to be run, nothing wakes.
                if self._closing and not self._owed and not self._runs:
                    break
                self._look_after()
        finally:
            if self._nursery is not None:
                self._nursery.close()

    def _start(self, job_id: str, name: str | None) -> None:
        job = lookup.find(self._layout, job_id)[0]
        outcome = job.outcome
        if outcome is None:
            return  # somebody has it run again
        name = f"on-{outcome.state}" if name is None else name
        try:
            hook = Hook.find(self._layout, name)
        except Unfit as error:
            self._complain(name, "", f"it is not run: {error}")
            return
        if hook is None:
            return
        from spoolcalc.command import Command
        from spoolcalc.render.jobs import as_item

        base = self._layout.temporary(self._worker, f"{job_id}.{name}.{os.urandom(4).hex()}")
        run = _Run(name, job_id, hook, [f"{base}.{kind}" for kind in ("json", "out", "err")])
        try:
            given = as_item(job, **lookup.beside(self._layout, job)) + "\n"
            files.close([files.write(run.scraps[0], given.encode("ascii"), self._layout.file_mode)])
            command = Command(
                [hook.path],
                cwd=self._layout.root,
                env=_environment(self._layout, job, name),
                stdin=run.scraps[0],
                stdout=run.scraps[1],
                stderr=run.scraps[2],
                max_output=OUTPUT,
                mode=self._layout.file_mode,
            )
            run.running = command.start(self._nursery_of(self._worker))
        except BaseException:
            run.tidy()
            raise
        run.until = time.monotonic() + self._seconds
        self._runs.append(run)

    def _look_after(self) -> None:
        """Sleep until something happens, and do with each that has ended what is to be done."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        for run in self._runs:
            poll.register(run.running.fileno(), select.POLLIN)
        due = [run.until for run in self._runs if not run.late]
        rest = max(0.0, min(due) - time.monotonic()) * 1000 + 1 if due else None
        for descriptor, _ in poll.poll(rest):
            if descriptor == self._reader:
                os.read(self._reader, 4096)
        now = time.monotonic()
        for run in list(self._runs):
            if self._at_once:
                run.running.kill(0)
            elif now >= run.until and not run.late:
                run.late = True
                run.running.kill(GRACE)
            end = run.running.poll()
            if end is not None:
                self._runs.remove(run)
                self._report.hooked(run.name, run.job_id, run.said(), self._wrong(run, end))
                run.tidy()

    def _wrong(self, run: _Run, end: CommandEnd) -> str | None:
        if end.error is not None:
            return end.error
        if end.lost is not None:
            return end.lost.message
        if run.late:
            return f"it ran longer than {self._seconds:g} s and was killed"
        if end.killed or end.vanished:
            return "it was killed"
        return f"it exited with {end.exit_code}" if end.exit_code else None

    def _complain(self, name: str, job_id: str, wrong: str) -> None:
        """Say something once."""
        if wrong not in self._told:
            self._told.add(wrong)
            self._report.hooked(name, job_id, "", wrong)

    def _nursery_of(self, worker: str) -> Nursery:
        if self._nursery is not None and self._nursery.worker != worker:
            self._nursery.close()
            self._nursery = None
        if self._nursery is None:
            from spoolcalc.nursery import Nursery

            self._nursery = Nursery(worker)
        return self._nursery


def _environment(layout: Layout, job: Job, name: str) -> dict[str, str]:
    """Return what a hook finds in its environment."""
    outcome = job.outcome
    told = {
        "SPOOL_HOOK": name,
        "SPOOL_DIR": layout.root,
        "SPOOL_JOB_ID": job.id,
        "SPOOL_OPERATION": job.operation,
        "SPOOL_STATE": outcome and outcome.state.value,
        "SPOOL_REASON": outcome and outcome.reason,
        "SPOOL_ERROR": outcome and outcome.error,
        "SPOOL_EXIT_CODE": outcome and outcome.exit_code,
        "SPOOL_LABEL": job.label,
        "SPOOL_ATTEMPTS": len(job.attempts),
    }
    kept = {n: value for n, value in os.environ.items() if n != "SPOOL_ATTEMPT"}
    values = {n: plain(str("" if value is None else value))[:_VALUE] for n, value in told.items()}
    return {**kept, **values, "SPOOL_DIR": layout.root}
