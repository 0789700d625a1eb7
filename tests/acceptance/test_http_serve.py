"""`spool serve`: where it listens, whom it lets in, how it starts and ends, and who waits."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import COMMAND

from spoolcalc import Spool, State, locks, lookup
from spoolcalc.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Commands, Jobs, Process, Ran
    from http_server import Loop, Server

    from spoolcalc import Job
    from spoolcalc.layout import Layout

API = "/api/v1"


def test_without_the_extra_it_says_how_to_get_it(run: Callable[..., Ran]) -> None:
    """Exit code 2, and no spool is made."""
    hidden = "import sys; sys.modules['uvicorn'] = None; from spoolcalc.entry import main; main()"
    ended = run("serve", command=(sys.executable, "-c", hidden))
    assert ended.returncode == 2
    assert "uvicorn" in ended.stderr
    assert "pip install 'spoolcalc[http]'" in ended.stderr


@pytest.mark.parametrize("words", [["submit", "add", "1", "2"], ["status"], ["work", "--once"]])
def test_no_other_command_loads_it(words: list[str], run: Callable[..., Ran]) -> None:
    """Nor does it take part in their start."""
    told = (
        "import atexit, sys; "
        "atexit.register(lambda: print([m for m in ('uvicorn', 'starlette', 'spoolcalc.http', "
        "'asyncio', 'http.client') if m in sys.modules], file=sys.stderr)); "
        "from spoolcalc import cli; sys.exit(cli.run(sys.argv[1:]))"
    )
    run("submit", "add", "1", "2")
    ended = run(*words, command=(sys.executable, "-c", told))
    assert ended.returncode == 0
    assert ended.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ("--listen 0.0.0.0:0", 2, "there is no token"),
        ("--listen [::]:0", 2, "there is no token"),
        ("--listen localhost", 2, "not an address"),
        ("--listen 127.0.0.1:x", 2, "not an address"),
        ("--listen 127.0.0.1:70000", 2, "not an address"),
        ("--listen nowhere.invalid:80", 2, "no such address"),
        ("--token-file missing", 2, "there is no file missing"),
        ("--token-file short", 2, "holds no token"),
        ("--token-file open", 7, "others may read open"),
        ("--token-file theirs", 7, "others may read theirs"),
        ("--token-file group's", 7, "others may read group's"),
        ("--socket spool/format.json", 2, "and no socket"),
        ("--socket=", 2, "not a path: ''"),
        ("--socket missing/socket", 7, "missing/socket"),
        ("--allow add", 2, "Only exec can be allowed"),
    ],
)
def test_bad_options(
    options: str, code: int, said: str, run: Callable[..., Ran], commands: Commands, tmp_path: Path
) -> None:
    """They are told, and it does not start."""
    for name, token, mode in (
        ("short", "abc", 0o600),
        ("open", "a" * 32, 0o644),
        ("theirs", "a" * 32, 0o666),
        ("group's", "a" * 32, 0o660),
    ):
        file = commands.home / name
        file.write_text(token)
        file.chmod(mode)
        if os.geteuid() == 0 and name in ("theirs", "group's"):
            os.chown(file, 65534, 65534)
    Spool(commands.home / "spool", create=True)
    ended = run("serve", *options.split())
    assert ended.returncode == code
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken(run: Callable[..., Ran], http: Server) -> None:
    """Exit code 7, and who has it can be found."""
    ended = run("serve", "--listen", f"127.0.0.1:{http.port}")
    assert ended.returncode == 7
    assert "Address already in use" in ended.stderr
    assert "--listen" in ended.stderr


def test_a_unix_socket(serve: Callable[..., Server], tmp_path: Path) -> None:
    """For its owner alone; what an earlier server has left there is replaced, and it is removed."""
    path = tmp_path / "s"
    for _ in range(2):
        server = serve("--socket", str(path), home=tmp_path / "home")
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        server.process.kill()
        server.process.wait()
        assert path.exists()
    server = serve("--socket", str(path), home=tmp_path / "home")
    assert server.stop() == 0
    assert not path.exists()


def test_a_socket_of_another_server_is_left_alone(
    serve: Callable[..., Server], run: Callable[..., Ran], tmp_path: Path
) -> None:
    """It is in use, and stays."""
    path = tmp_path / "s"
    serve("--socket", str(path))
    ended = run("serve", "--socket", str(path))
    assert ended.returncode == 7
    assert "another server listens" in ended.stderr
    assert path.exists()


def test_a_server_that_ends_leaves_its_successor_s_socket_alone(
    serve: Callable[..., Server], until: Callable[..., Any], tmp_path: Path
) -> None:
    """The first has a request in flight when it is told to end, and the second starts meanwhile."""
    path, home = tmp_path / "s", tmp_path / "home"
    first = serve("--socket", str(path), home=home)
    job_id = first.jobs.pending()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        # Its body never comes, so that the request is in flight until the time to stop is over.
        connection.sendall(
            b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 9\r\n\r\n"
        )
        with socket.socket(socket.AF_UNIX) as other:  # by now the first one has seen it
            other.connect(str(path))
            other.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert other.recv(65536).startswith(b"HTTP/1.1 200 ")
        first.process.send_signal(signal.SIGTERM)
        until(lambda: not path.exists())
        second = serve("--socket", str(path), home=home)
        assert first.process.poll() is None
    assert first.stop() == 0
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(f"GET {API}/job/{job_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert second.stop() == 0
    assert not path.exists()


def activated(
    commands: Commands, *listeners: socket.socket, **more: str
) -> subprocess.Popen[bytes]:
    """Start a server as the service manager does: the sockets are its descriptors 3, 4, ..."""
    code = (
        "import os, sys\n"
        "for n, given in enumerate(map(int, sys.argv[1].split(',')), 3):\n"
        "    os.dup2(given, n + 50)\n"
        "for n in range(len(sys.argv[1].split(','))):\n"
        "    os.dup2(n + 53, n + 3)\n"
        "    os.set_inheritable(n + 3, True)\n"
        "os.environ['LISTEN_PID'] = str(os.getpid())\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])\n"
    )
    numbers = ",".join(str(listener.fileno()) for listener in listeners)
    return subprocess.Popen(
        [sys.executable, "-c", code, numbers, *COMMAND[1:], "serve"],
        env={**commands.environment, "LISTEN_FDS": str(len(listeners)), **more},
        pass_fds=[listener.fileno() for listener in listeners],
        stderr=subprocess.PIPE,
    )


def test_sockets_from_the_service_manager(commands: Commands, tmp_path: Path) -> None:
    """It answers at those it is handed, says when it is ready and when it ends."""
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(20)
    tcp = socket.create_server(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "s"))
    unix.listen()
    with tcp, unix, told:
        more = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
        process = activated(commands, tcp, unix, **more)
        try:
            assert told.recv(4096).startswith(b"READY=1\nSTATUS=serving ")
            assert told.recv(4096) == b"WATCHDOG=1"
            for family, place in (
                (socket.AF_INET, tcp.getsockname()),
                (socket.AF_UNIX, unix.getsockname()),
            ):
                with socket.socket(family) as connection:
                    connection.connect(place)
                    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            process.send_signal(signal.SIGTERM)
            while not (message := told.recv(4096)).startswith(b"STOPPING=1"):
                assert message == b"WATCHDOG=1"
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.communicate()


def test_an_abstract_socket_is_open_to_others(commands: Commands) -> None:
    """It has no mode, so that it needs a token."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0spool-{new_id()}")
        listener.listen()
        process = activated(commands, listener)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 2
    assert b"and there is no token" in told


def test_sockets_for_somebody_else_are_left_alone(commands: Commands, http: Server) -> None:
    """LISTEN_PID says whose they are."""
    ended = commands.run(
        "serve",
        "--listen",
        f"127.0.0.1:{http.port}",
        env={"LISTEN_PID": "1", "LISTEN_FDS": "1"},
    )
    assert "Address already in use" in ended.stderr


# --- waiting --------------------------------------------------------------------------------------


def later(function: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Call a function in a thread; its answer comes into the list."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(function()))
    thread.start()
    return thread, answers


def test_a_wait_ends_when_the_job_does(http: Server, start: Callable[..., Process]) -> None:
    """Of a job and of its result; the answer is what it would be without waiting."""
    job_id = http.post(f"{API}/add/12/23").json["id"]
    thread, answers = later(lambda: http.get(f"{API}/job/{job_id}?wait=20"))
    other, results = later(lambda: http.get(f"{API}/job/{job_id}/result?wait=20"))
    began = time.monotonic()
    start("--spool", http.spool.path, "work", "--once")
    thread.join(20)
    other.join(20)
    assert time.monotonic() - began < 10
    assert (answers[0].status, answers[0].json["result"]) == (200, "35")
    assert (results[0].status, results[0].text) == (200, "35\n")


def test_a_wait_runs_out(http: Server) -> None:
    """The job is told as it is then."""
    job_id = http.post(f"{API}/add/12/23").json["id"]
    began = time.monotonic()
    answer = http.get(f"{API}/job/{job_id}?wait=0.3")
    assert 0.3 <= time.monotonic() - began < 5
    assert (answer.status, answer.json["status"]) == (200, "pending")
    assert http.get(f"{API}/job/{job_id}/result?wait=0.1").status == 202
    for bad in ("61", "-1", "soon", "1e3", ""):
        assert http.get(f"{API}/job/{job_id}?wait={bad}").status == 400


def test_a_wait_ends_when_the_job_is_gone(http: Server, until: Callable[..., Any]) -> None:
    """It was fetched and cleaned between two looks."""
    job_id = http.jobs.pending()
    thread, answers = later(lambda: http.get(f"{API}/job/{job_id}?wait=20"))
    until(lambda: "spool_http_waits 1\n" in http.get("/metrics").text)
    path = http.jobs.path(job_id)
    path.unlink()
    thread.join(20)
    assert answers[0].status in (404, 410)


def test_a_wait_for_a_file_of_the_inbox(http: Server, start: Callable[..., Process]) -> None:
    """It begins before a worker has made it a job."""
    name = f"file{new_id()}"
    inbox = f"{http.spool.path}/inbox"
    with open(f"{inbox}/.{name}", "w", encoding="utf-8") as file:
        json.dump({"operation": "add", "operands": ["1", "2"]}, file)
    os.rename(f"{inbox}/.{name}", f"{inbox}/{name}.json")
    assert http.get(f"{API}/job/{name}").status == 409
    thread, answers = later(lambda: http.get(f"{API}/job/{name}?wait=20"))
    start("--spool", http.spool.path, "work", "--once")
    thread.join(20)
    assert (answers[0].status, answers[0].json["result"]) == (200, "3")


def test_a_wait_for_many_jobs(http: Server, start: Callable[..., Process]) -> None:
    """It tells those that have ended as soon as one has, and those that are not there."""
    done, waiting = http.jobs.completed(), http.jobs.pending()
    path = f"{API}/wait?wait=20"
    told = http.post(path, {"ids": [done, waiting]}).json
    assert told == {"ended": [{"id": done, "state": "completed"}], "errors": []}
    missing = new_id()
    [error] = http.post(path, {"ids": [waiting, missing]}).json["errors"]
    assert (error["id"], error["status"], error["exit_code"]) == (missing, 404, 3)
    thread, answers = later(lambda: http.post(path, {"ids": [waiting, waiting]}))
    start("--spool", http.spool.path, "work", "--once")
    thread.join(20)
    assert answers[0].json["ended"] == [{"id": waiting, "state": "completed"}]
    bodies: list[Any] = [{}, [], {"ids": []}, {"ids": ["x"]}, {"ids": [1]}, {"ids": [done], "x": 1}]
    for bad in bodies:
        assert http.post(path, bad).status == 400


def test_who_waits_for_many_does_not_have_all_of_them_looked_up_each_time(
    http_loop: Loop, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were there once are looked at by their names, and only some of them are read."""
    ids = list(jobs.spool.submit_many(("neg", ["1"]) for _ in range(200)))
    looks: list[str] = []
    find = lookup.find

    def counting(layout: Layout, job_id: str) -> tuple[Job, str]:
        looks.append(job_id)
        return find(layout, job_id)

    monkeypatch.setattr(lookup, "find", counting)
    with http_loop.server(Path(jobs.spool.path)) as url:

        def ask(wait: float, ids: list[str]) -> dict[str, Any]:
            connection = HTTPConnection(url.removeprefix("http://"), timeout=20)
            body, sent = json.dumps({"ids": ids}), {"Content-Type": "application/json"}
            connection.request("POST", f"{API}/wait?wait={wait}", body, sent)
            told: dict[str, Any] = json.loads(connection.getresponse().read())
            connection.close()
            return told

        missing = new_id()
        [error] = ask(0, [*ids, missing])["errors"]
        assert error["id"] == missing
        assert set(ids) <= set(looks)
        looks.clear()
        assert ask(0, ids) == {"ended": [], "errors": []}
        jobs.spool.cancel(ids[7])
        assert ask(20, ids) == {"ended": [{"id": ids[7], "state": "failed"}], "errors": []}
        assert len(looks) < 150


def test_events_tell_what_happens(http: Server) -> None:
    """A snapshot at once, and another one when something has changed."""
    with socket.create_connection(("127.0.0.1", http.port), timeout=20) as connection:
        connection.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream = connection.makefile("rb")
        snapshots = (line for line in stream if line.startswith(b"data: "))
        first = json.loads(next(snapshots)[6:])
        assert first["counts"]["pending"] == 0
        job_id = http.post(f"{API}/add/1/2").json["id"]
        second = json.loads(next(snapshots)[6:])
        assert second["counts"]["pending"] == 1
        assert [job["id"] for job in second["jobs"]["pending"]] == [job_id]
        stream.close()


# --- its end --------------------------------------------------------------------------------------


def test_told_to_end_it_tells_those_who_wait(
    serve: Callable[..., Server], until: Callable[..., Any]
) -> None:
    """503 with Retry-After at once, the last event to those who look on, and exit code 0."""
    server = serve()
    job_id = server.post(f"{API}/add/1/2").json["id"]
    thread, answers = later(lambda: server.get(f"{API}/job/{job_id}?wait=30"))
    other, events = later(lambda: server.get(f"{API}/events"))
    until(lambda: "spool_http_waits 1\n" in server.get("/metrics").text)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 5
    thread.join(20)
    other.join(20)
    assert answers[0].status == 503
    assert answers[0].headers["retry-after"] == "2"
    assert answers[0].json["detail"] == "the server is about to end"
    assert events[0].text.endswith("event: stopping\ndata: {}\n\n")
    assert server.jobs.state(job_id) is State.PENDING


def test_requests_that_are_cut_off_are_no_bugs(serve: Callable[..., Server]) -> None:
    """A client that leaves in the middle of its body, and a server that is told twice to end."""
    server = serve()
    job_id = server.jobs.pending()
    head = (
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 9\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head + b"[")
        assert server.get("/healthz").status == 200
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as other,
    ):
        connection.sendall(head)
        other.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert other.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert server.get(f"{API}/job/{job_id}").status == 200
        server.process.send_signal(signal.SIGTERM)
        while other.recv(65536):  # it has heard the first one
            pass
        server.process.send_signal(signal.SIGTERM)
        assert connection.recv(65536).startswith(b"HTTP/1.1 503 ")
        assert server.process.wait(20) == 0
    assert len(server.log.read_text().splitlines()) == 1


def test_a_submit_that_is_cut_off_may_be_done(serve: Callable[..., Server]) -> None:
    """It is told so, and no refusal: the job comes into the spool after the answer."""
    server = serve()
    before = server.jobs.pending()
    head = b"POST /api/v1/neg/7 HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: one\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as other,
    ):
        with locks.exclusive(server.spool.layout, "keys"):
            connection.sendall(head)
            other.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert other.recv(65536).startswith(b"HTTP/1.1 200 ")
            assert server.get(f"{API}/job/{before}").status == 200
            server.process.send_signal(signal.SIGTERM)
            while other.recv(65536):  # it has heard the first one
                pass
            server.process.send_signal(signal.SIGTERM)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
            told = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert server.process.wait(20) == 0
    assert (told["status"], told["exit_code"]) == (504, 7)
    assert "may have been done" in told["detail"]
    assert "busy" not in told
    assert "one" in {job.key for job in server.spool.list(State.PENDING)}


def test_what_was_acknowledged_outlives_a_kill(serve: Callable[..., Server]) -> None:
    """However many submit when SIGKILL comes."""
    server = serve()
    acknowledged: list[str] = []

    def submit(number: int) -> None:
        try:
            while True:
                acknowledged.append(server.post(f"{API}/add/{number}/1").json["id"])
        except (OSError, json.JSONDecodeError):
            return

    with ThreadPoolExecutor(8) as threads:
        for number in range(8):
            threads.submit(submit, number)
        time.sleep(0.3)
        server.process.kill()
    assert acknowledged
    pending = {job.id for job in server.spool.list(State.PENDING)}
    assert set(acknowledged) <= pending


def test_two_servers_on_one_spool(serve: Callable[..., Server], tmp_path: Path) -> None:
    """What one has taken the other one tells of, and has retrieved."""
    home = tmp_path / "home"
    one, two = serve(home=home), serve(home=home)
    job_id = one.post(f"{API}/add/1/2").json["id"]
    assert two.get(f"{API}/job/{job_id}").json["status"] == "pending"
    thread, answers = later(lambda: two.get(f"{API}/job/{job_id}?wait=20"))
    one.ask("DELETE", f"{API}/job/{job_id}")
    thread.join(20)
    assert answers[0].json["reason"] == "cancelled"


def test_a_spool_that_refuses_is_told_as_such(serve: Callable[..., Server]) -> None:
    """503 with Retry-After and the words of the command; nothing is left."""
    server = serve()
    before = server.names()
    pending = f"{server.spool.path}/tmp"
    os.rename(pending, f"{pending}.away")
    answer = server.post(f"{API}/add/1/2")
    os.rename(f"{pending}.away", pending)
    assert (answer.status, answer.json["exit_code"]) == (503, 7)
    assert answer.headers["retry-after"] == "2"
    assert "cannot write" in answer.json["detail"]
    assert server.names() == before
    assert server.post(f"{API}/add/1/2").status == 202


def test_a_spool_that_is_gone_is_no_empty_one(serve: Callable[..., Server]) -> None:
    """503 for whatever is asked: what was in it was not cleaned, and nothing is made in its place.

    When it is back, all is as before.
    """
    server = serve()
    job_id = server.post(f"{API}/add/1/2").json["id"]
    waiting = {"operation": "neg", "operands": ["1"], "after": [[job_id, "ok"]]}
    away = f"{server.spool.path}.away"
    os.rename(server.spool.path, away)
    asked = [
        server.get(f"{API}/job/{job_id}"),
        server.get(f"{API}/job/{new_id()}"),
        server.ask("DELETE", f"{API}/job/{job_id}"),
        server.post(f"{API}/job/{job_id}/retry"),
        server.post(f"{API}/wait", {"ids": [job_id]}),
        server.post(f"{API}/add/1/2", Idempotency_Key="a key"),
        server.post(f"{API}/add/1/2"),
        server.post(f"{API}/jobs", waiting),
        server.post(f"{API}/jobs", {**waiting, "key": "a key"}),
        server.post(f"{API}/jobs", [{**waiting, "key": "a key"}, waiting]),
        *(server.get(path) for path in (f"{API}/jobs", f"{API}/status", "/metrics", "/readyz")),
    ]
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream = connection.makefile("rb")
        event = next(line for line in stream if line.startswith(b"event: "))
        stream.close()
    assert [answer.status for answer in asked] == [503] * len(asked)
    assert {answer.json["exit_code"] for answer in asked} == {7}
    assert "there is no spool at" in asked[0].json["detail"]
    assert event == b"event: trouble\n"
    assert not os.path.lexists(server.spool.path)
    os.rename(away, server.spool.path)
    assert server.get(f"{API}/job/{job_id}").json["status"] == "pending"


def test_a_ceiling_refuses_only_what_exceeds_it(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """Of many that submit at the same time, as many are taken as there is room for, about."""
    home = tmp_path / "home"
    home.mkdir()
    spool = Spool(home / "spool", create=True)
    (home / "spool" / "spool.toml").write_text("max_pending = 20\nretries = 2\n")
    server = serve(home=home)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: server.post(f"{API}/add/{n}/1"), range(60)))
    assert {answer.status for answer in answers} == {202, 503}
    taken = [answer.json for answer in answers if answer.status == 202]
    assert 20 <= len(taken) <= 40
    assert {job["retries"] for job in taken} == {2}
    assert {job.id for job in spool.list(State.PENDING)} == {job["id"] for job in taken}
    refused = next(answer for answer in answers if answer.status == 503)
    assert refused.headers["retry-after"] == "2"
    assert "max_pending" in refused.json["detail"]
    assert refused.json["exit_code"] == 7
