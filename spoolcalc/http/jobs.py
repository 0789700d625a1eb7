"""One job: what is known of it, its result, what it wrote; cancel, retry.

Only ``result`` marks a job retrieved: once all of it has left this process and the client is still
there, before the answer's last chunk, so that who has seen its end finds the job retrieved.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import aclosing
from typing import TYPE_CHECKING

from starlette.responses import Response

from spoolcalc import lookup, reading
from spoolcalc import output as terminal
from spoolcalc.errors import NoSuchJob, NotFinished, SpoolError, UsageError
from spoolcalc.http.asked import Query
from spoolcalc.http.limits import LARGEST_TAIL
from spoolcalc.http.problems import Refused, problem
from spoolcalc.http.submitting import told
from spoolcalc.job import COMMAND, State
from spoolcalc.render.jobs import failure, too_late

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from spoolcalc.http.service import Service
    from spoolcalc.job import Job

#: For how long (seconds) a worker has to end a job that is cancelled, and at most.
PATIENCE, LONGEST_PATIENCE = 10.0, 60.0
#: Bytes that are sent at once.
_CHUNK = 1 << 16


class Jobs:
    """The handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def show(self, request: Request) -> Response:
        """Tell all about a job, with ``wait`` as soon as it has ended."""
        wait = Query(request, "wait").wait()
        return await self._answer(await self._ended(request, wait))

    async def result(self, request: Request) -> Response:
        """Give a job's result, and mark it retrieved unless ``keep`` is asked for."""
        query = Query(request, "wait", "keep")
        keep = query.truth("keep")
        job = await self._ended(request, query.wait())
        try:
            job = await self._service.call(self._look, job.id)
        except NotFinished as error:
            return problem(error, 202)
        bad = failure(job)
        if bad is not None:
            return problem(bad)
        if job.operation == COMMAND:
            response = await self._written(job, "stdout")
            if response is None:
                raise lookup.output_gone(self._service.spool.layout, job)
        else:
            data = _encoded((job.result or "") + "\n")
            response = Delivery(_once(data), len(data), "text/plain; charset=utf-8")
        if not keep and job.state is State.COMPLETED:
            response.then = lambda: self._service.call(self._service.spool.fetch, job.id)
        return response

    async def output(self, request: Request) -> Response:
        """Give what a command has written so far to its stdout or stderr, in its newest attempt."""
        query = Query(request, "tail")
        tail = None
        if query.text("tail") is not None:
            tail = query.whole("tail", LARGEST_TAIL, LARGEST_TAIL)
        job = await self._service.find(request.path_params["id"])
        stream = request.path_params["stream"]
        if stream not in ("stdout", "stderr"):
            raise Refused(404, "there are stdout and stderr")
        response = await self._written(job, stream, tail)
        if response is None:
            raise Refused(404, f"job {job.id} has written nothing")
        return response

    async def retrieved(self, request: Request) -> Response:
        """Mark a completed job retrieved, for who has kept its result."""
        Query(request)
        job = await self._service.find(request.path_params["id"])
        await self._service.call(self._service.spool.fetch, job.id)
        return await self._answer(await self._service.find(job.id))

    async def retry(self, request: Request) -> Response:
        """Have a failed job run again."""
        Query(request)
        job = await self._service.find(request.path_params["id"])
        try:
            return await self._answer(await self._service.call(self._service.spool.retry, job.id))
        except UsageError as error:
            return problem(error, 409)

    async def cancel(self, request: Request) -> Response:
        """Cancel a job; the thread that says so to its worker does not wait for it to obey."""
        patience = PATIENCE
        query = Query(request, "patience")
        if query.text("patience") is not None:
            patience = query.wait("patience", LONGEST_PATIENCE)
        job = await self._service.find(request.path_params["id"])
        until = asyncio.get_running_loop().time() + patience
        with self._service.watcher.awaiting([job.id]) as waiter:
            while True:
                try:
                    job = await self._service.call(self._cancel_at_once, job.id)
                    break
                except NotFinished:
                    rest = self._service.rest(until)
                    if rest <= 0:
                        raise
                await waiter.wait(min(rest, 1.0))
        if job.outcome is not None and job.outcome.reason == "cancelled":
            return await self._answer(job)
        more = await self._service.call(lookup.beside, self._service.spool.layout, job)
        return problem(too_late(job), 409, job=told(job, **more))

    def _cancel_at_once(self, job_id: str) -> Job:
        return self._service.spool.cancel(job_id, patience=0.0)

    def _look(self, job_id: str) -> Job:
        return self._service.spool.fetch(job_id, keep=True)

    async def _ended(self, request: Request, wait: float) -> Job:
        return await self._service.ended(request.path_params["id"], wait, request.receive)

    async def _answer(self, job: Job) -> Response:
        more = {}
        if job.state is State.WIP or job.operation == COMMAND:
            more = await self._service.call(lookup.beside, self._service.spool.layout, job)
        return Response(json.dumps(told(job, **more)) + "\n", media_type="application/json")

    async def _written(self, job: Job, stream: str, tail: int | None = None) -> Delivery | None:
        """Return what a command has written, or the end of it; None if there is no such file."""
        path = await self._service.call(lookup.output_of, self._service.spool.layout, job, stream)
        descriptor = None if path is None else await self._service.call(reading.plain_file, path)
        if descriptor is None:
            return None
        whole = os.fstat(descriptor).st_size
        size = whole if tail is None else min(whole, tail)
        chunks = self._chunks(descriptor, whole - size, whole)
        return Delivery(chunks, size, "application/octet-stream")

    async def _chunks(self, descriptor: int, place: int, end: int) -> AsyncGenerator[bytes, None]:
        try:
            while place < end:
                most = min(_CHUNK, end - place)
                data = await self._service.call(os.pread, descriptor, most, place)
                if not data:
                    break
                place += len(data)
                yield data
        finally:
            os.close(descriptor)


class Delivery(Response):
    """An answer in chunks; ``then`` is called when all has left and the client is still there.

    The answer ends once ``then`` has been called.  Clients of HTTP/1.0, which know no chunks, are
    told that there are ``size`` bytes, and get the last one then.
    """

    def __init__(self, chunks: AsyncGenerator[bytes, None], size: int, media_type: str) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self.then: Callable[[], Awaitable[object]] | None = None
        self._chunks = chunks
        self._size = size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        knows_chunks = scope["http_version"] != "1.0"
        last = b""
        if not knows_chunks:
            self.headers["content-length"] = str(self._size)
        async with aclosing(self._chunks):
            await send(
                {"type": "http.response.start", "status": 200, "headers": list(self.raw_headers)}
            )
            sent = 0
            async for chunk in self._chunks:
                sent += len(chunk)
                if sent == self._size and not knows_chunks:
                    chunk, last = chunk[:-1], chunk[-1:]  # noqa: PLW2901 - the rest of it
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if sent < self._size and await _is_gone(receive):
                    return  # nobody hears the rest
        # Returns when nothing is left in this process.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        if self.then is not None and not await _is_gone(receive):
            try:
                await self.then()
            except NoSuchJob:
                pass  # cleaned in the same instant
            except SpoolError as error:
                # Without its end the client knows that something went wrong; it can ask again.
                terminal.tell_error(error)
                return
        await send({"type": "http.response.body", "body": last, "more_body": False})


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # half a character, from an operation of somebody's
        return text.encode("utf-8", "backslashreplace")


async def _is_gone(receive: Receive) -> bool:
    """Tell whether the client has closed the connection; it sends nothing else any more."""
    while True:
        task = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        if not task.done():
            task.cancel()
            return False
        if task.result()["type"] == "http.disconnect":
            return True
