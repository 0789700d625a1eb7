"""Jobs that run beside their worker: real workers, children and commands.

Time limits, cancellations, crashes, many at a time, and nothing that is left behind.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import NotFinished, State, orphans
from spoolcalc.document import new_document
from spoolcalc.ids import new_id
from spoolcalc.lookup import output_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conftest import Commands, Process, Ran

    from spoolcalc import Job, Outcome, Spool

    Until = Callable[..., Any]
    Start = Callable[..., Process]
    Run = Callable[..., Ran]

#: Generous, for a loaded machine.
PATIENCE = 30.0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where jobs show that they run, and are let go."""
    path = tmp_path / "place"
    path.mkdir()
    return path


def submit(spool: Spool, operation: str, *operands: str, **options: object) -> str:
    """Submit a job of an operation that the workers know, and this process need not."""
    priority = options.pop("priority", 5)
    document = new_document(new_id(), operation, operands, priority=priority, **options)  # type: ignore[arg-type] # as they are written
    return spool.publish([document])[0]


def command(spool: Spool, *argv: str, **options: Any) -> str:
    """Submit a command."""
    asked = {"cwd": spool.path, "env": {}, "stdin": None, **options.pop("command", {})}
    return submit(spool, "exec", *argv, command=asked, **options)


def outcome(spool: Spool, job_id: str) -> Outcome:
    """Return how a job ended."""
    found = spool.find(job_id).outcome
    assert found is not None, spool.find(job_id)
    return found


def output(job: Job, spool: Spool, stream: str = "stdout") -> bytes:
    """Return what a command wrote."""
    path = output_of(spool.layout, job, stream)
    return b"" if path is None else Path(path).read_bytes()


def ended(spool: Spool, job_id: str) -> bool:
    """Tell whether a job has an outcome."""
    return spool.find(job_id).state.finished


def marked(worker: str) -> list[int]:
    """Return the processes of a worker's jobs."""
    mark = f"{orphans.MARK}={worker}".encode()
    return [p for p in orphans._processes() if mark in (orphans._environment(p) or ())]


def worker_of(spool: Spool, job_id: str) -> str:
    """Return the name of the worker that has a job, empty if none has."""
    return spool.find(job_id).worker or ""


# Commands


def test_a_commands_output_and_exit_code(run: Run, spool: Spool) -> None:
    """Exit code 0 completes; the output lies beside, byte by byte, readable only by the owner."""
    job_id = command(spool, "printf", r"a\0b\377")
    assert run("work", "--once").returncode == 0
    job = spool.find(job_id)
    assert job.state is State.COMPLETED
    assert job.outcome is not None
    assert (job.outcome.result, job.outcome.exit_code, job.outcome.cut) == ("", 0, None)
    assert output(job, spool) == b"a\0b\xff"
    path = output_of(spool.layout, job, "stdout")
    assert path is not None
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert Path(path).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("argv", "error", "code"),
    [
        (["sh", "-c", "exit 7"], "it exited with 7", 7),
        (["sh", "-c", "kill -9 $$"], "it was killed by SIGKILL", 137),
        (["sh", "-c", "exit 137"], "it exited with 137", 137),
        (["no-such-command"], "no such command: no-such-command", None),
    ],
)
def test_a_command_that_fails(
    run: Run, spool: Spool, argv: list[str], error: str, code: int | None
) -> None:
    """It says how, and the exit code is kept."""
    job_id = command(spool, *argv)
    assert run("work", "--once").returncode == 0
    found = outcome(spool, job_id)
    assert (found.state, found.reason) == (State.FAILED, "error")
    assert (found.error, found.exit_code) == (error, code)


def test_what_a_command_sees(run: Run, spool: Spool, tmp_path: Path) -> None:
    """Its directory, its input, what is added to the environment, and which job it is."""
    (tmp_path / "input").write_text("given\n")
    asked = {"cwd": str(tmp_path), "env": {"ADDED": "1"}, "stdin": str(tmp_path / "input")}
    script = "pwd; echo $ADDED $SPOOL_JOB_ID $SPOOL_ATTEMPT; echo $SPOOL_DIR; cat; env >&2"
    job_id = command(spool, "sh", "-c", script, command=asked)
    assert run("work", "--once").returncode == 0
    job = spool.find(job_id)
    said = f"{tmp_path}\n1 {job_id} 1\n{spool.path}\ngiven\n"
    assert output(job, spool).decode() == said
    assert f"SPOOL_WORKER={job.attempts[0].worker}\n" in output(job, spool, "stderr").decode()


def test_a_commands_output_is_cut(run: Run, spool: Spool) -> None:
    """The outcome says so."""
    job_id = command(spool, "head", "-c", "100000", "/dev/zero", max_output=1000)
    assert run("work", "--once").returncode == 0
    assert outcome(spool, job_id).cut is True
    assert len(output(spool.find(job_id), spool)) == 1000


def test_each_attempt_has_its_own_output(run: Run, spool: Spool) -> None:
    """That of the attempt which failed is kept."""
    job_id = command(spool, "sh", "-c", "echo $SPOOL_ATTEMPT; exit 1", retries=1, backoff=0)
    assert run("work", "--once").returncode == 0
    job = spool.find(job_id)
    assert [attempt.end for attempt in job.attempts] == ["failed", "failed"]
    for number, attempt in enumerate(job.attempts, 1):
        path = spool.layout.output_of(job_id, number, attempt.worker, "stdout")
        assert Path(path).read_text() == f"{number}\n"


def test_commands_of_a_shared_spool_are_run_only_if_that_is_allowed(
    run: Run, commands: Commands
) -> None:
    """Others may write to it, and this worker would run what they write."""
    from spoolcalc import Spool

    group = str(os.getegid())
    assert run("init", "--group", group).returncode == 0
    spool = Spool(commands.spool)
    job_id = command(spool, "true")
    assert run("work", "--once").returncode == 0
    assert spool.find(job_id).state is State.PENDING
    assert run("work", "--once", "--allow", "exec").returncode == 0
    assert spool.find(job_id).state is State.COMPLETED


def test_200_mb_of_output_are_identical_and_the_worker_stays_small(
    start: Start, spool: Spool, until: Until
) -> None:
    """The worker's memory does not grow with what its commands write."""
    script = (
        "import hashlib, sys\n"
        "digest = hashlib.sha256()\n"
        "for number in range(200_000_000 // 40_000):\n"
        "    block = number.to_bytes(8, 'big') * 5_000\n"
        "    digest.update(block)\n"
        "    sys.stdout.buffer.write(block)\n"
        "sys.stderr.write(digest.hexdigest())\n"
    )
    job_id = command(spool, "python3", "-c", script)
    worker = start("work")
    until(lambda: ended(spool, job_id), 90)
    assert memory_of(worker.pid) < 80 * 1024
    job = spool.find(job_id)
    path = output_of(spool.layout, job, "stdout")
    assert path is not None
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == output(job, spool, "stderr").decode()


def memory_of(pid: int) -> int:
    """Return the most memory a process has had, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])


def test_an_idle_worker_is_small(start: Start, spool: Spool, until: Until) -> None:
    """What it does not need it has not loaded, and it has no children."""
    worker = start("work", "-v")
    until(lambda: "started" in worker.stderr)
    job_id = spool.submit("add", ["12", "23"])
    until(lambda: ended(spool, job_id))
    assert memory_of(worker.pid) <= 35 * 1024
    threads = list(Path(f"/proc/{worker.pid}/task").iterdir())
    assert len(threads) == 2
    assert all((thread / "children").read_text() == "" for thread in threads)


def test_a_full_disk_costs_a_command_nothing(commands: Commands, run: Run, spool: Spool) -> None:
    """It is ended, what it wrote is removed, and the worker says what to do."""
    job_id = command(spool, "sh", "-c", "head -c 10000000 /dev/zero; sleep 1000")
    limited = ("sh", "-c", 'ulimit -f 1000; exec "$@"', "sh", *commands.command)
    ran = run("work", "--once", command=limited)
    assert ran.returncode == 7
    assert "cannot write" in ran.stderr
    job = spool.find(job_id)
    assert (job.state, job.attempts) == (State.PENDING, ())
    assert [path for path in Path(spool.layout.output).rglob("*") if path.is_file()] == []


# The worker's death


def test_nothing_of_a_killed_workers_command_is_left(
    start: Start, spool: Spool, until: Until
) -> None:
    """Within 2 s, and the job runs again under another worker, never two at once."""
    script = "sleep 1000 & setsid sleep 1000 & sleep 1000"
    job_id = command(spool, "sh", "-c", script)
    first = start("work")
    until(lambda: worker_of(spool, job_id))
    name = worker_of(spool, job_id)
    until(lambda: len(marked(name)) == 4)
    second = start("work", "-v")
    until(lambda: "started" in second.stderr)
    first.signal(signal.SIGKILL)
    until(lambda: not marked(name), 2)
    until(lambda: f".{second.pid}." in worker_of(spool, job_id))
    until(lambda: len(marked(worker_of(spool, job_id))) == 4)
    assert marked(name) == []
    assert [attempt.end for attempt in spool.find(job_id).attempts] == ["lost"]


def test_nothing_is_left_when_the_guardian_is_killed_too(
    start: Start, spool: Spool, until: Until
) -> None:
    """Killed with its worker: the sweep kills what carries the mark before it gives the job on."""
    job_id = command(spool, "sh", "-c", "setsid sleep 1000 & sleep 1000")
    first = start("work")
    until(lambda: worker_of(spool, job_id))
    name = worker_of(spool, job_id)
    until(lambda: len(marked(name)) == 3)
    first.signal(signal.SIGSTOP)  # it must not see to it itself
    for guard in guardians(name):
        os.kill(guard, signal.SIGKILL)
    first.signal(signal.SIGKILL)
    assert marked(name)
    second = start("work")
    until(lambda: f".{second.pid}." in worker_of(spool, job_id))
    assert marked(name) == []


def guardians(worker: str) -> list[int]:
    """Return the guardians of a worker's commands, and the process they are forked from."""
    mark = f"{orphans.GUARD}={worker}".encode()
    return [p for p in orphans._processes() if mark in (orphans._environment(p) or ())]


def test_a_stopped_workers_job_never_runs_beside_the_next_attempt(
    start: Start, spool: Spool, plugin: dict[str, str], place: Path, until: Until
) -> None:
    """Silent for its lease, its processes on this host are killed before its jobs are given on."""
    job_id = submit(spool, "busy", str(place))
    first = start("work", "--lease", "1s", env=plugin)
    until(lambda: list(place.iterdir()))
    name = worker_of(spool, job_id)
    assert marked(name)
    first.signal(signal.SIGSTOP)
    second = start("work", env=plugin)
    until(lambda: f".{second.pid}." in worker_of(spool, job_id))
    assert marked(name) == []
    first.signal(signal.SIGCONT)
    until(lambda: "discarded" in first.stderr)


# Time limits


@pytest.mark.parametrize(("limit", "operation"), [("own", "hold"), ("default", "busy")])
def test_a_job_that_runs_longer_than_its_limit_is_ended(
    run: Run, spool: Spool, plugin: dict[str, str], place: Path, limit: str, operation: str
) -> None:
    """Even if it is busy in C; the outcome says why, and the next job is run."""
    own = {"timeout": 0.5} if limit == "own" else {}
    job_id = submit(spool, operation, str(place), **own)
    after = spool.submit("add", ["12", "23"])
    options = () if limit == "own" else ("--timeout", "0.5s")
    began = time.monotonic()
    assert run("work", "--once", *options, env=plugin).returncode == 0
    assert time.monotonic() - began < PATIENCE / 2
    found = outcome(spool, job_id)
    assert (found.state, found.reason) == (State.FAILED, "timeout")
    assert found.error == "it ran longer than its limit of 0.5 s"
    assert spool.find(after).result == "35"


def test_a_command_that_runs_longer_than_its_limit_is_ended(run: Run, spool: Spool) -> None:
    """With all that it started; who ignores SIGTERM is killed after the grace."""
    job_id = command(spool, "sh", "-c", "trap 'exit 9' TERM; sleep 1000 & wait", timeout=0.5)
    assert run("work", "--once").returncode == 0
    found = outcome(spool, job_id)
    assert (found.reason, found.exit_code) == ("timeout", 9)
    assert marked(spool.find(job_id).attempts[0].worker) == []


def test_a_limit_that_is_kept_changes_nothing(run: Run, spool: Spool) -> None:
    """Arithmetic with a limit of its own is run in a child, with the same result."""
    job_id = submit(spool, "div", "1", "3", timeout=60)
    assert run("work", "--once", "--timeout", "60s").returncode == 0
    plain = spool.submit("div", ["1", "3"])
    assert run("work", "--once").returncode == 0
    assert outcome(spool, job_id) == outcome(spool, plain)


def test_a_job_that_timed_out_is_tried_again_if_it_has_retries(run: Run, spool: Spool) -> None:
    """A time limit is a failure like any other."""
    job_id = command(spool, "sleep", "1000", timeout=0.2, retries=1, backoff=0)
    assert run("work", "--once").returncode == 0
    assert [a.end for a in spool.find(job_id).attempts] == ["failed", "failed"]


# Cancellation


@pytest.mark.parametrize("kind", ["child", "command"])
def test_a_running_job_is_cancelled(
    start: Start, spool: Spool, plugin: dict[str, str], place: Path, until: Until, kind: str
) -> None:
    """Within a second or so, and nothing of it is left."""
    if kind == "child":
        job_id = submit(spool, "busy", str(place))
    else:
        job_id = command(spool, "sh", "-c", f"touch {place}/running; setsid sleep 1000")
    start("work", env=plugin)
    until(lambda: list(place.iterdir()))
    began = time.monotonic()
    job = spool.cancel(job_id)
    assert time.monotonic() - began < 3
    assert job.outcome is not None
    assert (job.state, job.outcome.reason) == (State.FAILED, "cancelled")
    assert job.outcome.error == "it was cancelled"
    until(lambda: os.listdir(spool.layout.wip_of(job.attempts[0].worker)) == [])
    # Nothing of it is left but, for the next job, the child.
    sleeping = [p for p in marked(job.attempts[0].worker) if b"sleep" in cmdline(p)]
    assert sleeping == []


def test_a_job_that_cannot_be_ended_is_cancelled_when_its_worker_is(
    start: Start, spool: Spool, plugin: dict[str, str], place: Path, until: Until
) -> None:
    """The wish outlives the worker: nobody runs it again."""
    job_id = submit(spool, "hold", str(place))
    worker = start("work", "--executor", "thread", env=plugin)
    until(lambda: list(place.iterdir()))
    with pytest.raises(NotFinished):
        spool.cancel(job_id, patience=0.0)
    worker.signal(signal.SIGTERM, signal.SIGINT)
    assert worker.end().returncode == 130
    assert outcome(spool, job_id).reason == "cancelled"


@pytest.mark.parametrize("beside", [False, True])
def test_a_job_that_cannot_be_ended_is_not_tried_again(
    start: Start, spool: Spool, plugin: dict[str, str], place: Path, until: Until, *, beside: bool
) -> None:
    """The wish holds until its attempt has been recorded, whatever else runs beside it."""
    (other := place / "other").mkdir()
    job_id = submit(spool, "fail", str(place), retries=3, backoff=0)
    if beside:
        submit(spool, "hold", str(other))
    worker = start("work", "--executor", "thread", "--jobs", "2", env=plugin)
    until(lambda: len(list(place.glob("running.*"))) + len(list(other.iterdir())) == 1 + beside)
    with pytest.raises(NotFinished):
        spool.cancel(job_id, patience=0.5)
    (place / "go").touch()
    until(lambda: ended(spool, job_id))
    assert outcome(spool, job_id).reason == "cancelled"
    assert len(spool.find(job_id).attempts) == 1
    (other / "go").touch()
    worker.signal(signal.SIGTERM)
    assert worker.end().returncode == 0
    assert os.listdir(spool.layout.wip) == []


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


# Crashes


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("9", "its process was killed by SIGKILL"),
        ("11", "its process was killed by SIGSEGV"),
        ("exit", "its process exited with 3"),
    ],
)
def test_a_job_that_kills_its_process_ends_as_poison_and_the_worker_lives(
    run: Run, spool: Spool, plugin: dict[str, str], how: str, said: str
) -> None:
    """Three crashes are charged, and one worker does all that was there."""
    job_id = submit(spool, "crash", how)
    after = spool.submit("add", ["12", "23"])
    ran = run("work", "--once", env=plugin)
    assert ran.returncode == 0
    job = spool.find(job_id)
    assert job.outcome is not None
    assert job.outcome.reason == "poison"
    assert job.error == f"poison: 3 of its attempts crashed; the last one: {said}"
    assert [(attempt.end, attempt.error) for attempt in job.attempts] == [("crashed", said)] * 3
    assert spool.find(after).result == "35"
    assert ran.stderr.count(said) == 3


# Many at a time


def test_two_at_a_time_use_two_cores(
    start: Start, spool: Spool, plugin: dict[str, str], until: Until
) -> None:
    """Pure Python work: both are on a processor, or want one, at the same instant."""
    ids = [submit(spool, "spin", str(10**12)) for _ in range(2)]
    start("work", "-j", "2", env=plugin)
    until(lambda: all(worker_of(spool, job_id) for job_id in ids))
    name = worker_of(spool, ids[0])
    until(lambda: [state_of(pid) for pid in marked(name)] == ["R", "R"])


def state_of(pid: int) -> str:
    """Return what a process is doing: R if it is on a processor, or wants to be."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_jobs_run_side_by_side_and_arithmetic_beside_them(
    start: Start, spool: Spool, plugin: dict[str, str], tmp_path: Path, until: Until
) -> None:
    """Two are held, and the third slot does what comes; never more than three."""
    places = [tmp_path / name for name in "abcd"]
    for place in places:
        place.mkdir()
    held = [submit(spool, "hold", str(place), priority=0) for place in places[:2]]
    start("work", "-j", "3", env=plugin)
    until(lambda: all(list(place.iterdir()) for place in places[:2]))
    sums = [spool.submit("add", [str(n), "1"]) for n in range(50)]
    until(lambda: all(ended(spool, job_id) for job_id in sums))
    more = [submit(spool, "hold", str(place)) for place in places[2:]]
    until(lambda: list(places[2].iterdir()) or list(places[3].iterdir()))
    states = sorted(spool.find(job_id).state for job_id in [*held, *more])
    assert states == ["pending", "wip", "wip", "wip"]
    for place in places:
        (place / "go").touch()
    until(lambda: all(ended(spool, job_id) for job_id in [*held, *more]))


def test_max_jobs_counts_those_that_are_running(
    run: Run, spool: Spool, plugin: dict[str, str]
) -> None:
    """No more are begun than asked for; it does not sleep till its next heartbeat after that."""
    for _ in range(5):
        submit(spool, "spin", "1000")
    asked = ("--max-jobs", "3", "-j", "2", "--lease", "1h")
    assert run("work", *asked, env=plugin).returncode == 0
    counts = spool.counts()
    assert (counts[State.COMPLETED], counts[State.PENDING]) == (3, 2)


def test_the_first_signal_lets_all_that_run_end(
    start: Start, spool: Spool, plugin: dict[str, str], tmp_path: Path, until: Until
) -> None:
    """And nothing more is begun, nor slept till the next heartbeat."""
    places = [tmp_path / name for name in "abc"]
    for place in places:
        place.mkdir()
    ids = [submit(spool, "hold", str(place)) for place in places]
    worker = start("work", "-j", "2", "--lease", "1h", env=plugin)
    until(lambda: all(list(place.iterdir()) for place in places[:2]))
    worker.signal(signal.SIGTERM)
    for place in places:
        (place / "go").touch()
    assert worker.end().returncode == 0
    assert [spool.find(i).state for i in ids] == ["completed", "completed", "pending"]


def test_the_second_signal_gives_all_that_run_back_uncharged(
    start: Start, spool: Spool, plugin: dict[str, str], place: Path, until: Until
) -> None:
    """They are ended at once, though they are busy in C or ignore SIGTERM."""
    script = f"trap '' TERM; touch {place}/running; sleep 1000; sleep 1000"
    ids = [submit(spool, "busy", str(place)), command(spool, "sh", "-c", script)]
    worker = start("work", "-j", "2", env=plugin)
    until(lambda: len(list(place.iterdir())) == 2)
    name = worker_of(spool, ids[0])
    began = time.monotonic()
    worker.signal(signal.SIGINT)
    until(lambda: worker.popen.poll() is None)
    worker.signal(signal.SIGTERM)
    ran = worker.end()
    assert time.monotonic() - began < 5
    assert ran.returncode == 130
    for job_id in ids:
        assert spool.find(job_id).state is State.PENDING
        assert spool.find(job_id).attempts == ()
    assert marked(name) == []
    assert os.listdir(spool.layout.wip) == []


def test_the_second_signal_ends_a_worker_with_threads_too(
    start: Start, spool: Spool, plugin: dict[str, str], place: Path, until: Until
) -> None:
    """A thread cannot be ended but with its process."""
    job_id = submit(spool, "hold", str(place))
    worker = start("work", "--executor", "thread", env=plugin)
    until(lambda: list(place.iterdir()))
    worker.signal(signal.SIGTERM, signal.SIGINT)
    assert worker.end(10).returncode == 130
    assert (spool.find(job_id).state, spool.find(job_id).attempts) == (State.PENDING, ())


# Executors


@pytest.mark.parametrize(
    "executor",
    [
        "process",
        "thread",
        "concurrent.futures:ProcessPoolExecutor",
        "concurrent.futures:ThreadPoolExecutor",
    ],
)
def test_operations_run_where_they_are_told_to(
    run: Run, spool: Spool, plugin: dict[str, str], executor: str
) -> None:
    """With the same results and errors."""
    good = submit(spool, "spin", "100")
    bad = submit(spool, "boom", "so it is")
    ran = run("work", "--once", "-j", "2", "--executor", executor, env=plugin)
    assert ran.returncode == 0
    assert spool.find(good).result == "295"
    assert spool.find(bad).error == "ValueError: so it is"


def below(pid: int) -> list[int]:
    """Return all processes that were started by a process, or by one of those."""
    found = [pid]
    for parent in found:
        found += [p for p in orphans._processes() if orphans._parent_of(p) == parent]
    return found[1:]


def keeps_books(pid: int) -> bool:
    """Tell whether a process is multiprocessing's tracker, which runs no job and ends last."""
    return b"multiprocessing.resource_tracker" in orphans._read(f"/proc/{pid}/cmdline")


def lives(pid: int) -> bool:
    """Tell whether a process goes on."""
    return state_of(pid) not in ("", "Z")


@pytest.mark.parametrize(
    "executor", ["concurrent.futures:ProcessPoolExecutor", "blockops:spawning"]
)
@pytest.mark.parametrize("how", ["killed", "broken off"])
def test_the_processes_of_others_executors_end_with_their_worker(
    start: Start,
    spool: Spool,
    plugin: dict[str, str],
    place: Path,
    until: Until,
    executor: str,
    how: str,
) -> None:
    """Before its job is given on."""
    job_id = submit(spool, "busy", str(place))
    asked = ("work", "--executor", executor)
    first = start(*asked, env=plugin)
    until(lambda: list(place.iterdir()))
    started = [pid for pid in below(first.pid) if not keeps_books(pid)]
    assert started
    if how == "killed":
        second = start(*asked, env=plugin)
        first.signal(signal.SIGKILL)
        until(lambda: f".{second.pid}." in worker_of(spool, job_id))
        until(lambda: not any(map(lives, started)), 2)
    else:
        first.signal(signal.SIGTERM, signal.SIGINT)
        until(lambda: spool.find(job_id).state is State.PENDING)
        assert not any(map(lives, started))
        assert first.end().returncode == 130


@pytest.mark.parametrize(
    ("executor", "said"),
    [
        ("green", "no such executor"),
        ("no_such_module:x", "cannot be loaded"),
        ("os:sep", "nothing that can be called"),
    ],
)
def test_an_executor_that_is_none(run: Run, executor: str, said: str) -> None:
    """It is told before anything is claimed."""
    ran = run("work", "--once", "--executor", executor)
    assert ran.returncode == 2
    assert said in ran.stderr


def test_a_job_with_a_limit_is_ended_also_among_threads(
    run: Run, spool: Spool, plugin: dict[str, str], place: Path
) -> None:
    """It takes a child, because a thread cannot be killed."""
    job_id = submit(spool, "hold", str(place), timeout=0.5)
    assert run("work", "--once", "--executor", "thread", env=plugin).returncode == 0
    assert outcome(spool, job_id).reason == "timeout"


def test_an_operation_that_cannot_be_loaded_is_left_for_other_workers(
    run: Run, spool: Spool, tmp_path: Path, commands: Commands
) -> None:
    """Its package is broken here; the job is charged with nothing, and the reason told once."""
    info = tmp_path / "site" / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[spoolcalc.operations]\nbroken = broken:broken\n")
    (tmp_path / "site" / "broken.py").write_text("raise ImportError('it lacks something')\n")
    path = f"{tmp_path}/site{os.pathsep}{commands.environment['PYTHONPATH']}"
    job_id = submit(spool, "broken")
    submit(spool, "broken")
    after = spool.submit("add", ["12", "23"])
    ran = run("work", "--once", "-q", env={"PYTHONPATH": path})
    assert ran.returncode == 0
    assert ran.stderr.count("ImportError: it lacks something") == 1
    assert spool.find(job_id).state is State.PENDING
    assert spool.find(job_id).attempts == ()
    assert spool.find(after).result == "35"


# Progress


@pytest.mark.parametrize("executor", ["process", "thread"])
def test_progress_is_shown_while_a_job_runs(
    start: Start, spool: Spool, plugin: dict[str, str], place: Path, until: Until, executor: str
) -> None:
    """It lies beside the job, changes, and goes with it."""
    import json

    job_id = submit(spool, "report", str(place))
    start("work", "--executor", executor, env=plugin)
    until(lambda: worker_of(spool, job_id))
    path = Path(spool.layout.wip_of(worker_of(spool, job_id))) / f"{job_id}.progress"
    until(path.exists)
    first = json.loads(path.read_text())
    assert first["fraction"] == 0.25
    assert first["text"].endswith("of attempt 1")
    until(lambda: json.loads(path.read_text()) != first)
    (place / "go").touch()
    until(lambda: ended(spool, job_id))
    assert spool.find(job_id).result == job_id
    until(lambda: list(path.parent.iterdir()) == [])
