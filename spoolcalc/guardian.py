"""The parent of one command, in a process of its own: nothing of the command outlives it.

``nursery`` starts :func:`serve` once for a worker, with ``python -I -S``; that forks a guardian for
each command, which takes a millisecond.  What is to be run, and how it ended, go over a socket of
the command's own, ``control`` (see :func:`receive`).  A guardian

- runs the command in a session of its own, and pumps what that writes into files, at most
  ``max_output`` bytes of each stream; what is more is read and thrown away, so that the command
  neither fails nor waits because of it;
- adopts whatever the command leaves behind or sends away, and kills it when the command's first
  process ends: a command ends with its first process;
- kills everything at once when the worker is gone: its end of ``control`` is closed then, and the
  kernel tells it too, should somebody have inherited that end;
- kills everything at once when the output cannot be written any more, and tells it as ``lost``;
- has the output on disk before it tells the end.

If it is itself killed, the kernel kills the command's first process, and the rest is found by its
mark (``orphans``).
"""

from __future__ import annotations

import errno
import marshal
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress

from spoolcalc import files, orphans
from spoolcalc.errors import StorageFailure
from spoolcalc.pump import Pump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

#: How long (seconds) is waited for what was killed to be gone; what hangs in the kernel dies later.
HANGS = 5.0
#: What Python, :func:`serve`, or a shell that started the worker in the background has ignored, and
#: the command must not.
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
#: What a guardian says first: from here on, the command may have run.
BEGUN = b"+"
#: How a message begins: its length in so many bytes.
PREFIX = 8


def serve(channel: int, worker: int) -> NoReturn:
    """Fork a guardian for each command that is asked for, until ``worker``, our parent, is gone.

    Over ``channel`` come a byte and three descriptors each: ``control``, and two files for output.
    """
    orphans.die_with(worker)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the worker decides what these mean
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a guardian
    os.set_inheritable(channel, False)  # noqa: FBT003 - os has it so
    try:
        death = os.pidfd_open(worker)
    except (OSError, AttributeError):  # then a guardian notices by the socket alone
        death = -1
    asked = socket.socket(fileno=channel)
    while True:
        data, descriptors, _, _ = socket.recv_fds(asked, 1, 3)
        if not data:
            os._exit(0)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - os has it so
        try:
            pid = os.fork()
        except OSError as error:
            with suppress(OSError):
                send(descriptors[0], {"unstarted": error.errno})
            pid = -1
        if pid == 0:
            asked.close()
            _guard(death, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _guard(death: int, control: int, *output: int) -> NoReturn:
    """Run the one command that is asked for, tell how it ended, and end."""
    code = 70
    try:
        signal.signal(signal.SIGTERM, _nothing)
        signal.signal(signal.SIGCHLD, _nothing)
        orphans.adopt()
        woken, waker = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        request = receive(control)
        end = None
        if request is not None:
            end = _Guard(request, output, control, woken, death).guard()
        if end is not None:
            send(control, end)
        code = 0
    except ConnectionError:  # the worker is gone
        code = 0
    except BaseException:  # noqa: BLE001 - a bug of ours: told on the worker's stderr
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)  # never back into the nursery


def send(descriptor: int, message: dict[str, Any]) -> None:
    """Send a message between two processes of the same Python."""
    data = marshal.dumps(message)
    rest = memoryview(len(data).to_bytes(PREFIX) + data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def receive(descriptor: int) -> dict[str, Any] | None:
    """Return the next message, waiting for it; None if the other side is gone."""
    data = b""
    wanted = PREFIX
    while len(data) < wanted:
        try:
            more = os.read(descriptor, min(wanted - len(data), 1 << 20))
        except ConnectionError:
            more = b""
        if not more:
            return None
        data += more
        if len(data) == PREFIX:
            wanted = PREFIX + int.from_bytes(data)
    return decode(data)


def decode(data: bytes) -> dict[str, Any] | None:
    """Return a message from the bytes it was sent as; None if some are missing."""
    if len(data) < PREFIX or len(data) < PREFIX + int.from_bytes(data[:PREFIX]):
        return None
    message: dict[str, Any] = marshal.loads(data[PREFIX:])  # noqa: S302 - our own process sent it
    return message


class _Guard:
    """One command, from its start to the end of all that it started."""

    def __init__(
        self, request: dict[str, Any], output: Sequence[int], control: int, woken: int, death: int
    ) -> None:
        self._request = request
        self._control = control
        self._woken = woken
        self._death = death
        bound = request["max_output"]
        self._pumps = {
            pump.source: pump for pump in map(Pump, output, request["output"], [bound, bound])
        }
        self._kill_at: float | None = None
        self._abandon_at: float | None = None
        self._killed = False
        self._died_of: int | None = None
        self._lost: tuple[int, str] | None = None
        self._refused = b""

    def guard(self) -> dict[str, Any] | None:
        """Run it; return how it ended, or None if nobody is there any more to be told."""
        os.write(self._control, BEGUN)
        began = time.monotonic()
        self._start()
        code = self._watch()
        seconds = time.monotonic() - began
        self._signal(signal.SIGKILL)  # before it is waited for: its number is still its own
        if code is not None:
            os.waitpid(self._pid, 0)
            self._read_status()
        left = orphans.kill_descendants(HANGS)
        if code is None and self._abandon_at is None:
            return None
        for pump in self._pumps.values():
            self._drain(pump)
        self._sync()
        return {
            "exit_code": None if self._refused else 137 if code is None else code,
            "signal": self._died_of,
            "refused": self._refused,
            "cut": any(pump.cut for pump in self._pumps.values()),
            "seconds": seconds,
            "left": left,
            "killed": self._killed,
            "lost": self._lost,
        }

    def _start(self) -> None:
        self._status, theirs = os.pipe()
        me = os.getpid()
        os.set_blocking(self._status, False)
        self._pid = os.fork()
        if self._pid == 0:
            _become(self._request, [pump.theirs for pump in self._pumps.values()], theirs, me)
        os.close(theirs)
        for pump in self._pumps.values():
            os.close(pump.theirs)

    def _watch(self) -> int | None:
        """Serve it until its first process has ended; return its exit code, 128 + N for signal N.

        None if the worker is gone, or if it does not end although it was killed.
        """
        poll = select.poll()
        for descriptor in (self._control, self._woken, self._status, *self._pumps):
            poll.register(descriptor, select.POLLIN)
        if self._death >= 0:
            poll.register(self._death, select.POLLIN)
        while (code := self._ended()) is None:
            for descriptor, _ in poll.poll(self._patience()):
                if descriptor in self._pumps:
                    if self._pump(self._pumps[descriptor]) == 0:
                        poll.unregister(descriptor)
                elif descriptor == self._status:
                    poll.unregister(descriptor)
                    self._read_status()
                elif not self._hear(descriptor):
                    return None
            if not self._keep_time():
                return None
        return code

    def _read_status(self) -> None:
        """Learn why it could not become the command; nothing comes if it did."""
        with suppress(BlockingIOError):
            self._refused += os.read(self._status, 4096)

    def _ended(self) -> int | None:
        """Return the exit code of the first process, which is still to be waited for, or None.

        What ended and was adopted is waited for on the way.
        """
        while True:
            seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if seen is None:
                return None
            if seen.si_pid == self._pid:
                if seen.si_code == os.CLD_EXITED:
                    return seen.si_status
                self._died_of = seen.si_status
                return 128 + seen.si_status
            os.waitpid(seen.si_pid, 0)

    def _patience(self) -> float | None:
        until = self._kill_at if self._kill_at is not None else self._abandon_at
        return None if until is None else max(0.0, until - time.monotonic()) * 1000 + 1

    def _keep_time(self) -> bool:
        """Kill it when that is due; False if it should have gone long ago."""
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            self._abandon_at = now + HANGS
            self._signal(signal.SIGKILL)
        return self._abandon_at is None or now < self._abandon_at

    def _hear(self, descriptor: int) -> bool:
        """Take a signal, or an order of the worker's; False if the worker is gone."""
        if descriptor == self._woken:
            os.read(descriptor, 4096)
            return True
        order = None if descriptor == self._death else receive(descriptor)
        if order is None:
            return False
        self._killed = True
        if order["grace"] > 0 and self._abandon_at is None:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)  # what is stopped cannot tidy up
        self._kill_within(order["grace"])
        return True

    def _kill_within(self, seconds: float) -> None:
        if self._abandon_at is None:
            at = time.monotonic() + seconds
            self._kill_at = at if self._kill_at is None else min(at, self._kill_at)

    def _signal(self, number: int) -> None:
        """Send a signal to the command's group: to all of it at one instant, no fork escapes."""
        with suppress(PermissionError):  # it became another user's, by setuid
            try:
                os.killpg(self._pid, number)
            except ProcessLookupError:  # it was forked, and has no group of its own yet
                os.kill(self._pid, number)

    def _pump(self, pump: Pump) -> int | None:
        """Move a chunk, as ``move`` does; 0 also if what comes cannot be kept."""
        try:
            return pump.move()
        except OSError as error:
            self._lost = self._lost or (error.errno or errno.EIO, pump.path)
            self._kill_within(0)
            return 0

    def _drain(self, pump: Pump) -> None:
        """Take what is still in the pipe, and no more: a stranger may hold its other end."""
        while self._pump(pump):
            pass

    def _sync(self) -> None:
        if self._lost is not None:
            return
        pumps = self._pumps.values()
        try:
            files.sync([pump.file for pump in pumps], [pump.path for pump in pumps])
            for directory in {os.path.dirname(pump.path) for pump in pumps}:
                files.sync_directory(directory)
        except StorageFailure as error:
            self._lost = (error.errno, next(iter(pumps)).path)


def _become(request: Mapping[str, Any], output: Sequence[int], status: int, guard: int) -> NoReturn:
    """Turn this new process into the command; what stops that is written to ``status``."""
    stage = "run"
    try:
        signal.set_wakeup_fd(-1)
        for number in (*_IGNORED, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        orphans.die_with(guard)
        stage = "cwd"
        os.chdir(request["cwd"])
        stage = "stdin"
        os.dup2(os.open(request["stdin"] or os.devnull, os.O_RDONLY), 0)
        for target, descriptor in enumerate(output, 1):
            os.dup2(descriptor, target)
        stage = "run"
        os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606 - it is asked for
    except OSError as error:
        os.write(status, f"{stage} {error.errno}".encode())
    except BaseException as error:  # noqa: BLE001 - a NUL in an argument, too little memory
        os.write(status, f"{stage} {error}".encode(errors="replace"))
    os._exit(127)


def _nothing(number: int, frame: object) -> None:
    """Let a signal end a sleep, and do no more."""
