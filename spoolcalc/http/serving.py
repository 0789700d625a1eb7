"""The server from its start to its end.

Told to end by SIGTERM or SIGINT, it takes no more connections, tells those who wait, lets the
requests in flight end, for ``STOP_TIME`` seconds at most, and ends with 0.  What was acknowledged
was on disk before that, so that nothing is lost by any other end either.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from spoolcalc import output
from spoolcalc.errors import OK
from spoolcalc.http import limits, listening
from spoolcalc.http.app import application
from spoolcalc.http.guard import Policy
from spoolcalc.http.protocol import Protocol
from spoolcalc.http.service import Service
from spoolcalc.notify import ServiceManager
from spoolcalc.spool import Spool

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

#: Descriptors that the server needs beside those of its clients.
_SPARE = 256


def serve(
    path: str,
    *,
    listen: str | None = None,
    unix: str | None = None,
    token_file: str | None = None,
    allow: Sequence[str] = (),
    allow_hosts: Sequence[str] = (),
) -> int:
    """Serve a spool until told to end."""
    manager = ServiceManager.of_this_process()
    listeners = listening.inherited()
    token = None if token_file is None else listening.read_token(token_file)
    spool = Spool(path, create=True)
    _ = spool.settings  # what is wrong with them is told now, and not by each submit
    made: listening.Place | None = None
    if listen is not None or (unix is None and not listeners):
        address = listen or listening.DEFAULT
        listeners.append(listening.open_address(address, guarded=token is not None))
    if unix is not None:
        listeners.append(listening.open_unix(unix))
        made = listening.Place(unix)
    try:
        for listener in listeners:
            if token is None and listening.is_open_to_others(listener):
                raise listening.unguarded(listening.name_of(listener))
        service = Service(spool, allow=allow)
        try:
            policy = Policy(listening.hosts(listeners, allow_hosts), token)
            _run(service, policy, listeners, manager, made)
        finally:
            service.close()
    finally:
        if made is not None:
            made.leave()
        for listener in listeners:
            listener.close()
    return OK


def _run(
    service: Service,
    policy: Policy,
    listeners: list[socket.socket],
    manager: ServiceManager | None,
    made: listening.Place | None,
) -> None:
    _raise_limit()
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(_Told())
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    places = " and ".join(map(listening.name_of, listeners))
    told = f"serving {service.spool.path} at {places}"
    config = uvicorn.Config(
        application(service, policy),
        loop="asyncio",
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=limits.IDLE_TIME,
        timeout_graceful_shutdown=limits.STOP_TIME,
    )
    asyncio.run(_Server(config, service, manager, told, made).serve(listeners))


class _Server(uvicorn.Server):
    """uvicorn's server, which ends as ours do, and tells the service manager."""

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        manager: ServiceManager | None,
        told: str,
        made: listening.Place | None,
    ) -> None:
        super().__init__(config)
        self._made = made
        self._service = service
        self._manager = manager
        self._told = told
        self._watchdog_due = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        self._service.watcher.start()
        await super().startup(sockets)
        output.tell(f"spool: {self._told}")
        if self._manager is not None:
            self._manager.tell(READY=1, STATUS=self._told)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Leave the place to the next server, and let the requests in flight end."""
        if self._made is not None:
            self._made.leave()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Tell that all is well, as often as is asked for."""
        manager = self._manager
        if manager is not None and manager.watchdog is not None:
            now = asyncio.get_running_loop().time()
            if now >= self._watchdog_due:
                self._watchdog_due = now + manager.watchdog / 3
                manager.tell(WATCHDOG=1)
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT end it; a second one does not wait for requests in flight."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = True
        if self._manager is not None:
            microseconds = int((limits.STOP_TIME + 5) * 1_000_000)
            self._manager.tell(STOPPING=1, EXTEND_TIMEOUT_USEC=microseconds)
        self._service.watcher.stop()


class _Told(logging.Handler):
    """Hands what uvicorn has to say to the one that talks to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it, unless it is an answer that was cut off by the end of the server."""
        if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
            return
        output.tell(f"spool: {self.format(record).rstrip()}", output.ERROR)


def _raise_limit() -> None:
    """Have as many descriptors as clients are let in, if the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.MOST_CLIENTS + _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
