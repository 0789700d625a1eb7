"""What those ask who watch over servers: is it there, can it be used, and how much is there to do.

``/healthz`` tells only that the server answers.  ``/readyz`` is 200 while the spool can be used and
a worker is alive.  ``/metrics`` is in the text format of Prometheus.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from starlette.responses import Response

from spoolcalc import access
from spoolcalc.errors import SpoolUnusable
from spoolcalc.http.asked import Query
from spoolcalc.metrics import figures
from spoolcalc.overview import has_worker
from spoolcalc.render.metrics import as_text

if TYPE_CHECKING:
    from starlette.requests import Request

    from spoolcalc.http.service import Service


class Health:
    """The handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def alive(self, request: Request) -> Response:
        """Tell that the server answers."""
        Query(request)
        return Response(json.dumps({"status": "ok"}) + "\n", media_type="application/json")

    async def ready(self, request: Request) -> Response:
        """Tell whether jobs can be submitted and will be run."""
        Query(request)
        await self._service.call(self._check)
        return Response(json.dumps({"status": "ready"}) + "\n", media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        """Give the figures of `spool metrics`, and how many wait."""
        Query(request)
        text = await self._service.call(self._metrics)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    def _check(self) -> None:
        layout = access.open_spool(self._service.spool.path)
        if not os.access(layout.tmp, os.W_OK):
            raise SpoolUnusable(f"{layout.tmp} cannot be written to")
        if not has_worker(layout):
            raise SpoolUnusable("no worker is alive", "Start one with `spool work`.")

    def _metrics(self) -> str:
        spool = self._service.spool
        waits = self._service.watcher.waits
        text = as_text(figures(spool.layout))
        self._service.check()
        return text + (
            "# HELP spool_http_waits Requests that wait for jobs.\n"
            "# TYPE spool_http_waits gauge\n"
            f"spool_http_waits {waits}\n"
        )
