"""``python -m benchmarks``: measure, and print each figure beside its target.

    python -m benchmarks                      all of it, in a throw-away venv
    python -m benchmarks --only startup       one subject; may be given several times
    python -m benchmarks --quick              to see whether it runs; the figures mean little
    python -m benchmarks --python PATH        an interpreter that has the package installed
    python -m benchmarks --ext4, --no-ext4    on an ext4 made for the run, or in TMPDIR

For Linux; needs nothing but the standard library.  Exits with 0 whether or not the targets are met:
a figure depends on the machine and on what else it does, and whoever reads it judges.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import signal
import sys
from pathlib import Path
from typing import NoReturn

from benchmarks.bench import Bench
from benchmarks.ground import can_mount, described, ground
from benchmarks.install import CHECKOUT, installed, site_of
from benchmarks.report import Line, show

#: In this order.  The last fills the file system.
SUBJECTS = ("startup", "throughput", "events", "latency", "http", "recovery", "memory", "growth")


def main() -> None:
    """Run the subjects that were asked for."""
    arguments = _parse()
    signal.signal(signal.SIGTERM, _leave)
    with installed(arguments.python) as python, ground(ext4=arguments.ext4) as place:
        _import_from(site_of(python))
        print(f"machine: {_machine()}")
        print(f"file system: {described(place)}", flush=True)
        lines: list[Line] = []
        for name in arguments.only or SUBJECTS:
            subject = importlib.import_module(f"benchmarks.{name}")
            print(f"\n{name}", flush=True)
            bench = Bench(python, str(Path(python).parent / "spool"), place, quick=arguments.quick)
            for line in subject.measure(bench):
                show(line)
                lines.append(line)
        held = [line.met for line in lines if line.met is not None]
        print(f"\n{sum(held)} of {len(held)} targets met")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure spoolcalc.")
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="this subject alone")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller numbers")
    parser.add_argument("--python", metavar="PATH", help="an interpreter that has the package")
    parser.add_argument(
        "--ext4",
        action=argparse.BooleanOptionalAction,
        default=can_mount(),
        help="measure on an ext4 with a journal, made for the run; needs root",
    )
    return parser.parse_args()


def _leave(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)  # through the blocks that clean up


def _import_from(site: str) -> None:
    """Import the package from where it is installed, not from the checkout."""
    sys.path[:] = [site, *(path for path in sys.path if Path(path or ".").resolve() != CHECKOUT)]


def _machine() -> str:
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]  # what others do here, at the start
    python = platform.python_version()
    return f"{cores} x {model}, Linux {platform.release()}, Python {python}; load {load:.1f}"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
