"""One thread that listens to the spool for all who wait, however many they are.

    with watcher.awaiting([job_id]) as ended:      listens from here on: look now, then
        await ended.wait(30.0)                      sleep until one of them may have ended

The thread sleeps on the spool's two bells.  When one rings, it looks once for all jobs that anybody
waits for (names only, see ``awaiting``), at most a tenth of its time, and wakes those concerned in
the event loop.  What rings on other hosts is found by a look each second.  While nobody waits it
sleeps.

A wake is a hint: who was woken looks the job up.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spoolcalc import lookup, reading
from spoolcalc.awaiting import Awaited
from spoolcalc.bell import Bell
from spoolcalc.errors import NoSuchJob, SpoolError
from spoolcalc.http.limits import MOST_WAITS
from spoolcalc.http.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from spoolcalc.layout import Layout

#: How often (seconds) the thread looks although no bell rang, and how seldom if many do.
POLL, PAUSE = 1.0, 0.01
#: The part of the time that looking may take.
SHARE = 0.1
#: Of the jobs that did not end, so many are looked up each second: one may be gone altogether.
TURN = 64


class Waiter:
    """Somebody who sleeps until something happens, or the server stops."""

    __slots__ = ("_event", "_watcher")

    def __init__(self, watcher: Watcher) -> None:
        self._event = asyncio.Event()
        self._watcher = watcher

    def wake(self) -> None:
        """End the sleep, or the next one."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Sleep until woken; False if that took too long."""
        if self._watcher.stopping:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Watcher:
    """Wakes those who wait.  ``stopping`` is set when the server is told to end."""

    def __init__(self, layout: Layout) -> None:
        self.stopping = False
        self._layout = layout
        self._jobs: dict[str, set[Waiter]] = {}
        self._rings: set[Waiter] = set()
        self._waits = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bell = Bell(layout.done)
        self._bell.also(layout.bell)
        self._turn: Iterator[str] = iter(())
        self._searched = 0.0
        self._over = False
        self._thread = threading.Thread(target=self._listen, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to listen; to be called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Wake everybody: the server is about to end."""
        self.stopping = True
        for waiter in {*self._rings, *(w for some in self._jobs.values() for w in some)}:
            waiter.wake()

    def close(self) -> None:
        """End the thread."""
        self._over = True
        self._bell.wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._bell.close()

    @property
    def waits(self) -> int:
        """How many wait for jobs."""
        return self._waits

    @contextmanager
    def awaiting(self, ids: Collection[str]) -> Iterator[Waiter]:
        """Wake a waiter when one of these jobs may have ended."""
        waiter = Waiter(self)
        ids = dict.fromkeys(ids)  # one that is named twice is left once
        for job_id in ids:
            self._jobs.setdefault(job_id, set()).add(waiter)
        self._bell.wake()
        try:
            with self._counted():
                yield waiter
        finally:
            for job_id in ids:
                waiting = self._jobs[job_id]
                waiting.discard(waiter)
                if not waiting:
                    del self._jobs[job_id]

    @contextmanager
    def adopting(self) -> Iterator[Waiter]:
        """Wake a waiter when a file may have become a job."""
        with self._counted(), self.listening() as waiter:
            yield waiter

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._waits >= MOST_WAITS:
            raise Refused(503, f"{MOST_WAITS} requests wait, which is the most")
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1

    @contextmanager
    def listening(self) -> Iterator[Waiter]:
        """Wake a waiter whenever anything may have happened in the spool."""
        waiter = Waiter(self)
        self._rings.add(waiter)
        self._bell.wake()
        try:
            yield waiter
        finally:
            self._rings.discard(waiter)

    # --- in the thread ----------------------------------------------------------------------------

    def _listen(self) -> None:
        while not self._over:
            began = time.monotonic()
            ids = list(self._jobs)  # in one step: the loop changes it
            ended = self._ended(ids) if ids else []
            if (ended or self._rings) and self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._wake, ended)
            took = time.monotonic() - began
            if ids or self._rings:
                pause = max(PAUSE, min(POLL, took * (1 / SHARE - 1)))
                self._rest(pause)
                self._bell.wait(POLL - pause)
            else:
                self._bell.rest(POLL * 60)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._over and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def _ended(self, ids: Sequence[str]) -> list[str]:
        """Return those of the jobs that have ended, or are gone."""
        try:
            ended = [job_id for job_id, _ in Awaited(self._layout, ids).look()]
        except SpoolError:
            return list(ids)  # each will meet the error by itself, and tell it
        if time.monotonic() - self._searched >= POLL:
            self._searched = time.monotonic()
            ended += filter(self._is_gone, self._some(ids))
        return ended

    def _some(self, ids: Sequence[str]) -> list[str]:
        """Return some of the ids, others each time."""
        chosen: list[str] = []
        for _ in range(min(TURN, len(ids))):
            job_id = next(self._turn, None)
            if job_id is None:
                self._turn = iter(ids)
                job_id = next(self._turn)
            chosen.append(job_id)
        return chosen

    def _is_gone(self, job_id: str) -> bool:
        if reading.status(f"{self._layout.root}/wip") is None:
            return True
        try:
            lookup.find(self._layout, job_id)
        except NoSuchJob:
            return True
        except SpoolError:
            return False
        return False

    # --- in the loop ------------------------------------------------------------------------------

    def _wake(self, ended: Sequence[str]) -> None:
        for job_id in ended:
            for waiter in self._jobs.get(job_id, ()):
                waiter.wake()
        for waiter in self._rings:
            waiter.wake()
