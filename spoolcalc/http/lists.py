"""Many jobs, and the whole spool: pages of a list, waits for several, the overview, operations."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import Response

from spoolcalc import catalogue, lookup
from spoolcalc.asking import Unfit, parsed
from spoolcalc.awaiting import Awaited
from spoolcalc.errors import BadJobId, NoSuchJob, SpoolError
from spoolcalc.http.asked import Query
from spoolcalc.http.limits import LARGEST_PAGE, MOST_AWAITED, MOST_READ, PAGE
from spoolcalc.http.problems import document, status_of
from spoolcalc.http.submitting import PREFIX, told
from spoolcalc.ids import is_id
from spoolcalc.job import State
from spoolcalc.listing import page
from spoolcalc.render import catalogue as operation_views
from spoolcalc.render import overview as views

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from starlette.requests import Request

    from spoolcalc.http.service import Client, Service
    from spoolcalc.http.watch import Waiter
    from spoolcalc.job import Job

#: So few jobs are looked up again whenever a wait for them wakes: one may have been cleaned.  Of
#: more, so many are, or this part, and others each so many seconds.
FEW, TURN, PART, POLL = 64, 16, 64, 1.0
#: The part of the time that looking for many takes, and the longest pause (seconds) for that.
SHARE, LONGEST_PAUSE = 0.1, 2.0


class Lists:
    """The handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._turn = 0

    async def jobs(self, request: Request) -> Response:
        """Give a page of the jobs in a state, or of all."""
        query = Query(request, "state", "label", "operation", "limit", "cursor")
        state = query.choice("state", tuple(State))
        size = query.whole("limit", PAGE, LARGEST_PAGE)
        told_, cursor = await self._service.call(
            self._page,
            None if state is None else State(state),
            query.text("label"),
            query.text("operation"),
            size,
            query.text("cursor"),
        )
        following = None
        headers = {}
        if cursor is not None:
            names = {"state": state, "label": query.text("label")}
            names |= {"operation": query.text("operation"), "limit": str(size), "cursor": cursor}
            text = "&".join(f"{name}={quote(value)}" for name, value in names.items() if value)
            following = f"{PREFIX}jobs?{text}"
            headers["link"] = f'<{following}>; rel="next"'
        content = {"jobs": told_, "next": following}
        return Response(json.dumps(content) + "\n", 200, headers, "application/json")

    async def wait(self, request: Request) -> Response:
        """Tell which of some jobs have ended, as soon as one has."""
        seconds = Query(request, "wait").wait()
        ids = _ids(await request.body())
        async with self._service.patient(request.receive) as client:
            with self._service.watcher.awaiting(ids) as waiter:
                client.wakes(waiter)
                until = asyncio.get_running_loop().time() + seconds
                ended, errors = await self._first(ids, until, waiter, client)
        content = {"ended": ended, "errors": errors}
        return Response(json.dumps(content) + "\n", media_type="application/json")

    async def _first(
        self, ids: Sequence[str], until: float, waiter: Waiter, client: Client
    ) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
        """Return those that have ended as soon as one has, and what is wrong with others.

        Where there are many, looking takes a tenth of the time: who asks again as soon as one has
        ended is answered for all that have ended since.
        """
        loop = asyncio.get_running_loop()
        awaited = Awaited(self._service.spool.layout, ids)
        ended: list[dict[str, str]] = []
        errors: list[dict[str, Any]] = []
        searched: Sequence[str] = [i for i in ids if len(ids) <= FEW or not self._service.knows(i)]
        while True:
            began = loop.time()
            errors += await self._missing(searched)
            ended += await self._service.call(self._look, awaited)
            if ended and not awaited:
                break
            pause = (loop.time() - began) * (1 / SHARE - 1) if len(ids) > FEW else 0.0
            pause = min(pause, until - loop.time(), LONGEST_PAUSE)
            if pause > 0 and not client.gone and not self._service.watcher.stopping:
                await asyncio.sleep(pause)
                if ended:
                    ended += await self._service.call(self._look, awaited)
            if ended or errors or self._service.rest(until) <= 0 or client.gone:
                break
            # One that was cleaned rings no bell, and of many it is not known which one it was.
            rest = self._service.rest(until)
            await waiter.wait(rest if len(ids) <= FEW else min(rest, POLL))
            searched = self._some(ids)
        return ended, errors

    async def overview(self, request: Request) -> Response:
        """Tell the counts, the age of the oldest pending job, and who works on what."""
        Query(request)
        content = await self._service.call(self._overview)
        return Response(json.dumps(content) + "\n", media_type="application/json")

    async def operations(self, request: Request) -> Response:
        """Tell which operations there are."""
        Query(request)
        content = {"operations": await self._service.call(self._operations)}
        return Response(json.dumps(content) + "\n", media_type="application/json")

    def _page(
        self,
        state: State | None,
        label: str | None,
        operation: str | None,
        size: int,
        cursor: str | None,
    ) -> tuple[list[dict[str, Any]], str | None]:
        def wanted(job: Job) -> bool:
            return label in (None, job.label) and operation in (None, job.operation)

        layout = self._service.spool.layout
        jobs, following = page(
            layout, state, size, cursor=cursor, wanted=wanted, most_read=MOST_READ
        )
        if not jobs:
            self._service.check()
        return [told(job, **lookup.beside(layout, job)) for job in jobs], following

    def _look(self, awaited: Awaited) -> list[dict[str, str]]:
        return [{"id": job_id, "state": state.value} for job_id, state in awaited.look()]

    def _some(self, ids: Sequence[str]) -> Sequence[str]:
        """Return those that are looked up at a look: all of few, others each time of many."""
        if len(ids) <= FEW:
            return ids
        number = max(TURN, len(ids) // PART)
        self._turn = (self._turn + number) % len(ids)
        return ids[self._turn : self._turn + number]

    async def _missing(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return problems of the jobs that are not there, and remember those that are."""
        if not ids:
            return []
        problems = await self._service.call(self._problems, ids)
        missing = {problem["id"] for problem in problems}
        for job_id in ids:
            if job_id not in missing:
                self._service.remember(job_id)
        return problems

    def _problems(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        problems = []
        for job_id in ids:
            try:
                self._service.spool.find(job_id)
            except SpoolError as error:
                if isinstance(error, NoSuchJob):
                    self._service.check()
                    error = self._service.missing(job_id, error)
                status = status_of(error)
                problems.append(
                    document(status, error.message, error.hint, error.exit_code, id=job_id)
                )
        return problems

    def _overview(self) -> dict[str, Any]:
        spool = self._service.spool
        seen = views.as_object(spool.overview(), spool.paused)
        self._service.check()
        return seen

    def _operations(self) -> list[dict[str, Any]]:
        return [operation_views.as_object(entry) for entry in catalogue.entries()]


def _ids(body: bytes) -> list[str]:
    content = parsed(body)
    ids = content.get("ids") if isinstance(content, dict) else None
    if not isinstance(ids, list) or len(content or ()) != 1:  # type: ignore[arg-type] # a dict here
        raise Unfit('it is not {"ids": [...]}')
    if not 1 <= len(ids) <= MOST_AWAITED:
        raise Unfit(f"{len(ids)} jobs: a wait is for 1 to {MOST_AWAITED}")
    for job_id in ids:
        if not isinstance(job_id, str) or not is_id(job_id):
            raise BadJobId("not a job id among those to wait for", "Names of files are no ids.")
    return list(dict.fromkeys(ids))
