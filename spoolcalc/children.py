"""Functions run in child processes, which can be killed whatever they do and stay warm.

:class:`ChildExecutor` is a ``concurrent.futures.Executor``.  What is submitted is a function that
can be pickled (one of a module), and so must be its arguments.  A child is started when there is
something to run, at most ``max_workers`` of them; each runs one function at a time and is used
again.  Each has a thread here, which waits for it.

A future gives the function's result or raises its exception; one that cannot be passed on becomes a
:class:`RemoteError` with its text.  :class:`ChildDied` tells that the child ended by itself or was
killed by a stranger; :class:`ChildKilled`, that :meth:`ChildFuture.kill` did it.  Both come at
once.  With the child goes all that it had started.  No child outlives this process.

A child that died while it was idle is replaced, and the function that was meant for it is run.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import threading
import time
from collections import deque
from concurrent.futures import Executor, Future
from contextlib import suppress
from itertools import count

from spoolcalc import orphans
from spoolcalc.childprocess import (
    NAME,
    Child,
    ChildDied,
    ChildKilled,
    ChildNotStarted,
    Talk,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from spoolcalc.childprocess import OnMessage

#: A child that dies so often before it has begun is not started again.
TRIES = 3
#: How often (seconds) is looked whether a child has died, where the kernel cannot tell.
_TICK = 0.1


class ChildFuture(Future["Any"]):
    """The future of a function in a child."""

    def __init__(self) -> None:
        super().__init__()
        self._host: _Host | None = None

    def kill(self, grace: float) -> None:
        """Have it end: SIGTERM to the child's group now, SIGKILL after ``grace`` seconds.

        Returns at once; the future raises :class:`ChildKilled` when the child has gone, or
        CancelledError if the function had not been begun.  One that is done is left alone.
        """
        if not self.cancel() and (host := self._host) is not None:
            host.kill(self, grace)


class _Task:
    """What a future waits for."""

    __slots__ = ("args", "function", "future", "kwargs", "number", "on_message")

    def __init__(
        self,
        number: int,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        on_message: OnMessage | None,
    ) -> None:
        self.number = number
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.on_message = on_message
        self.future = ChildFuture()


class ChildExecutor(Executor):
    """Runs functions in at most ``max_workers`` child processes, marked as those of ``worker``."""

    def __init__(self, max_workers: int, *, worker: str = "") -> None:
        self._max_workers = max_workers
        self.worker = worker
        self._lock = threading.Lock()
        self._waiting: deque[_Task] = deque()
        self._work = threading.Condition(self._lock)
        self._hosts: list[_Host] = []
        self._idle = 0
        self._ended = False
        self._numbers = count(1)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> ChildFuture:
        """Have ``fn(*args, **kwargs)`` run in a child."""
        return self.start(fn, args, kwargs)

    def start(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        on_message: OnMessage | None = None,
    ) -> ChildFuture:
        """Have ``function`` run in a child; ``on_message`` hears what it sends on its way."""
        with self._lock:
            if self._ended:
                raise RuntimeError("the executor was shut down")
            task = _Task(next(self._numbers), function, args, kwargs or {}, on_message)
            self._waiting.append(task)
            if self._idle < len(self._waiting) and len(self._hosts) < self._max_workers:
                host = _Host(self)
                self._hosts.append(host)
                self._idle += 1
                host.start()
            else:
                self._work.notify()
        return task.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Executor has it
        """Take no more; end the children once all that was submitted is done."""
        with self._lock:
            self._ended = True
            dropped = list(self._waiting) if cancel_futures else []
            if cancel_futures:
                self._waiting.clear()
            self._work.notify_all()
        for task in dropped:
            task.future.cancel()
        if wait:
            for host in self._hosts:
                host.join()

    def next_task(self) -> _Task | None:
        """Wait for something to run; None when there will be no more."""
        with self._lock:
            while not self._waiting:
                if self._ended:
                    return None
                self._work.wait()
            self._idle -= 1
            return self._waiting.popleft()

    def done(self) -> None:
        """Note that a host is about to be idle: before anybody hears that its task is done."""
        with self._lock:
            self._idle += 1


class _Host(threading.Thread):
    """The thread of one child at a time: starts it, talks with it, buries it.

    The kernel kills a child when the thread that started it ends, so each child stays with its own.
    ``kill`` comes from other threads; the lock is held wherever the two could meet.
    """

    def __init__(self, executor: ChildExecutor) -> None:
        super().__init__(name="spool child", daemon=True)
        self._executor = executor
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._at_hand: ChildFuture | None = None
        self._kill_at: float | None = None
        self._killed = False
        self._woken, self._waker = os.pipe()

    def run(self) -> None:
        """Run what there is to run, until the executor is shut down."""
        while (task := self._executor.next_task()) is not None:
            self._take(task)
            task = None  # an idle thread keeps no result alive
        if self._child is not None:
            self._child.dismiss()
        with self._lock:
            os.close(self._woken)
            os.close(self._waker)
            self._waker = -1

    def kill(self, future: ChildFuture, grace: float) -> None:
        """Begin to kill the child, if it is at ``future``."""
        with self._lock:
            if self._at_hand is not future:
                return
            at = time.monotonic() + grace
            self._kill_at = at if self._kill_at is None else min(at, self._kill_at)
            self._killed = True
            if self._child is not None:
                self._child.signal(signal.SIGTERM if grace > 0 else signal.SIGKILL)
            os.write(self._waker, b"!")

    def _take(self, task: _Task) -> None:
        future = task.future
        future._host = self  # noqa: SLF001 - the two are one
        with self._lock:  # before it counts as running: who cannot cancel it can kill it
            self._at_hand, self._kill_at, self._killed = future, None, False
        if not future.set_running_or_notify_cancel():
            self._executor.done()
            return
        try:
            value = self._run(task)
        except BaseException as error:  # noqa: BLE001 - the future raises it
            self._executor.done()
            future.set_exception(error)
        else:
            self._executor.done()
            future.set_result(value)

    def _run(self, task: _Task) -> object:
        """Return what the function returned, or raise what came of it instead."""
        data = pickle.dumps((task.function, task.args, task.kwargs))
        talk = Talk(task.number, pickle.dumps((task.number, data)), task.on_message)
        try:
            for _ in range(TRIES):
                self._ask(self._ready(), talk)
                if talk.answer is not None or talk.begun or self._killed:
                    break
                self._bury()
        finally:
            with self._lock:  # from here on it is too late to kill
                self._at_hand = None
        if self._killed:
            self._bury()
            raise ChildKilled("its process was killed")
        if talk.answer is not None:
            if talk.dirty:
                self._bury()
            return talk.result()
        code = self._bury()
        if talk.begun:
            raise ChildDied(code)
        raise ChildNotStarted(f"a process for it ended {TRIES} times before it had begun")

    def _ready(self) -> Child:
        """Return a child that is alive, as far as can be told."""
        if self._child is not None and self._child.has_died():
            self._bury()
        if self._child is None:
            child = Child(self._executor.worker)
            with self._lock:
                self._child = child
                if self._killed:
                    child.signal(signal.SIGKILL)
        return self._child

    def _ask(self, child: Child, talk: Talk) -> None:
        """Have the child run the task, until it has answered or died."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if child.death is not None:
            poll.register(child.death, select.POLLIN)
        rest = talk.request
        while True:
            poll.register(child.channel, select.POLLIN | (select.POLLOUT if rest else 0))
            for descriptor, _ in poll.poll(self._patience(child)):
                if descriptor == self._woken:
                    os.read(self._woken, 4096)
            died = child.has_died()  # before it is listened to: what it said last is heard
            with suppress(BlockingIOError, ConnectionError):
                rest = rest[child.channel.send(rest) :] if rest else rest
            if talk.listen(child.channel) or died:
                return
            with self._lock:
                if self._kill_at is not None and time.monotonic() >= self._kill_at:
                    self._kill_at = None
                    child.signal(signal.SIGKILL)

    def _patience(self, child: Child) -> float | None:
        """Return how many milliseconds to wait at most for something to happen."""
        with self._lock:
            until = self._kill_at
        longest = None if child.death is not None else _TICK * 1000
        if until is None:
            return longest
        rest = max(0.0, until - time.monotonic()) * 1000 + 1
        return rest if longest is None else min(rest, longest)

    def _bury(self) -> int:
        """Kill the child and all that it started; return its exit code."""
        child = self._child
        if child is None:
            return 0
        child.signal(signal.SIGKILL)
        child.await_death()
        with self._lock:  # once it was waited for, its number may be another's
            self._child = None
            code = child.close()
        orphans.kill_carrying({NAME: child.name})
        return code
