"""How long a job waits when its worker is killed and another one is alive.

The job's operation, which an entry point on ``PYTHONPATH`` adds, blocks until a file is gone.  The
worker that runs it is sent SIGKILL; timed is from there until the job is in the hands of the other.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.bench import until
from benchmarks.report import Line, at_most, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.bench import Bench

_OPERATION = """
import os, time

def block(path):
    while os.path.exists(path):
        time.sleep(0.01)
    return "released"
"""
_METADATA = "Metadata-Version: 2.1\nName: blocking\nVersion: 1\n"
_ENTRY_POINTS = "[spoolcalc.operations]\nblock = blocking:block\n"


def measure(bench: Bench) -> Iterator[Line]:
    """Yield how long it takes, at the worst of all rounds."""
    taken = [_round(bench) for _ in range(bench.rounds(10, 2))]
    worst = max(taken)
    yield Line("SIGKILL to the next claim, median", milliseconds(statistics.median(taken)))
    yield Line(
        f"SIGKILL to the next claim, worst of {len(taken)}",
        milliseconds(worst),
        worst,
        target=at_most(1, " s"),
    )


def _round(bench: Bench) -> float:
    path = bench.directory("recovery")
    plugin = _plugin(path.parent)
    gate = path.parent / "gate"
    gate.touch()
    with ExitStack() as stack:
        workers = [stack.enter_context(bench.worker(path, path=plugin)) for _ in range(2)]
        stack.callback(gate.unlink)  # before the workers are told to end
        until(lambda: len(list(path.glob("wip/*"))) == len(workers))
        job_id = _submit(bench, path, str(gate), plugin)
        until(lambda: _holder(path, job_id))
        victim = _holder(path, job_id)
        number = next(w.pid for w in workers if f".{w.pid}." in victim)
        os.kill(number, signal.SIGKILL)
        return until(lambda: _holder(path, job_id) not in ("", victim))


def _submit(bench: Bench, path: Path, gate: str, plugin: Path) -> str:
    """Submit a blocking job as the plug-in's user would, and return its id."""
    command = [bench.command, "submit", "block", gate]
    environment = bench.environment(path, PYTHONPATH=str(plugin))
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def _holder(path: Path, job_id: str) -> str:
    """Return the worker that has the job; empty while it is nobody's, or a sweeper's."""
    for worker in os.listdir(path / "wip"):
        if "+" not in worker and (path / "wip" / worker / f"{job_id}.json").exists():
            return worker
    return ""


def _plugin(directory: Path) -> Path:
    plugin = directory / "plugin"
    information = plugin / "blocking-1.dist-info"
    information.mkdir(parents=True)
    (plugin / "blocking.py").write_text(_OPERATION, encoding="ascii")
    (information / "METADATA").write_text(_METADATA, encoding="ascii")
    (information / "entry_points.txt").write_text(_ENTRY_POINTS, encoding="ascii")
    return plugin
