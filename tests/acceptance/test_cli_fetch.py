"""`spool fetch`: the result, alone, and retrieved only when it has arrived."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conftest import Commands, Jobs, Process, Ran

UNKNOWN = "01a20f20-b358-75fa-ab79-9c641df4b44f"


def test_the_result_stands_alone_on_stdout(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Fetch prints the result and a newline; then the job is retrieved."""
    job_id = jobs.completed("35")
    assert run("fetch", job_id) == (0, "35\n", "")
    assert jobs.state(job_id) is State.RETRIEVED


def test_a_long_result_arrives_whole(run: Callable[..., Ran], jobs: Jobs) -> None:
    """A result that is larger than a pipe holds comes out to its last digit."""
    result = "7" * 500_000
    assert run("fetch", jobs.completed(result)) == (0, result + "\n", "")


def test_a_result_of_any_text_arrives(run: Callable[..., Ran], jobs: Jobs) -> None:
    """A result may have several lines and any characters, whatever the locale."""
    result = "zwei\n\tZeilen \N{SNOWMAN}\n"
    job_id = jobs.completed(result)
    assert run("fetch", "--keep", job_id) == (0, result + "\n", "")
    assert run("fetch", job_id, env={"LC_ALL": "C"}) == (0, result + "\n", "")


def test_a_result_that_is_no_text_arrives(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Half a surrogate pair, which JSON can hold and UTF-8 cannot, is no bug of ours."""
    job_id = jobs.completed("\ud800")
    for words in (["fetch", job_id], ["fetch", "--json", job_id], ["status", job_id]):
        ended = run(*words)
        assert ended.returncode in (0, 7), ended
        assert "a bug" not in ended.stderr


def test_fetching_again_gives_the_same_until_it_is_cleaned(
    run: Callable[..., Ran], jobs: Jobs
) -> None:
    """A result may be fetched as often as one likes, and is gone only after clean."""
    job_id = jobs.completed("35")
    for _ in range(3):
        assert run("fetch", job_id) == (0, "35\n", "")
    assert run("clean").returncode == 0
    ended = run("fetch", job_id)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert job_id in ended.stderr


def test_keep_does_not_mark(run: Callable[..., Ran], jobs: Jobs) -> None:
    """With --keep the job stays completed, so that no clean removes it."""
    job_id = jobs.completed("35")
    assert run("fetch", "--keep", job_id) == (0, "35\n", "")
    assert run("fetch", "--keep", "--json", job_id).returncode == 0
    assert jobs.state(job_id) is State.COMPLETED


def test_several_come_in_the_order_asked_for(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Each result is a line, and each job is marked."""
    ids = [jobs.completed(str(n)) for n in range(4)]
    asked = [ids[2], ids[0], ids[3], ids[1]]
    assert run("fetch", *asked) == (0, "2\n0\n3\n1\n", "")
    assert {jobs.state(job_id) for job_id in ids} == {State.RETRIEVED}


# --- what is no result ----------------------------------------------------------------------------


def test_a_failed_jobs_error_goes_to_stderr(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Nothing is on stdout, the exit code is 1, and the job stays in failed."""
    job_id = jobs.failed("division by zero")
    for _ in range(2):
        ended = run("fetch", job_id)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "division by zero" in ended.stderr
        assert job_id in ended.stderr
    assert jobs.state(job_id) is State.FAILED


def test_a_job_that_is_not_finished(run: Callable[..., Ran], jobs: Jobs) -> None:
    """A pending job and one in a worker's hands give 4, and say where it is."""
    job_id = jobs.pending()
    ended = run("fetch", job_id)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert "pending" in ended.stderr
    with jobs.spool.register() as lease:
        assert jobs.spool.claim(lease) is not None
        ended = run("fetch", job_id)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert "wip" in ended.stderr


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        ("completed failed", 1),
        ("failed malformed completed", 2),
        ("unknown completed malformed", 3),
        ("completed pending unknown failed malformed", 4),
        ("corrupt pending completed", 7),
    ],
)
def test_of_several_the_worst_code_counts(
    kinds: str, code: int, run: Callable[..., Ran], jobs: Jobs
) -> None:
    """An error of one does not stop the others; each is told, and the highest code is given."""
    ids = {
        **jobs.of_each_state(),
        "unknown": UNKNOWN,
        "malformed": "x",
        "corrupt": jobs.completed(),
    }
    jobs.path(ids["corrupt"]).write_bytes(b"{")
    asked = [ids[kind] for kind in kinds.split()]
    ended = run("fetch", *asked)
    assert ended.returncode == code
    assert ended.stdout == "35\n"
    for kind in kinds.split():
        assert (ids[kind] in ended.stderr) == (kind != "completed")
    assert jobs.state(ids["completed"]) is State.RETRIEVED
    told = json.loads(run("fetch", "--json", *asked).stdout)
    assert {job["id"] for job in told["jobs"]} == {
        ids[kind] for kind in kinds.split() if kind in ("completed", "failed")
    }


def test_json_holds_results_and_errors(run: Callable[..., Ran], jobs: Jobs) -> None:
    """One object of schema 1 has all the jobs that are finished, and marks those that completed."""
    completed, failed, pending = jobs.completed("35"), jobs.failed("no"), jobs.pending()
    ended = run("fetch", "--json", completed, failed, pending)
    told = json.loads(ended.stdout)
    assert ended.returncode == 4
    assert pending in ended.stderr
    assert told["schema"] == 1
    assert [(job["id"], job["result"], job["error"]) for job in told["jobs"]] == [
        (completed, "35", None),
        (failed, None, "no"),
    ]
    assert jobs.state(completed) is State.RETRIEVED
    assert jobs.state(failed) is State.FAILED


# --- an answer that does not arrive ---------------------------------------------------------------


def closed_pipe(commands: Commands, *words: str) -> Ran:
    """Run with a stdout that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return commands.run(*words, stdout=writer)
    finally:
        os.close(writer)


def full_disk(commands: Commands, *words: str) -> Ran:
    """Run with a stdout that has no space left."""
    with open("/dev/full", "wb") as full:
        return commands.run(*words, stdout=full)


def closed_stdout(commands: Commands, *words: str) -> Ran:
    """Run with no stdout at all, as after ``>&-``."""
    return commands.run(*words, command=shell(commands, '"$@" >&-'))


def nothing_open(commands: Commands, *words: str) -> Ran:
    """Run with neither stdin nor stdout nor stderr."""
    return commands.run(*words, command=shell(commands, '"$@" <&- >&- 2>&-'))


def reader_that_leaves(commands: Commands, *words: str) -> Ran:
    """Run in a pipeline whose other end closes its stdin before the answer comes."""
    script = '{ read -r _ <"$0.go"; "$@"; echo $? >"$0.code"; } | { exec <&-; echo >"$0.go"; }'
    name = commands.home / "pipeline"
    os.mkfifo(f"{name}.go")
    ended = commands.run(*words, command=shell(commands, script, str(name)))
    return ended._replace(returncode=int(Path(f"{name}.code").read_text()))


def shell(commands: Commands, script: str, name: str = "sh") -> tuple[str, ...]:
    """Return the command to run within a shell's ``script``."""
    return ("sh", "-c", script, name, *commands.command)


@pytest.mark.parametrize(
    "lose", [closed_pipe, full_disk, closed_stdout, nothing_open, reader_that_leaves]
)
@pytest.mark.parametrize("option", ["", "--json"])
def test_what_did_not_arrive_stays_unretrieved(
    lose: Callable[..., Ran], option: str, commands: Commands, jobs: Jobs
) -> None:
    """When stdout cannot take the answer, fetch exits with 7, and the job can be fetched again."""
    ids = [jobs.completed("35"), jobs.completed("36")]
    ended = lose(commands, "fetch", *filter(None, [option]), *ids)
    assert ended.returncode == 7
    assert "Traceback" not in ended.stderr
    assert "a bug" not in ended.stderr
    assert {jobs.state(job_id) for job_id in ids} == {State.COMPLETED}
    assert commands.run("fetch", *ids) == (0, "35\n36\n", "")


def test_a_file_behind_the_redirection_is_on_disk(
    run: Callable[..., Ran], jobs: Jobs, tmp_path: Path
) -> None:
    """Into a file the answer goes as into a pipe, and is appended where asked."""
    file = tmp_path / "results"
    for result in ("1", "2"):
        with file.open("ab") as results:
            assert run("fetch", jobs.completed(result), stdout=results).returncode == 0
    assert file.read_text() == "1\n2\n"


def test_a_reader_that_leaves_is_told_of_once(commands: Commands, jobs: Jobs) -> None:
    """However many results were still to come; those stay unretrieved."""
    ids = [jobs.completed() for _ in range(5)]
    lost = closed_pipe(commands, "fetch", *ids)
    assert lost.returncode == 7
    assert lost.stderr.count("standard output") == 1
    assert {jobs.state(job_id) for job_id in ids} == {State.COMPLETED}


def test_a_closed_stderr_changes_nothing(commands: Commands, jobs: Jobs) -> None:
    """Where nobody listens to the error, the exit code still tells of it."""
    command = shell(commands, '"$@" 2>&-')
    assert commands.run("fetch", jobs.failed(), command=command) == (1, "", "")
    assert commands.run("fetch", jobs.completed("35"), command=command) == (0, "35\n", "")


# --- waiting --------------------------------------------------------------------------------------


def test_a_waiting_fetch_is_woken(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any], plugin: dict[str, str]
) -> None:
    """The result is there within a second of the job's end."""
    place = Path(jobs.spool.path).parent
    job_id = jobs.pending("hold", str(place))
    waiting = start("fetch", "--wait", job_id)
    start("work", env=plugin)
    until(lambda: list(place.glob("running.*")))
    assert waiting.popen.poll() is None
    assert waiting.stdout == ""
    (place / "go").touch()
    until(lambda: list(place.glob("ended.*")))
    ended_at = time.monotonic()
    ended = waiting.end(5)
    assert time.monotonic() - ended_at < 1.0
    assert ended.returncode == 0
    assert ended.stdout.startswith("held by ")
    assert jobs.state(job_id) is State.RETRIEVED


def test_waiting_for_what_is_finished_takes_no_time(run: Callable[..., Ran], jobs: Jobs) -> None:
    """A job that has ended is fetched at once, even with no time to wait."""
    completed, failed = jobs.completed("35"), jobs.failed()
    assert run("fetch", "--wait", "--timeout", "0s", completed) == (0, "35\n", "")
    assert run("fetch", "--wait", failed).returncode == 1
    assert run("fetch", "--wait", UNKNOWN).returncode == 3


def test_a_wait_that_runs_out(run: Callable[..., Ran], jobs: Jobs) -> None:
    """After the timeout, which is for all ids together, the exit code is 4 and says what to do."""
    ids = [jobs.pending(), jobs.pending(), jobs.completed("35")]
    began = time.monotonic()
    ended = run("fetch", "--wait", "--timeout", "500ms", *ids)
    assert 0.5 <= time.monotonic() - began < 5
    assert (ended.returncode, ended.stdout) == (4, "35\n")
    assert "spool work" in ended.stderr
    assert jobs.state(ids[0]) is State.PENDING


def test_an_interrupted_wait_marks_nothing(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """SIGINT ends the waiting with 130; what was printed before is marked, the rest is not."""
    first, second = jobs.completed("35"), jobs.pending()
    waiting = start("fetch", "--wait", first, second)
    until(lambda: jobs.state(first) is State.RETRIEVED)
    waiting.signal(signal.SIGINT)
    ended = waiting.end()
    assert (ended.returncode, ended.stdout) == (130, "35\n")
    assert "Traceback" not in ended.stderr
    assert jobs.state(second) is State.PENDING


@pytest.mark.parametrize("words", ["--timeout 1s", "--wait --timeout -1s", "--wait --timeout x"])
def test_a_bad_timeout_is_refused(words: str, run: Callable[..., Ran], jobs: Jobs) -> None:
    """A timeout goes with --wait and is a duration."""
    job_id = jobs.completed()
    ended = run("fetch", job_id, *words.split())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert jobs.state(job_id) is State.COMPLETED


def test_many_fetch_one_job_at_once(commands: Commands, jobs: Jobs) -> None:
    """Each of them gets the result, and it is retrieved once."""
    job_id = jobs.completed("35")
    fetches = [commands.open("fetch", job_id, stdout=subprocess.PIPE) for _ in range(6)]
    for fetch in fetches:
        assert fetch.communicate(timeout=20)[0] == b"35\n"
        assert fetch.returncode == 0
    assert jobs.state(job_id) is State.RETRIEVED
