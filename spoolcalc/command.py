"""A command as a job: run under a guardian, its output in files, nothing of it left afterwards.

    running = Command(argv, cwd=..., env=..., stdout=path, stderr=path).start()
    running.fileno()     readable when it has ended (or after kill, when it has gone)
    running.poll()       a CommandEnd, or None while it runs
    running.kill(grace)  SIGTERM to all of it, SIGKILL after ``grace`` seconds

The command's stdin is a file or nothing; its stdout and stderr are new files, which grow while it
runs.  It is over when its first process has ended; what that left behind is killed, also what went
into a session of its own.  All of it is killed when the process that started it dies, and when the
RunningCommand is closed.

``guardian`` does the work, in a process between this one and the command.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress

from spoolcalc import files, guardian, orphans
from spoolcalc.errors import StorageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Any, Self

#: What tells one command from all others, in its environment.
IDENTITY = (orphans.MARK, "SPOOL_JOB_ID", "SPOOL_ATTEMPT")
#: Starts a guardian: the package's place, the socket's number and our process id are its arguments.
_GUARDIAN = (
    "import sys; sys.path.append(sys.argv[1]); from spoolcalc.guardian import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]))"
)


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

    ``env`` is the command's whole environment; ``worker`` is put into it as its mark.  ``stdin`` is
    a path, or None for nothing; ``stdout`` and ``stderr`` are paths where nothing lies yet, made
    with ``mode``.  At most ``max_output`` bytes of each are kept.
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
        worker: str = "",
    ) -> None:
        self.argv = list(argv)
        self.cwd = cwd
        self.env = {**env, orphans.MARK: worker} if worker else dict(env)
        self.output = (stdout, stderr)
        self.stdin = stdin
        self.max_output = max_output
        self.mode = mode

    def start(self) -> RunningCommand:
        """Start it.  Raises :class:`~spoolcalc.errors.StorageFailure` if the system is short."""
        opened: list[int] = []
        try:
            opened.extend(files.write(path, b"", self.mode) for path in self.output)
            request = {
                "argv": self.argv,
                "cwd": self.cwd,
                "env": self.env,
                "stdin": self.stdin,
                "output": list(zip(opened, self.output, strict=True)),
                "max_output": self.max_output,
            }
            return RunningCommand(self, *_start_guardian(self, request, opened))
        finally:
            files.close(opened)


class RunningCommand:
    """A command that was started.  For one thread; a ``with`` block ends it, and all of it."""

    def __init__(
        self, command: Command, guard: subprocess.Popen[bytes], control: socket.socket
    ) -> None:
        self._command = command
        self._guard = guard
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
        try:
            guardian.send(self._control.fileno(), {"grace": float(grace)})
        except ConnectionError:
            return  # it has just ended: poll tells
        except BlockingIOError:  # so often was it asked, and the guardian does not read
            self._guard.kill()

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
        self._guard.wait()
        told = guardian.decode(self._received)
        if told is not None:
            self._end = _understood(self._command, told)
            return
        identity = {name: self._command.env[name] for name in IDENTITY if name in self._command.env}
        if identity:
            orphans.kill_carrying(identity)
        self._end = CommandEnd(vanished=True, seconds=time.monotonic() - self._began)


def _start_guardian(
    command: Command, request: dict[str, Any], output: Sequence[int]
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    arguments = [root, str(theirs.fileno()), str(os.getpid())]
    guard_env = dict(os.environ)
    if orphans.MARK in command.env:
        guard_env[orphans.GUARD] = command.env[orphans.MARK]
    try:
        guard = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-I", "-S", "-c", _GUARDIAN, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=guard_env,
            pass_fds=[theirs.fileno(), *output],
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        raise StorageFailure("start", sys.executable, error) from error
    finally:
        theirs.close()
    with suppress(ConnectionError):  # it has died: poll tells
        guardian.send(ours.fileno(), request)
    ours.settimeout(0)
    return guard, ours


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
