"""Workers that die, hang and come back: real processes, real signals."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import NoSuchJob, Spool, State
from spoolcalc.document import new_document
from spoolcalc.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLUGIN = Path(__file__).parent / "plugin"
SPOOL = [sys.executable, "-c", "from spoolcalc.entry import main; main()"]
#: Generous, for a loaded machine; what takes longer than this is stuck.
PATIENCE = 30.0


def until(holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return as soon as ``holds`` does; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Make a fresh spool."""
    return Spool(tmp_path / "spool", create=True)


@pytest.fixture
def start(spool: Spool, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a worker process; all are ended with the test."""
    running: list[subprocess.Popen[str]] = []

    def begin(*options: str) -> subprocess.Popen[str]:
        log = (tmp_path / f"log.{len(running)}").open("w")
        running.append(
            subprocess.Popen(
                [*SPOOL, "work", "-v", *options],
                env={
                    **os.environ,
                    "SPOOL_DIR": spool.path,
                    "PYTHONPATH": f"{PLUGIN}:{Path(__file__).parents[2]}",
                },
                stderr=log,
                text=True,
            )
        )
        log.close()
        return running[-1]

    yield begin
    for process in running:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def submit(spool: Spool, operation: str, *operands: str) -> str:
    """Submit a job of an operation that the workers know, and this process need not."""
    return spool.publish([new_document(new_id(), operation, operands)])[0]


def log_of(tmp_path: Path, number: int) -> str:
    """Return what a worker has logged so far."""
    return (tmp_path / f"log.{number}").read_text()


def runners(place: Path) -> list[int]:
    """Return the processes that have begun to hold in ``place``."""
    return [int(path.suffix[1:]) for path in place.glob("running.*")]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a held job shows that it runs, and is let go."""
    path = tmp_path / "place"
    path.mkdir()
    return path


def test_a_killed_workers_job_is_given_to_another_at_once(
    spool: Spool, start: Callable[..., subprocess.Popen[str]], place: Path, tmp_path: Path
) -> None:
    """SIGKILL: another living worker has the job within a second, and one lost attempt is noted."""
    job_id = submit(spool, "hold", str(place))
    first = start()
    until(lambda: runners(place) == [first.pid])
    second = start()
    until(lambda: "started" in log_of(tmp_path, 1))
    first.kill()
    killed = time.monotonic()
    until(lambda: f".{second.pid}." in (spool.find(job_id).worker or ""))
    assert time.monotonic() - killed < 1.0
    until(lambda: second.pid in runners(place))
    (place / "go").touch()
    until(lambda: spool.find(job_id).state is State.COMPLETED)
    job = spool.find(job_id)
    assert job.result == f"held by {second.pid}"
    assert [attempt.end for attempt in job.attempts] == ["lost", "completed"]


def test_a_busy_worker_gives_a_dead_ones_job_back_too(
    spool: Spool, start: Callable[..., subprocess.Popen[str]], place: Path, tmp_path: Path
) -> None:
    """The sweep does not wait for the sweeper's own job to end."""
    other = tmp_path / "other"
    other.mkdir()
    submit(spool, "hold", str(place))
    first = start()
    until(lambda: runners(place) == [first.pid])
    job_id = submit(spool, "hold", str(other))
    second = start()
    until(lambda: runners(other) == [second.pid])
    second.kill()
    until(lambda: spool.find(job_id).state is State.PENDING, 5)
    assert first.poll() is None


def test_a_job_that_kills_every_worker_ends_as_poison(
    spool: Spool, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """After three crashes it has failed, and the jobs behind it are done."""
    poison = submit(spool, "die")
    others = [spool.submit("add", [str(n), "1"]) for n in range(5)]
    for _ in range(3):
        worker = start()
        assert worker.wait(PATIENCE) == -signal.SIGKILL
    assert start("--once").wait(PATIENCE) == 0
    job = spool.find(poison)
    assert job.state is State.FAILED
    assert job.outcome is not None
    assert job.outcome.reason == "poison"
    assert [attempt.end for attempt in job.attempts] == ["lost"] * 3
    assert [spool.find(i).result for i in others] == ["1", "2", "3", "4", "5"]


def test_a_stopped_worker_is_fenced_off_and_goes_on_afterwards(
    spool: Spool, start: Callable[..., subprocess.Popen[str]], place: Path, tmp_path: Path
) -> None:
    """SIGSTOP past the lease: another does the job, and the late outcome is discarded."""
    job_id = submit(spool, "hold", str(place))
    stopped = start("--lease", "1s")
    until(lambda: runners(place) == [stopped.pid])
    stopped.send_signal(signal.SIGSTOP)
    other = start()
    until(lambda: other.pid in runners(place))
    (place / "go").touch()
    until(lambda: spool.find(job_id).state is State.COMPLETED)
    before = Path(spool.layout.finished_bucket(State.COMPLETED, job_id), f"{job_id}.json")
    written = before.read_bytes()
    other.terminate()
    assert other.wait(PATIENCE) == 0
    stopped.send_signal(signal.SIGCONT)
    until(lambda: "discarded" in log_of(tmp_path, 0))
    assert before.read_bytes() == written
    assert spool.find(job_id).result == f"held by {other.pid}"
    again = spool.submit("add", ["12", "23"])
    until(lambda: spool.find(again).state is State.COMPLETED)
    stopped.terminate()
    assert stopped.wait(PATIENCE) == 0
    assert sorted(os.listdir(spool.layout.wip)) == []


def test_a_slow_job_is_not_taken_for_a_dead_worker(
    spool: Spool, start: Callable[..., subprocess.Popen[str]], place: Path
) -> None:
    """A job that runs for many leases stays with its worker, which renews from a second thread."""
    job_id = submit(spool, "hold", str(place))
    busy = start("--lease", "0.6s")
    until(lambda: runners(place) == [busy.pid])
    sweeps = 0
    began = time.monotonic()
    with spool.register() as lease:
        while time.monotonic() - began < 2.5:
            assert spool.sweep(lease).workers == {}
            sweeps += 1
    assert sweeps > 5
    (place / "go").touch()
    until(lambda: spool.find(job_id).state is State.COMPLETED)
    assert [attempt.end for attempt in spool.find(job_id).attempts] == ["completed"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_lost_in_a_storm_of_kills(
    spool: Spool, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Four workers, two submitters, 20,000 jobs, and SIGKILLs at random for a minute.

    None is given up as poison for having been at hand in a few of so many kills.
    """
    chance = random.Random(7)
    submitters = []
    for number in range(2):
        lines = tmp_path / f"in.{number}"
        lines.write_text("".join(f"add {n} {number}\n" for n in range(10_000)))
        ids = (tmp_path / f"ids.{number}").open("w")
        submitters.append(
            subprocess.Popen(
                [*SPOOL, "submit", "--from", str(lines), "--max-crashes", "100"],
                env={**os.environ, "SPOOL_DIR": spool.path},
                stdout=ids,
            )
        )
        ids.close()
    workers = [start("-q") for _ in range(4)]
    kills = 0
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.02, 0.3))
        index = chance.randrange(4)
        workers[index].kill()
        workers[index].wait()
        workers[index] = start("-q")
        kills += 1
    assert kills > 100
    assert [submitter.wait(PATIENCE) for submitter in submitters] == [0, 0]
    for worker in workers:
        worker.kill()
        worker.wait()
    assert start("--once", "-q").wait(200) == 0
    seen: dict[str, State] = {}
    for state in State:
        for job in spool.list(state):
            assert job.id not in seen, f"{job.id} is in two states"
            seen[job.id] = state
    for number in range(2):
        ids_of = (tmp_path / f"ids.{number}").read_text().split()
        assert len(ids_of) == 10_000
        for n, job_id in enumerate(ids_of):
            job = spool.find(job_id)
            assert job.state is State.COMPLETED, job
            assert job.result == str(n + number)
            assert [a.end for a in job.attempts].count("completed") == 1
    assert len(seen) == 20_000
    assert os.listdir(spool.layout.wip) == []
    assert os.listdir(spool.layout.tmp) == []
    assert os.listdir(spool.layout.corrupt) == []
    with pytest.raises(NoSuchJob):
        spool.find("01a20f20-b358-75fa-ab79-9c641df4b44f")
