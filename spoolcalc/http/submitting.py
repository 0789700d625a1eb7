"""POST: one job from a path, or one or many from JSON.

Nothing is written before all of a request is known to be good, and the jobs of one request are made
durable together: the answer says that all of them are safe on disk.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from starlette.responses import Response

from spoolcalc.asking import Unfit, asked, parsed
from spoolcalc.document import due_of
from spoolcalc.errors import NoSuchJob, UsageError
from spoolcalc.http.asked import Query
from spoolcalc.http.limits import MOST_JOBS
from spoolcalc.http.problems import Refused
from spoolcalc.job import COMMAND, Job, State
from spoolcalc.lookup import beside
from spoolcalc.operations import is_built_in
from spoolcalc.render.jobs import as_object

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from starlette.requests import Request

    from spoolcalc.http.service import Service
    from spoolcalc.job import Document

PREFIX = "/api/v1/"
#: Bytes of a request up to which it is checked at once, and not in a thread.
_SMALL = 4096


class OneOfMany(UsageError):
    """One job of a request is wrong: ``number``, from 1 on.  None of them was submitted."""

    def __init__(self, number: int, error: UsageError) -> None:
        super().__init__(f"job {number}: {error.message}", error.hint)
        self.number = number


class Submitting:
    """The handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def by_path(self, request: Request) -> Response:
        """Submit the job that the path names: ``/api/v1/add/12/23``."""
        Query(request)
        if await request.body():
            raise UsageError(
                "this path takes no body", "POST /api/v1/jobs takes a job with its options in JSON."
            )
        operation, *operands = request.scope["path"].removeprefix(PREFIX).split("/")
        [job] = await self._submit(
            [{"operation": operation, "operands": operands}], [_key(request)], request
        )
        return _accepted(job)

    async def by_body(self, request: Request) -> Response:
        """Submit one job (an object) or many (a list of them)."""
        Query(request)
        body = await request.body()
        if b"content-type" not in dict(request.scope["headers"]):
            raise Refused(415, "a body must be application/json")
        content = parsed(body)
        if not isinstance(content, list):
            key = _key(request)
            fields = content
            if isinstance(content, dict) and content.get("key") is not None:
                fields = dict(content)
                if key not in (None, fields["key"]):
                    raise UsageError("the body and the header Idempotency-Key have different keys")
                key = _text_key(fields.pop("key"))
            [job] = await self._submit([fields], [key], request)
            return _accepted(job)
        if _key(request) is not None:
            raise UsageError(
                "Idempotency-Key is one job's, and these are many", "Each may have a key in itself."
            )
        if not 1 <= len(content) <= MOST_JOBS:
            raise UsageError(f"{len(content)} jobs: from 1 to {MOST_JOBS} are taken at once")
        asks: list[object] = []
        keys: list[str | None] = []
        for each in content:
            fields = dict(each) if isinstance(each, dict) else each
            own = fields.pop("key", None) if isinstance(fields, dict) else None
            asks.append(fields)
            keys.append(None if own is None else _text_key(own))
        jobs = await self._submit(asks, keys, request, many=True)
        return _answer({"jobs": jobs})

    async def _submit(
        self,
        asks: Sequence[object],
        keys: Sequence[str | None],
        request: Request,
        *,
        many: bool = False,
    ) -> list[dict[str, Any]]:
        small = int(request.headers.get("content-length", 0)) < _SMALL
        known = [isinstance(a, dict) and is_built_in(str(a.get("operation"))) for a in asks]
        if small and all(known):
            documents = self._prepare(asks, keys, many=many)
        else:  # much to check, or by somebody's own function
            documents = await self._service.call(self._prepare, asks, keys, many)
        try:
            ids = await self._service.writer.submit(documents)
        except NoSuchJob:  # one that is to be waited for
            await self._service.call(self._service.check)
            raise
        for job_id in ids:
            self._service.remember(job_id)
        return [
            await self._told(document, job_id)
            for document, job_id in zip(documents, ids, strict=True)
        ]

    def _prepare(
        self,
        asks: Sequence[object],
        keys: Sequence[str | None],
        many: bool = False,  # noqa: FBT001, FBT002 - it is called by way of a thread
    ) -> list[Document]:
        """Check all jobs, and return their documents."""
        documents: list[Document] = []
        for number, (fields, key) in enumerate(zip(asks, keys, strict=True), 1):
            try:
                documents.append(self._document(fields, key))
            except UsageError as error:
                if many:
                    raise OneOfMany(number, error) from error
                raise
            except Refused as error:
                if many:
                    told = f"job {number}: {error.message}"
                    raise Refused(error.status, told, error.hint, job=number) from error
                raise
        return documents

    def _document(self, fields: object, key: str | None) -> Document:
        if isinstance(fields, dict):
            operation = fields.get("operation")
            if operation == COMMAND and COMMAND not in self._service.allow:
                raise Refused(
                    403,
                    f"{COMMAND} is off over HTTP",
                    f"`spool serve --allow {COMMAND}` lets clients run any command.",
                )
        return asked(fields, self._service.spool.settings.at_submit, key=key)

    async def _told(self, document: Document, job_id: str) -> dict[str, Any]:
        """Return a job that was just submitted; it is looked up only if it may be another one."""
        if job_id == document["id"] and "after" not in document:
            due = due_of(document)
            now = time.time()
            state = State.PENDING if due is None or due <= now else State.DELAYED
            return told(Job(document, state, updated=now))
        job = await self._service.find(job_id)
        more = await self._service.call(beside, self._service.spool.layout, job)
        return told(job, **more)


def told(job: Job, **more: object) -> dict[str, Any]:
    """Return a job as answers have it: as the command's JSON does, its state as ``status`` too."""
    return {"id": job.id, "status": job.state.value, **as_object(job, **more)}


def _accepted(job: dict[str, Any]) -> Response:
    return _answer(job, location=f"{PREFIX}job/{job['id']}")


def _answer(content: dict[str, Any], **headers: str) -> Response:
    return Response(json.dumps(content) + "\n", 202, headers, "application/json")


def _key(request: Request) -> str | None:
    header = request.headers.get("idempotency-key")
    if header is None:
        return None
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError("the header Idempotency-Key is not UTF-8") from None


def _text_key(key: object) -> str:
    if not isinstance(key, str):
        raise Unfit("the field 'key' is not a text")
    return key
