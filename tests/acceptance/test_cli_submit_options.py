"""What `spool submit` takes beside the operation and its operands."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from spoolcalc import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Commands, Jobs, Ran

    from spoolcalc import Job, Spool

UNKNOWN = "01a20f20-b358-75fa-ab79-9c641df4b44f"


@pytest.fixture
def submitted(commands: Commands, spool: Spool) -> Callable[..., Job]:
    """Submit a job and return it."""

    def submit(*words: str, **how: object) -> Job:
        ended = commands.run("submit", *words, **how)  # type: ignore[arg-type] # as run takes them
        assert (ended.returncode, ended.stderr) == (0, "")
        return spool.find(ended.stdout.strip())

    return submit


# --- limits, times, other jobs


def test_limits_and_retries(submitted: Callable[..., Job]) -> None:
    """Durations are written as people write them."""
    job = submitted("add", "1", "2", "--timeout", "10m", "--retries", "3", "--backoff", "1m30s")
    assert (job.timeout, job.retries, job.backoff) == (600.0, 3, 90.0)
    assert job.state is State.PENDING


def test_a_delay(submitted: Callable[..., Job]) -> None:
    """The job waits in delayed until its time."""
    job = submitted("--delay", "1h", "add", "1", "2")
    assert job.state is State.DELAYED
    assert job.not_before is not None


def test_a_time_of_day(submitted: Callable[..., Job]) -> None:
    """Local time, unless it says otherwise."""
    here = {"env": {"TZ": "XXX-2"}}
    job = submitted("add", "1", "2", "--at", "2999-12-01T03:00", **here)
    assert (job.state, job.not_before) == (State.DELAYED, "2999-12-01T01:00:00.000Z")
    job = submitted("add", "1", "2", "--at", "2999-12-01T03:00Z", **here)
    assert job.not_before == "2999-12-01T03:00:00.000Z"
    job = submitted("add", "1", "2", "--at", "2000-01-01")
    assert job.state is State.PENDING


def test_other_jobs(submitted: Callable[..., Job], jobs: Jobs) -> None:
    """--after is repeated for each, and says whether it has to complete."""
    first, second, third = jobs.pending(), jobs.pending(), jobs.pending()
    job = submitted("neg", "1", "--after", first, f"--after={second}:any", "--after", third + ":ok")
    assert job.state is State.BLOCKED
    assert job.after == ((first, "ok"), (second, "any"), (third, "ok"))
    job = submitted("add", "1", f"@{first}")
    assert (job.state, job.after) == (State.BLOCKED, ((first, "ok"),))


def test_a_label_and_a_key(submitted: Callable[..., Job], run: Callable[..., Ran]) -> None:
    """A second submit with a key prints the first one's id."""
    job = submitted("add", "1", "2", "--label", "nightly sum", "--key", "sum-1")
    assert (job.label, job.key) == ("nightly sum", "sum-1")
    assert run("submit", "add", "3", "4", "--key", "sum-1") == (0, f"{job.id}\n", "")
    assert run("submit", "add", "3", "4", "--key", "sum-2").stdout.strip() != job.id


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--timeout", "soon"], "not a duration"),
        (["--timeout", "0"], "timeout"),
        (["--retries", "-1"], "retries"),
        (["--at", "tomorrow"], "not a date and time"),
        (["--at", "2026-12-01", "--delay", "1s"], "delay"),
        (["--after", "nonsense"], "not a job id"),
        (["--after", "nightly"], "spool status NAME"),
        (["--after", f"{UNKNOWN}:maybe"], "ID:any"),
        (["--label", ""], "label"),
        (["--label", "two\nlines"], "label"),
        (["--key", "x" * 500], "key"),
        (["--env", "A=1"], "exec"),
        (["--stdin", "/dev/null"], "exec"),
        (["--max-output", "10M"], "exec"),
        (["--max-output", "10XB"], "not a size"),
        (["--exit-code"], "--wait"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: list[str], said: str, run: Callable[..., Ran], commands: Commands
) -> None:
    """Before anything is made."""
    ended = run("submit", "add", "1", "2", *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert not commands.spool.exists()


def test_a_job_to_wait_for_that_is_not_there(run: Callable[..., Ran], spool: Spool) -> None:
    """It would wait for ever."""
    ended = run("submit", "add", "1", "2", "--after", UNKNOWN)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert sum(spool.counts().values()) == 0


# --- many jobs


def test_options_are_those_of_every_line(commands: Commands, spool: Spool) -> None:
    """With --from, what was given on the command line holds for each job."""
    lines = b"add 1 2\nexec sleep -- 1\nneg 3\n"
    words = ["--from", "-", "--timeout", "5s", "--retries", "1", "--label", "batch"]
    ended = commands.run("submit", *words, input=lines)
    assert ended.returncode == 0
    found = [spool.find(job_id) for job_id in ended.stdout.split()]
    assert [job.operation for job in found] == ["add", "exec", "neg"]
    assert found[1].operands == ("sleep", "--", "1")
    assert {(job.timeout, job.retries, job.label) for job in found} == {(5.0, 1, "batch")}
    told = commands.run("submit", "--from", "-", "--env", "A=1", input=lines)
    assert told.returncode == 2
    assert "line 1" in told.stderr


def test_the_same_file_with_the_same_key_is_the_same_jobs(
    run: Callable[..., Ran], spool: Spool
) -> None:
    """What is submitted again makes no second job; a line that was changed is another job."""
    words = ["submit", "--from", "-", "--key", "x"]
    first = run(*words, input=b"add 1 2\n\nneg 3\n")
    assert first.returncode == 0
    keys = [str(spool.find(job_id).key) for job_id in first.stdout.split()]
    assert [key.rpartition(":")[0] for key in keys] == ["x:1", "x:3"]
    assert run(*words, input=b"add 1 2\n\nneg 3\n") == first
    changed = run(*words, input=b"add 1 2\n\nneg 4\n").stdout.split()
    assert changed[0] == first.stdout.split()[0]
    assert spool.find(changed[1]).operands == ("4",)


@pytest.mark.parametrize("key", ["", "x" * 161, "a\nb"])
def test_a_bad_beginning_of_keys_is_refused(
    key: str, run: Callable[..., Ran], commands: Commands
) -> None:
    """Once, before anything is read: an empty one would be shared by all who forgot theirs."""
    ended = run("submit", "--from", "-", "--key", key, input=b"neg 1\nneg 2\n")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("spool: not the beginning of a key: ")
    assert not commands.spool.exists()


# --- commands


@pytest.mark.parametrize(
    "words",
    [
        ["exec", "ls", "-l", "--", "-x"],
        ["exec", "--", "ls", "-l", "--", "-x"],
        ["--timeout", "5s", "exec", "ls", "-l", "--", "-x"],
        ["--timeout=5s", "exec", "--", "ls", "-l", "--", "-x"],
        ["--timeout", "5s", "--", "exec", "ls", "-l", "--", "-x"],
    ],
)
def test_all_behind_exec_is_the_command_s(words: list[str], submitted: Callable[..., Job]) -> None:
    """Options too; ours stand before it, and a lone -- in front of the command is dropped."""
    job = submitted(*words)
    assert (job.operation, job.operands) == ("exec", ("ls", "-l", "--", "-x"))
    assert job.timeout == (5.0 if words[0].startswith("--t") else None)


def test_our_own_options_belong_to_the_command_too(submitted: Callable[..., Job]) -> None:
    """--wait behind exec is not for us, and neither is --help."""
    assert submitted("exec", "--", "--wait", "--help").operands == ("--wait", "--help")
    assert submitted("--label", "x", "exec", "tool", "--label", "y", "-h").operands == (
        *("tool", "--label", "y", "-h"),
    )


@pytest.mark.parametrize(
    "words",
    [
        ["exec", "--help"],
        ["exec", "--timeout", "5s", "--", "sleep", "1"],
        ["--label", "x", "exec", "--wait", "true"],
        ["exec", "-x"],
    ],
)
def test_an_option_where_the_command_belongs_is_refused(
    words: list[str], run: Callable[..., Ran], spool: Spool
) -> None:
    """It was meant for us; as a command it would only fail when it is run."""
    ended = run("submit", *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Options of ours go before exec" in ended.stderr
    assert run("submit", "--from", "-", input=b"exec --wait true\n").returncode == 2
    assert spool.counts()[State.PENDING] == 0


def test_where_it_was_submitted_is_where_it_runs(
    submitted: Callable[..., Job], commands: Commands
) -> None:
    """The working directory is recorded, and a file is named from there."""
    place = commands.home / "place"
    place.mkdir()
    job = submitted("--stdin", "in.txt", "--max-output", "64K", "exec", "cat", cwd=place)
    assert job.command is not None
    assert job.command["cwd"] == str(place)
    assert job.command["stdin"] == str(place / "in.txt")
    assert job.max_output == 65_536


def test_variables_for_a_command(submitted: Callable[..., Job], run: Callable[..., Ran]) -> None:
    """With a value as written, without one as it is here."""
    job = submitted("--env", "A=1=2", "--env", "B", "--env", "C=", "exec", "env", env={"B": "b"})
    assert job.command is not None
    assert job.command["env"] == {"A": "1=2", "B": "b", "C": ""}
    ended = run("submit", "--env", "NO_SUCH_VARIABLE", "exec", "env")
    assert ended.returncode == 2
    assert "NO_SUCH_VARIABLE" in ended.stderr


def test_stdin_itself_cannot_be_kept(run: Callable[..., Ran], spool: Spool) -> None:
    """A command reads a file."""
    ended = run("submit", "--stdin", "-", "exec", "cat")
    assert (ended.returncode, "file" in ended.stderr) == (2, True)


@pytest.mark.parametrize(
    "file",
    ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "/proc/thread-self/fd/0", "link", "pipe", "."],
)
def test_stdin_is_a_file_that_stays(
    commands: Commands, run: Callable[..., Ran], spool: Spool, file: str
) -> None:
    """What is ours only, or ends with who writes it, would be empty or gone for the worker."""
    (commands.home / "link").symlink_to("link2")
    (commands.home / "link2").symlink_to("/dev/stdin")
    os.mkfifo(commands.home / "pipe")
    ended = run("submit", "--stdin", file, "exec", "cat", input=b"data")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"'{file}' is none" in ended.stderr
    assert "put it into a file" in ended.stderr
    assert spool.counts()[State.PENDING] == 0


def test_our_own_stdin_is_refused_even_if_it_is_a_file(
    commands: Commands, run: Callable[..., Ran], spool: Spool
) -> None:
    """The worker's own would be opened in its place; a link to a file is one."""
    data, link = commands.home / "data", commands.home / "link"
    data.write_text("data")
    link.symlink_to(data)
    with data.open("rb") as stdin:
        assert run("submit", "--stdin", "/dev/stdin", "exec", "cat", stdin=stdin).returncode == 2
    assert run("submit", "--stdin", "link", "exec", "cat").returncode == 0


def test_a_command_is_needed(run: Callable[..., Ran], spool: Spool) -> None:
    """Without one, also with a lone --, is refused."""
    for words in (["exec"], ["exec", "--"], ["--timeout", "5s", "exec"]):
        assert run("submit", *words).returncode == 2


def test_an_unknown_option_before_exec_is_named(run: Callable[..., Ran], spool: Spool) -> None:
    """It is not taken for a part of the command."""
    ended = run("submit", "--timeuot", "5s", "exec", "ls", "-l")
    assert ended.returncode == 2
    assert "--timeuot" in ended.stderr


def test_json_has_what_was_asked_for(run: Callable[..., Ran], spool: Spool) -> None:
    """All options stand in the answer."""
    before = time.time()
    words = ["--json", "--timeout", "5s", "--retries", "2", "--label", "l", "--delay", "10m"]
    [job] = json.loads(run("submit", *words, "exec", "ls").stdout)["jobs"]
    assert (job["timeout"], job["retries"], job["backoff"], job["label"]) == (5.0, 2, 10.0, "l")
    assert (job["state"], job["exit_code"], job["key"]) == ("delayed", None, None)
    assert job["not_before"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before))
    assert job["command"]["env"] == {}
