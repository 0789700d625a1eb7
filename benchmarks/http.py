"""What HTTP costs: a POST against the same framework's empty handler plus one durable submit.

One client, one connection, one after the other: a POST to ``spool serve``, a POST to a handler that
does nothing, and ``Spool.submit()`` in this process, in turn, so that what else the machine does
falls on all alike.  Then many clients at once, who share the syncs.
"""

from __future__ import annotations

import os
import re
import socket
import statistics
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.bench import until
from benchmarks.report import Line, at_least, milliseconds, rate
from spoolcalc import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.bench import Bench

#: The empty handler, served as ours is.
_EMPTY = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

async def empty(request):
    return Response(b"{}", 202, media_type="application/json")

app = Starlette(routes=[Route("/api/v1/{operation}/{operands:path}", empty, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), loop="asyncio", http="httptools", ws="none",
            lifespan="off", access_log=False, log_level="error")
"""
_POST = b"POST /api/v1/add/12/23 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
#: Clients at once.
_MANY = 32


class Client:
    """One connection, kept open."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self) -> float:
        """Submit a job, and return how long that took."""
        began = time.perf_counter()
        self._socket.sendall(_POST)
        answer = b""
        while not _is_whole(answer):
            answer += self._socket.recv(65536)
        if not answer.startswith(b"HTTP/1.1 202 "):
            raise RuntimeError(answer.decode())
        return time.perf_counter() - began

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def measure(bench: Bench) -> Iterator[Line]:
    """Yield the costs one by one, then the rate of many at once."""
    path = bench.directory("http")
    spool = Spool(bench.directory("alone"), create=True)
    posts: list[float] = []
    empties: list[float] = []
    submits: list[float] = []
    ports = _free_port(), _free_port()
    with (
        _server([bench.command, "serve", "--listen", f"127.0.0.1:{ports[0]}"], bench, path),
        _server([bench.python, "-c", _EMPTY, str(ports[1])], bench, path),
    ):
        ours, empty = (_connected(port) for port in ports)
        for _ in range(bench.rounds(500, 50)):
            posts.append(ours.post())
            empties.append(empty.post())
            began = time.perf_counter()
            spool.submit("add", ["12", "23"])
            submits.append(time.perf_counter() - began)
        of = "an empty handler and a submit()"
        floor = [a + b for a, b in zip(empties, submits, strict=True)]
        value = statistics.median(floor) / statistics.median(posts)
        yield Line("POST to an empty handler", milliseconds(statistics.median(empties)))
        yield Line("submit()", milliseconds(statistics.median(submits)))
        figure = milliseconds(statistics.median(posts))
        yield Line("POST of a job, requests/s as a ratio", figure, value, of, at_least(0.7))
        together = _many(ports[0], bench.rounds(3000, 300))
        alone = 1 / statistics.median(floor)
        yield Line(f"{_MANY} clients at once", rate(together), together / alone, of)
        ours.close()
        empty.close()


def _many(port: int, number: int) -> float:
    """Return how many jobs a second many clients submit together."""
    clients = [_connected(port) for _ in range(_MANY)]

    def work(client: Client) -> None:
        for _ in range(number // _MANY):
            client.post()

    threads = [threading.Thread(target=work, args=[client]) for client in clients]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - began
    for client in clients:
        client.close()
    return number // _MANY * _MANY / taken


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head)
    return bool(end) and found is not None and len(body) >= int(found[1])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _connected(port: int) -> Client:
    clients: list[Client] = []

    def connects() -> bool:
        try:
            clients.append(Client(port))
        except ConnectionRefusedError:
            return False
        return True

    until(connects, pause=0.05)
    return clients[0]


@contextmanager
def _server(command: Sequence[str], bench: Bench, path: os.PathLike[str]) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        env={**bench.environment(bench.place), "SPOOL_DIR": os.fspath(path)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
