"""The other end of ``children``: a process that runs functions for its worker, one after another.

It dies with its worker, whatever it is doing.  Ctrl-C on the terminal is the worker's business.
What a function prints goes to stderr, and there is nothing to read on stdin.  When a function has
returned, what it started is killed before its result is sent; a thread that it left cannot be
killed, so that the worker is told (``dirty``) and takes another child for the next one.

A SIGTERM raises :class:`Stopped` in a function that runs, so that what it does in ``finally`` is
done; the child dies of it when the function has ended.  One that is busy in C hears of nothing, and
is killed when its grace is over.

A function may call :func:`send` to tell its worker something on the way.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time

from spoolcalc import orphans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: How many reports are passed on at once, and in each second.
BURST = 20
#: How a message begins: its length in so many bytes.
PREFIX = 8
#: How long (seconds) is waited for what a function left behind to be gone.
HANGS = 5.0

#: What a child tells.  The number of the task comes second in each; in SENT an object follows, in
#: RETURNED and RAISED the pickled value, or None, what to say in its place, and whether the child
#: is dirty.
BEGUN, SENT, RETURNED, RAISED = range(4)

#: What a SIGTERM finds the main thread at: nothing that would mind, a function, the end of one.
_IDLE, _RUNNING, _STOPPING = range(3)

_channel = -1
_own = 0
_task = 0
_at = _IDLE
_sending = threading.Lock()


class Stopped(BaseException):
    """The job was cancelled, or ran into its limit.  Is raised wherever its function is."""


def main(channel: int, worker: int) -> None:
    """Serve the worker, a process that is our parent, until it closes the channel."""
    global _channel, _own
    orphans.die_with(worker)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(channel, False)  # noqa: FBT003 - os has it so
    os.register_at_fork(after_in_child=_obey_as_usual)
    orphans.adopt()
    _channel, _own = channel, os.getpid()
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # a text file
    while (task := _receive()) is not None:
        _serve(*task)


def send(message: object) -> None:
    """Tell the worker something; for a function that runs in a child, from any of its threads.

    Raises RuntimeError in any other process.
    """
    if _channel < 0:
        raise RuntimeError("this process is not a worker's child")
    _tell((SENT, _task, message))


def teller() -> Callable[[float | None, str], None] | None:
    """Return what tells the worker how far a function is; None if this is not a child.

    Of reports that come in a flood, only some are passed on; those that come now and then all are.
    """
    if _channel < 0:
        return None
    left, seen = float(BURST), time.monotonic()

    def tell(fraction: float | None, text: str) -> None:
        nonlocal left, seen
        now = time.monotonic()
        left, seen = min(BURST, left + (now - seen) * BURST), now
        if left >= 1:
            left -= 1
            send((fraction, text))

    return tell


def _serve(number: int, pickled: bytes) -> None:
    global _task, _at  # noqa: PLW0603 - they are run one after another
    _task = number
    _tell((BEGUN, number))
    kind, stopped = RAISED, False
    signal.signal(signal.SIGTERM, _stop)  # each time: the one before may have had its own way
    try:
        try:
            _at = _RUNNING
            function, args, kwargs = pickle.loads(pickled)  # noqa: S301 - the worker sent it
            value = function(*args, **kwargs)
            kind = RETURNED
        finally:  # nothing is raised any more after this
            stopped, _at = _at == _STOPPING, _IDLE
    except BaseException as error:  # noqa: BLE001 - even SystemExit is the function's own
        value = error
    if stopped and kind == RAISED:
        _die()
    orphans.kill_descendants(HANGS)
    dirty = threading.active_count() > 1
    _tell((kind, number, _pickled(value), _text(value), dirty))


def _stop(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a handler
    global _at  # noqa: PLW0603 - see above
    if _at == _IDLE or os.getpid() != _own:  # or it was forked just now
        _die()
    elif _at == _RUNNING:
        _at = _STOPPING
        raise Stopped("the job was told to end")


def _die() -> None:
    """End as if nobody had minded the SIGTERM; what was started is the worker's business."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def _obey_as_usual() -> None:
    """Have what a function forks end by a SIGTERM, unless the function has its own way."""
    if signal.getsignal(signal.SIGTERM) is _stop:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _pickled(value: object) -> bytes | None:
    """Return ``value`` pickled, or None if it would not survive that, or end the worker."""
    if isinstance(value, BaseException) and not isinstance(value, Exception):
        return None
    try:
        pickled = pickle.dumps(value)
        if isinstance(value, BaseException):
            pickle.loads(pickled)  # noqa: S301 - many exceptions can be pickled, and no more
    except Exception:  # noqa: BLE001 - somebody's __reduce__, which may do anything
        return None
    return pickled


def _text(value: object) -> str:
    """Return what people can be told of a result or an exception that cannot be passed on."""
    name = type(value).__name__
    if not isinstance(value, BaseException):
        return f"a {name}, which cannot be passed on"
    try:
        said = " ".join(str(value).split())
    except Exception:  # noqa: BLE001 - somebody's __str__
        said = ""
    return f"{name}: {said}" if said else name


def _tell(message: tuple[Any, ...]) -> None:
    data = pickle.dumps(message)
    rest = memoryview(len(data).to_bytes(PREFIX) + data)
    with _sending:
        while rest:
            rest = rest[os.write(_channel, rest) :]


def _receive() -> Any | None:
    """Return the next task, waiting for it; None if the worker has closed the channel."""
    data = bytearray()
    wanted = PREFIX
    while len(data) < wanted:
        more = os.read(_channel, min(wanted - len(data), 1 << 20))
        if not more:
            return None
        data += more
        if len(data) == PREFIX:
            wanted = PREFIX + int.from_bytes(data)
    return pickle.loads(memoryview(data)[PREFIX:])  # noqa: S301 - the worker sent it
