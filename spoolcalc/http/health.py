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
from spoolcalc.overview import has_worker

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
        """Count jobs and workers."""
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
        seen = self._service.spool.overview()
        lines = ["# HELP spool_jobs Jobs by state.", "# TYPE spool_jobs gauge"]
        lines += [f'spool_jobs{{state="{state}"}} {n}' for state, n in seen.counts.items()]
        for name, text, value in (
            ("spool_corrupt", "Files that are no jobs and were put aside.", seen.corrupt),
            ("spool_inbox", "Files that are to be made jobs.", seen.inbox),
            ("spool_oldest_pending_seconds", "Age of the oldest pending job.", seen.oldest or 0),
            ("spool_workers", "Workers that are alive.", len(seen.workers)),
            ("spool_http_waits", "Requests that wait for jobs.", self._service.watcher.waits),
            ("spool_paused", "Whether workers are to take nothing.", int(bool(self._paused))),
        ):
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge", f"{name} {value}"]
        return "\n".join(lines) + "\n"

    @property
    def _paused(self) -> object:
        return self._service.spool.paused
