"""What a worker costs that has nothing to do: memory after a while, and processor time.

Linux only: read from ``/proc``.  RSS counts the pages shared with other processes in full, PSS
each page by its share.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench import until
from benchmarks.report import Line, at_most, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench


def measure(bench: Bench) -> Iterator[Line]:
    """Yield an idle worker's memory and processor time."""
    path = bench.directory("memory")
    idle = bench.rounds(10, 2)
    with bench.worker(path) as worker:
        proc = Path(f"/proc/{worker.pid}")
        until(lambda: list(path.glob("wip/*")))
        time.sleep(3)
        resident = _megabytes(proc / "status", "VmRSS")
        shared_out = _megabytes(proc / "smaps_rollup", "Pss")
        before = _processor(proc)
        time.sleep(idle)
        used = _processor(proc) - before
    yield Line("idle worker, RSS", f"{resident:.1f} MB", resident, target=at_most(35, " MB"))
    yield Line("idle worker, PSS", f"{shared_out:.1f} MB")
    yield Line(f"idle worker, processor in {idle} s", milliseconds(used))


def _megabytes(file: Path, field: str) -> float:
    found = re.search(rf"^{field}:\s+(\d+) kB$", file.read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def _processor(proc: Path) -> float:
    """Return the processor time, in seconds, that all threads have used, to the nanosecond."""
    return sum(int(file.read_text().split()[0]) for file in proc.glob("task/*/schedstat")) / 1e9
