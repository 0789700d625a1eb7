"""Finding and killing what a dead worker left: real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from spoolcalc import orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

#: Forks again and again: each process makes another one and ends.  It stops by itself, lest it
#: outlive a test that was killed.
FORKER = """
import os, time
end = time.monotonic() + 60
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(0.002)
"""
#: What starts four sleeping processes and a shell, in every way there is to leave one's parent.
LEAVING = "sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &)"
#: Adopts all that it starts, kills that, and says how many there were and what is left.
ADOPTER = """
import subprocess, sys
from spoolcalc import orphans

worker, script = sys.argv[1:]
orphans.adopt()
subprocess.run(["sh", "-c", script], env={"SPOOL_WORKER": worker})
mark = b"SPOOL_WORKER=" + worker.encode()
while [mark in (orphans._environment(pid) or ()) for pid in orphans._processes()].count(True) < 5:
    pass
print(orphans.kill_descendants(5), orphans.children())
"""


@pytest.fixture
def worker() -> str:
    """Name a worker that nobody else has."""
    return f"host.{os.getpid()}.{os.urandom(4).hex()}"


@pytest.fixture
def start(worker: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start marked processes; what is still there after the test is killed."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(*argv: str, **env: str) -> subprocess.Popen[bytes]:
        mark = env or {orphans.MARK: worker}
        running.append(subprocess.Popen(argv, env={**os.environ, **mark}, start_new_session=True))
        return running[-1]

    yield begin
    orphans.kill_carrying({orphans.MARK: worker})
    for process in running:
        process.kill()
        process.wait()


def test_all_that_carries_the_mark_is_killed_and_nothing_else(
    start: Callable[..., subprocess.Popen[bytes]], worker: str, until: Callable[..., Any]
) -> None:
    """Stopped ones and those in other sessions too; a mark that begins like it is another's."""
    marked = [start("sleep", "1000") for _ in range(3)]
    marked[0].send_signal(signal.SIGSTOP)
    other = start("sleep", "1000", SPOOL_WORKER=f"{worker}0")
    unmarked = start("sleep", "1000", SPOOL_WORKERS=worker)
    assert orphans.kill_marked(worker) == 3
    assert [process.wait(5) for process in marked] == [-signal.SIGKILL] * 3
    assert other.poll() is None
    assert unmarked.poll() is None
    assert orphans.kill_marked(worker) == 0


def test_it_never_kills_itself(worker: str) -> None:
    """A process that looks for its own mark survives the search."""
    code = f"from spoolcalc import orphans; print(orphans.kill_marked({worker!r}))"
    env = {**os.environ, orphans.MARK: worker, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert done.stdout == b"0\n"


def test_what_forks_while_it_is_looked_for_does_not_escape(
    start: Callable[..., subprocess.Popen[bytes]], worker: str, until: Callable[..., Any]
) -> None:
    """It looks again until nothing is left."""
    start(sys.executable, "-c", FORKER).wait()
    assert orphans.kill_marked(worker) > 0
    assert orphans.kill_marked(worker) == 0


def test_guardians_are_let_finish_first(
    start: Callable[..., subprocess.Popen[bytes]], worker: str
) -> None:
    """What a guardian does when its worker has died is not cut short."""
    guard = start("sh", "-c", "sleep 0.2; exit 5", SPOOL_GUARDIAN=worker)
    assert orphans.kill_marked(worker) == 0
    assert guard.wait(5) == 5


def test_a_guardian_that_hangs_is_killed(
    start: Callable[..., subprocess.Popen[bytes]], worker: str
) -> None:
    """It had its second."""
    guard = start("sleep", "1000", SPOOL_GUARDIAN=worker)
    guard.send_signal(signal.SIGSTOP)
    assert orphans.kill_marked(worker) == 1
    assert guard.wait(5) == -signal.SIGKILL


def test_descendants_are_found_however_they_went_away(worker: str) -> None:
    """Background processes, other sessions, orphans of orphans."""
    done = subprocess.run(
        [sys.executable, "-c", ADOPTER, worker, LEAVING],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"5 []\n"
