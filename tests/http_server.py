"""A live server for tests, one for each process that runs them, on a spool of its own.

``http`` is that server with nothing left to do in its spool; ``serve`` starts others.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pytest
import uvicorn
from conftest import COMMAND, HANGS, Jobs
from uvicorn.server import ServerState

import spoolcalc
from spoolcalc import Spool, State
from spoolcalc.http.app import application
from spoolcalc.http.guard import Policy
from spoolcalc.http.protocol import Protocol
from spoolcalc.http.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

T = TypeVar("T")


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Server:
    """A ``spool serve`` that runs, and its spool."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, spool: Path) -> None:
        self.process = process
        self.log = log
        self.spool = Spool(spool, create=True)
        self.jobs = Jobs(self.spool)
        self.port = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def wait_until_it_serves(self) -> None:
        """Return when it says where it listens."""
        deadline = time.monotonic() + HANGS
        while not (found := re.search(r"serving .* at (\S+)", self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "it does not say that it serves"
            time.sleep(0.01)
        if found[1].startswith("http"):
            self.port = int(found[1].rpartition(":")[2])

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; a body that is no bytes is sent as JSON."""
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = HTTPConnection("127.0.0.1", self.port, timeout=HANGS)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        """Get what is at a path."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        """Post to a path; hyphens in the names of headers are written as underscores."""
        return self.ask("POST", path, body, {n.replace("_", "-"): v for n, v in headers.items()})

    def raw(self, data: bytes) -> bytes:
        """Send bytes, and return all that comes until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=HANGS) as connection:
            connection.sendall(data)
            seen = b""
            while more := connection.recv(65536):
                seen += more
            return seen

    def names(self) -> list[str]:
        """Return all files that the spool has, to see that nothing has come."""
        here = Path(self.spool.path)
        return sorted(str(path) for path in here.rglob("*") if path.is_file())

    def stop(self) -> int:
        """Tell it to end, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(HANGS)


def _start(home: Path, *options: str) -> Server:
    home.mkdir(exist_ok=True)
    log = home / "serve.log"
    environment = {
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(spoolcalc.__file__).parents[1]),
        "SPOOL_DIR": str(home / "spool"),
    }
    listen = () if {"--listen", "--socket"} & set(options) else ("--listen", "127.0.0.1:0")
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "serve", *listen, *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=home,
        )
    return Server(process, log, home / "spool")


@pytest.fixture(scope="session")
def _shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = _start(tmp_path_factory.mktemp("http") / "home", "--allow", "exec")
    try:
        server.wait_until_it_serves()
        yield server
    finally:
        server.stop()


@pytest.fixture
def http(_shared_server: Server) -> Server:
    """Give the server, its spool without jobs that wait."""
    for state in (State.BLOCKED, State.DELAYED, State.PENDING):
        for job in _shared_server.spool.list(state):
            _shared_server.spool.cancel(job.id)
    return _shared_server


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server of one's own; it is ended with the test."""
    running: list[Server] = []

    def begin(*options: str, home: Path | None = None) -> Server:
        server = _start(home or tmp_path / f"server{len(running)}", *options)
        running.append(server)
        server.wait_until_it_serves()
        return server

    yield begin
    for server in running:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


class Loop:
    """An event loop in a thread, in which servers are started that cost next to nothing."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the loop, and return what comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(HANGS)

    def close(self) -> None:
        """End what still runs, and the thread."""

        async def end() -> None:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        self.do(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(HANGS)
        self.loop.close()

    @contextmanager
    def server(self, spool: Path) -> Iterator[str]:
        """Serve a spool for the length of the block; the URL is given."""
        service = Service(Spool(spool, create=True), allow=["exec"])
        config = uvicorn.Config(
            application(service, Policy(["localhost"])), ws="none", lifespan="off", log_config=None
        )
        config.load()
        state = ServerState()

        async def begin() -> asyncio.Server:
            service.watcher.start()
            return await self.loop.create_server(
                lambda: Protocol(config, state, {}, self.loop), "127.0.0.1", 0
            )

        async def end() -> None:
            service.watcher.stop()
            server.close()
            for connection in list(state.connections):
                connection.transport.close()
            await asyncio.gather(*state.tasks, return_exceptions=True)

        server = self.do(begin())
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            self.do(end())
            service.close()


@pytest.fixture(scope="session")
def http_loop() -> Iterator[Loop]:
    """Give the loop for servers that live in the process of the tests."""
    loop = Loop()
    yield loop
    loop.close()
