"""When `spool work` ends: started by cron, by a path unit, or told to by a service manager."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import State
from spoolcalc.document import new_document
from spoolcalc.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conftest import Commands, Jobs, Process, Ran

    from spoolcalc import Spool

    Run = Callable[..., Ran]
    Start = Callable[..., Process]
    Until = Callable[..., Any]

PATIENCE = 30.0


def command(spool: Spool, *argv: str) -> str:
    """Submit a command."""
    asked: dict[str, Any] = {"cwd": spool.path, "env": {}, "stdin": None}
    return spool.publish([new_document(new_id(), "exec", argv, command=asked)])[0]


def at_work(spool: Spool, until: Until) -> None:
    """Return when a worker is there."""
    until(lambda: len(spool.overview().workers) == 1, PATIENCE)


# --single


def test_a_second_single_run_ends_at_once_and_says_nothing(
    start: Start, run: Run, jobs: Jobs, until: Until
) -> None:
    """Whether the first has something to do or not; asked for, it says why."""
    first = start("work", "--single")
    at_work(jobs.spool, until)
    command(jobs.spool, "sleep", "60")
    for arguments in (["--once"], [], ["--once", "-q"]):
        assert run("work", "--single", *arguments) == (0, "", "")
    told = run("work", "--single", "--once", "-v")
    assert (told.returncode, told.stdout) == (0, "")
    assert "another --single run" in told.stderr
    assert first.popen.poll() is None


def test_single_runs_leave_others_alone(start: Start, run: Run, jobs: Jobs, until: Until) -> None:
    """It is a word among those that say it."""
    start("work", "--single")
    at_work(jobs.spool, until)
    jobs.pending()
    assert run("work", "--once").returncode == 0


def test_a_single_run_that_was_killed_does_not_keep_the_next_one_out(
    start: Start, run: Run, jobs: Jobs, until: Until
) -> None:
    """Not even while what it had started has not gone; and the job is run."""
    job_id = command(jobs.spool, "sh", "-c", 'test "$SPOOL_ATTEMPT" = 2 || exec sleep 60')
    first = start("work", "--single")
    until(lambda: jobs.state(job_id) is State.WIP, PATIENCE)
    first.signal(signal.SIGKILL)
    first.popen.wait()
    ran = run("work", "--once", "--single", "-q")
    assert ran.returncode == 0
    assert len(ran.stderr.splitlines()) == 1
    assert re.search(r" recovered the jobs of \S+: ", ran.stderr)
    assert jobs.state(job_id) is State.COMPLETED


def test_a_single_run_says_nothing_when_all_is_well_and_a_line_when_a_job_failed(
    run: Run, jobs: Jobs
) -> None:
    """With -q, so that cron has nothing to mail, or one line."""
    for _ in range(3):
        jobs.pending()
    assert run("work", "--once", "--single", "-q") == (0, "", "")
    job_id = jobs.pending("div", "1", "0")
    ran = run("work", "--once", "--single", "-q")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert re.fullmatch(rf"\S+ failed {job_id} div 1 0 failed: division by zero.*\n", ran.stderr)


# --until-empty


def test_until_empty_ends_when_nothing_is_pending(run: Run, jobs: Jobs) -> None:
    """And pending/ is an empty directory then, which is what a path unit looks at."""
    done = [jobs.pending() for _ in range(3)]
    assert run("work", "--until-empty").returncode == 0
    assert {jobs.state(job_id) for job_id in done} == {State.COMPLETED}
    assert os.listdir(jobs.spool.layout.pending) == []
    assert run("work", "--until-empty") == (0, "", "")


def test_until_empty_waits_for_what_cannot_be_run_here(
    start: Start, jobs: Jobs, until: Until
) -> None:
    """It would be started again and again, and be of no use."""
    strange = jobs.pending("unheard-of")
    worker = start("work", "--until-empty", "--poll", "0.1s")
    at_work(jobs.spool, until)
    known = jobs.pending()
    until(lambda: jobs.state(known) is State.COMPLETED, PATIENCE)
    assert worker.popen.poll() is None
    jobs.path(strange).unlink()
    assert worker.end(PATIENCE).returncode == 0


def test_until_empty_takes_in_what_lies_in_the_inbox(run: Run, jobs: Jobs) -> None:
    """But for what is hidden, because somebody still writes it."""
    inbox = Path(jobs.spool.layout.inbox)
    for name in ("a.json", ".b.json"):
        (inbox / name).write_text('{"operation": "add", "operands": ["1", "2"]}')
    assert run("work", "--until-empty").returncode == 0
    assert jobs.spool.counts()[State.COMPLETED] == 1
    assert os.listdir(inbox) == [".b.json"]


def test_until_empty_waits_for_the_end_of_a_pause(start: Start, jobs: Jobs, until: Until) -> None:
    """Jobs are pending, and nobody may take them."""
    job_id = jobs.pending()
    jobs.spool.pause()
    worker = start("work", "--until-empty", "--poll", "0.1s")
    at_work(jobs.spool, until)
    assert worker.popen.poll() is None
    jobs.spool.resume()
    assert worker.end(PATIENCE).returncode == 0
    assert jobs.state(job_id) is State.COMPLETED


def test_until_empty_stays_for_what_is_due_soon(run: Run, jobs: Jobs) -> None:
    """And not for what is due in an hour."""
    soon = jobs.spool.submit("add", ["1", "2"], delay=2.0)
    later = jobs.spool.submit("add", ["1", "2"], delay=3600.0)
    assert run("work", "--until-empty").returncode == 0
    assert jobs.state(soon) is State.COMPLETED
    assert jobs.state(later) is State.DELAYED


def test_once_and_until_empty_exclude_each_other(run: Run, commands: Commands) -> None:
    """Nothing is made."""
    ran = run("work", "--once", "--until-empty")
    assert ran.returncode == 2
    assert not commands.spool.exists()


# --drain-time


@pytest.mark.parametrize("limit", ["0s", "0.5s"])
def test_what_still_runs_after_the_drain_time_is_given_back(
    limit: str, start: Start, jobs: Jobs, until: Until
) -> None:
    """Uncharged; the limit counts from the signal on."""
    job_id = command(jobs.spool, "sleep", "60")
    worker = start("work", "--drain-time", limit)
    until(lambda: jobs.state(job_id) is State.WIP, PATIENCE)
    worker.signal(signal.SIGTERM)
    ended = worker.end(PATIENCE)
    assert ended.returncode == 130
    assert "given back" in ended.stderr
    job = jobs.spool.find(job_id)
    assert (job.state, list(job.attempts)) == (State.PENDING, [])


def test_what_ends_within_the_drain_time_is_finished(
    start: Start, jobs: Jobs, until: Until
) -> None:
    """And the worker ends well."""
    job_id = command(jobs.spool, "sleep", "1")
    worker = start("work", "--drain-time", "1h")
    until(lambda: jobs.state(job_id) is State.WIP, PATIENCE)
    worker.signal(signal.SIGTERM)
    assert worker.end(PATIENCE).returncode == 0
    assert jobs.state(job_id) is State.COMPLETED


# The journal


def journaled(commands: Commands, path: Path, *arguments: str, **environment: str) -> list[str]:
    """Run the command with its stderr in a file that stands for the journal's stream."""
    with path.open("wb") as file:
        status = os.fstat(file.fileno())
        stream = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}", **environment}
        commands.run(*arguments, env=stream, stderr=file)
    return path.read_text().splitlines()


def test_lines_in_the_journal_have_levels_and_no_times(
    commands: Commands, jobs: Jobs, tmp_path: Path
) -> None:
    """The journal has the time itself."""
    good, bad = jobs.pending(), jobs.pending("div", "1", "0")
    told = journaled(commands, tmp_path / "journal", "work", "--once", "-v")
    assert [line for line in told if line.startswith("<7>started ")]
    assert f"<7>claimed {good} add 12 23" in told
    assert [line for line in told if line.startswith(f"<6>completed {good} ")]
    assert [line for line in told if line.startswith(f"<4>failed {bad} ")]
    assert all(re.match("<[4-7]>[a-z]", line) for line in told)


def test_an_error_in_the_journal_has_its_level_in_each_line(
    commands: Commands, tmp_path: Path
) -> None:
    """An entry is a line, and the hint is one too."""
    told = journaled(commands, tmp_path / "journal", "submit", "ad", "1")
    assert len(told) == 2
    assert told[0] == "<3>spool: unknown operation 'ad'"
    assert told[1].startswith("<3>  Did you mean add?")


def test_who_is_not_in_the_journal_writes_as_ever(
    commands: Commands, jobs: Jobs, tmp_path: Path
) -> None:
    """The variable is inherited by those whose stderr goes elsewhere."""
    jobs.pending()
    told = journaled(
        commands, tmp_path / "file", "work", "--once", JOURNAL_STREAM=f"{os.stat('/').st_dev}:1"
    )
    assert re.match(r"\d{4}-\d\d-\d\dT\S+ completed ", told[0])


# A terminal that goes


def test_several_hangups_are_one(
    start: Start, jobs: Jobs, until: Until, plugin: dict[str, str], tmp_path: Path
) -> None:
    """The kernel and the shell both send one; the job at hand is finished all the same."""
    job_id = jobs.pending("hold", str(tmp_path))
    worker = start("work", env=plugin)
    until(lambda: list(tmp_path.glob("running.*")))
    for _ in range(3):
        worker.signal(signal.SIGHUP)
        until(lambda: not pending_signals(worker.pid))
    (tmp_path / "go").touch()
    assert worker.end().returncode == 0
    assert jobs.state(job_id) is State.COMPLETED


def pending_signals(pid: int) -> int:
    """Return the signals that a process was sent and has not taken yet."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^ShdPnd:\s+(\w+)", status, re.MULTILINE)[0], 16)


def test_a_hangup_that_is_ignored_stays_so(start: Start, jobs: Jobs, until: Until) -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        worker = start("work")
    finally:
        signal.signal(signal.SIGHUP, before)
    at_work(jobs.spool, until)
    worker.signal(signal.SIGHUP)
    job_id = jobs.pending()
    until(lambda: jobs.state(job_id) is State.COMPLETED)
    assert worker.popen.poll() is None
