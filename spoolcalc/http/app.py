"""The application: which path is answered by what."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from spoolcalc import __version__
from spoolcalc.errors import BUG, SpoolError
from spoolcalc.http.contract import contract
from spoolcalc.http.docs import docs_page
from spoolcalc.http.events import Events
from spoolcalc.http.guard import Guard
from spoolcalc.http.health import Health
from spoolcalc.http.jobs import Jobs
from spoolcalc.http.lists import Lists
from spoolcalc.http.problems import Refused, problem, refusal
from spoolcalc.http.service import Gone
from spoolcalc.http.submitting import OneOfMany, Submitting

if TYPE_CHECKING:
    from starlette.requests import Request

    from spoolcalc.http.guard import Policy
    from spoolcalc.http.service import Service

#: What a page may do: show what is ours, ask us, and nothing else.
_PAGE = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-cache",
}
_KINDS = {
    "page.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "story.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def application(service: Service, policy: Policy) -> Guard:
    """Return all of it, guarded."""
    submitting, jobs, lists = Submitting(service), Jobs(service), Lists(service)
    health, events = Health(service), Events(service)
    document = contract()
    of_job = "/api/v1/job/{id}"
    routes = [
        Route("/api/v1/jobs", lists.jobs),
        Route("/api/v1/jobs", submitting.by_body, methods=["POST"]),
        Route(of_job, jobs.show),
        Route(of_job, jobs.cancel, methods=["DELETE"]),
        _Get(f"{of_job}/result", jobs.result),
        _Get(f"{of_job}/output/{{stream}}", jobs.output),
        Route(f"{of_job}/retrieved", jobs.retrieved, methods=["POST"]),
        Route(f"{of_job}/retry", jobs.retry, methods=["POST"]),
        Route("/api/v1/wait", lists.wait, methods=["POST"]),
        Route("/api/v1/status", lists.overview),
        Route("/api/v1/operations", lists.operations),
        _Get("/api/v1/events", events.stream),
        Route("/healthz", health.alive),
        Route("/readyz", health.ready),
        Route("/metrics", health.metrics),
        Route(
            "/",
            _fixed((files("spoolcalc.http") / "static" / "page.html").read_bytes(), "page.html"),
        ),
        *(
            Route(
                f"/static/{name}",
                _fixed((files("spoolcalc.http") / "static" / name).read_bytes(), name),
            )
            for name in _KINDS
            if name != "page.html"
        ),
        Route("/docs", _fixed(docs_page(document).encode(), "page.html")),
        Route("/openapi.json", _fixed(json.dumps(document).encode(), "openapi.json")),
        # Last: whatever is no other path names an operation.
        Route("/api/v1/{operation}", submitting.by_path, methods=["POST"]),
        Route("/api/v1/{operation}/{operands:path}", submitting.by_path, methods=["POST"]),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _unrouted,
            ClientDisconnect: _left,
            Refused: _refused,
            SpoolError: _failed,
            Exception: _bug,
        },
    )
    app.router.redirect_slashes = False
    return Guard(app, policy)


class _Get(Route):
    """A path that is asked for what it holds, or not at all: no HEAD."""

    def __init__(self, path: str, endpoint: Any) -> None:
        super().__init__(path, endpoint)
        self.methods = {"GET"}


def _fixed(content: bytes, name: str) -> Any:
    async def answer(_: Request) -> Response:
        return Response(content, 200, _PAGE, _KINDS.get(name, "application/json"))

    return answer


async def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - told to the type checker
    path, method = request.scope["path"], request.scope["method"]
    if error.status_code == 405:
        refused = Refused(405, f"{path} takes no {method}", headers=error.headers)
    elif error.status_code == 404:
        refused = Refused(404, f"there is nothing at {path}", "/docs tells what there is.")
    else:
        refused = Refused(error.status_code, error.detail)
    return refusal(refused)


async def _left(_: Request, __: Exception) -> Response:
    """Answer who went away in the middle of a body: nobody hears it, and it is no bug."""
    return Response(status_code=400)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - told to the type checker
    return refusal(error)


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, SpoolError)  # noqa: S101 - told to the type checker
    more = {"job": error.number} if isinstance(error, OneOfMany) else {}
    return problem(error, 410 if isinstance(error, Gone) else None, **more)


async def _bug(_: Request, error: Exception) -> Response:
    told = SpoolError(
        f"a bug in spool: {type(error).__name__}: {error}",
        f"Please report it to the project, with the server's log (spoolcalc {__version__}).",
    )
    told.exit_code = BUG
    return problem(told)
