"""What every subject is given: the installed command, a place on the file system, and processes.

A subject is a module with one function, ``measure(bench)``, which yields lines of the report.  It
makes its spools in ``bench.directory()`` and leaves no process behind.  Times are those of the wall
clock.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True)
class Bench:
    """The ``python`` that has the package, its ``spool`` command, and where to put spools.

    ``quick`` asks for fewer rounds, to see whether it runs at all.
    """

    python: str
    command: str
    place: Path
    quick: bool = False

    def rounds(self, full: int, quick: int) -> int:
        """Return how often to measure."""
        return quick if self.quick else full

    def directory(self, name: str) -> Path:
        """Return a path for a new directory, which is not made."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.place)) / "spool"

    def environment(self, spool: Path, **more: str) -> dict[str, str]:
        """Return the environment in which the command uses ``spool``."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("PYTHON", "SPOOL"))}
        return {**kept, "SPOOL_DIR": str(spool), **more}

    def seconds(self, spool: Path, *arguments: str) -> float:
        """Run the command to its end and return how long that took."""
        return seconds([self.command, *arguments], self.environment(spool))

    @contextmanager
    def worker(
        self, spool: Path, *options: str, path: Path | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Keep a ``spool work`` running for the length of the block, ``path`` on its PYTHONPATH."""
        more = {} if path is None else {"PYTHONPATH": str(path)}
        process = subprocess.Popen(
            [self.command, "work", "-q", *options],
            env=self.environment(spool, **more),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # it tells of the workers that we kill
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def seconds(command: Sequence[str], environment: dict[str, str]) -> float:
    """Run a command, its output read and thrown away, and return how long it took."""
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - began


def until(is_so: Callable[[], object], limit: float = 30.0, pause: float = 0.001) -> float:
    """Wait until ``is_so()``; return how long that took.  Raises TimeoutError after ``limit``."""
    began = time.perf_counter()
    while not is_so():
        if time.perf_counter() - began > limit:
            raise TimeoutError(f"it did not come within {limit} s")
        time.sleep(pause)
    return time.perf_counter() - began
