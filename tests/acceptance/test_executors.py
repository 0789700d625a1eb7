"""Executors of somebody else's, in real workers: what they refuse, and what they leave behind."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from spoolcalc import State, orphans
from spoolcalc.document import new_document
from spoolcalc.executors import OthersExecutor
from spoolcalc.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from conftest import Process, Ran

    from spoolcalc import Spool

    Until = Callable[..., Any]
    Start = Callable[..., Process]
    Run = Callable[..., Ran]


def submit(spool: Spool, operation: str, *operands: str) -> str:
    """Submit a job of an operation that the workers know, and this process need not."""
    return spool.publish([new_document(new_id(), operation, operands)])[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("down", "ConnectionRefusedError: [Errno 111] the scheduler is down"),
        ("mute", "TimeoutError: the scheduler does not answer"),
        ("broken", "BrokenExecutor: a child died early"),
    ],
)
def test_an_executor_that_refuses_costs_no_attempt(
    run: Run, spool: Spool, plugin: dict[str, str], tmp_path: Path, name: str, said: str
) -> None:
    """It is the environment's failure: told with its name, and with `--once` exit code 7."""
    env = {**plugin, "UP": str(tmp_path / "up")}
    job_id = submit(spool, "spin", "100")
    ran = run("work", "--once", "--executor", f"blockops:{name}", env=env)
    assert ran.returncode == 7
    assert f"the executor 'blockops:{name}' refused: {said}" in ran.stderr
    job = spool.find(job_id)
    assert (job.state, job.attempts) == (State.PENDING, ())


def test_an_executor_is_asked_again_until_it_is_there(
    start: Start, spool: Spool, plugin: dict[str, str], tmp_path: Path, until: Until
) -> None:
    """The worker says so once for each time, and goes on."""
    up = tmp_path / "up"
    job_id = submit(spool, "spin", "100")
    worker = start("work", "--executor", "blockops:down", env={**plugin, "UP": str(up)})
    until(lambda: "the scheduler is down" in worker.stderr)
    up.touch()
    until(lambda: spool.find(job_id).state is State.COMPLETED)
    assert len(spool.find(job_id).attempts) == 1


def test_a_worker_with_processes_of_an_executor_is_broken_off_in_peace(
    start: Start, spool: Spool, plugin: dict[str, str], tmp_path: Path, until: Until
) -> None:
    """What multiprocessing starts to keep its books ends by itself, and complains of nothing."""
    job_id = submit(spool, "busy", str(tmp_path))
    worker = start("work", "--executor", "blockops:spawning", env=plugin)
    until(lambda: list(tmp_path.glob("running.*")))
    worker.signal(signal.SIGTERM, signal.SIGINT)
    ran = worker.end()
    assert ran.returncode == 130
    assert "Traceback" not in ran.stderr
    assert "resource_tracker" not in ran.stderr
    assert spool.find(job_id).state is State.PENDING


@pytest.mark.parametrize("former", [None, "another.worker"])
def test_the_mark_goes_with_the_executor(
    monkeypatch: pytest.MonkeyPatch, former: str | None
) -> None:
    """A program that has worked on jobs has the environment that it had."""
    monkeypatch.setenv(orphans.MARK, former or "")
    if former is None:
        monkeypatch.delenv(orphans.MARK)
    executor = OthersExecutor(ThreadPoolExecutor, 1, "this.worker", "some:executor")
    assert executor.submit(os.environ.get, orphans.MARK).result() == "this.worker"
    executor.close()
    assert os.environ.get(orphans.MARK) == former
