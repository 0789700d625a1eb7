"""The API: each path against a live server, and what lies in the spool after it."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import Outcome, State, transitions
from spoolcalc.ids import is_id, new_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Jobs
    from http_server import Loop, Server

API = "/api/v1"


def words(answer: Any) -> tuple[int, str, int]:
    """Return a problem's status, message and exit code; the rest of it must be in order."""
    told = answer.json
    assert answer.headers["content-type"] == "application/problem+json"
    assert (told["status"], told["type"]) == (answer.status, "about:blank")
    assert told["title"]
    return answer.status, told["detail"], told["exit_code"]


# --- submitting -----------------------------------------------------------------------------------


def test_a_path_becomes_a_job(http: Server) -> None:
    """The answer is 202 with the job, durable in the spool, and the path where it is."""
    answer = http.post(f"{API}/add/12/23")
    job = answer.json
    assert answer.status == 202
    assert is_id(job["id"])
    assert answer.headers["location"] == f"{API}/job/{job['id']}"
    assert (job["status"], job["operation"], job["operands"]) == ("pending", "add", ["12", "23"])
    assert (job["completed_on"], job["result"]) == (None, None)
    found = http.spool.find(job["id"])
    assert (found.state, found.operands) == (State.PENDING, ("12", "23"))
    assert (
        http.get(answer.headers["location"]).json.items()
        >= {name: value for name, value in job.items() if name != "last_updated"}.items()
    )


@pytest.mark.parametrize(
    ("path", "operands"),
    [
        ("neg/-3", ("-3",)),
        ("sum/1/2/3/4.5/-1e3", ("1", "2", "3", "4.5", "-1e3")),
        ("add/%31/2", ("1", "2")),
        ("add/1/%2D2", ("1", "-2")),
    ],
)
def test_any_number_of_operands(path: str, operands: tuple[str, ...], http: Server) -> None:
    """Each part of the path is one, percent-encoded or not."""
    assert http.spool.find(http.post(f"{API}/{path}").json["id"]).operands == operands


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("plus/1/2", "unknown operation 'plus'"),
        ("add/1", "add takes 2 operands, 1 was given"),
        ("add", "add takes 2 operands, none was given"),
        ("add/1/x", "operand 2 of add is not a number: 'x'"),
        ("add/1//", "add takes 2 operands, 3 were given"),
        ("add/1/2?priority=3", "no such parameter: 'priority'"),
    ],
)
def test_a_bad_path_is_refused_in_the_command_s_words(path: str, said: str, http: Server) -> None:
    """400 with what the command says and its exit code; nothing is written."""
    before = http.names()
    assert words(http.post(f"{API}/{path}")) == (400, said, 2)
    assert http.names() == before


def test_a_job_in_json_has_all_options(http: Server) -> None:
    """They are those of submit, and the answer tells them."""
    first = http.post(f"{API}/add/1/2").json["id"]
    options = {"priority": 2, "label": "nightly", "timeout": 60, "retries": 3, "backoff": 1.5}
    answer = http.post(
        f"{API}/jobs",
        {"operation": "mul", "operands": ["2", f"@{first}"], "after": [[first, "any"]], **options},
    )
    assert answer.status == 202
    told = answer.json
    assert {name: told[name] for name in options} == options
    assert (told["status"], told["after"]) == ("blocked", [{"id": first, "need": "ok"}])
    delayed = http.post(f"{API}/jobs", {"operation": "neg", "operands": ["1"], "delay": 3600}).json
    assert (delayed["status"], http.jobs.state(delayed["id"])) == ("delayed", State.DELAYED)


def test_a_command_in_json(http: Server) -> None:
    """It must say where it runs, as in inbox/."""
    fields = {"operation": "exec", "operands": ["echo", "a/b"], "env": {"A": "1"}}
    assert "'cwd' is missing" in words(http.post(f"{API}/jobs", fields))[1]
    job = http.post(f"{API}/jobs", {**fields, "cwd": "/"}).json
    assert job["command"] == {"cwd": "/", "env": {"A": "1"}, "stdin": None}


def test_many_jobs_in_one_request(http: Server) -> None:
    """All of them are submitted, and told in their order."""
    asks = [{"operation": "add", "operands": [str(n), "1"]} for n in range(100)]
    answer = http.post(f"{API}/jobs", asks)
    assert answer.status == 202
    ids = [job["id"] for job in answer.json["jobs"]]
    assert [http.spool.find(i).operands[0] for i in ids] == [str(n) for n in range(100)]


def test_one_bad_job_of_many_refuses_all(http: Server) -> None:
    """Which one it was is told, and nothing is written."""
    before = http.names()
    asks = [{"operation": "add", "operands": ["1", word]} for word in ("2", "x")]
    answer = http.post(f"{API}/jobs", asks)
    assert words(answer) == (400, "job 2: operand 2 of add is not a number: 'x'", 2)
    assert answer.json["job"] == 2
    assert http.names() == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\xff",
        b'{"operation": "add"}',
        b'{"operation": "add", "operands": [1, 2]}',
        b'{"operation": "add", "operands": ["1", "2"], "colour": "red"}',
        b'{"operation": "add", "operands": ["1", "2"], "priority": 10}',
        b'{"operation": "add", "operands": ["1", "2"], "priority": true}',
        b'{"operation": "add", "operands": ["1", "2"], "key": 5}',
        b'{"operation": "add", "operands": ["1", "2"], "timeout": NaN}',
        b'{"operation": "add", "operands": ["1", "2"], "operands": ["3", "4"]}',
        b'[{"operation": "add", "operands": ["1", "2"]}, 3]',
        b"[" * 100_000,
        b"9" * 100_000,
    ],
)
def test_what_is_no_job_is_refused(body: bytes, http: Server) -> None:
    """400, and nothing is written."""
    before = http.names()
    answer = http.post(f"{API}/jobs", body, Content_Type="application/json")
    assert words(answer)[::2] == (400, 2)
    assert http.names() == before


def test_a_job_that_waits_for_none_is_refused_alone(http: Server) -> None:
    """404, as the command exits with 3, while others that come at the same time are taken."""
    fields = {"operation": "add", "operands": ["1", "2"], "after": [[new_id(), "ok"]]}
    assert words(http.post(f"{API}/jobs", fields))[::2] == (404, 3)
    assert http.post(f"{API}/add/1/2").status == 202


def test_a_key_makes_one_job(http: Server) -> None:
    """Idempotency-Key is what --key is; in a body it may be a field."""
    key = new_id()
    first = http.post(f"{API}/add/1/2", Idempotency_Key=key).json
    again = http.post(f"{API}/add/1/2", Idempotency_Key=key).json
    in_body = {"operation": "add", "operands": ["1", "2"], "key": key}
    third = http.post(f"{API}/jobs", in_body).json
    assert first["id"] == again["id"] == third["id"]
    assert first["key"] == key
    assert words(http.post(f"{API}/jobs", in_body, Idempotency_Key="another"))[0] == 400
    assert words(http.post(f"{API}/jobs", [in_body], Idempotency_Key=key))[0] == 400


def test_many_clients_with_one_key_make_one_job(http: Server) -> None:
    """Whoever comes at the same time gets the id of the one."""
    key = new_id()
    ids: list[str] = []

    def submit() -> None:
        ids.append(http.post(f"{API}/add/1/2", Idempotency_Key=key).json["id"])

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1


# --- one job --------------------------------------------------------------------------------------


def test_a_result_is_given_and_the_job_retrieved(http: Server) -> None:
    """As fetch gives it; again and again until it is cleaned, and then it is told to be gone."""
    job_id = http.jobs.completed("35")
    result = f"{API}/job/{job_id}/result"
    kept = http.get(f"{result}?keep=true")
    assert (kept.status, kept.body, http.jobs.state(job_id)) == (200, b"35\n", State.COMPLETED)
    for _ in range(2):
        answer = http.get(result)
        assert (answer.status, answer.body) == (200, b"35\n")
        assert http.jobs.state(job_id) is State.RETRIEVED
    http.spool.clean()
    status, detail, code = words(http.get(result))
    assert (status, code) == (410, 3)
    assert job_id in detail


def test_a_job_that_cannot_be_read_any_more_is_gone(http: Server) -> None:
    """To ask again would not help; the answer says why, and where it lies."""
    job_id = http.jobs.completed("35")
    path = http.jobs.path(job_id)
    path.write_bytes(b"{")
    assert transitions.quarantine(http.spool.layout, str(path), "not JSON")
    status, detail, code = words(http.get(f"{API}/job/{job_id}"))
    assert (status, code) == (410, 7)
    assert f"was moved to {http.spool.layout.corrupt}/{job_id}.json." in detail
    assert detail.endswith(": not JSON")
    asked = {"operation": "neg", "operands": [f"@{job_id}"]}
    assert words(http.post(f"{API}/jobs", asked))[::2] == (410, 7)


def test_looking_at_a_job_changes_nothing(http: Server) -> None:
    """Its result is told, and it stays completed."""
    job_id = http.jobs.completed("35")
    told = http.get(f"{API}/job/{job_id}").json
    assert (told["status"], told["result"], told["exact"]) == ("completed", "35", True)
    assert http.jobs.state(job_id) is State.COMPLETED


def test_an_unfinished_job_has_no_result_yet(http: Server) -> None:
    """202, in the words of fetch."""
    job_id = http.post(f"{API}/add/1/2").json["id"]
    answer = http.get(f"{API}/job/{job_id}/result")
    assert words(answer) == (202, f"not finished: job {job_id} is pending", 4)


def test_a_failed_job_tells_why(http: Server) -> None:
    """422 with the error; a cancelled one has the exit code of such."""
    job_id = http.jobs.failed("division by zero")
    answer = http.get(f"{API}/job/{job_id}/result")
    assert words(answer) == (422, f"job {job_id} failed: division by zero", 1)
    cancelled = http.jobs.failed("it was cancelled", reason="cancelled")
    answer = http.get(f"{API}/job/{cancelled}/result")
    assert words(answer) == (422, f"job {cancelled} was cancelled", 5)


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""),
        ("GET", "?wait=5"),
        ("GET", "/result"),
        ("GET", "/output/stdout"),
        ("DELETE", ""),
        ("POST", "/retry"),
        ("POST", "/retrieved"),
    ],
)
def test_a_job_that_never_was(method: str, rest: str, http: Server) -> None:
    """404 with exit code 3; of what is no id 400 with 2."""
    job_id = new_id()
    status, detail, code = words(http.ask(method, f"{API}/job/{job_id}{rest}"))
    assert (status, code) == (404, 3)
    assert detail.startswith(f"no such job: {job_id}")
    status, detail, code = words(http.ask(method, f"{API}/job/not%20an%20id{rest}"))
    assert (status, detail, code) == (400, "not a job id: 'not an id'", 2)


def test_what_a_command_wrote(http: Server) -> None:
    """Its stdout is the result, byte by byte; of a failed one it can be had too."""
    job_id = http.jobs.command(b"\x00\xff\n" * 100_000)
    answer = http.get(f"{API}/job/{job_id}/result")
    assert (answer.status, answer.body) == (200, b"\x00\xff\n" * 100_000)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert http.jobs.state(job_id) is State.RETRIEVED
    failed = http.jobs.command(b"so far\n", exit_code=3)
    assert words(http.get(f"{API}/job/{failed}/result"))[0] == 422
    assert http.get(f"{API}/job/{failed}/output/stdout").body == b"so far\n"
    assert http.get(f"{API}/job/{failed}").json["exit_code"] == 3
    assert words(http.get(f"{API}/job/{failed}/output/stderr"))[0] == 404
    assert words(http.get(f"{API}/job/{failed}/output/stdlog"))[0] == 404


def test_a_running_job_tells_its_progress(http: Server) -> None:
    """And what it has written so far."""
    http.spool.submit("exec", ["tool"])
    with http.jobs.attempt() as attempt:
        attempt.write(b"half\n")
        attempt.progress(b'{"fraction": 0.5, "text": "half"}')
        told = http.get(f"{API}/job/{attempt.job_id}").json
        assert (told["status"], told["progress"]["fraction"]) == ("wip", 0.5)
        assert http.get(f"{API}/job/{attempt.job_id}/output/stdout").body == b"half\n"
        attempt.end()


def test_cancelling(http: Server) -> None:
    """What waits is cancelled at once, and again is no error; what has ended is too late."""
    job_id = http.post(f"{API}/add/1/2").json["id"]
    for _ in range(2):
        told = http.ask("DELETE", f"{API}/job/{job_id}")
        assert (told.status, told.json["status"], told.json["reason"]) == (
            200,
            "failed",
            "cancelled",
        )
    done = http.jobs.completed()
    answer = http.ask("DELETE", f"{API}/job/{done}")
    assert words(answer) == (409, f"too late to cancel job {done}: it is completed", 1)
    assert answer.json["job"]["id"] == done


def test_cancelling_what_runs(http: Server, until: Callable[..., Any]) -> None:
    """Its worker has the time that is asked for, and the answer comes as soon as it has obeyed."""
    job_id = http.spool.submit("exec", ["tool"])
    with http.spool.register() as lease:
        claim = http.spool.claim(lease)
        assert claim is not None
        answer = http.ask("DELETE", f"{API}/job/{job_id}?patience=0.1")
        assert words(answer)[::2] == (409, 4)
        answers: list[Any] = []
        thread = threading.Thread(
            target=lambda: answers.append(http.ask("DELETE", f"{API}/job/{job_id}?patience=20"))
        )
        thread.start()
        until(lambda: http.spool.finish(claim, Outcome.cancelled()))
        thread.join(20)
    assert answers[0].json["reason"] == "cancelled"


def test_retrying(http: Server) -> None:
    """A failed job runs again; another one is left alone."""
    job_id = http.jobs.failed()
    answer = http.post(f"{API}/job/{job_id}/retry")
    assert (answer.status, answer.json["status"]) == (200, "pending")
    status, detail, code = words(http.post(f"{API}/job/{job_id}/retry"))
    assert (status, detail, code) == (409, f"job {job_id} is pending", 2)


def test_the_end_of_what_a_command_wrote(http: Server) -> None:
    """So many bytes of it, or all if there are fewer."""
    job_id = http.jobs.command(b"0123456789")
    output = f"{API}/job/{job_id}/output/stdout"
    assert http.get(f"{output}?tail=3").body == b"789"
    assert http.get(f"{output}?tail=99").body == b"0123456789"
    assert http.get(output).body == b"0123456789"
    for bad in ("0", "-1", "x", "", "1000000"):
        assert http.get(f"{output}?tail={bad}").status == 400


def test_a_client_of_http_1_0_gets_no_chunks(http: Server) -> None:
    """It is told how long a result is, and the job is retrieved when it has the end of it."""
    for job_id, text in (
        (http.jobs.completed("35"), b"35\n"),
        (http.jobs.command(b"x" * 200_000), b"x" * 200_000),
        (http.jobs.command(b""), b""),
    ):
        path = f"{API}/job/{job_id}/result"
        said = http.raw(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        head, _, body = said.partition(b"\r\n\r\n")
        assert body == text
        assert f"content-length: {len(text)}".encode() in head
        assert b"transfer-encoding" not in head
        assert http.jobs.state(job_id) is State.RETRIEVED


def test_what_nobody_stays_for_is_not_read(
    http_loop: Loop, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that leaves in the middle of an output leaves its rest on the disk."""
    job_id = jobs.command(b"x" * 20_000_000)
    reads: list[int] = []
    pread = os.pread

    def counting(descriptor: int, size: int, place: int) -> bytes:
        reads.append(size)
        return pread(descriptor, size, place)

    monkeypatch.setattr(os, "pread", counting)
    with http_loop.server(Path(jobs.spool.path)) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            path = f"{API}/job/{job_id}/output/stdout"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
    assert 0 < sum(reads) < 15_000_000


def test_a_command_of_half_a_character_is_refused(http: Server) -> None:
    """No worker could run it."""
    fields = {"operation": "exec", "operands": ["echo", "\ud800"], "cwd": "/"}
    assert "operand 2 of exec has half a character" in words(http.post(f"{API}/jobs", fields))[1]
    odd = {**fields, "operands": ["echo", "\udcff"]}  # a byte that is no UTF-8
    assert http.post(f"{API}/jobs", odd).status == 202


def test_marking_a_result_as_kept(http: Server) -> None:
    """For who has printed it first; what has not ended cannot be."""
    job_id = http.jobs.completed()
    assert http.post(f"{API}/job/{job_id}/retrieved").json["status"] == "retrieved"
    pending = http.post(f"{API}/add/1/2").json["id"]
    assert words(http.post(f"{API}/job/{pending}/retrieved"))[::2] == (409, 4)


def test_a_name_stands_for_a_job_from_the_inbox(http: Server) -> None:
    """And for none before a worker has adopted the file."""
    answer = http.get(f"{API}/job/no-such-name")
    assert words(answer)[::2] == (400, 2)


# --- many -----------------------------------------------------------------------------------------


def test_pages_have_every_job_once(http: Server) -> None:
    """In order, each page telling where the next one begins."""
    label = new_id()
    ids = [http.spool.submit("add", ["1", str(n)], label=label, priority=n % 3) for n in range(25)]
    for query in (f"label={label}", f"state=pending&label={label}"):
        path: str | None = f"{API}/jobs?{query}&limit=10"
        seen: list[str] = []
        sizes = []
        while path is not None:
            answer = http.get(path)
            page = answer.json
            seen += [job["id"] for job in page["jobs"]]
            sizes.append(len(page["jobs"]))
            path = page["next"]
            link = answer.headers["link"]
            assert link == (None if path is None else f'<{path}>; rel="next"')
        assert sizes == [10, 10, 5]
        assert sorted(seen) == ids
    by_priority = sorted(ids, key=lambda job_id: (ids.index(job_id) % 3, job_id))
    assert seen == by_priority


@pytest.mark.parametrize(
    "query",
    [
        "state=lost",
        "limit=0",
        "limit=1001",
        "limit=x",
        "cursor=x",
        "cursor=wip/a/b",
        "colour=red",
        "state=failed&state=wip",
        "state=failed&cursor=wip/a/019ab2c4-5d6e-7f80-9a1b-2c3d4e5f6071",
    ],
)
def test_a_bad_page_is_refused(query: str, http: Server) -> None:
    """400, and what may be asked is told."""
    assert words(http.get(f"{API}/jobs?{query}"))[::2] == (400, 2)


def test_the_overview(http: Server) -> None:
    """It is what status tells in JSON."""
    http.post(f"{API}/add/1/2")
    told = http.get(f"{API}/status").json
    assert told["counts"]["pending"] == 1
    assert told["spool"] == http.spool.path
    assert "start one with `spool work`" in told["hint"]


def test_the_operations(http: Server) -> None:
    """They are told with their usage."""
    found = {entry["name"]: entry for entry in http.get(f"{API}/operations").json["operations"]}
    assert found["add"]["usage"] == "A B"
    assert "exec" in found


# --- for those who watch over it ------------------------------------------------------------------


def test_health(http: Server) -> None:
    """It is there; it is ready while a worker is alive."""
    assert http.get("/healthz").json == {"status": "ok"}
    assert words(http.get("/readyz")) == (503, "no worker is alive", 7)
    with http.spool.register():
        assert http.get("/readyz").json == {"status": "ready"}


def test_metrics(http: Server) -> None:
    """Jobs by state, in the format of Prometheus."""
    http.post(f"{API}/add/1/2")
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert f'spool_jobs{{spool="{http.spool.path}",state="pending"}} 1\n' in answer.text


def test_the_contract_can_be_read(http: Server) -> None:
    """As JSON, and as a page that loads nothing from elsewhere."""
    contract = http.get("/openapi.json").json
    assert contract["openapi"].startswith("3.")
    page = http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path in contract["paths"]:
        assert path in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
