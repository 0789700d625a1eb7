"""A command as a job: run under a guardian, its output in files, nothing of it left afterwards.

    running = Command(argv, cwd=..., env=..., stdout=path, stderr=path).start(nursery)
    running.fileno()     readable when it has ended (or after kill, when it has gone)
    running.poll()       a CommandEnd, or None while it runs
    running.kill(grace)  SIGTERM to all of it, SIGKILL after ``grace`` seconds

The command's stdin is a file or nothing; its stdout and stderr are new files, which grow while it
runs.  It is over when its first process has ended; what that left behind is killed, also what went
into a session of its own.  All of it is killed when the process that started it dies, and when the
RunningCommand is closed.

``guardian`` does the work, in a process that is the command's parent.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import suppress

from spoolcalc import files, guardian, orphans
from spoolcalc.errors import StorageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Any, Self

    from spoolcalc.nursery import Nursery

#: What tells one command from all others, in its environment.
IDENTITY = (orphans.MARK, "SPOOL_JOB_ID", "SPOOL_ATTEMPT", "SPOOL_HOOK")


class CommandEnd:
    """How a command ended.

    ``exit_code``: 128 + N if ``signal`` N killed it, None if it could not be started (``error``
    says why, in one line) or if nobody knows (``vanished``: its guardian was killed).
    ``cut``: it wrote more than ``max_output`` bytes.  ``left``: how many processes it had left
    behind, which were killed.  ``killed``: :meth:`RunningCommand.kill` had asked for it.
    ``lost``: its output could not be kept; it was killed for that, and is not to blame.
    """

    __slots__ = (
        "cut",
        "error",
        "exit_code",
        "killed",
        "left",
        "lost",
        "seconds",
        "signal",
        "vanished",
    )

    def __init__(
        self,
        exit_code: int | None = None,
        *,
        signal: int | None = None,
        error: str | None = None,
        cut: bool = False,
        seconds: float = 0.0,
        left: int = 0,
        killed: bool = False,
        lost: StorageFailure | None = None,
        vanished: bool = False,
    ) -> None:
        self.exit_code = exit_code
        self.signal = signal
        self.error = error
        self.cut = cut
        self.seconds = seconds
        self.left = left
        self.killed = killed
        self.lost = lost
        self.vanished = vanished


class Command:
    """What to run, and where.

    ``env`` is the command's whole environment, but for the mark of its worker.  ``stdin`` is a
    path, or None for nothing; ``stdout`` and ``stderr`` are paths where nothing lies yet, made with
    ``mode``.  At most ``max_output`` bytes of each are kept.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        stdout: str,
        stderr: str,
        stdin: str | None = None,
        max_output: int | None = None,
        mode: int = 0o600,
    ) -> None:
        self.argv = list(argv)
        self.cwd = cwd
        self.env = dict(env)
        self.output = (stdout, stderr)
        self.stdin = stdin
        self.max_output = max_output
        self.mode = mode

    def start(self, nursery: Nursery) -> RunningCommand:
        """Start it.  Raises :class:`~spoolcalc.errors.StorageFailure` if the system is short."""
        if nursery.worker:
            self.env[orphans.MARK] = nursery.worker
        opened: list[int] = []
        try:
            opened.extend(files.write(path, b"", self.mode) for path in self.output)
            request = {
                "argv": self.argv,
                "cwd": self.cwd,
                "env": self.env,
                "stdin": self.stdin,
                "output": self.output,
                "max_output": self.max_output,
            }
            control = nursery.guardian(opened)
            with suppress(ConnectionError):  # it has died: poll tells
                guardian.send(control.fileno(), request)
            control.settimeout(0)
            return RunningCommand(self, control)
        finally:
            files.close(opened)


class RunningCommand:
    """A command that was started.  For one thread; a ``with`` block ends it, and all of it."""

    def __init__(self, command: Command, control: socket.socket) -> None:
        self._command = command
        self._control = control
        self._received = b""
        self._end: CommandEnd | None = None
        self._began = time.monotonic()

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when there is an end to poll for."""
        return self._control.fileno()

    def poll(self) -> CommandEnd | None:
        """Return how it ended, or None while it runs."""
        while self._end is None:
            try:
                data = self._control.recv(65536)
            except BlockingIOError:
                return None
            except ConnectionError:
                data = b""
            self._received += data
            if not data:
                self._settle()
        return self._end

    def wait(self, timeout: float | None = None) -> CommandEnd | None:
        """Return how it ended; None if it has not after ``timeout`` seconds."""
        import select

        poll = select.poll()
        deadline = None if timeout is None else time.monotonic() + timeout
        while (end := self.poll()) is None:
            rest = None if deadline is None else deadline - time.monotonic()
            if rest is not None and rest <= 0:
                return None
            poll.register(self._control, select.POLLIN)
            poll.poll(None if rest is None else rest * 1000 + 1)
        return end

    def kill(self, grace: float) -> None:
        """Have it end: SIGTERM to its group now, SIGKILL to all of it after ``grace`` seconds.

        Asked again, the shorter grace counts.
        """
        if self._end is not None:
            return
        # It has just ended, and poll tells; or so often was it asked, and does not listen.
        with suppress(ConnectionError, BlockingIOError):
            guardian.send(self._control.fileno(), {"grace": float(grace)})

    def close(self) -> None:
        """Kill it, if it still runs, and wait until all of it has gone."""
        if self._end is None:
            self._control.shutdown(socket.SHUT_WR)
            self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _settle(self) -> None:
        """Understand what the guardian said before it ended."""
        self._control.close()
        begun, told = self._received[:1] == guardian.BEGUN, guardian.decode(self._received[1:])
        if not begun:
            self._end = CommandEnd(lost=_unstarted(self._command, self._received))
            return
        if told is not None:
            self._end = _understood(self._command, told)
            return
        identity = {name: self._command.env[name] for name in IDENTITY if name in self._command.env}
        if identity:
            orphans.kill_carrying(identity)
        self._end = CommandEnd(vanished=True, seconds=time.monotonic() - self._began)


def _unstarted(command: Command, received: bytes) -> StorageFailure:
    """Return why there was no guardian: the system is short, or the nursery was killed."""
    told = guardian.decode(received)
    number = told["unstarted"] if told else errno.ECHILD
    return StorageFailure("start", command.argv[0], OSError(number, os.strerror(number)))


def _understood(command: Command, told: dict[str, Any]) -> CommandEnd:
    lost = None
    if told["lost"] is not None:
        number, path = told["lost"]
        lost = StorageFailure("write", path, OSError(number, os.strerror(number)))
    return CommandEnd(
        told["exit_code"],
        signal=told["signal"],
        error=_told(command, told["refused"].decode(errors="replace")) or None,
        cut=told["cut"],
        seconds=told["seconds"],
        left=told["left"],
        killed=told["killed"],
        lost=lost,
    )


def _told(command: Command, refused: str) -> str:
    """Return in one line why a command could not be started; nothing if it was."""
    stage, _, why = refused.partition(" ")
    if not stage:
        return ""
    number = int(why) if why.isdecimal() else 0
    reason = os.strerror(number) if number else why
    if stage == "cwd":
        return f"its working directory cannot be entered: {command.cwd}: {reason}"
    if stage == "stdin":
        return f"its input cannot be opened: {command.stdin}: {reason}"
    if number == errno.ENOENT and "/" not in command.argv[0]:
        return f"no such command: {command.argv[0]}"
    return f"it cannot be executed: {command.argv[0]}: {reason}"
