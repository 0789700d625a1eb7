"""`spool work`: a real worker, until told to stop."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conftest import Commands, Jobs, Process, Ran

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
BOTH = [(signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)]
#: Operations that do not keep to the rules.
UNRULY = """
import time

from spoolcalc import Answer, OperationFailed


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("not even a message")


def number():
    return Answer(5)


def half():
    return Answer("\\ud800")


def silent():
    raise Silent


def lines():
    raise OperationFailed("one\\ntwo\\x1b[31m")


def leave():
    raise SystemExit(3)


def nothing():
    return None


def flag():
    return Answer("1", exact="perhaps", precision=[1])
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a held job shows that it runs, and is let go."""
    path = tmp_path / "place"
    path.mkdir()
    return path


def idle(jobs: Jobs, until: Callable[..., Any], number: int = 1) -> None:
    """Return when so many workers are there, and nothing is to do."""
    until(lambda: len(jobs.spool.overview().workers) == number)


def hold(
    start: Callable[..., Process],
    jobs: Jobs,
    until: Callable[..., Any],
    plugin: dict[str, str],
    place: Path,
) -> tuple[Process, str]:
    """Start a worker on a job that goes on until a file `go` lies in ``place``."""
    job_id = jobs.pending("hold", str(place))
    worker = start("work", env=plugin)
    until(lambda: list(place.glob("running.*")))
    return worker, job_id


def processor_time(pid: int) -> float:
    """Return the seconds that a process has been on a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- one pass -------------------------------------------------------------------------------------


def test_once_drains_and_ends(run: Callable[..., Ran], jobs: Jobs) -> None:
    """One pass does all that can be run, says a line for each job, and leaves nothing behind."""
    ids = [jobs.pending("add", str(n), "1") for n in range(20)]
    failing = jobs.pending("div", "1", "0")
    ended = run("work", "--once")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert [jobs.spool.find(job_id).result for job_id in ids] == [str(n + 1) for n in range(20)]
    assert jobs.spool.find(failing).error == "division by zero"
    lines = ended.stderr.splitlines()
    assert len(lines) == 21
    assert re.fullmatch(rf"{TIME} completed {ids[0]} add 0 1 = 1 \([0-9.]+ ms\)", lines[0])
    assert f"failed {failing} div 1 0 failed: division by zero" in lines[-1]
    layout = jobs.spool.layout
    for path in (layout.pending, layout.wip, layout.tmp, layout.workers):
        assert os.listdir(path) == []


def test_once_with_nothing_to_do(run: Callable[..., Ran], commands: Commands) -> None:
    """With no job, or no spool yet, it ends at once with 0; the spool it makes is private."""
    assert run("work", "--once") == (0, "", "")
    assert stat.S_IMODE(commands.spool.stat().st_mode) == 0o700
    assert run("work", "--once") == (0, "", "")


def test_once_recovers_what_the_dead_left(
    run: Callable[..., Ran],
    start: Callable[..., Process],
    jobs: Jobs,
    until: Callable[..., Any],
    plugin: dict[str, str],
    place: Path,
) -> None:
    """A job in the hands of a worker that was killed is run in the same pass."""
    worker, job_id = hold(start, jobs, until, plugin, place)
    worker.signal(signal.SIGKILL)
    worker.popen.wait()
    (place / "go").touch()
    ended = run("work", "--once", env=plugin)
    assert ended.returncode == 0
    assert "recovered" in ended.stderr
    assert [attempt.end for attempt in jobs.spool.find(job_id).attempts] == ["lost", "completed"]


def test_overlapping_passes_are_safe(commands: Commands, jobs: Jobs) -> None:
    """Two at once, as from overlapping cron runs, do each job once."""
    ids = [jobs.pending("neg", str(n)) for n in range(150)]
    passes = [commands.open("work", "--once", stderr=subprocess.PIPE) for _ in range(2)]
    said = [one.communicate(timeout=20)[1].decode() for one in passes]
    assert [one.returncode for one in passes] == [0, 0]
    done = Counter(line.split()[2] for text in said for line in text.splitlines())
    assert done == dict.fromkeys(ids, 1)
    assert {len(jobs.spool.find(job_id).attempts) for job_id in ids} == {1}


def test_max_jobs(run: Callable[..., Ran], jobs: Jobs) -> None:
    """It ends after so many jobs, failed ones counted, and leaves the others pending."""
    jobs.pending("div", "1", "0")
    for _ in range(4):
        jobs.pending()
    assert run("work", "--max-jobs", "3").returncode == 0
    counts = jobs.spool.counts()
    assert (counts[State.PENDING], counts[State.COMPLETED], counts[State.FAILED]) == (2, 2, 1)


def test_max_time(run: Callable[..., Ran], jobs: Jobs) -> None:
    """It ends after that time even when idle, however seldom it looks by itself."""
    job_id = jobs.pending()
    began = time.monotonic()
    ended = run("work", "--max-time", "500ms", "--poll", "15s")
    assert 0.5 <= time.monotonic() - began < 5
    assert ended.returncode == 0
    assert jobs.state(job_id) is State.COMPLETED
    left = jobs.pending()
    assert run("work", "--max-time", "0s").returncode == 0
    assert jobs.state(left) is State.PENDING


@pytest.mark.parametrize(
    "words",
    ["--max-jobs 0", "--max-time soon", "--lease 0.1s", "--poll -1s", "--once extra", "--lease 0s"],
)
def test_bad_options_are_refused(words: str, run: Callable[..., Ran]) -> None:
    """A limit that makes no sense is a usage error."""
    assert run("work", "--once", *words.split()).returncode == 2


def test_a_very_long_poll_is_no_problem(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """Who wants to be woken by the bell alone may say so with any number."""
    worker = start("work", "--poll", "50w")
    until(lambda: worker.popen.poll() is not None or jobs.spool.overview().workers)
    job_id = jobs.pending()
    assert worker.popen.poll() is None, worker.stderr
    until(lambda: jobs.state(job_id) is State.COMPLETED)
    worker.signal(signal.SIGTERM)
    assert worker.end().returncode == 0


# --- what it says ---------------------------------------------------------------------------------


def test_quiet_says_only_what_went_wrong(run: Callable[..., Ran], jobs: Jobs) -> None:
    """With -q a good run is silent, and a failed job is told."""
    jobs.pending()
    assert run("work", "--once", "-q") == (0, "", "")
    job_id = jobs.pending("div", "1", "0")
    assert job_id in run("work", "--once", "--quiet").stderr


def test_verbose_says_who_and_what(run: Callable[..., Ran], jobs: Jobs) -> None:
    """With -v the worker's name and each claim are told too."""
    job_id = jobs.pending()
    lines = run("work", "--once", "-v").stderr.splitlines()
    assert [line.split()[1] for line in lines] == ["started", "claimed", "completed"]
    assert lines[0].split()[2] == jobs.spool.find(job_id).attempts[0].worker


def test_a_job_cannot_command_a_terminal(commands: Commands, jobs: Jobs) -> None:
    """On a terminal there is a line for each job too, and nothing of a job is obeyed there."""
    jobs.pending()
    jobs.pending("add", "\x1b]0;mine\x07\x1b[2J", "1")
    seen = commands.on_terminal("work", "--once").stdout
    assert len(seen.splitlines()) == 2
    assert "add 12 23 = 35" in seen
    seen = re.sub(r"\x1b\[[0-9]+m", "", seen)  # its own colours
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", seen), repr(seen)


def test_colours_can_be_refused(commands: Commands, jobs: Jobs) -> None:
    """With NO_COLOR in the environment a terminal gets none."""
    jobs.pending()
    commands.environment["NO_COLOR"] = "1"
    assert "\x1b" not in commands.on_terminal("work", "--once").stdout


# --- waiting --------------------------------------------------------------------------------------


def test_an_idle_worker_is_woken_and_costs_nothing(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """It takes a new job at once, not at its next look, and idles at next to no processor time."""
    worker = start("work", "--poll", "30s")
    idle(jobs, until)
    used = processor_time(worker.pid)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.popen.wait(2)
    assert processor_time(worker.pid) - used < 0.1
    job_id = jobs.pending()
    submitted = time.monotonic()
    until(lambda: jobs.state(job_id) is State.COMPLETED)
    assert time.monotonic() - submitted < 1


def test_an_operation_that_is_not_known_is_left(
    start: Callable[..., Process],
    jobs: Jobs,
    until: Callable[..., Any],
    plugin: dict[str, str],
    place: Path,
) -> None:
    """Workers that do not know it leave it, uncharged and without spinning, to one that does."""
    (place / "go").touch()
    job_id = jobs.pending("hold", str(place))
    ignorant = [start("work", "-v"), start("work", "-v")]
    later = jobs.pending()  # behind it, so that the first has been passed by when this is done
    until(lambda: jobs.state(later) is State.COMPLETED)
    idle(jobs, until, 2)
    used = [processor_time(worker.pid) for worker in ignorant]
    with pytest.raises(subprocess.TimeoutExpired):
        ignorant[0].popen.wait(2)
    for worker, before in zip(ignorant, used, strict=True):
        assert processor_time(worker.pid) - before < 0.15
    assert jobs.state(job_id) is State.PENDING
    assert jobs.spool.find(job_id).attempts == ()
    start("work", env=plugin)
    until(lambda: jobs.state(job_id) is State.COMPLETED, 5)
    assert [attempt.end for attempt in jobs.spool.find(job_id).attempts] == ["completed"]


def test_one_that_knows_it_takes_it_at_once(
    start: Callable[..., Process],
    jobs: Jobs,
    until: Callable[..., Any],
    plugin: dict[str, str],
    place: Path,
) -> None:
    """Beside an idle worker that does not know it, one that does has it within a second."""
    (place / "go").touch()
    start("work", "--poll", "30s")
    start("work", "--poll", "30s", env=plugin)
    idle(jobs, until, 2)
    first = jobs.pending("hold", str(place))  # its child, which stays warm, takes a while to start
    until(lambda: jobs.state(first) is State.COMPLETED)
    for _ in range(5):
        job_id = jobs.pending("hold", str(place))
        submitted = time.monotonic()
        until(lambda job_id=job_id: jobs.state(job_id) is State.COMPLETED, 5)
        assert time.monotonic() - submitted < 1


def test_operations_that_break_the_rules_fail_their_own_job(
    run: Callable[..., Ran], commands: Commands, jobs: Jobs, tmp_path: Path
) -> None:
    """Whatever an installed operation returns or raises, its job ends, and the others are done."""
    names = ["number", "half", "silent", "lines", "leave", "nothing", "flag"]
    (tmp_path / "unruly.py").write_text(UNRULY)
    installed = tmp_path / "unruly-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: unruly\nVersion: 1.0\n")
    points = "".join(f"{name} = unruly:{name}\n" for name in names)
    (installed / "entry_points.txt").write_text(f"[spoolcalc.operations]\n{points}")
    ids = {name: jobs.pending(name) for name in names}
    good = jobs.pending()
    path = f"{tmp_path}{os.pathsep}{commands.environment['PYTHONPATH']}"
    ended = run("work", "--once", env={"PYTHONPATH": path})
    assert ended.returncode == 0, ended.stderr
    assert jobs.spool.find(good).result == "35"
    for name, job_id in ids.items():
        assert jobs.state(job_id).finished, name
        assert run("fetch", job_id).returncode in (0, 1), name
    assert jobs.spool.find(ids["leave"]).error == "SystemExit: 3"
    lines = ended.stderr.splitlines()
    assert len(lines) == len(ids) + 1
    assert all(re.match(rf"{TIME} (completed|failed) ", line) for line in lines)
    assert "\x1b" not in ended.stderr


def press(worker: Process, number: signal.Signals) -> Ran:
    """Send a signal again and again, as fast as a key repeats and faster, until it has ended."""
    deadline = time.monotonic() + 10
    while True:
        worker.signal(number)
        try:
            return worker.end(0.001)
        except subprocess.TimeoutExpired:
            assert time.monotonic() < deadline


# --- told to stop ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_idle_worker_ends_at_once(
    number: signal.Signals, start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """Told to stop, it leaves with 0 without a word, and leaves nothing behind."""
    worker = start("work")
    job_id = jobs.pending()
    until(lambda: jobs.state(job_id) is State.COMPLETED)
    told = time.monotonic()
    worker.signal(number)
    ended = worker.end()
    assert time.monotonic() - told < 1
    assert (ended.returncode, ended.stdout) == (0, "")
    assert len(ended.stderr.splitlines()) == 1
    assert os.listdir(jobs.spool.layout.workers) == []
    assert os.listdir(jobs.spool.layout.wip) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_job_at_hand_is_finished(
    number: signal.Signals,
    start: Callable[..., Process],
    jobs: Jobs,
    until: Callable[..., Any],
    plugin: dict[str, str],
    place: Path,
) -> None:
    """Told to stop while a job runs, it finishes that job and takes no other."""
    worker, job_id = hold(start, jobs, until, plugin, place)
    waiting = jobs.pending()
    worker.signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.popen.wait(0.3)
    (place / "go").touch()
    assert worker.end().returncode == 0
    assert jobs.spool.find(job_id).result == f"held by {worker.pid}"
    assert jobs.state(waiting) is State.PENDING


@pytest.mark.parametrize("numbers", BOTH)
def test_a_second_signal_gives_the_job_back(
    numbers: tuple[signal.Signals, ...],
    start: Callable[..., Process],
    jobs: Jobs,
    until: Callable[..., Any],
    plugin: dict[str, str],
    place: Path,
) -> None:
    """It ends with 130, and the job is pending again, with no attempt charged."""
    worker, job_id = hold(start, jobs, until, plugin, place)
    worker.signal(*numbers)
    ended = worker.end(5)
    assert ended.returncode == 130
    assert "given back" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert jobs.state(job_id) is State.PENDING
    assert jobs.spool.find(job_id).attempts == ()
    assert os.listdir(jobs.spool.layout.workers) == []


def test_impatience_changes_nothing(
    start: Callable[..., Process],
    jobs: Jobs,
    until: Callable[..., Any],
    plugin: dict[str, str],
    place: Path,
) -> None:
    """Who goes on pressing Ctrl-C until it ends gets what a second signal gives."""
    for number in range(5):
        here = place / str(number)
        here.mkdir()
        worker, job_id = hold(start, jobs, until, plugin, here)
        ended = press(worker, signal.SIGINT)
        assert "Traceback" not in ended.stderr
        assert ended.returncode in (130, -signal.SIGINT), ended  # to a shell, they are the same
        jobs.spool.sweep()
        assert jobs.state(job_id) is State.PENDING
        assert jobs.spool.find(job_id).attempts == ()
        jobs.path(job_id).unlink()


def test_a_signal_while_it_ends_by_itself(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """Signals that come all the while a short run lasts never make it fail with a bug."""
    for _ in range(5):
        for _ in range(20):
            jobs.pending()
        worker = start("work", "--once", "-v")
        until(lambda worker=worker: "started" in worker.stderr)
        ended = press(worker, signal.SIGTERM)
        assert ended.returncode in (0, 130, -signal.SIGTERM), ended
        assert "a bug" not in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_spool_that_goes_away(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any], tmp_path: Path
) -> None:
    """A worker whose spool was removed says so, can be told to stop, and does not make it anew."""
    worker = start("work", "--poll", "50ms")
    idle(jobs, until)
    Path(jobs.spool.path).rename(tmp_path / "away")
    until(lambda: worker.stderr)
    try:
        ended = worker.end(1)
    except subprocess.TimeoutExpired:  # it may also go on, for the spool may come back
        worker.signal(signal.SIGTERM)
        ended = worker.end(5)
    assert ended.returncode in (0, 7), ended
    assert "Traceback" not in ended.stderr
    assert not Path(jobs.spool.path).exists()
