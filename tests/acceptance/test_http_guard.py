"""What must be refused: by whom it comes, how much it is, how slow, and tricks with the path."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from spoolcalc import Spool
from spoolcalc.http import limits
from spoolcalc.http.events import Events
from spoolcalc.http.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Jobs
    from http_server import Loop, Server

ADD = "/api/v1/add/1/2"
TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def _nothing_comes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold each test to it that what it sends leaves nothing in the spool."""
    if "http" not in request.fixturenames:
        yield
        return
    server: Server = request.getfixturevalue("http")
    before = server.names()
    yield
    assert server.names() == before


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "localhost.evil.example", "", "localhost:x", "[::1"],
)
def test_a_foreign_host_is_refused(host: str, http: Server) -> None:
    """A name that was made to point here is none of ours (DNS rebinding)."""
    assert http.post(ADD, Host=host).status == 421
    assert http.get("/", Host=host).status == 421


def test_no_host_at_all_is_refused(http: Server) -> None:
    """HTTP/1.0 may leave it out."""
    said = http.raw(b"POST /api/v1/add/1/2 HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 421 ")


def test_two_hosts_are_refused(http: Server) -> None:
    """Of two names the wrong one may be looked at."""
    said = http.raw(
        b"POST /api/v1/add/1/2 HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n"
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
    assert said.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
    ids=str,
)
def test_another_site_s_page_cannot_ask(headers: dict[str, str], http: Server) -> None:
    """Neither submit, nor fetch a result, which would mark it retrieved."""
    assert http.ask("POST", ADD, headers=headers).status == 403
    assert http.ask("GET", "/api/v1/status", headers=headers).status == 403
    job = "/api/v1/job/019ab2c4-5d6e-7f80-9a1b-2c3d4e5f6071"
    assert http.ask("GET", f"{job}/result", headers=headers).status == 403


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"],
)
def test_a_form_cannot_submit(kind: str, http: Server) -> None:
    """Not even from a browser that tells no origin: what a form can send is no JSON."""
    body = json.dumps({"operation": "add", "operands": ["1", "2"]}).encode()
    assert http.ask("POST", "/api/v1/jobs", body, {"Content-Type": kind}).status == 415
    assert http.ask("POST", ADD, b"a=b", {"Content-Type": kind}).status == 415


def test_a_body_without_a_kind_is_refused(http: Server) -> None:
    """It must be said that it is JSON."""
    assert http.ask("POST", "/api/v1/jobs", b"{}").status == 415
    assert http.ask("POST", ADD, b"{}").status == 400


def test_our_own_page_can_ask(http: Server) -> None:
    """The same origin by any of our names; a link from elsewhere leads to the page only."""
    here = f"127.0.0.1:{http.port}"
    ours = {"Origin": f"http://{here}", "Sec-Fetch-Site": "same-origin"}
    assert http.ask("GET", "/api/v1/status", headers=ours).status == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert http.ask("GET", "/", headers=link).status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    {
        "dots": ("/api/v1/add/../2", 400),
        "encoded dots": ("/api/v1/add/%2e%2e/2", 400),
        "half encoded dots": ("/api/v1/add/.%2E/2", 400),
        "one dot": ("/api/v1/add/./2", 400),
        "encoded slash": ("/api/v1/add/1%2f2", 400),
        "encoded slash, capital": ("/api/v1/add%2F1%2F2", 400),
        "encoded NUL": ("/api/v1/add/1/2%00", 400),
        "NUL in the query": ("/api/v1/jobs?label=%00", 200),
        "twice encoded slash": ("/api/v1/add/1%252f2", 400),
        "no UTF-8": ("/api/v1/add/1/%ff", 400),
        "out of the static files": ("/static/../app.py", 400),
        "out of them, encoded": ("/static/%2e%2e/app.py", 400),
        "out of them, backslash": ("/static/..%5capp.py", 404),
        "another file": ("/static/app.py", 404),
        "an empty part": ("//etc/passwd", 404),
        "a path as an id": ("/api/v1/job/%2e%2e%2fformat.json", 400),
        "full width digits": ("/api/v1/add/%EF%BC%91/2", 400),
        "too long": ("/api/v1/add/1/" + "9" * limits.LONGEST_URL, 414),
    }.values(),
)
def test_tricks_with_the_path(path: str, status: int, http: Server) -> None:
    """What could mean two things is refused."""
    methods = {"POST"} if path.startswith("/api/v1/add") else {"GET"}
    for method in methods:
        assert http.ask(method, path).status == status


def test_what_is_no_http_is_refused(http: Server) -> None:
    """With a problem document, too."""
    said = http.raw(b"\x16\x03\x01 hello\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in said


def test_a_body_that_differs_from_its_length_is_no_second_request(http: Server) -> None:
    """Content-Length and Transfer-Encoding together are how requests are smuggled."""
    said = http.raw(
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nPOST /api/v1/add/1/2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    assert said.count(b"HTTP/1.1 ") == 1
    assert said.startswith(b"HTTP/1.1 400 ")


def test_ten_megabytes_are_too_much(http: Server) -> None:
    """Told by its length, or found while it comes in chunks: 413."""
    body = b" " * 10_000_000
    sent = {"Content-Type": "application/json"}
    assert http.ask("POST", "/api/v1/jobs", body, sent).status == 413
    connection = http_connection(http)
    chunks = (b" " * 100_000 for _ in range(100))
    connection.request("POST", "/api/v1/jobs", chunks, sent, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_length_beyond_all_bounds_is_not_waited_for(http: Server) -> None:
    """The answer comes before the body."""
    said = http.raw(
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99999999999\r\n\r\n"
    )
    assert said.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("size", [40_000, 400_000])
def test_headers_without_end_are_refused(size: int, http: Server) -> None:
    """One, or many, whole or not."""
    for field in (b"X: " + b"a" * size, b"X: a\r\n" * (size // 6)):
        for end in (b"\r\n\r\n", b""):
            said = http.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + field + end)
            assert said.startswith(b"HTTP/1.1 431 ")


def test_many_operands_have_a_limit(http: Server) -> None:
    """It is that of the command, in its words."""
    fields = {"operation": "sum", "operands": ["1"] * 10_001}
    answer = http.post("/api/v1/jobs", fields)
    assert answer.status == 400
    assert "a job takes at most 10,000" in answer.json["detail"]
    many = [{"operation": "add", "operands": ["1", "2"]}] * (limits.MOST_JOBS + 1)
    assert http.post("/api/v1/jobs", many).status == 400


def test_every_answer_has_the_headers_that_protect(http: Server) -> None:
    """What the API answers is no page and is not kept; the page may do little."""
    for path in ("/api/v1/status", "/nowhere", "/healthz"):
        headers = http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = http.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_methods_that_are_not_taken(http: Server) -> None:
    """405 with those that are."""
    answer = http.get(ADD)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert http.ask("PUT", "/api/v1/jobs", {}).status == 405
    assert http.ask("OPTIONS", "/api/v1/jobs").status == 405


def answers(url: str, *requests: bytes) -> Iterator[bytes]:
    """Send requests on connections of their own, and give the status line of each answer."""
    port = int(url.rpartition(":")[2])
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            for _ in requests
        ]
        for connection, request in zip(connections, requests, strict=True):
            connection.sendall(request)
        for connection in connections:
            with connection.makefile("rb") as stream:
                yield stream.readline()


def test_pages_that_are_opened_at_once_are_counted(
    http_loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    """All that ask before the first is answered; those that close leave room."""
    monkeypatch.setattr("spoolcalc.http.events.MOST_STREAMS", 2)
    ask = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with http_loop.server(tmp_path / "spool") as url:
        gate = threading.Event()
        http_loop.loop.call_soon_threadsafe(gate.wait, 0.3)
        said = sorted(line[9:12] for line in answers(url, *[ask] * 6))
        assert said == [b"200"] * 2 + [b"503"] * 4
        until(lambda: next(answers(url, ask))[9:12] == b"200")
        assert next(answers(url, ask.replace(b"GET", b"HEAD")))[9:12] == b"405"


def test_waits_for_files_are_counted(
    http_loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those for jobs are."""
    monkeypatch.setattr("spoolcalc.http.watch.MOST_WAITS", 1)
    spool = Spool(tmp_path / "spool", create=True)
    (tmp_path / "spool" / "inbox" / "file.json").write_text("{}")
    asks = [
        f"GET /api/v1/job/{word}?wait=1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        for word in ("file", spool.submit("add", ["1", "2"]))
    ]
    with http_loop.server(tmp_path / "spool") as url:
        said = sorted(line[9:12] for line in answers(url, *asks))
    assert said[-1] == b"503"
    assert b"503" not in said[:-1]


def test_bodies_have_a_limit_together(
    http_loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    """Who holds some back keeps others from sending large ones, and from sending small ones not."""
    monkeypatch.setattr(limits, "LARGEST_BODIES", 1_000_000)
    head = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

    def held(size: int, missing: int) -> bytes:
        return head + b"Content-Length: %d\r\n\r\n" % size + b" " * (size - missing)

    with http_loop.server(tmp_path / "spool") as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(held(600_000, 1))
            for _ in range(20):  # with each of these it has read more of that
                assert next(answers(url, held(1, 0)))[9:12] == b"400"
            assert next(answers(url, held(600_000, 0)))[9:12] == b"503"
            assert next(answers(url, held(60_000, 0)))[9:12] == b"400"
        until(lambda: next(answers(url, held(600_000, 0)))[9:12] == b"400")


def test_commands_are_off_unless_allowed(serve: Callable[..., Server]) -> None:
    """403, and nothing is written."""
    server = serve()
    before = server.names()
    fields = {"operation": "exec", "operands": ["true"], "cwd": "/"}
    answer = server.post("/api/v1/jobs", fields)
    assert (answer.status, answer.json["detail"]) == (403, "exec is off over HTTP")
    assert server.post("/api/v1/exec/true").status == 403
    good = {"operation": "add", "operands": ["1", "2"]}
    refused = server.post("/api/v1/jobs", [good, fields])
    assert (refused.status, refused.json["job"]) == (403, 2)
    assert refused.json["detail"] == "job 2: exec is off over HTTP"
    assert server.names() == before


def test_a_token_is_asked_for(serve: Callable[..., Server], tmp_path: Path) -> None:
    """By all but the page and the health checks."""
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    server = serve("--token-file", str(file))
    before = server.names()
    wrong = ["Bearer " + TOKEN[:-1], f"Bearer {TOKEN}0", f"Basic {TOKEN}", TOKEN, "Bearer", ""]
    for header in wrong:
        answer = server.post(ADD, Authorization=header)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="spool"'
    for path in ("/api/v1/status", "/metrics", "/api/v1/events", "/nowhere"):
        assert server.get(path).status == 401
    assert server.names() == before
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/static/page.css"):
        assert server.get(path).status == 200
    assert server.post(ADD, Authorization=f"Bearer {TOKEN}").status == 202
    assert server.post(ADD, Authorization=f"bearer {TOKEN}").status == 202


@pytest.mark.parametrize(
    ("length", "rest"),
    [
        (b"", b"\r\n"),
        (b"", b"GET / HT"),
        (b"Content-Length: 100\r\n", b"x"),
        (b"Content-Length: 1\r\n", b"x"),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\nhel"),
    ],
    ids=str,
)
def test_what_comes_behind_an_answer_does_not_keep_the_connection(
    length: bytes,
    rest: bytes,
    http_loop: Loop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The beginning of a request, or more of one that was answered already, has its time too."""
    monkeypatch.setattr("spoolcalc.http.protocol.HEAD_TIME", 0.1)
    monkeypatch.setattr("spoolcalc.http.protocol.BODY_TIME", 0.1)
    with http_loop.server(tmp_path / "spool") as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + length + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            connection.sendall(rest)
            while connection.recv(65536):
                pass


@pytest.mark.parametrize("path", ["/output/stdout", "events"])
def test_who_reads_nothing_is_cut_off(
    path: str, http_loop: Loop, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An output of which nothing is read, and a page that takes nothing, leave room for others."""
    monkeypatch.setattr("spoolcalc.http.protocol.READ_TIME", 0.1)
    size = 20_000_000
    if path == "events":
        monkeypatch.setattr(Events, "_snapshot", lambda _: "x" * size)
        path = "/api/v1/events"
    else:
        path = f"/api/v1/job/{jobs.command(b'x' * size)}{path}"
    gone = threading.Event()
    lost = Protocol.connection_lost

    def noted(protocol: Protocol, error: Exception | None) -> None:
        lost(protocol, error)
        gone.set()

    monkeypatch.setattr(Protocol, "connection_lost", noted)
    with http_loop.server(Path(jobs.spool.path)) as url, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert gone.wait(20)


def test_who_reads_slowly_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as there is less to be read each time."""
    left = iter([500, 400, 300, 300])
    monkeypatch.setattr(Protocol, "_left", lambda _: next(left))
    protocol = Protocol.__new__(Protocol)
    protocol._unread = None
    protocol.flow, protocol.loop, protocol.transport = MagicMock(), MagicMock(), MagicMock()
    protocol.pause_writing()
    for calls in (1, 2, 3):
        assert protocol.loop.call_later.call_count == calls
        protocol.transport.abort.assert_not_called()
        _, look, before = protocol.loop.call_later.call_args.args
        look(before)
    assert protocol.loop.call_later.call_count == 3
    protocol.transport.abort.assert_called_once()


@pytest.mark.slow
def test_slow_clients_are_refused(http: Server) -> None:
    """408 after the time that head and body have; a drop each second does not prolong it."""
    head = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n"
    whole = head + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    for sent, drop, most in (
        (head, b"X: a\r\n", limits.HEAD_TIME),
        (whole, b" ", limits.BODY_TIME),
        (b"", b"", limits.HEAD_TIME),
    ):
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", http.port)) as connection:
            connection.settimeout(1.0)
            connection.sendall(sent)
            seen = b""
            while not seen:
                try:
                    seen = connection.recv(65536)
                except TimeoutError:
                    connection.sendall(drop)
                assert time.monotonic() - began < most + 10
        assert seen.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began >= most - 1


def http_connection(server: Server) -> http.client.HTTPConnection:
    """Return a connection to a server."""
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
