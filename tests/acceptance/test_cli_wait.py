"""`spool wait`: told of each job's end when it comes, however many there are."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

from spoolcalc import Outcome, State
from spoolcalc.awaiting import FEW, Awaited

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conftest import Commands, Jobs, Process, Ran

    from spoolcalc import Spool

UNKNOWN = "01a20f20-b358-75fa-ab79-9c641df4b44f"


def finish_next(spool: Spool, outcome: Outcome) -> str:
    """Work off the oldest pending job."""
    with spool.register() as lease:
        claimed = spool.claim(lease)
        assert claimed is not None
        assert spool.finish(claimed, outcome)
    return claimed.job.id


def test_each_id_is_told_with_its_state(run: Callable[..., Ran], jobs: Jobs) -> None:
    """One line a job; the exit code is the highest of those that fetch would give."""
    completed, failed, retrieved = jobs.completed(), jobs.failed(), jobs.retrieved()
    ended = run("wait", completed, failed, retrieved)
    told = dict(line.split("\t") for line in ended.stdout.splitlines())
    assert told == {completed: "completed", failed: "failed", retrieved: "retrieved"}
    assert (ended.returncode, ended.stderr) == (1, "")
    assert run("wait", completed, retrieved).returncode == 0
    assert jobs.state(completed) is State.COMPLETED


def test_a_job_is_told_of_when_it_ends(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """Not before, not much later, and the wait goes on for the others."""
    ids = [jobs.pending() for _ in range(3)]
    waiting = start("wait", *ids)
    until(lambda: jobs.spool.counts()[State.PENDING] == 3)
    for number in range(3):
        assert waiting.popen.poll() is None
        assert waiting.stdout.count("\n") == number
        assert finish_next(jobs.spool, Outcome.completed("35")) == ids[number]
        until(lambda number=number: waiting.stdout.count("\n") > number, 5)
    ended = waiting.end(5)
    assert ended.returncode == 0
    assert ended.stdout == "".join(f"{job_id}\tcompleted\n" for job_id in ids)


def test_ids_come_from_stdin(commands: Commands, jobs: Jobs) -> None:
    """A dash stands for them; of each line the first field counts, and one id is told once."""
    first, second = jobs.completed("1"), jobs.completed("2")
    lines = f"{first}\tcompleted\n\n{second}\n{second}\n".encode()
    ended = commands.run("wait", "-", input=lines)
    assert ended.returncode == 0
    assert sorted(ended.stdout.splitlines()) == [f"{first}\tcompleted", f"{second}\tcompleted"]
    assert commands.run("fetch", "-", input=lines) == (0, "1\n2\n2\n", "")
    assert commands.run("wait", "-", input=b"") == (0, "", "")
    assert commands.run("status", "-", first, input=b"").stdout.startswith(first)
    ended = commands.run("wait", "-", input=b"\xff\n")
    assert (ended.returncode, "stdin" in ended.stderr) == (2, True)


def test_the_first_one_alone(run: Callable[..., Ran], jobs: Jobs) -> None:
    """--any ends with the first that has ended, and its code."""
    pending, failed, completed = jobs.pending(), jobs.failed(), jobs.completed()
    assert run("wait", "--any", pending, completed) == (0, f"{completed}\tcompleted\n", "")
    assert run("wait", "--any", failed, pending) == (1, f"{failed}\tfailed\n", "")
    assert run("wait", "--any", completed, failed).stdout.count("\n") == 1


def test_what_is_not_there_stops_nothing(run: Callable[..., Ran], jobs: Jobs) -> None:
    """An unknown id and one that is none are told, and the others waited for."""
    completed = jobs.completed()
    ended = run("wait", UNKNOWN, "nonsense", completed)
    assert (ended.returncode, ended.stdout) == (3, f"{completed}\tcompleted\n")
    assert UNKNOWN in ended.stderr
    assert "nonsense" in ended.stderr
    assert run("wait", UNKNOWN).returncode == 3
    assert run("wait", "nonsense").returncode == 2


def test_a_wait_that_runs_out(run: Callable[..., Ran], jobs: Jobs) -> None:
    """What has ended was told; the exit code is 4 and the cause is named."""
    pending, completed = jobs.pending(), jobs.completed()
    began = time.monotonic()
    ended = run("wait", "--timeout", "300ms", pending, completed)
    assert time.monotonic() - began >= 0.3
    assert (ended.returncode, ended.stdout) == (4, f"{completed}\tcompleted\n")
    assert "spool work" in ended.stderr
    ended = run("wait", "--timeout", "0", pending, jobs.pending(), jobs.failed())
    assert ended.returncode == 4
    assert "2 jobs" in ended.stderr


def test_json_has_all_about_each_job(run: Callable[..., Ran], jobs: Jobs) -> None:
    """One object with the jobs in it, as status gives them."""
    ids = [jobs.completed("35"), jobs.failed()]
    told = json.loads(run("wait", "--json", *ids).stdout)
    assert told["schema"] == 1
    assert {(job["id"], job["state"]) for job in told["jobs"]} == {
        (ids[0], "completed"),
        (ids[1], "failed"),
    }
    assert json.loads(run("wait", "--json", UNKNOWN).stdout) == {"schema": 1, "jobs": []}


def test_a_job_that_vanishes_is_not_waited_for(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """One that was fetched and cleaned between two looks is told as gone."""
    job_id = jobs.pending()
    waiting = start("wait", job_id)
    until(lambda: listens(waiting.pid))
    jobs.path(job_id).unlink()
    ended = waiting.end()
    assert (ended.returncode, ended.stdout) == (3, "")
    assert job_id in ended.stderr


def listens(pid: int) -> bool:
    """Tell whether a process listens to the bell."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            if "inotify" in str(link.readlink()):
                return True
    return False


def test_an_interrupted_wait(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """SIGINT ends it with 130, and what was told stands."""
    completed = jobs.completed()
    waiting = start("wait", completed, jobs.pending())
    until(lambda: waiting.stdout)
    waiting.signal(signal.SIGINT)
    ended = waiting.end()
    assert (ended.returncode, ended.stdout) == (130, f"{completed}\tcompleted\n")
    assert "Traceback" not in ended.stderr


def test_many_jobs_take_time_in_proportion(
    commands: Commands, spool: Spool, until: Callable[..., Any]
) -> None:
    """Thousands of jobs that end one by one are told in little time of the processor's."""
    number = 3000
    ids = list(spool.submit_many(("neg", ["1"]) for _ in range(number)))
    out = commands.home / "told"
    with out.open("wb") as told:
        waiting = commands.open("wait", "-", stdin=PIPE, stdout=told)
        assert waiting.stdin is not None
        waiting.stdin.write("\n".join(ids).encode())
        waiting.stdin.close()
    with spool.register() as lease:
        while claimed := spool.claim(lease):
            assert spool.finish(claimed, Outcome.completed("-1"))
    _, status, used = os.wait4(waiting.pid, 0)
    waiting.returncode = os.waitstatus_to_exitcode(status)
    assert waiting.returncode == 0
    lines = out.read_text().splitlines()
    assert sorted(lines) == [f"{job_id}\tcompleted" for job_id in sorted(ids)]
    assert used.ru_utime + used.ru_stime < 10


@pytest.mark.parametrize("number", [1, FEW, FEW + 1, 3 * FEW])
def test_a_look_finds_each_once(number: int, jobs: Jobs) -> None:
    """Few or many of one bucket, one by one or by a listing."""
    ids = [jobs.pending() for _ in range(number)]
    awaited = Awaited(jobs.spool.layout, ids)
    assert list(awaited.look()) == []
    assert list(awaited.open) == ids
    ended = finish_next(jobs.spool, Outcome.failed("no"))
    assert list(awaited.look()) == [(ended, State.FAILED)]
    assert list(awaited.look()) == []
    assert len(awaited) == number - 1
    assert ended not in awaited
