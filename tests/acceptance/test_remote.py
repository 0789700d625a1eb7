"""The command with the spool behind a server: what only then can happen.

``test_remote_twin`` runs the command's own tests once more.
"""

from __future__ import annotations

import re
import signal
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import pytest

from spoolcalc import Spool, State
from spoolcalc.errors import SpoolUnusable
from spoolcalc.remote.shapes import job_of
from spoolcalc.remote.spool import Remote
from spoolcalc.render.jobs import as_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Commands, Jobs, Process, Ran
    from http_server import Loop, Server

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def url(http_loop: Loop, commands: Commands) -> Iterator[str]:
    """Serve the spool of the commands."""
    with http_loop.server(commands.spool) as url:
        yield url


def test_a_script_need_not_change(
    url: str, commands: Commands, run: Callable[..., Ran], start: Callable[..., Process]
) -> None:
    """Submit, status, wait and fetch say what they say of a directory, and exit with the same."""
    start("work")
    there = {"SPOOL_URL": url}
    job_id = run("submit", "add", "12", "23", env=there).stdout.strip()
    assert run("wait", job_id, env=there) == (0, f"{job_id}\tcompleted\n", "")
    assert run("fetch", job_id, env=there) == (0, "35\n", "")
    here = run("status", job_id)
    assert run("status", job_id, env=there) == here
    assert run("status", "--json", job_id, env=there) == run("status", "--json", job_id)
    failed = run("submit", "div", "1", "0", "--wait", env=there)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.endswith("failed: division by zero\n")
    assert run("submit", "add", "1", "x", env=there) == run("submit", "add", "1", "x")
    too_late = run("cancel", job_id, env=there)
    assert too_late == run("cancel", job_id)
    assert too_late.returncode == 1


def test_the_option_names_a_server_too(
    url: str, run: Callable[..., Ran], commands: Commands
) -> None:
    """Before the command or behind it, and --spool beats the environment."""
    for words in (
        ["submit", "--url", url, "add", "1", "2"],
        ["--url", url, "submit", "add", "1", "2"],
    ):
        assert run(*words, env={"SPOOL_DIR": "/nowhere"}).returncode == 0
    ended = run("--spool", str(commands.spool), "status", env={"SPOOL_URL": "http://127.0.0.1:1"})
    assert ended.returncode == 0


@pytest.mark.parametrize("words", ["work --once", "clean", "pause", "resume", "logs x", "init"])
def test_what_works_on_a_directory_says_so(
    words: str, run: Callable[..., Ran], commands: Commands
) -> None:
    """Exit code 2, and no directory is made that is called like the URL."""
    ended = run(*words.split(), env={"SPOOL_URL": "http://127.0.0.1:1"})
    assert ended.returncode == 2
    assert "is the URL of a server" in ended.stderr
    assert list(commands.home.iterdir()) == []


def test_every_state_looks_the_same_from_afar(
    http_loop: Loop, jobs: Jobs, commands: Commands, run: Callable[..., Ran]
) -> None:
    """What was asked for, attempts, outcomes: a job is the same as JSON, and as a line."""
    ids = list(jobs.of_each_state().values())
    ids.append(jobs.spool.submit("exec", ["true"], retries=2, label="a b", timeout=1.5))
    with http_loop.server(commands.spool) as url:
        there = run("status", *ids, env={"SPOOL_URL": url})
        assert there == run("status", *ids)
        whole = run("status", "--state", "retrieved", "--json", env={"SPOOL_URL": url})
        assert whole == run("status", "--state", "retrieved", "--json")
        assert run("status", "--json", env={"SPOOL_URL": url}).returncode == 0


def test_a_job_survives_the_way_through_json(jobs: Jobs) -> None:
    """To JSON and back gives the same JSON."""
    for job_id in jobs.of_each_state().values():
        told = as_object(jobs.spool.find(job_id))
        again = as_object(job_of({**told, "status": told["state"]}))
        assert again == told


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "unix:/nowhere", "http://nowhere.invalid", "https://127.0.0.1:1"]
)
@pytest.mark.slow
def test_nobody_there(url: str, run: Callable[..., Ran]) -> None:
    """Exit code 7 after some tries, and what to do; nothing was sent, and nothing is submitted."""
    ended = run("submit", "add", "1", "2", env={"SPOOL_URL": url})
    assert (ended.returncode, ended.stdout) == (7, "")
    assert f"cannot reach {url}" in ended.stderr
    assert "spool serve" in ended.stderr
    assert "all the same" not in ended.stderr


@pytest.mark.parametrize(
    "url",
    ["http://", "http://:x", "http://host:99999", "http://a/?b", "http://[::1", "http://a..b:80"],
)
def test_what_is_no_url(url: str, run: Callable[..., Ran]) -> None:
    """Exit code 2."""
    ended = run("status", env={"SPOOL_URL": url})
    assert ended.returncode == 2
    assert "not the URL of a server" in ended.stderr


@pytest.mark.parametrize("url", ["localhost:8191", "https//x", "spool", "ftp://x"])
def test_what_would_be_a_path_is_no_url(
    url: str, run: Callable[..., Ran], commands: Commands
) -> None:
    """Exit code 2, and no spool is made there; --spool takes it for a path."""
    for words in (["--url", url], [f"--url={url}"]):
        ended = run("submit", *words, "add", "1", "2")
        assert ended.returncode == 2
        assert f"not the URL of a server: '{url}'" in ended.stderr
        assert "Like http://localhost:8080" in ended.stderr
        assert run(*words, "status").returncode == 2
    for words in (["submit", "add", "1", "2"], ["submit", "--json", "add", "1", "2"], ["work"]):
        assert run(*words, env={"SPOOL_URL": url}).returncode == 2
    assert list(commands.home.iterdir()) == []
    assert run("submit", "--spool", f"./{url}", "exec", "curl", "--url", url).returncode == 0


def test_a_scheme_may_be_in_capitals(url: str, run: Callable[..., Ran]) -> None:
    """It is a URL all the same."""
    assert run("submit", "add", "1", "2", env={"SPOOL_URL": url.replace("http", "HTTP")})[0] == 0


def test_a_token(serve: Callable[..., Server], run: Callable[..., Ran], tmp_path: Path) -> None:
    """It comes from a file; without it the server refuses, and what to do is told."""
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    server = serve("--token-file", str(file))
    refused = run("submit", "add", "1", "2", env={"SPOOL_URL": server.url})
    assert refused.returncode == 2
    assert "SPOOL_TOKEN_FILE" in refused.stderr
    there = {"SPOOL_URL": server.url, "SPOOL_TOKEN_FILE": str(file)}
    for text in (f"{TOKEN}\n{TOKEN}\n", "", f"{TOKEN} {TOKEN}"):
        (tmp_path / "bad").write_text(text)
        bad = run("submit", "add", "1", "2", env={**there, "SPOOL_TOKEN_FILE": f"{tmp_path}/bad"})
        assert bad.returncode == 2
        assert "holds no token" in bad.stderr
        assert TOKEN not in bad.stderr
    job_id = run("submit", "add", "1", "2", env=there).stdout.strip()
    assert server.jobs.state(job_id) is State.PENDING


def test_a_unix_socket(
    serve: Callable[..., Server], run: Callable[..., Ran], tmp_path: Path
) -> None:
    """Named by unix: and its path."""
    server = serve("--socket", str(tmp_path / "s"))
    there = {"SPOOL_URL": f"unix:{tmp_path}/s"}
    job_id = run("submit", "add", "1", "2", env=there).stdout.strip()
    assert server.jobs.state(job_id) is State.PENDING


def test_a_lost_answer_makes_no_second_job(
    http_loop: Loop, run: Callable[..., Ran], commands: Commands
) -> None:
    """The job is submitted, the connection breaks before the answer, and it is sent again."""
    with http_loop.server(commands.spool) as url, socket.create_server(("127.0.0.1", 0)) as proxy:
        port = int(url.rpartition(":")[2])

        def forward() -> None:
            for attempt in range(2):
                connection, _ = proxy.accept()
                with connection, socket.create_connection(("127.0.0.1", port)) as server:
                    request = b""
                    while not request.endswith(b"}"):  # head and body come one after the other
                        request += connection.recv(65536)
                    server.sendall(request)
                    answer = b""
                    while not answer.endswith(b"}\n"):
                        answer += server.recv(65536)
                    if attempt:
                        connection.sendall(answer)

        thread = threading.Thread(target=forward, daemon=True)
        thread.start()
        there = {"SPOOL_URL": f"http://127.0.0.1:{proxy.getsockname()[1]}"}
        ended = run("submit", "add", "1", "2", env=there)
        thread.join(20)
    [job] = Spool(commands.spool).list(State.PENDING)
    assert ended == (0, f"{job.id}\n", "")


def test_a_submit_that_was_cut_off_is_one_without_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server ended in the middle of it, and nobody is there any more: the key is told."""
    monkeypatch.setattr("spoolcalc.remote.connection.PATIENCE", 0.0)
    body = b'{"status": 504, "detail": "it may have been done all the same", "exit_code": 7}'
    head = b"HTTP/1.1 504 Gateway Timeout\r\nContent-Type: application/problem+json\r\n"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                asked = b""
                while not asked.endswith(b"}"):
                    asked += connection.recv(65536)
                connection.sendall(head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        remote = Remote(f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(SpoolUnusable, match=r"cannot reach .*: it may have been done"):
            remote.submit(remote.ask_for("neg", ["7"], {}))
        thread.join(20)
    assert remote.unanswered


def test_an_interrupted_submit_tells_how_to_ask(
    http_loop: Loop, run: Callable[..., Ran], start: Callable[..., Process], commands: Commands
) -> None:
    """The job is submitted and its id never comes: the key is told that brings it."""
    with http_loop.server(commands.spool) as url, socket.create_server(("127.0.0.1", 0)) as proxy:
        there = {"SPOOL_URL": f"http://127.0.0.1:{proxy.getsockname()[1]}"}
        submitting = start("submit", "add", "1", "2", env=there)
        connection, _ = proxy.accept()
        port = int(url.rpartition(":")[2])
        with connection, socket.create_connection(("127.0.0.1", port)) as server:
            request = b""
            while not request.endswith(b"}"):  # head and body come one after the other
                request += connection.recv(65536)
            server.sendall(request)
            server.recv(1)
            submitting.signal(signal.SIGINT)
            ended = submitting.end()
    [job] = Spool(commands.spool).list(State.PENDING)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert f"may have been submitted all the same\n  Submit it again with --key {job.key}:" in (
        ended.stderr
    )
    assert run("submit", "add", "1", "2", "--key", str(job.key)) == (0, f"{job.id}\n", "")


def test_an_interrupted_file_tells_how_to_go_on(
    http_loop: Loop, run: Callable[..., Ran], start: Callable[..., Process], commands: Commands
) -> None:
    """Its jobs are submitted and the answer never comes: the same file makes no second ones."""
    (commands.home / "jobs").write_text("add 1 2\n# no job\nneg 3\n")
    words = ("submit", "--from", "jobs")
    with http_loop.server(commands.spool) as url, socket.create_server(("127.0.0.1", 0)) as proxy:
        submitting = start(*words, env={"SPOOL_URL": f"http://127.0.0.1:{proxy.getsockname()[1]}"})
        connection, _ = proxy.accept()
        port = int(url.rpartition(":")[2])
        with connection, socket.create_connection(("127.0.0.1", port)) as server:
            request = b""
            while not request.endswith(b"]"):
                request += connection.recv(65536)
            server.sendall(request)
            server.recv(1)
            submitting.signal(signal.SIGINT)
            ended = submitting.end()
        jobs = sorted(Spool(commands.spool).list(State.PENDING), key=lambda job: job.id)
        assert [job.operation for job in jobs] == ["add", "neg"]
        assert (ended.returncode, ended.stdout) == (130, "")
        keys, number, _ = str(jobs[0].key).rsplit(":", 2)
        assert number == "1"
        assert "lines 1 to 3 may have been submitted all the same" in ended.stderr
        assert f"again with --key {keys}:" in ended.stderr
        told = "".join(f"{job.id}\n" for job in jobs)
        assert run(*words, "--key", keys, env={"SPOOL_URL": url}) == (0, told, "")
    assert run(*words, "--key", keys) == (0, told, "")


def test_a_file_that_is_not_submitted_to_its_end_tells_how_to_go_on(
    serve: Callable[..., Server], run: Callable[..., Ran], tmp_path: Path
) -> None:
    """A bad line, corrected where it stands, and the same file again: each job is there once."""
    server = serve(home=tmp_path / "home")
    there = {"SPOOL_URL": server.url}
    lines = tmp_path / "lines"
    lines.write_text("neg 1\nexec --timeout 5s\nneg 3\n")
    ended = run("submit", "--from", str(lines), env=there)
    assert (ended.returncode, len(ended.stdout.split())) == (2, 1)
    assert "line 2: '--timeout' is no command" in ended.stderr
    told = re.search(r"not all of it was submitted\n  .* again with --key (\S+):", ended.stderr)
    assert told
    lines.write_text("neg 1\nneg 2\nneg 3\n")
    for _ in range(2):
        again = run("submit", "--from", str(lines), "--key", told[1], env=there)
        assert again.returncode == 0
        assert again.stdout.startswith(ended.stdout)
        assert len(list(server.jobs.spool.list(State.PENDING))) == 3
    lines.write_text("nag 1\n")
    assert "again with" not in run("submit", "--from", str(lines), env=there).stderr


def test_one_bad_line_of_a_file_is_the_one_that_is_told(
    serve: Callable[..., Server], run: Callable[..., Ran], tmp_path: Path
) -> None:
    """A command that the server does not take is one line's matter, and no other's."""
    server = serve(home=tmp_path / "home")
    lines = tmp_path / "lines"
    lines.write_text("neg 1\nneg 2\nneg 3\nexec true\nneg 5\n")
    there = {"SPOOL_URL": server.url}
    ended = run("submit", "--from", str(lines), "--keep-going", env=there)
    assert (ended.returncode, len(ended.stdout.split())) == (2, 4)
    assert ended.stderr.count("exec is off over HTTP") == 1
    assert f"{lines}, line 4: exec is off over HTTP" in ended.stderr
    ended = run("submit", "--from", str(lines), env=there)
    assert (ended.returncode, len(ended.stdout.split())) == (2, 3)
    assert "line 4: exec is off over HTTP" in ended.stderr
    assert "3 jobs before it were." in ended.stderr


def test_what_is_wrong_with_all_of_a_file_is_told_once(
    serve: Callable[..., Server], run: Callable[..., Ran], tmp_path: Path
) -> None:
    """A missing token is no line's fault, and no other line is tried."""
    file, lines = tmp_path / "token", tmp_path / "lines"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    lines.write_text("neg 1\nneg 2\nneg 3\n")
    server = serve("--token-file", str(file))
    ended = run("submit", "--from", str(lines), "--keep-going", env={"SPOOL_URL": server.url})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("a token is needed") == 1
    assert (
        "Nothing of line 1 and what follows was submitted; 0 jobs before it were." in ended.stderr
    )


def test_a_lost_answer_to_a_retry_is_no_refusal(
    http_loop: Loop, jobs: Jobs, run: Callable[..., Ran], commands: Commands
) -> None:
    """The job runs again, and so it is not failed any more when that is asked for once more."""
    job_id = jobs.failed()
    with http_loop.server(commands.spool) as url:
        assert run("retry", jobs.pending(), env={"SPOOL_URL": url}).returncode == 2
        with losing_an_answer(url) as there:
            ended = run("retry", job_id, env={"SPOOL_URL": there})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert jobs.state(job_id) is State.PENDING


@contextmanager
def losing_an_answer(url: str) -> Iterator[str]:
    """Forward to a server, and lose the first answer; the URL to ask is given."""
    port = int(url.rpartition(":")[2])

    def whole(stream: BinaryIO) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n") and (line := stream.readline()):
            head += line
        found = re.search(rb"(?i)content-length: (\d+)", head)
        return head + stream.read(int(found[1]) if found else 0)

    def forward() -> None:
        lost = False
        while True:
            try:
                connection, _ = proxy.accept()
            except OSError:
                return
            with connection, socket.create_connection(("127.0.0.1", port)) as server:
                asked, answers = connection.makefile("rb"), server.makefile("rb")
                with asked, answers:
                    while request := whole(asked):
                        server.sendall(request)
                        answer = whole(answers)
                        if not lost:
                            lost = True
                            break
                        connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        thread = threading.Thread(target=forward, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{proxy.getsockname()[1]}"
        proxy.shutdown(socket.SHUT_RDWR)
        thread.join(20)


@pytest.mark.parametrize("word", ["a/b", "", "..", "a b", b"a\xffb"], ids=str)
def test_what_can_be_no_id(
    word: str | bytes, url: str, run: Callable[..., Ran], spool: Spool
) -> None:
    """It is refused in the words that a directory has for it."""
    here = run("status", word)
    assert here.returncode == 2
    assert run("status", word, env={"SPOOL_URL": url}) == here


def test_a_list_is_chosen_from_by_the_server(
    url: str, run: Callable[..., Ran], spool: Spool
) -> None:
    """By label and by operation, whatever bytes they have."""
    ids = [spool.submit("add", ["1", "2"], label=label) for label in ("a & b", "c")]
    ids.append(spool.submit("neg", ["1"], label="c"))
    for words in (
        ["--label", "a & b"],
        ["--label", "c", "--operation", "add"],
        ["--operation", "neg", "--state", "pending"],
    ):
        there = run("status", *words, env={"SPOOL_URL": url})
        assert there == run("status", *words)
        assert there.stdout.count("\n") == 1
    assert run("status", "--label", b"\xff", env={"SPOOL_URL": url}).returncode == 2


@pytest.mark.parametrize("words", ["status", "submit add 1 2", "status --state failed"])
@pytest.mark.parametrize("body", [b"hi", b"{}", b"[]"])
def test_a_server_of_something_else(words: str, body: bytes, run: Callable[..., Ran]) -> None:
    """It is told that this is no spool's."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        there = {"SPOOL_URL": f"http://127.0.0.1:{server.getsockname()[1]}"}
        ended = run(*words.split(), env=there)
        thread.join(20)
    assert ended.returncode == 7
    assert "is no spool's server" in ended.stderr


def test_a_wait_outlives_the_server(
    serve: Callable[..., Server],
    start: Callable[..., Process],
    until: Callable[..., object],
    tmp_path: Path,
) -> None:
    """Who waits asks again when another server is there."""
    home = tmp_path / "home"
    server = serve(home=home)
    job_id = server.jobs.pending()
    waiting = start("wait", job_id, env={"SPOOL_URL": server.url})
    until(lambda: "spool_http_waits 1\n" in server.get("/metrics").text)
    server.stop()
    again = serve("--listen", f"127.0.0.1:{server.port}", home=home)
    until(lambda: "spool_http_waits 1\n" in again.get("/metrics").text)
    again.ask("DELETE", f"/api/v1/job/{job_id}")
    ended = waiting.end()
    assert (ended.returncode, ended.stdout) == (5, f"{job_id}\tfailed\n")
