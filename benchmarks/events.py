"""What it costs that each transition is told: the same work with the telling taken out, in turn.

Submitting a file of jobs and draining them, both by the command.  The command that tells nothing is
the same one, with the functions that make and write lines replaced as it starts.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
from typing import TYPE_CHECKING

from benchmarks.bench import seconds
from benchmarks.report import Line, at_least, rate, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.bench import Bench

_TELLING = "from spoolcalc import entry; entry.main()"
_SILENT = (
    "from spoolcalc import events; "
    "events._line = lambda *_, **__: ''; events._add = lambda *_: None; " + _TELLING
)


def measure(bench: Bench) -> Iterator[Line]:
    """Yield the rates with and without."""
    count = bench.rounds(10_000, 2_000)
    lines = bench.place / "told-lines"
    lines.write_text("add 12 23\n" * count, encoding="ascii")
    taken: dict[tuple[str, str], list[float]] = {}
    codes = {"told": _TELLING, "silent": _SILENT}
    for number in range(bench.rounds(12, 2)):
        for name in sorted(codes, reverse=number % 2 == 0):
            path = bench.directory("events")
            submitted = _timed(bench, path, codes[name], "submit", "--from", str(lines))
            drained = _timed(bench, path, codes[name], "work", "--once", "-q")
            shutil.rmtree(path.parent)
            if number:  # the first round is not counted
                taken.setdefault(("submit --from", name), []).append(count / submitted)
                taken.setdefault(("work --once", name), []).append(count / drained)
    for what in ("submit --from", "work --once"):
        told, silent = taken[what, "told"], taken[what, "silent"]
        yield Line(f"{what}, nothing told", rate(statistics.median(silent)))
        yield Line(
            f"{what}, events told",
            rate(statistics.median(told)),
            ratio(told, silent),
            "nothing told",
            at_least(0.97),
        )


def _timed(bench: Bench, spool: Path, code: str, *arguments: str) -> float:

    command = [bench.python, "-c", code, *arguments]
    try:
        return seconds(command, bench.environment(spool))
    except subprocess.CalledProcessError as error:
        raise RuntimeError("a command failed") from error
