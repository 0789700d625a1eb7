"""One child process of ``children``: how it is started, talked with, and buried.

A child is the leader of a session and group of its own, carries its worker's mark and a name of its
own in its environment, and dies when the thread that started it ends.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

from spoolcalc import child as far
from spoolcalc import orphans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    #: Is called, on a thread of the executor's own, with what the function sends on its way.
    OnMessage = Callable[[Any], object]

#: How long (seconds) a child that is not needed any more may take to leave by itself.
LEAVING = 1.0
#: In a child's environment: tells it, and what it starts, from all others.
NAME = "SPOOL_CHILD"
_BOOT = (
    "import sys; sys.path[:] = sys.argv[3:]; from spoolcalc.child import main; "
    "main(int(sys.argv[1]), int(sys.argv[2]))"
)


class ChildError(Exception):
    """Base of what becomes of a future other than the function's own doing."""


class ChildDied(ChildError):
    """The child ended by itself.  ``code`` is its exit code, -N if signal N killed it."""

    def __init__(self, code: int) -> None:
        self.code = code
        how = f"exited with {code}" if code >= 0 else f"was killed by {orphans.signal_name(-code)}"
        super().__init__(f"its process {how}")


class ChildKilled(ChildError):
    """The child was killed because :meth:`ChildFuture.kill` was called."""


class ChildNotStarted(ChildError):
    """No child could be started, or each died before it had begun."""


class RemoteError(ChildError):
    """The function's result or exception, which cannot be passed between processes, as a text."""


class Talk:
    """What goes to and fro about one task."""

    def __init__(self, number: int, request: bytes, on_message: OnMessage | None) -> None:
        self._number = number
        self._on_message = on_message
        self._inbox = bytearray()
        self.request = memoryview(len(request).to_bytes(far.PREFIX) + request)
        self.begun = False
        self.answer: tuple[Any, ...] | None = None

    def result(self) -> object:
        """Return what the function returned, or raise what it raised."""
        if self.answer is None:
            raise RuntimeError("there is no answer yet")
        kind, _, pickled, text, _ = self.answer
        try:
            value = pickle.loads(pickled) if pickled is not None else RemoteError(text)  # noqa: S301 - see above
        except Exception:  # noqa: BLE001 - what was pickled there need not be known here
            value = RemoteError(text)
        if kind == far.RETURNED and not isinstance(value, RemoteError):
            return value
        raise value if isinstance(value, BaseException) else RemoteError(text)

    @property
    def dirty(self) -> bool:
        """Whether the function left threads behind, so that its child must not be used again."""
        return self.answer is not None and bool(self.answer[4])

    def listen(self, channel: socket.socket) -> bool:
        """Take in what has come; True if that was the answer, or if no more will come."""
        while self.answer is None:
            try:
                data = channel.recv(1 << 16)
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
            if not data:
                return True
            self._inbox += data
            while len(self._inbox) >= far.PREFIX:
                end = far.PREFIX + int.from_bytes(self._inbox[: far.PREFIX])
                if len(self._inbox) < end:
                    break
                self._understand(bytes(self._inbox[far.PREFIX : end]))
                del self._inbox[:end]
        return True

    def _understand(self, data: bytes) -> None:
        message = pickle.loads(data)  # noqa: S301 - our own child sent it
        kind, number = message[:2]
        if number != self._number:
            return
        if kind == far.BEGUN:
            self.begun = True
        elif kind != far.SENT:
            self.answer = message
        elif self._on_message is not None:
            self._on_message(message[2])


class Child:
    """A child process: the leader of a session and group of its own."""

    def __init__(self, worker: str) -> None:
        """Start it; raises ChildNotStarted."""
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(0)
        self.name = f"{os.getpid()}.{os.urandom(8).hex()}"
        mark = {orphans.MARK: worker} if worker else {}
        arguments = [str(theirs.fileno()), str(os.getpid()), *sys.path]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-c", _BOOT, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=2,
                env={**os.environ, **mark, NAME: self.name},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            self.channel.close()
            raise ChildNotStarted(f"no process can be started: {error.strerror}") from error
        finally:
            theirs.close()
        #: Becomes readable when it dies, also if others hold its end of the channel.
        self.death: int | None = None
        with suppress(OSError, AttributeError):
            self.death = os.pidfd_open(self._process.pid)

    def has_died(self) -> bool:
        """Tell whether it has ended; it is still to be waited for."""
        seen = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return seen is not None

    def signal(self, number: int) -> None:
        """Send a signal to its group, before it was waited for."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def await_death(self) -> None:
        """Wait for it to end, without taking its number from it; what hangs in the kernel may."""
        deadline = time.monotonic() + far.HANGS
        while not self.has_died() and time.monotonic() < deadline:
            time.sleep(0.001)

    def close(self) -> int:
        """Let go of it, which has died; return its exit code."""
        self.channel.close()
        if self.death is not None:
            os.close(self.death)
        code = self._process.poll()
        return -signal.SIGKILL if code is None else code

    def dismiss(self) -> None:
        """Have it leave by itself, or kill it when it does not."""
        self.channel.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVING)
        if self._process.returncode is None:
            self.signal(signal.SIGKILL)
            self.await_death()
        self.close()
