"""Submitting for many clients at once: what comes while the disk is busy is made durable together.

A group is what has come by the time the one before it is on disk, so that one lone client waits for
nobody, and a thousand share a few syncs.  A job with a key, or one that waits for others, goes by
itself: what is refused to it must be refused to nobody else.

    ids = await writer.submit(documents)      all of them are durable, or it raises
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from spoolcalc.errors import CeilingReached, SpoolError
from spoolcalc.submission import GROUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spoolcalc.job import Document
    from spoolcalc.spool import Spool

    Waiting = tuple[Sequence[Document], asyncio.Future[Sequence[str]]]

#: Groups on their way to disk at the same time; and jobs that go by themselves.
GROUPS, ALONE = 2, 4


class Writer:
    """The one way into the spool for all requests of this server."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._threads = ThreadPoolExecutor(GROUPS + ALONE, "writer")
        self._waiting: deque[Waiting] = deque()
        self._writing = 0
        self._tasks: set[asyncio.Task[None]] = set()  # a task that nobody has may vanish

    async def submit(self, documents: Sequence[Document]) -> Sequence[str]:
        """Make jobs durable, all or none, and return their ids."""
        loop = asyncio.get_running_loop()
        if any("key" in document or "after" in document for document in documents):
            return await loop.run_in_executor(self._threads, self._spool.publish, documents)
        future: asyncio.Future[Sequence[str]] = loop.create_future()
        self._waiting.append((documents, future))
        if self._writing < GROUPS:
            self._writing += 1
            task = loop.create_task(self._write())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    def close(self) -> None:
        """End the threads, once what they are at is done."""
        self._threads.shutdown()

    async def _write(self) -> None:
        """Make groups durable until nothing waits.

        That nothing does, and that this one writes no longer, is one step: what comes between the
        two would be left to nobody.
        """
        try:
            await self._write_groups()
        finally:
            self._writing -= 1

    async def _write_groups(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = self._next()
            documents = [document for some, _ in group for document in some]
            try:
                await loop.run_in_executor(self._threads, self._spool.publish, documents)
            except CeilingReached as error:
                if len(group) > 1:  # there may be room for some of them
                    for each in group:
                        await self._write_alone(each)
                else:
                    _refuse(group, error)
                continue
            except BaseException as error:
                _refuse(group, error)
                if not isinstance(error, Exception):
                    raise
                continue
            for some, future in group:
                if not future.done():  # its client has gone; the job is there all the same
                    future.set_result([document["id"] for document in some])

    async def _write_alone(self, waiting: Waiting) -> None:
        documents, future = waiting
        loop = asyncio.get_running_loop()
        try:
            ids = await loop.run_in_executor(self._threads, self._spool.publish, documents)
        except Exception as error:  # noqa: BLE001 - it is raised again, to whom it concerns
            _refuse([waiting], error)
        else:
            if not future.done():
                future.set_result(ids)

    def _next(self) -> list[Waiting]:
        group = [self._waiting.popleft()]
        size = len(group[0][0])
        while self._waiting and size + len(self._waiting[0][0]) <= GROUP:
            group.append(self._waiting.popleft())
            size += len(group[-1][0])
        return group


def _refuse(group: Sequence[Waiting], error: BaseException) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(_copy(error))


def _copy(error: BaseException) -> BaseException:
    """Return what one of a group is told: an error that is raised twice grows its traceback."""
    if not isinstance(error, SpoolError):
        return error
    told = SpoolError(error.message, error.hint)
    told.exit_code = error.exit_code
    return told
