"""`spool logs`, and `spool fetch` of commands: what they wrote, byte by byte."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conftest import Commands, Jobs, Process, Ran

UNKNOWN = "01a20f20-b358-75fa-ab79-9c641df4b44f"
#: Bytes that are no text, without a newline at the end.
BINARY = bytes(range(256)) * 20_000


def raw(commands: Commands, tmp_path: Path, *words: str) -> tuple[int, bytes]:
    """Run the command; return its code and the bytes that it wrote."""
    out = tmp_path / "raw"
    with out.open("wb") as file:
        code = commands.run(*words, stdout=file).returncode
    return code, out.read_bytes()


# --- fetch ----------------------------------------------------------------------------------------


def test_fetch_gives_the_bytes_as_they_are(commands: Commands, jobs: Jobs, tmp_path: Path) -> None:
    """Nothing is added, nothing is decoded; then the job is retrieved."""
    job_id = jobs.command(BINARY)
    assert raw(commands, tmp_path, "fetch", job_id) == (0, BINARY)
    assert jobs.state(job_id) is State.RETRIEVED
    assert raw(commands, tmp_path, "fetch", job_id) == (0, BINARY)


def test_a_command_that_failed_has_its_output_and_error(
    run: Callable[..., Ran], jobs: Jobs
) -> None:
    """What came before is on stdout, the error on stderr."""
    job_id = jobs.command(b"half\n", 3)
    ended = run("fetch", job_id)
    assert (ended.returncode, ended.stdout) == (1, "half\n")
    assert ended.stderr == f"spool: job {job_id} failed: exit code 3\n"
    assert jobs.state(job_id) is State.FAILED


def test_the_command_s_own_exit_code(run: Callable[..., Ran], jobs: Jobs) -> None:
    """--exit-code hands it on; other jobs keep to the table."""
    good, bad, sum_ = jobs.command(b"ok"), jobs.command(b"", 42), jobs.failed()
    assert run("fetch", "--exit-code", good).returncode == 0
    assert run("fetch", "--exit-code", bad).returncode == 42
    assert run("fetch", "--exit-code", "--json", bad).returncode == 42
    assert run("wait", "--exit-code", bad) == (42, f"{bad}\tfailed\n", "")
    assert run("wait", bad).returncode == 1
    assert run("wait", "--exit-code", good, sum_).returncode == 1
    assert run("wait", "--exit-code", good, bad, sum_).returncode == 42


def test_what_was_cut_is_said(run: Callable[..., Ran], jobs: Jobs) -> None:
    """On stderr, with what was kept on stdout."""
    ended = run("fetch", jobs.command(b"the start", cut=True))
    assert (ended.returncode, ended.stdout) == (0, "the start")
    assert "more than was kept" in ended.stderr


def test_an_output_that_is_gone_is_not_retrieved(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Nothing is no answer."""
    job_id = jobs.command(b"all of it")
    for path in Path(jobs.spool.layout.output).glob("*/*"):
        path.unlink()
    ended = run("fetch", job_id)
    assert (ended.returncode, ended.stdout) == (7, "")
    assert job_id in ended.stderr
    assert jobs.state(job_id) is State.COMPLETED


def test_a_reader_that_leaves_keeps_the_job_unretrieved(commands: Commands, jobs: Jobs) -> None:
    """As with every result."""
    job_id = jobs.command(BINARY)
    reader, writer = os.pipe()
    os.close(reader)
    ended = commands.run("fetch", job_id, stdout=writer)
    os.close(writer)
    assert ended.returncode == 7
    assert jobs.state(job_id) is State.COMPLETED


def test_json_tells_where_the_output_is(run: Callable[..., Ran], jobs: Jobs) -> None:
    """The paths of both streams, and the exit code."""
    [job] = json.loads(run("fetch", "--json", jobs.command(b"text", 0)).stdout)["jobs"]
    assert Path(job["output"]["stdout"]).read_bytes() == b"text"
    assert (job["output"]["stderr"], job["exit_code"]) == (None, 0)
    [job] = json.loads(run("status", "--json", jobs.completed()).stdout)["jobs"]
    assert (job["output"], job["exit_code"], job["command"]) == (None, None, None)


# --- logs -----------------------------------------------------------------------------------------


def test_logs_of_each_stream(commands: Commands, jobs: Jobs, tmp_path: Path) -> None:
    """Of stdout, or with --stderr of that; the job stays as it is."""
    job_id = jobs.spool.submit("exec", ["tool"])
    with jobs.attempt() as attempt:
        attempt.write(BINARY)
        attempt.write(b"a warning\n", "stderr")
        assert raw(commands, tmp_path, "logs", job_id) == (0, BINARY)
        assert raw(commands, tmp_path, "logs", "--stderr", job_id) == (0, b"a warning\n")
        attempt.end()
    assert raw(commands, tmp_path, "logs", job_id) == (0, BINARY)
    assert raw(commands, tmp_path, "logs", "-f", job_id) == (0, BINARY)
    assert jobs.state(job_id) is State.COMPLETED


@pytest.mark.parametrize(
    ("written", "number", "shown"),
    [
        (b"a\nb\nc\n", 2, "b\nc\n"),
        (b"a\nb\nc", 2, "b\nc"),
        (b"a\nb\n", 2, "a\nb\n"),
        (b"a\nb\n", 9, "a\nb\n"),
        (b"a\nb\n", 0, ""),
        (b"\n\n\n", 1, "\n"),
        (b"", 3, ""),
        (b"x" * 200_000 + b"\ny\n" + b"z" * 200_000, 2, "y\n" + "z" * 200_000),
    ],
)
def test_the_last_lines(
    written: bytes, number: int, shown: str, run: Callable[..., Ran], jobs: Jobs
) -> None:
    """--tail N, also of a file that ends without a newline."""
    job_id = jobs.command(written)
    assert run("logs", "--tail", str(number), job_id) == (0, shown, "")


def test_following_ends_with_the_job(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """What is written is shown as it comes, to the last byte."""
    job_id = jobs.spool.submit("exec", ["tool"])
    following = start("logs", "-f", job_id)
    with jobs.attempt() as attempt:
        attempt.write(b"first\n")
        until(lambda: following.stdout == "first\n")
        attempt.write(b"second\n")
        until(lambda: following.stdout == "first\nsecond\n")
        assert following.popen.poll() is None
        attempt.write(b"the end")
        attempt.end()
    assert following.end() == (0, "first\nsecond\nthe end", "")


def test_following_goes_on_with_the_next_attempt(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """A retry is told on stderr, and its output follows."""
    job_id = jobs.spool.submit("exec", ["tool"], retries=1, backoff=0.01)
    following = start("logs", "-f", job_id)
    with jobs.attempt() as attempt:
        attempt.write(b"one\n")
        until(lambda: following.stdout == "one\n")
        attempt.write(b"and a half\n")
        attempt.end(3)
    until(lambda: due(jobs))
    with jobs.attempt() as attempt:
        assert attempt.number == 2
        attempt.write(b"two\n")
        attempt.end()
    ended = following.end()
    assert (ended.returncode, ended.stdout) == (0, "one\nand a half\ntwo\n")
    assert ended.stderr == (
        f"spool: attempt 2 of job {job_id} began; the one before: exit code 3\n"
    )


def test_following_goes_on_when_an_attempt_begins_again(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """It was given back, and the same worker writes into a new file of that name."""
    job_id = jobs.spool.submit("exec", ["tool"])
    following = start("logs", "-f", job_id)
    with jobs.attempt() as attempt:
        attempt.write(b"one\n")
        until(lambda: following.stdout == "one\n")
        [written] = Path(jobs.spool.layout.output).glob("*/*")
        written.unlink()
        attempt.write(b"again\n")
        until(lambda: following.stdout == "one\nagain\n")
        attempt.end()
    ended = following.end()
    assert ended.stderr == f"spool: attempt 1 of job {job_id} was given back, and began again\n"


def due(jobs: Jobs) -> bool:
    """Tell whether the one delayed job can be claimed; it is given back."""
    with jobs.spool.register() as lease:
        claimed = jobs.spool.claim(lease)
        return claimed is not None and jobs.spool.give_back(claimed)


def test_what_has_no_output(run: Callable[..., Ran], jobs: Jobs) -> None:
    """A job that is no command, one that has not begun, one that is not there."""
    assert run("logs", jobs.completed()).returncode == 2
    job_id = jobs.spool.submit("exec", ["tool"])
    ended = run("logs", job_id)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert "pending" in ended.stderr
    jobs.spool.cancel(job_id)
    ended = run("logs", job_id)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "cancelled" in ended.stderr
    assert run("fetch", job_id) == (5, "", f"spool: job {job_id} was cancelled\n")
    assert run("logs", UNKNOWN).returncode == 3
    assert run("logs", "nonsense").returncode == 2
