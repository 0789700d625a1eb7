"""`spool cancel`, `retry`, `pause` and `resume`, and how status shows what they did."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from spoolcalc import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conftest import Commands, Jobs, Process, Ran

UNKNOWN = "01a20f20-b358-75fa-ab79-9c641df4b44f"


# --- cancel ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["pending", "delayed", "blocked"])
def test_what_waits_never_runs(state: str, run: Callable[..., Ran], jobs: Jobs) -> None:
    """Cancelled jobs lie in failed, and who waits or fetches is told so."""
    job_id = jobs.of_each_state()[state]
    assert run("cancel", job_id) == (0, "", "")
    assert jobs.state(job_id) is State.FAILED
    assert run("cancel", job_id) == (0, "", "")
    assert run("fetch", job_id) == (5, "", f"spool: job {job_id} was cancelled\n")
    assert run("wait", job_id) == (5, f"{job_id}\tfailed\n", "")
    [job] = json.loads(run("status", "--json", job_id).stdout)["jobs"]
    assert job["reason"] == "cancelled"


def test_too_late(run: Callable[..., Ran], jobs: Jobs) -> None:
    """One that has ended otherwise stays so; the others are cancelled all the same."""
    completed, failed, pending = jobs.completed(), jobs.failed(), jobs.pending()
    ended = run("cancel", completed, pending, failed)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"too late to cancel job {completed}: it is completed" in ended.stderr
    assert f"too late to cancel job {failed}" in ended.stderr
    assert jobs.state(pending) is State.FAILED
    assert run("cancel", UNKNOWN, completed).returncode == 3
    assert run("cancel", "nonsense").returncode == 2


def test_a_worker_that_does_not_obey(run: Callable[..., Ran], jobs: Jobs) -> None:
    """After the time that it is given the code is 4, and it is named."""
    job_id = jobs.pending()
    with jobs.spool.register() as lease:
        assert jobs.spool.claim(lease) is not None
        ended = run("cancel", "--timeout", "200ms", job_id)
        assert ended.returncode == 4
        assert lease.worker in ended.stderr


def test_a_job_whose_worker_was_killed_is_cancelled_at_once(
    run: Callable[..., Ran], start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """Nobody is there to obey, and what is left of the worker's job is ended first."""
    job_id = jobs.spool.submit("exec", ["sleep", "1000"])
    other = jobs.spool.submit("exec", ["sleep", "1000"])
    worker = start("work", "-j", "2")
    until(lambda: jobs.state(job_id) is jobs.state(other) is State.WIP)
    worker.signal(signal.SIGKILL)
    worker.popen.wait()
    assert run("cancel", "--timeout", "0s", job_id) == (0, "", "")
    assert jobs.state(job_id) is State.FAILED
    assert [a.end for a in jobs.spool.find(other).attempts] == ["lost"]
    assert jobs.state(other) is State.PENDING


def test_cancelled_jobs_as_json(commands: Commands, jobs: Jobs) -> None:
    """Ids may come from stdin."""
    ids = [jobs.pending(), jobs.pending()]
    told = json.loads(commands.run("cancel", "--json", "-", input="\n".join(ids).encode()).stdout)
    assert [(job["id"], job["state"]) for job in told["jobs"]] == [(i, "failed") for i in ids]


# --- retry ----------------------------------------------------------------------------------------


def test_a_failed_job_runs_again(run: Callable[..., Ran], jobs: Jobs) -> None:
    """It is pending again, its attempts are kept, and its id is printed."""
    first, second = jobs.failed(), jobs.failed()
    assert run("retry", first, second) == (0, f"{first}\n{second}\n", "")
    assert jobs.state(first) is State.PENDING
    assert len(jobs.spool.find(first).attempts) == 1


def test_only_what_has_failed_can_be_tried_again(run: Callable[..., Ran], jobs: Jobs) -> None:
    """What is in another state is named."""
    completed, failed = jobs.completed(), jobs.failed()
    ended = run("retry", completed, failed)
    assert (ended.returncode, ended.stdout) == (2, f"{failed}\n")
    assert completed in ended.stderr
    assert run("retry", UNKNOWN).returncode == 3


def test_all_that_have_failed(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Or those of one operation."""
    ids = [jobs.failed() for _ in range(3)]
    assert run("retry", "--failed", "--operation", "mul") == (0, "", "")
    ended = run("retry", "--failed", "--operation", "add")
    assert sorted(ended.stdout.split()) == sorted(ids)
    assert run("retry", "--failed") == (0, "", "")
    assert {jobs.state(job_id) for job_id in ids} == {State.PENDING}


@pytest.mark.parametrize("words", [[], ["--failed", UNKNOWN], ["--operation", "add", UNKNOWN]])
def test_retry_takes_ids_or_all(words: list[str], run: Callable[..., Ran], jobs: Jobs) -> None:
    """Not both, and not neither."""
    ended = run("retry", *words)
    assert (ended.returncode, ended.stdout) == (2, "")


# --- pause ----------------------------------------------------------------------------------------


def test_a_paused_spool_runs_nothing(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Until it is resumed; status tells since when and why."""
    job_id = jobs.pending()
    assert run("pause", "--reason", "the disk is\tbeing moved") == (0, "", "")
    assert run("work", "--once").returncode == 0
    assert jobs.state(job_id) is State.PENDING
    ended = run("status")
    assert "spool resume" in ended.stderr
    assert "spool resume" in run("wait", "--timeout", "0", job_id).stderr
    line = ended.stdout.splitlines()[-1].split("\t")
    assert (line[0], line[2]) == ("paused", "the disk is\\tbeing moved")
    told = json.loads(run("status", "--json").stdout)["paused"]
    assert told == {"since": line[1], "reason": "the disk is\tbeing moved"}
    assert run("resume") == (0, "", "")
    assert run("status").stdout.splitlines()[-1] == "paused\t-"
    assert json.loads(run("status", "--json").stdout)["paused"] is None
    run("work", "--once")
    assert jobs.state(job_id) is State.COMPLETED


def test_a_pause_on_a_terminal(commands: Commands, jobs: Jobs) -> None:
    """It is a line of the overview."""
    commands.run("pause")
    assert "paused since 2" in commands.on_terminal("status").stdout
    commands.run("pause", "--reason", "\x1b[2Jmine")
    seen = commands.on_terminal("status").stdout
    assert "\\x1b[2Jmine" in seen


def test_nothing_to_resume(run: Callable[..., Ran], jobs: Jobs) -> None:
    """It is said, and no error."""
    ended = run("resume")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "not paused" in ended.stderr


def test_a_worker_goes_on_when_it_is_resumed(
    run: Callable[..., Ran], start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """At once, not at its next look."""
    run("pause")
    start("work", "--poll", "1h")
    until(lambda: jobs.spool.overview().workers)
    job_id = jobs.pending()
    run("resume")
    until(lambda: jobs.state(job_id) is State.COMPLETED, 10)


def test_workers_say_that_the_spool_is_paused(
    run: Callable[..., Ran], start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """Once when they see it, and once when it has ended."""
    worker = start("work")
    until(lambda: jobs.spool.overview().workers)
    run("pause", "--reason", "the \x1b[2Jdisk")
    until(lambda: " paused since 2" in worker.stderr)
    run("resume")
    until(lambda: " resumed " in worker.stderr)
    worker.signal(signal.SIGTERM)
    told = worker.end().stderr.splitlines()
    assert len(told) == 2
    assert "the \\x1b[2Jdisk; no job is taken until `spool resume`" in told[0]


def test_cron_gets_no_mail_while_the_spool_is_paused(
    commands: Commands, run: Callable[..., Ran], jobs: Jobs
) -> None:
    """A worker that ends by itself says it on a terminal, or if it is asked for more."""
    jobs.pending()
    run("pause")
    assert run("work", "--once") == (0, "", "")
    assert " paused since 2" in run("work", "--once", "-v").stderr
    assert "paused" in commands.on_terminal("work", "--once").stdout


# --- status ---------------------------------------------------------------------------------------


def test_jobs_are_found_by_label_and_operation(run: Callable[..., Ran], jobs: Jobs) -> None:
    """In all states, or in one."""
    labelled = jobs.spool.submit("add", ["1", "2"], label="mine")
    delayed = jobs.spool.submit("mul", ["1", "2"], label="mine", delay=3600.0)
    other = jobs.pending("neg", "1")
    completed = jobs.completed()

    def listed(*words: str) -> set[str]:
        lines = run("status", *words).stdout.splitlines()
        assert len(lines) == len(set(lines))
        return {line.partition("\t")[0] for line in lines}

    assert listed("--label", "mine") == {labelled, delayed}
    assert listed("--label", "mine", "--state", "delayed") == {delayed}
    assert listed("--label", "mine", "--operation", "add") == {labelled}
    assert listed("--operation", "neg") == {other}
    assert listed("--operation", "add", "--state", "completed") == {completed}
    assert listed("--label", "nobody's") == set()
    told = json.loads(run("status", "--json", "--label", "mine").stdout)
    assert {job["id"] for job in told["jobs"]} == {labelled, delayed}
    assert run("status", "--label", "mine", labelled).returncode == 2


def test_labels_on_a_terminal(commands: Commands, jobs: Jobs) -> None:
    """A table has a column for them, if there are any."""
    jobs.pending()
    seen = commands.on_terminal("status", "--state", "pending", columns=140).stdout
    assert "label" not in seen
    jobs.spool.submit("add", ["1", "2"], label="nightly")
    seen = commands.on_terminal("status", "--operation", "add", columns=160).stdout
    assert "label" in seen
    assert "nightly" in seen
    assert "all jobs" in seen


def test_all_that_is_known_of_a_job(
    run: Callable[..., Ran], commands: Commands, jobs: Jobs
) -> None:
    """The new fields stand at the end of a line, on a sheet those that have a value."""
    first = jobs.pending()
    job_id = jobs.spool.submit(
        "exec", ["tool"], label="l", key="k", timeout=90.0, retries=2, after=[(first, "any")]
    )
    fields = run("status", job_id).stdout.rstrip("\n").split("\t")
    assert fields[1] == "blocked"
    assert fields[11:] == ["l", "k", "90", "2", "-", f"{first}:any", "-", "-"]
    sheet = commands.on_terminal("status", job_id).stdout
    for line in (
        "label         l",
        "timeout       90",
        "retries       2",
        f"after         {first}",
    ):
        assert line in sheet
    assert "exit code" not in sheet
    assert "retries" not in commands.on_terminal("status", first).stdout


def test_a_running_job_s_progress(run: Callable[..., Ran], commands: Commands, jobs: Jobs) -> None:
    """As its operation told it; what is torn or no progress is none."""
    job_id = jobs.spool.submit("exec", ["tool"])
    with jobs.attempt() as attempt:
        attempt.write(b"")
        for told, shown in (
            (b'{"fraction": 0.4, "text": "half\\tof it", "at": "x"}', "40% half\\tof it"),
            (b'{"fraction": null, "text": "reading"}', "reading"),
            (b'{"fraction": 1}', "100%"),
            (b"{", "-"),
            (b"[]", "-"),
        ):
            attempt.progress(told)
            assert run("status", job_id).stdout.rstrip("\n").split("\t")[-1] == shown
        attempt.progress(b'{"fraction": 0.5, "text": "y"}')
        [job] = json.loads(run("status", "--json", job_id).stdout)["jobs"]
        assert job["progress"] == {"fraction": 0.5, "text": "y"}
        sheet = commands.on_terminal("status", job_id).stdout
        assert "progress      50% y" in sheet
        assert "stdout        /" in sheet
