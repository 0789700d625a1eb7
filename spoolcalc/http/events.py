"""Server-sent events: what the page shows, pushed to all that look at it.

One task takes a snapshot of the spool when a bell has rung, at most twice a second and a tenth of
the time, and hands the same bytes to every client.  A client that reads slowly misses some, and
gets the newest when it is ready.  While nobody looks, none is taken.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from spoolcalc import lookup, output
from spoolcalc.errors import SpoolError
from spoolcalc.http.asked import Query
from spoolcalc.http.limits import MOST_STREAMS
from spoolcalc.http.problems import Refused
from spoolcalc.http.submitting import told
from spoolcalc.job import State
from spoolcalc.listing import newest
from spoolcalc.render import overview as views

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from spoolcalc.http.service import Service

#: Seconds between two snapshots, at least; and between two signs of life.
EVERY, ALIVE = 0.5, 15.0
#: The part of the time that snapshots may take.
SHARE = 0.1
#: Jobs of each state that a snapshot has.
SHOWN = 20


class _Stream(StreamingResponse):
    """An answer without end; ``leave`` is called when it has one, begun or not."""

    def __init__(self, chunks: AsyncIterator[bytes], leave: Callable[[], None]) -> None:
        headers = {"x-accel-buffering": "no"}
        super().__init__(chunks, media_type="text/event-stream", headers=headers)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


class Events:
    """The handler, and the task behind it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._clients: set[asyncio.Event] = set()
        self._newest = b""
        self._task: asyncio.Task[None] | None = None

    async def stream(self, request: Request) -> Response:
        """Push snapshots until the client goes away or the server ends."""
        Query(request)
        if len(self._clients) >= MOST_STREAMS:
            raise Refused(503, f"{MOST_STREAMS} pages are open, which is the most")
        changed = asyncio.Event()
        self._clients.add(changed)  # in one step with the look: many may come at once
        return _Stream(self._chunks(changed), lambda: self._clients.discard(changed))

    async def _chunks(self, changed: asyncio.Event) -> AsyncIterator[bytes]:
        if self._task is None or self._task.done():
            self._newest = b""
            self._task = asyncio.create_task(self._watch())
        sent = b""
        yield b"retry: 1000\n\n"
        while not self._service.watcher.stopping:
            if self._newest != sent:
                sent = self._newest
                yield sent
            try:
                async with asyncio.timeout(ALIVE):
                    await changed.wait()
            except TimeoutError:
                yield b": well\n\n"
            changed.clear()
        yield b"event: stopping\ndata: {}\n\n"

    async def _watch(self) -> None:
        """Take snapshots while anybody looks."""
        loop = asyncio.get_running_loop()
        with self._service.watcher.listening() as waiter:
            while self._clients and not self._service.watcher.stopping:
                began = loop.time()
                try:
                    data = json.dumps(await self._service.call(self._snapshot))
                    self._newest = f"event: spool\ndata: {data}\n\n".encode()
                except SpoolError as error:
                    output.tell_error(error)
                    data = json.dumps({"error": error.message, "hint": error.hint})
                    self._newest = f"event: trouble\ndata: {data}\n\n".encode()
                took = loop.time() - began
                self._tell()
                await asyncio.sleep(max(EVERY, took * (1 / SHARE - 1)))
                await waiter.wait(ALIVE)
        self._tell()

    def _tell(self) -> None:
        for changed in self._clients:
            changed.set()

    def _snapshot(self) -> dict[str, object]:
        spool = self._service.spool
        seen = views.as_object(spool.overview(), spool.paused)
        jobs = {
            state.value: [
                told(job, **lookup.beside(spool.layout, job))
                for job in newest(spool.layout, state, SHOWN)
            ]
            for state in State
        }
        self._service.check()
        oldest = seen["oldest_pending_seconds"]
        return {**seen, "oldest_pending_seconds": oldest and round(oldest), "jobs": jobs}
