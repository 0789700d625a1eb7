"""Commands as jobs, from `spool submit exec` to `spool fetch`, run by a real worker."""

from __future__ import annotations

import json
import re
import shlex
import time
from typing import TYPE_CHECKING

import pytest
from conftest import COMMAND

from spoolcalc import Spool, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from conftest import Commands, Process, Ran


@pytest.fixture
def done(run: Callable[..., Ran]) -> Callable[..., str]:
    """Submit a command, with options before it, and run it to its end; return its id."""

    def do(*words: str, **how: Any) -> str:
        job_id = run("submit", *words, **how).stdout.strip()
        assert run("work", "--once").returncode == 0
        return job_id

    return do


def test_what_it_writes_is_what_is_fetched(
    done: Callable[..., str], run: Callable[..., Ran]
) -> None:
    """Both streams apart, no newline added."""
    job_id = done("exec", "sh", "-c", "printf 'a\\nb'; printf oh >&2")
    assert run("logs", job_id) == (0, "a\nb", "")
    assert run("logs", "--stderr", job_id) == (0, "oh", "")
    assert run("fetch", job_id) == (0, "a\nb", "")


def test_its_exit_code_decides(done: Callable[..., str], run: Callable[..., Ran]) -> None:
    """Not 0 is a failed job; a signal is 128 more."""
    job_id = done("exec", "sh", "-c", "echo half; exit 7")
    ended = run("fetch", job_id)
    assert (ended.returncode, ended.stdout) == (1, "half\n")
    assert "7" in ended.stderr
    assert run("fetch", "--exit-code", job_id).returncode == 7
    killed = done("exec", "sh", "-c", "kill -9 $$")
    assert run("wait", "--exit-code", killed).returncode == 137
    [job] = json.loads(run("status", "--json", killed).stdout)["jobs"]
    assert (job["exit_code"], job["reason"]) == (137, "error")


def test_it_runs_where_and_with_what_was_asked(
    done: Callable[..., str], run: Callable[..., Ran], commands: Commands
) -> None:
    """Directory, environment and stdin are the submitter's; the job knows its own name."""
    place = commands.home / "a place"
    place.mkdir()
    (place / "in").write_text("read\n")
    script = 'pwd; echo "$A $SPOOL_JOB_ID $SPOOL_ATTEMPT $SPOOL_DIR"; cat'
    words = ["--env", "A=x y", "--stdin", "in", "exec", "sh", "-c", script]
    job_id = done(*words, cwd=place)
    expected = f"{place}\nx y {job_id} 1 {commands.spool}\nread\n"
    assert run("fetch", job_id) == (0, expected, "")


def test_waiting_for_a_command(
    start: Callable[..., Process], run: Callable[..., Ran], spool: Spool
) -> None:
    """With --wait and --exit-code it is as if it ran here."""
    start("work")
    ended = run("submit", "--wait", "--exit-code", "exec", "sh", "-c", "echo out; exit 3")
    assert (ended.returncode, ended.stdout) == (3, "out\n")
    assert run("submit", "--wait", "exec", "echo", "-n", "x") == (0, "x", "")


def test_a_command_that_is_cancelled(
    start: Callable[..., Process], run: Callable[..., Ran], until: Callable[..., Any], spool: Spool
) -> None:
    """What runs is ended, and so is who follows it."""
    start("work")
    job_id = run("submit", "--retries", "5", "exec", "sh", "-c", "echo on; exec sleep 600")
    following = start("logs", "-f", job_id.stdout.strip())
    until(lambda: following.stdout == "on\n")
    assert run("cancel", job_id.stdout.strip()) == (0, "", "")
    assert following.end().returncode == 0
    ended = run("fetch", job_id.stdout.strip())
    assert (ended.returncode, ended.stdout) == (5, "on\n")


def test_a_command_that_takes_too_long(done: Callable[..., str], run: Callable[..., Ran]) -> None:
    """It is ended at its limit, and the reason is told."""
    began = time.monotonic()
    job_id = done("--timeout", "300ms", "exec", "sleep", "600")
    assert time.monotonic() - began < 60
    assert run("fetch", job_id).returncode == 1
    [job] = json.loads(run("status", "--json", job_id).stdout)["jobs"]
    assert job["reason"] == "timeout"


def test_a_command_that_is_tried_again(
    start: Callable[..., Process],
    run: Callable[..., Ran],
    until: Callable[..., Any],
    commands: Commands,
    spool: Spool,
) -> None:
    """Each attempt's error is kept; the last one's output is the result."""
    script = "echo $SPOOL_ATTEMPT; [ $SPOOL_ATTEMPT = 2 ]"
    words = ["--retries", "2", "--backoff", "50ms", "exec", "sh", "-c", script]
    job_id = run("submit", *words).stdout.strip()
    start("work")
    until(lambda: spool.find(job_id).state is State.COMPLETED)
    [job] = json.loads(run("status", "--json", job_id).stdout)["jobs"]
    assert [attempt["end"] for attempt in job["attempts"]] == ["failed", "completed"]
    assert job["attempts"][0]["error"]
    assert "attempt 1" in commands.on_terminal("status", job_id).stdout
    assert run("fetch", job_id) == (0, "2\n", "")


def test_too_much_is_cut(done: Callable[..., str], run: Callable[..., Ran]) -> None:
    """What is over the limit is not kept, and that is told."""
    job_id = done("--max-output", "1K", "exec", "sh", "-c", "head -c 5000 /dev/zero")
    ended = run("fetch", job_id)
    assert (ended.returncode, len(ended.stdout)) == (0, 1024)
    assert "more than was kept" in ended.stderr


def test_a_command_from_a_directory_that_is_gone_is_refused(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    """It would have nowhere to run."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"cd {gone} && rmdir {gone} && exec {shlex.join(COMMAND)} submit exec true"
    ran = run("-c", script, command=("sh",))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Perhaps it was removed" in ran.stderr


def test_the_worker_s_line_of_a_command(run: Callable[..., Ran]) -> None:
    """Its exit code stands for the result, and it is said if there is more than was kept."""
    run("submit", "exec", "true")
    run("submit", "--max-output", "1K", "exec", "head", "-c5000", "/dev/zero")
    first, second = run("work", "--once").stderr.splitlines()
    assert re.search(r" exec true: exit 0 \([0-9.]+ ms\)$", first)
    assert re.search(r" /dev/zero: exit 0; its output was cut \([0-9.]+ ms\)$", second)
