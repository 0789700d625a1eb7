"""A live server for tests, one for each process that runs them, on a spool of its own.

``http`` is that server with nothing left to do in its spool; ``serve`` starts others.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from conftest import COMMAND, HANGS, Jobs

import spoolcalc
from spoolcalc import Spool, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


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
