"""What the environment refuses, as who types the command meets it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Commands, Jobs, Ran

REFUSED = Path(__file__).parent / "crash_command.py"


def run_refused(commands: Commands, refused: tuple[str, str, str], *arguments: str) -> Ran:
    """Run the command with a system call refused."""
    return commands.run(*arguments, command=(sys.executable, str(REFUSED), *refused))


def assert_clear(ended: Ran, commands: Commands) -> None:
    """Hold an error against what is promised of it: where, what, what to do, and nothing else."""
    assert ended.returncode == 7
    lines = ended.stderr.splitlines()
    assert len(lines) == 2, ended.stderr
    assert lines[0].startswith("spool: cannot ")
    assert str(commands.spool.parent) in lines[0]
    assert lines[1].startswith("  ")


@pytest.mark.parametrize(
    "refused",
    [
        ("EIO", "open", "format.json"),
        ("EACCES", "open", "/tmp/submit."),
        ("ENOSPC", "open", "/tmp/submit."),
        ("ENOSPC", "write", ""),
        ("EIO", "fsync", ""),
        ("ENOSPC", "link", "/pending/"),
        ("ENOSPC", "mkdir", "/pending/"),
        ("EIO", "open", "/pending/"),
    ],
    ids=" ".join,
)
def test_a_refused_submit_leaves_no_job(
    refused: tuple[str, str, str], commands: Commands, jobs: Jobs
) -> None:
    """A submit that is refused prints no id and leaves no job; the next one is as if it was not."""
    ended = run_refused(commands, refused, "submit", "add", "12", "23")
    assert_clear(ended, commands)
    assert ended.stdout == ""
    assert list(commands.spool.glob("pending/**/*.json")) == []
    again = commands.run("submit", "add", "12", "23")
    assert again.returncode == 0
    assert jobs.state(again.stdout.strip()) == "pending"


@pytest.mark.parametrize("call", ["mkdir", "write", "fsync", "rename"])
def test_a_refused_first_submit_leaves_no_half_made_spool(call: str, commands: Commands) -> None:
    """A spool that could not be made is made by the next who comes."""
    ended = run_refused(commands, ("ENOSPC", call, ""), "submit", "add", "12", "23")
    assert_clear(ended, commands)
    assert ended.stdout == ""
    again = commands.run("submit", "add", "12", "23")
    assert (again.returncode, again.stderr) == (0, "")
    assert commands.run("work", "--once", "-q").returncode == 0
    assert commands.run("fetch", again.stdout.strip()).stdout == "35\n"


@pytest.mark.parametrize(
    "refused",
    [
        ("ENOSPC", "open", "/tmp/"),
        ("ENOSPC", "mkdir", "/wip/"),
        ("EIO", "rename", "/pending/"),
        ("EIO", "read", ""),
        ("ENOSPC", "fsync", ""),
        ("ENOSPC", "mkdir", "/completed/"),
        ("EACCES", "rename", "/completed/"),
    ],
    ids=" ".join,
)
def test_a_refused_worker_costs_no_attempt(
    refused: tuple[str, str, str], commands: Commands, jobs: Jobs
) -> None:
    """A worker that is refused says so and ends, and its job is done by the next, uncharged."""
    job_id = jobs.pending()
    ended = run_refused(commands, refused, "work", "--once", "-q")
    assert_clear(ended, commands)
    assert ended.stdout == ""
    assert commands.run("work", "--once", "-q").returncode == 0
    assert jobs.state(job_id) == "completed"
    assert [attempt.end for attempt in jobs.spool.find(job_id).attempts] == ["completed"]


@pytest.mark.parametrize("command", ["fetch", "status"])
@pytest.mark.parametrize("name", ["EIO", "EACCES"])
def test_a_refused_look_changes_nothing(
    command: str, name: str, commands: Commands, jobs: Jobs
) -> None:
    """A job that cannot be read now is told of, and stays where it is."""
    job_id = jobs.completed()
    ended = run_refused(commands, (name, "open", "/completed/"), command, job_id)
    assert_clear(ended, commands)
    assert ended.stdout == ""
    assert jobs.state(job_id) == "completed"
    assert commands.run("fetch", job_id).stdout == "35\n"


def test_a_fetch_that_cannot_mark_says_so(commands: Commands, jobs: Jobs) -> None:
    """A result that was printed and could not be marked retrieved is given again."""
    job_id = jobs.completed()
    ended = run_refused(commands, ("ENOSPC", "rename", "/retrieved/"), "fetch", job_id)
    assert_clear(ended, commands)
    assert ended.stdout == "35\n"
    assert jobs.state(job_id) == "completed"
    assert commands.run("fetch", job_id).stdout == "35\n"
    assert jobs.state(job_id) == "retrieved"


@pytest.mark.parametrize(
    "refused",
    [("EROFS", "utime", "/bell"), ("EIO", "unlink", "/retrieved/")],
    ids=" ".join,
)
def test_a_refused_clean_removes_nothing_else(
    refused: tuple[str, str, str], commands: Commands, jobs: Jobs
) -> None:
    """Cleaning that is refused says so, and the jobs that nobody fetched are all there."""
    kept = jobs.of_each_state()
    gone = kept.pop("retrieved")
    ended = run_refused(commands, refused, "clean", "--grace", "0s")
    assert_clear(ended, commands)
    assert jobs.state(gone) == "retrieved"
    assert {state: str(jobs.state(job_id)) for state, job_id in kept.items()} == {
        state: state for state in kept
    }
    assert commands.run("clean", "--grace", "0s").returncode == 0
    assert list(commands.spool.glob("retrieved/**/*.json")) == []
