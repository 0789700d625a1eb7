"""How long one waits for a result, when a worker has nothing else to do.

From the call of ``Spool.submit`` to the moment the result lies in ``completed/``, with pauses in
which the worker falls asleep.  In turn with it the bare loop of the same system calls, in one
process that waits for nobody: the floor that this file system sets, three waits for the disk.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from benchmarks.bare import Bare
from benchmarks.bench import until
from benchmarks.report import Line, at_most, milliseconds, percentile, ratio
from spoolcalc import Spool, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench

#: Seconds between two jobs, for the worker to fall asleep.
_PAUSE = 0.02
#: Seconds between two looks at where the result will be.
_LOOK = 0.00002


def measure(bench: Bench) -> Iterator[Line]:
    """Yield the latency of a job and that of its system calls alone."""
    path = bench.directory("latency")
    spool = Spool(path, create=True)
    bare = Bare(bench.directory("bare"))
    taken: list[float] = []
    submits: list[float] = []
    floor: list[float] = []
    with bench.worker(path):
        _one(spool, [])  # until the worker is there
        for number in range(bench.rounds(200, 40)):
            time.sleep(_PAUSE)
            taken.append(_one(spool, submits))
            time.sleep(_PAUSE)
            floor.append(_bare(bare, f"{number:036d}.json"))
    for share in (0.5, 0.9):
        name = f"p{share * 100:.0f}"
        yield Line(f"bare loop, {name}", milliseconds(percentile(floor, share)))
    p50 = percentile(taken, 0.5)
    yield Line("submit() to result, p50", milliseconds(p50), p50 * 1000, target=at_most(3, " ms"))
    yield Line("  of it, submit() itself", milliseconds(percentile(submits, 0.5)))
    yield Line("submit() to result, p90", milliseconds(percentile(taken, 0.9)))
    yield Line("submit() to result, in pairs", "", ratio(taken, floor), "the bare loop")


def _one(spool: Spool, submits: list[float]) -> float:
    began = time.perf_counter()
    job_id = spool.submit("add", ["12", "23"])
    submits.append(time.perf_counter() - began)
    bucket = spool.layout.finished_bucket(State.COMPLETED, job_id)
    until(lambda: os.path.exists(f"{bucket}/{job_id}.json"), pause=_LOOK)
    return time.perf_counter() - began


def _bare(bare: Bare, name: str) -> float:
    document = b"x" * 400
    began = time.perf_counter()
    bare.submit([name], document)
    bare.record([name], document)
    taken = time.perf_counter() - began
    bare.settle()
    return taken
