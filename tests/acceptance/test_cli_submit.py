"""`spool submit`: one job or a million, durable before its id is printed."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import sys
import time
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

from spoolcalc import Outcome, Spool, State
from spoolcalc.commands import submitting
from spoolcalc.document import decode
from spoolcalc.ids import is_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conftest import Commands, Jobs, Process, Ran

#: Prints the command's greatest resident memory, in KiB, when it has ended.
MEASURED = """
import atexit, resource, sys
from spoolcalc.entry import main

def peak():
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)

atexit.register(peak)
main()
"""


def operands(spool: Spool) -> list[str]:
    """Return the operands of all pending jobs, in order."""
    return [" ".join(job.operands) for job in spool.list(State.PENDING)]


# --- one job --------------------------------------------------------------------------------------


def test_the_id_stands_alone_on_stdout(run: Callable[..., Ran], commands: Commands) -> None:
    """Submit prints the id and a newline, and the document in the spool is valid and complete."""
    ended = run("submit", "add", "12", "23")
    job_id = ended.stdout.removesuffix("\n")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert is_id(job_id)
    [path] = commands.spool.glob(f"pending/5-{job_id[:8]}/{job_id}.json")
    document = decode(path.read_bytes())
    assert document["id"] == job_id
    assert (document["operation"], document["operands"]) == ("add", ["12", "23"])
    assert (document["attempts"], document["outcome"]) == ([], None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list((commands.spool / "tmp").iterdir()) == []


def test_ids_sort_by_submission(run: Callable[..., Ran]) -> None:
    """Ids of later processes are greater."""
    ids = [run("submit", "neg", str(n)).stdout.strip() for n in range(5)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 5


def test_priority_decides_which_is_taken_first(run: Callable[..., Ran], spool: Spool) -> None:
    """The lower number is taken first; among equal ones the older."""
    ids = {
        name: run("submit", "neg", "1", *words).stdout.strip()
        for name, words in {
            "late": ["--priority", "9"],
            "usual": [],
            "urgent": ["--priority", "0"],
            "usual too": ["--priority", "5"],
            "urgent too": ["--priority=0"],
        }.items()
    }
    order = ["urgent", "urgent too", "usual", "usual too", "late"]
    assert [job.id for job in spool.list(State.PENDING)] == [ids[name] for name in order]
    with spool.register() as lease:
        for name in order:
            claimed = spool.claim(lease)
            assert claimed is not None
            assert claimed.job.id == ids[name]
            assert spool.finish(claimed, Outcome.completed("-1"))


@pytest.mark.parametrize("priority", ["10", "-1", "high", "1.5", ""])
def test_a_priority_out_of_range_is_refused(
    priority: str, run: Callable[..., Ran], commands: Commands
) -> None:
    """What is no digit from 0 to 9 is a usage error, and nothing is made."""
    ended = run("submit", "add", "1", "2", f"--priority={priority}")
    assert ended.returncode == 2
    assert "priority" in ended.stderr
    assert ended.stdout == ""
    assert not commands.spool.exists()


def test_json_tells_all_about_the_job(run: Callable[..., Ran], jobs: Jobs) -> None:
    """The answer is one object of schema 1 with the job in it."""
    told = json.loads(run("submit", "--json", "add", "12", "23").stdout)
    assert told["schema"] == 1
    [job] = told["jobs"]
    assert jobs.state(job["id"]) is State.PENDING
    assert job["state"] == "pending"
    assert (job["operation"], job["operands"], job["priority"]) == ("add", ["12", "23"], 5)
    assert (job["attempts"], job["worker"], job["result"], job["error"]) == ([], None, None, None)
    for name in ("submitted", "last_updated"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", job[name])


@pytest.mark.parametrize(
    ("words", "said"),
    {
        "unknown operation": ("plus 1 2", "unknown operation 'plus'"),
        "nearest name": ("ad 1 2", "Did you mean add?"),
        "list of names": ("ad 1 2", "sqrt"),
        "one too few": ("add 1", "takes 2 operands"),
        "none": ("neg", "none was given"),
        "which operand": ("add 1 x", "operand 2 of add is not a number: 'x'"),
        "no operation": ("", "needs an operation"),
        "timeout alone": ("add 1 2 --wait-timeout 1s", "--wait"),
        "keep-going alone": ("add 1 2 --keep-going", "--from"),
        "from and words": ("add 1 2 --from -", "--from"),
        "from and wait": ("--from - --wait", "--from"),
        "bad duration": ("add 1 2 --wait --wait-timeout soon", "not a duration"),
        "unknown option": ("add 1 2 --colour", "--colour"),
    }.values(),
)
def test_bad_input_leaves_no_trace(
    words: str, said: str, run: Callable[..., Ran], commands: Commands
) -> None:
    """A bad submit says what is wrong and exits with 2; not even a spool is made."""
    ended = run("submit", *words.split())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert not commands.spool.exists()


def test_a_bad_submit_leaves_an_existing_spool_as_it_was(
    run: Callable[..., Ran], spool: Spool
) -> None:
    """Nothing is written, and no worker is woken."""
    bell = Path(spool.layout.bell)
    before = bell.stat().st_mtime_ns, sorted(Path(spool.path).rglob("*"))
    assert run("submit", "add", "1", "x").returncode == 2
    assert (bell.stat().st_mtime_ns, sorted(Path(spool.path).rglob("*"))) == before


def test_a_submit_whose_id_cannot_be_printed_says_so(run: Callable[..., Ran], spool: Spool) -> None:
    """With stdout full, the exit code is 7, and stderr tells which job there is all the same."""
    with open("/dev/full", "wb") as full:
        ended = run("submit", "add", "1", "2", stdout=full)
    assert ended.returncode == 7
    [job] = spool.list(State.PENDING)
    assert job.id in ended.stderr


# --- and its result -------------------------------------------------------------------------------


def test_wait_prints_the_result(
    commands: Commands, run: Callable[..., Ran], start: Callable[..., Process], jobs: Jobs
) -> None:
    """Submit --wait prints what fetch does, and the job is retrieved."""
    start("work")
    assert run("submit", "--wait", "add", "12", "23") == (0, "35\n", "")
    [job] = jobs.spool.list(State.RETRIEVED)
    assert job.result == "35"


def test_wait_for_a_job_that_fails(
    run: Callable[..., Ran], start: Callable[..., Process], jobs: Jobs
) -> None:
    """Its error goes to stderr, and the exit code is 1."""
    start("work")
    ended = run("submit", "div", "1", "0", "--wait")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "division by zero" in ended.stderr
    assert [job.state for job in jobs.spool.list(State.FAILED)] == [State.FAILED]


def test_wait_with_json(run: Callable[..., Ran], start: Callable[..., Process]) -> None:
    """The answer is the finished job, and a rounded result says to how many digits."""
    start("work")
    [job] = json.loads(run("submit", "div", "1", "3", "--wait", "--json").stdout)["jobs"]
    assert job["state"] == "completed"
    assert job["result"] == "0." + "3" * 50
    assert (job["exact"], job["precision"]) == (False, 50)
    assert [attempt["end"] for attempt in job["attempts"]] == ["completed"]


def test_wait_runs_out(run: Callable[..., Ran], jobs: Jobs) -> None:
    """After the timeout the exit code is 4; the job stays, its id is told, and so is the reason."""
    began = time.monotonic()
    ended = run("submit", "add", "1", "2", "--wait", "--wait-timeout", "300ms")
    assert 0.3 <= time.monotonic() - began < 5
    assert (ended.returncode, ended.stdout) == (4, "")
    [job] = jobs.spool.list(State.PENDING)
    assert job.id in ended.stderr
    assert "spool work" in ended.stderr


def test_an_interrupted_wait_leaves_the_job(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """SIGINT ends the waiting with 130; the job stays, and its id is told.

    A server may not have told the id yet; then it is the key.
    """
    waiting = start("submit", "add", "1", "2", "--wait")
    until(lambda: list(jobs.spool.list(State.PENDING)))
    until(lambda: asleep(waiting.pid))
    waiting.signal(signal.SIGINT)
    ended = waiting.end()
    [job] = jobs.spool.list(State.PENDING)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert job.id in ended.stderr or str(job.key) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_interrupt_that_comes_too_late(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """SIGINT while the job is made durable: its id is told, for it is there."""
    publish = Spool.publish

    def interrupted(*arguments: Any) -> None:
        publish(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Spool, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        submitting.submit(spool.path, "add", ["1", "2"])
    [job] = spool.list(State.PENDING)
    assert capfd.readouterr() == ("", f"spool: job {job.id} was submitted all the same\n")


def test_an_interrupt_in_time(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """SIGINT before anything is there: nothing is said of a job."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Spool, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        submitting.submit(spool.path, "add", ["1", "2"])
    assert capfd.readouterr() == ("", "")


def asleep(pid: int) -> bool:
    """Tell whether a process waits for something that a signal would end."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


# --- many jobs ------------------------------------------------------------------------------------


def test_from_a_file_prints_the_ids_in_order(
    run: Callable[..., Ran], spool: Spool, tmp_path: Path
) -> None:
    """Each line becomes a job, and the ids come one a line, in the order of the lines."""
    file = tmp_path / "jobs"
    file.write_text("".join(f"add {n} 1\n" for n in range(700)))
    ended = run("submit", "--from", str(file), "--priority", "3")
    ids = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [spool.find(job_id).operands[0] for job_id in ids] == [str(n) for n in range(700)]
    assert ids == sorted(set(ids))
    assert {job.priority for job in spool.list(State.PENDING)} == {3}


def test_lines_are_read_as_people_write_them(run: Callable[..., Ran], spool: Spool) -> None:
    """Empty lines and comments are passed over, quotes are the shell's, the last newline is free.

    A carriage return before the newline does no harm.
    """
    text = b"""
# a comment
   # another
add 1 2

\tsub   -1\t-3\t
add '4' "5"
add 6 \\7
add 8 9\r
neg 10"""
    ended = run("submit", "--from", "-", input=text)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 6
    assert operands(spool) == ["1 2", "-1 -3", "4 5", "6 7", "8 9", "10"]


def test_of_nothing_comes_nothing(run: Callable[..., Ran], commands: Commands) -> None:
    """An empty file is no error, and makes no spool."""
    assert run("submit", "--from", "-", input=b"") == (0, "", "")
    assert run("submit", "--from", "/dev/null") == (0, "", "")
    assert run("submit", "--from", "-", input=b"\n# nothing\n") == (0, "", "")
    assert not commands.spool.exists()


def test_a_bad_line_is_named_and_ends_it(run: Callable[..., Ran], spool: Spool) -> None:
    """The jobs before the bad line are submitted, of it and of what follows nothing is."""
    ended = run("submit", "--from", "-", input=b"# one\nadd 1 2\n\nadd 3 4\nadd 5 x\nadd 7 8\n")
    assert ended.returncode == 2
    assert "line 5" in ended.stderr
    assert "'x'" in ended.stderr
    assert operands(spool) == ["1 2", "3 4"]
    assert ended.stdout.splitlines() == [job.id for job in spool.list(State.PENDING)]


def test_a_bad_first_line_makes_no_spool(run: Callable[..., Ran], commands: Commands) -> None:
    """Bad input leaves no trace here either."""
    ended = run("submit", "--from", "-", input=b"plus 1 2\nadd 1 2\n")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "line 1" in ended.stderr
    assert not commands.spool.exists()


def test_keep_going_passes_over_bad_lines(run: Callable[..., Ran], spool: Spool) -> None:
    """Every bad line is named, every good one is submitted, and the exit code is 2 at the end."""
    text = b"add 1 2\nplus 1 2\nadd 3 4\nadd 'x\n\xff\xfe 1\nadd 5\nadd 6 7\n"
    ended = run("submit", "--keep-going", "--from", "-", input=text)
    assert ended.returncode == 2
    assert re.findall(r"line (\d+)", ended.stderr) == ["2", "4", "5", "6"]
    assert operands(spool) == ["1 2", "3 4", "6 7"]
    assert ended.stdout.splitlines() == [job.id for job in spool.list(State.PENDING)]


def test_keep_going_passes_over_a_line_without_end(run: Callable[..., Ran], spool: Spool) -> None:
    """A line that is longer than any job may be is a bad line like others."""
    text = b"add 1 2\nadd " + b"9" * 3_000_000 + b" 1\nadd 3 4\n"
    ended = run("submit", "--keep-going", "--from", "-", input=text)
    assert ended.returncode == 2
    assert re.findall(r"line (\d+)", ended.stderr) == ["2"]
    assert len(ended.stderr) < 1000
    assert operands(spool) == ["1 2", "3 4"]


def test_json_names_the_line_of_each_id(run: Callable[..., Ran], spool: Spool) -> None:
    """With --json each line of the answer is an object that says where its job stood."""
    ended = run("submit", "--json", "--from", "-", input=b"add 1 2\n\n# no job\nadd 3 4\n")
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    ids = [job.id for job in spool.list(State.PENDING)]
    assert told == [
        {"schema": 1, "id": ids[0], "line": 1},
        {"schema": 1, "id": ids[1], "line": 4},
    ]


@pytest.mark.parametrize("file", ["missing", "", ".", "\udcff"])
def test_a_file_that_cannot_be_read(file: str, run: Callable[..., Ran], commands: Commands) -> None:
    """It is named in a clear error, and no spool is made."""
    ended = run("submit", "--from", file)
    assert ended.returncode in (2, 7)
    assert "read" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not commands.spool.exists()


def test_a_slow_writer_gets_each_id_at_once(commands: Commands, jobs: Jobs) -> None:
    """What was written is submitted and its id printed before the next line has to come."""
    with commands.open("submit", "--from", "-", stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(5):
            process.stdin.write(b"add %d 1\nadd %d" % (number, number))
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 10)[0], "no id came"
            job_id = os.read(process.stdout.fileno(), 1000).decode().strip()
            assert jobs.spool.find(job_id).operands == (str(number), "1")
            process.stdin.write(b" 2\n")  # the rest of the line that had begun
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 10)[0], "no id came"
            job_id = os.read(process.stdout.fileno(), 1000).decode().strip()
            assert jobs.spool.find(job_id).operands == (str(number), "2")
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(20) == 0


def test_ids_that_nobody_reads_any_more_end_it(run: Callable[..., Ran], jobs: Jobs) -> None:
    """With the reader of the ids gone, it stops with 7 and tells what was submitted."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = run("submit", "--from", "-", input=b"add 1 2\nadd 3 4\n", stdout=writer)
    finally:
        os.close(writer)
    assert ended.returncode == 7
    assert "submitted all the same" in ended.stderr
    assert operands(jobs.spool) == ["1 2", "3 4"]


def test_progress_is_shown_on_a_terminal_only(
    commands: Commands, spool: Spool, tmp_path: Path
) -> None:
    """With stderr on a terminal and stdout not, a bar runs there, and the ids stay alone."""
    file = tmp_path / "jobs"
    file.write_text("add 1 2\n" * 10)
    ours, theirs = pty.openpty()
    ended = commands.run("submit", "--from", str(file), stderr=theirs)
    os.close(theirs)
    seen = os.read(ours, 65536)
    os.close(ours)
    assert ended.returncode == 0
    assert ended.stdout.splitlines() == [job.id for job in spool.list(State.PENDING)]
    assert b"jobs" in seen


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_memory_is_bounded_for_any_number_of_lines(
    run: Callable[..., Ran], spool: Spool, tmp_path: Path
) -> None:
    """A hundred thousand lines take hardly more memory than a thousand."""
    peaks = []
    for lines in (1_000, 100_000):
        file = tmp_path / "jobs"
        file.write_text("add 12 23\n" * lines)
        with (tmp_path / "ids").open("wb") as ids:
            ended = run(
                "submit",
                "--from",
                str(file),
                command=(sys.executable, "-c", MEASURED),
                stdout=ids,
                timeout=300,
            )
        assert ended.returncode == 0
        assert (tmp_path / "ids").read_bytes().count(b"\n") == lines
        peaks.append(int(ended.stderr))
    assert peaks[1] - peaks[0] < 30 * 1024
