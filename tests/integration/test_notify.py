"""What the service manager is told: real workers, and a socket in the service manager's place."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from spoolcalc.document import new_document
from spoolcalc.ids import new_id
from spoolcalc.job import State
from spoolcalc.notify import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from conftest import Jobs, Process

    from spoolcalc import Spool

    Start = Callable[..., Process]
    Until = Callable[..., Any]

PATIENCE = 30.0
#: How often (seconds) the workers here tell that they are well.
OFTEN = 0.4
#: A silence of so many seconds is one.
SILENCE = 3.0
#: The longest step of a main loop that is well, in the hooked workers.
SLACK = 0.5


class Ear:
    """Hears what is told."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    @property
    def environment(self) -> dict[str, str]:
        """What the service manager gives to a service that it watches."""
        return {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": str(int(OFTEN * 1_000_000))}

    def hear(self, seconds: float = PATIENCE) -> dict[str, str]:
        """Return the next message, empty if there is none in that time."""
        self._socket.settimeout(seconds)
        try:
            message = self._socket.recv(65536).decode()
        except TimeoutError:
            return {}
        told = dict(line.split("=", 1) for line in message.split("\n"))
        self.heard.append(told)
        return told

    def wait_for(self, name: str, containing: str = "") -> dict[str, str]:
        """Return the first message from now on that tells of ``name``."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            told = self.hear()
            if name in told and containing in told[name]:
                return told
        pytest.fail(f"{name} was not told: {self.heard}")

    def is_silent(self) -> bool:
        """Tell whether nothing at all is told any more, once what was under way has arrived."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not self.hear(SILENCE):
                return True
        return False

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    """Be the service manager."""
    ear = Ear(str(tmp_path / "notify"))
    yield ear
    ear.close()


@pytest.fixture
def hooked(tmp_path: Path, jobs: Jobs, start: Start, ear: Ear) -> Callable[..., Process]:
    """Start a worker that runs ``code`` first, and is well only if its steps are short."""

    def begin(code: str, *arguments: str) -> Process:
        place = tmp_path / "hook"
        place.mkdir()
        head = f"import threading, time\nfrom spoolcalc import keeper\nkeeper.SLACK = {SLACK}\n"
        (place / "sitecustomize.py").write_text(head + code)
        path = f"{place}{os.pathsep}{os.path.dirname(os.path.dirname(__file__))}/.."
        return start("work", *arguments, env={**ear.environment, "PYTHONPATH": path})

    return begin


def sleeper(spool: Spool, seconds: str) -> str:
    """Submit a command that takes so long."""
    asked: dict[str, Any] = {"cwd": spool.path, "env": {}, "stdin": None}
    document = new_document(new_id(), "exec", ["sleep", seconds], command=asked)
    return spool.publish([document])[0]


def test_a_worker_tells_that_it_is_ready_what_it_is_at_and_that_it_is_well(
    start: Start, jobs: Jobs, ear: Ear
) -> None:
    """Ready once it is registered."""
    start("work", env=ear.environment)
    ready = ear.hear()
    assert (ready["READY"], ready["STATUS"]) == ("1", "idle; 0 done, 0 of them failed")
    assert len(jobs.spool.overview().workers) == 1
    ear.wait_for("WATCHDOG")
    jobs.pending()
    jobs.pending("div", "1", "0")
    ear.wait_for("STATUS", "idle; 2 done, 1 of them failed")
    job_id = sleeper(jobs.spool, "60")
    ear.wait_for("STATUS", f"exec sleep 60 ({job_id}); 2 done")
    sleeper(jobs.spool, "60")
    ear.wait_for("WATCHDOG")


def test_several_jobs_at_hand_are_counted(start: Start, jobs: Jobs, ear: Ear) -> None:
    """None of them is named."""
    for _ in range(3):
        sleeper(jobs.spool, "60")
    start("work", "--jobs", "3", env=ear.environment)
    ear.wait_for("STATUS", "3 jobs at hand; 0 done")


def test_a_worker_that_is_told_to_end_asks_for_time_while_it_finishes(
    start: Start, jobs: Jobs, ear: Ear, until: Until
) -> None:
    """Again and again, and it is well meanwhile."""
    job_id = sleeper(jobs.spool, "3")
    worker = start("work", env=ear.environment)
    until(lambda: jobs.state(job_id) is State.WIP, PATIENCE)
    worker.signal(signal.SIGTERM)
    stopping = ear.wait_for("STOPPING")
    assert stopping["EXTEND_TIMEOUT_USEC"] == "30000000"
    assert stopping["STATUS"].startswith("ending; exec sleep 3 ")
    ear.wait_for("EXTEND_TIMEOUT_USEC")
    ear.wait_for("WATCHDOG")
    ear.wait_for("EXTEND_TIMEOUT_USEC")
    assert worker.end().returncode == 0
    assert jobs.state(job_id) is State.COMPLETED
    assert len([told for told in ear.heard if "STOPPING" in told]) == 1


def test_a_worker_that_is_stopped_tells_nothing(start: Start, jobs: Jobs, ear: Ear) -> None:
    """And goes on telling when it goes on."""
    worker = start("work", env=ear.environment)
    ear.wait_for("WATCHDOG")
    worker.signal(signal.SIGSTOP)
    assert ear.is_silent()
    worker.signal(signal.SIGCONT)
    ear.wait_for("WATCHDOG")


def test_a_worker_whose_main_loop_hangs_is_not_well(
    hooked: Callable[..., Process], jobs: Jobs, ear: Ear, until: Until
) -> None:
    """Its keeper goes on and renews the lease, and that is not enough."""
    code = """
from spoolcalc import transitions
real = transitions.claim
def hang(*arguments):
    real(*arguments)
    time.sleep(600)
transitions.claim = hang
"""
    hooked(code)
    ear.wait_for("WATCHDOG")
    job_id = jobs.pending()
    until(lambda: jobs.state(job_id) is State.WIP, PATIENCE)
    assert ear.is_silent()
    [worker] = jobs.spool.overview().workers
    lock = jobs.spool.layout.lock_of(worker.worker)
    renewed = os.stat(lock).st_mtime_ns
    until(lambda: os.stat(lock).st_mtime_ns > renewed, PATIENCE)


def test_a_worker_whose_keeper_hangs_is_not_well(hooked: Callable[..., Process], ear: Ear) -> None:
    """Though its main loop goes on."""
    code = """
from spoolcalc.spool import Spool
real = Spool.sweep
def hang(*arguments, **options):
    if threading.current_thread() is not threading.main_thread():
        time.sleep(600)
    return real(*arguments, **options)
Spool.sweep = hang
"""
    hooked(code)
    ear.wait_for("READY")
    assert ear.is_silent()


@pytest.mark.parametrize("doing", ["sleeping", "computing", "waiting"])
def test_what_takes_long_on_purpose_is_no_hanging(
    doing: str, hooked: Callable[..., Process], jobs: Jobs, ear: Ear, until: Until
) -> None:
    """An idle worker's sleep, a computation in place, a job that runs beside it."""
    code = """
from spoolcalc import worker
worker.execute = lambda *arguments: time.sleep(600)
"""
    hooked(code, "--poll", "1h")
    ear.wait_for("READY")
    if doing != "sleeping":
        job_id = jobs.pending() if doing == "computing" else sleeper(jobs.spool, "600")
        until(lambda: jobs.state(job_id) is State.WIP, PATIENCE)
    long_enough = time.monotonic() + 4 * SLACK
    while time.monotonic() < long_enough:
        ear.wait_for("WATCHDOG")


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_both_kinds_of_address_are_known(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what a job starts does not inherit them."""
    address = f"{tmp_path}/ear" if kind == "path" else f"@spool-test-{os.getpid()}-{new_id()}"
    ear = Ear(address)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "1500000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    manager = ServiceManager.of_this_process()
    assert manager is not None
    assert manager.watchdog == 1.5
    manager.tell(READY=1, STATUS="half a character: \udc80")
    assert ear.hear() == {"READY": "1", "STATUS": "half a character: \\udc80"}
    left = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)
    assert not left
    ear.close()
    manager.tell(READY=1)  # nobody listens, and nothing is raised
    manager.close()


@pytest.mark.parametrize("address", [None, "", "notify", "vsock:1:2"])
def test_without_an_address_nothing_is_told(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor with one that is none."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert ServiceManager.of_this_process() is None


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "x"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_a_watchdog_of_somebody_else_s_is_not_fed(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It watches another process, or none."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "ear"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    manager = ServiceManager.of_this_process()
    assert manager is not None
    assert manager.watchdog is None
    manager.close()
