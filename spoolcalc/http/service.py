"""What the handlers share: the spool, the threads in which it is asked, and who waits.

All calls of the library that touch the disk run in a few threads, so that a slow disk holds nobody
up who does not ask it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from spoolcalc import access, reading
from spoolcalc.errors import NoSuchJob, NotAdopted, Quarantined
from spoolcalc.http.problems import Refused
from spoolcalc.http.watch import Watcher
from spoolcalc.http.writer import Writer
from spoolcalc.ids import is_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from starlette.types import Receive

    from spoolcalc.http.watch import Waiter
    from spoolcalc.job import Job
    from spoolcalc.spool import Spool

T = TypeVar("T")

#: Threads in which the spool is looked at.
THREADS = 8
#: Of so many jobs the server remembers that they were there.
REMEMBERED = 50_000


class Gone(NoSuchJob):
    """It was there, and was cleaned since."""


class Service:
    """One spool, as a server has it.  ``allow`` names operations that are off by themselves."""

    def __init__(self, spool: Spool, *, allow: Collection[str] = ()) -> None:
        self.spool = spool
        self.allow = frozenset(allow)
        self.writer = Writer(spool)
        self.watcher = Watcher(spool.layout)
        self._threads = ThreadPoolExecutor(THREADS, "reader")
        self._known: dict[int, None] = {}

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Call what may touch the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def close(self) -> None:
        """End all threads."""
        self.watcher.close()
        self.writer.close()
        self._threads.shutdown()

    def knows(self, job_id: str) -> bool:
        """Tell whether a job was there, as far as is remembered."""
        return int(job_id.replace("-", ""), 16) in self._known

    def remember(self, job_id: str) -> None:
        """Keep in mind that a job was there, so that it can be told when it is gone."""
        self._known[int(job_id.replace("-", ""), 16)] = None
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]

    async def find(self, word: str) -> Job:
        """Return a job, as :meth:`Spool.find` does; raises Gone for one that was there."""
        try:
            job = await self.call(self.spool.find, word)
        except NoSuchJob as error:
            await self.call(self.check)
            raise self.missing(word, error) from None
        self.remember(job.id)
        return job

    def check(self) -> None:
        """Raise NoSpool if the spool is gone: what is not found then was not cleaned.

        To be called after it was looked at, in a thread.
        """
        if reading.status(self.spool.layout.format) is None:
            access.open_spool(self.spool.path)

    def missing(self, word: str, error: NoSuchJob) -> NoSuchJob:
        """Return the error of a job that is not there."""
        if isinstance(error, Quarantined):
            return error
        if is_id(word) and self.knows(word):
            return Gone(f"no such job any more: {word}", "It was cleaned.")
        return error

    async def ended(self, word: str, seconds: float, receive: Receive) -> Job:
        """Return a job as soon as it has ended, or after ``seconds`` as it is then."""
        if seconds <= 0:
            return await self.find(word)
        until = asyncio.get_running_loop().time() + seconds
        async with self.patient(receive) as client:
            job_id = await self._adopted(word, until, client)
            job = await self.find(job_id)
            if job.state.finished:
                return job
            with self.watcher.awaiting([job_id]) as waiter:
                client.wakes(waiter)
                while True:
                    job = await self.find(job_id)
                    rest = self.rest(until)
                    if job.state.finished or rest <= 0 or client.gone:
                        return job
                    await waiter.wait(rest)

    def rest(self, until: float) -> float:
        """Return for how long to wait; raise Refused if the server is about to end."""
        if self.watcher.stopping:
            raise Refused(503, "the server is about to end", "Ask again: another may be there.")
        return until - asyncio.get_running_loop().time()

    async def _adopted(self, word: str, until: float, client: Client) -> str:
        """Return a job's id; of the name of a file that is no job yet, once it is one."""
        if is_id(word):
            return word
        with self.watcher.adopting() as waiter:
            client.wakes(waiter)
            while True:
                try:
                    return await self.call(self.spool.resolve, word)
                except NotAdopted:
                    rest = self.rest(until)
                    if rest <= 0 or client.gone:
                        raise
                await waiter.wait(rest)

    @asynccontextmanager
    async def patient(self, receive: Receive) -> AsyncIterator[Client]:
        """Listen whether the client goes away, for the length of the block."""
        client = Client(receive)
        try:
            yield client
        finally:
            client.forget()


class Client:
    """The other end of a request that takes its time: it may go away."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._waiter: Waiter | None = None
        self._task = asyncio.create_task(self._listen())

    @property
    def gone(self) -> bool:
        """Whether it has closed the connection."""
        return self._task.done()

    def wakes(self, waiter: Waiter) -> None:
        """End the sleep of ``waiter`` when it goes away."""
        self._waiter = waiter

    def forget(self) -> None:
        """Listen no longer."""
        self._task.cancel()

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._waiter is not None:
            self._waiter.wake()
