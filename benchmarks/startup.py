"""What a single command costs, against starting Python and doing nothing.

The plain forms as a shell runs them, durable, each in turn with ``python -c pass``, so that what
else the machine does falls on all alike.  Every ``fetch`` is of a job that was not fetched before.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.bench import seconds
from benchmarks.report import Line, at_most, milliseconds, ratio
from spoolcalc import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench

_PLAIN = at_most(2.5)
_HELP = at_most(8)


def measure(bench: Bench) -> Iterator[Line]:
    """Yield a line for each form."""
    rounds = bench.rounds(40, 8)
    path = bench.directory("startup")
    ids = list(Spool(path, create=True).submit_many([("add", ["12", "23"])] * rounds))
    bench.seconds(path, "work", "--once", "-q")
    environment = bench.environment(path)
    nothing: list[float] = []
    forms: dict[str, list[float]] = {
        name: [] for name in ("submit add 12 23", "fetch ID", "status ID", "--help", "work --once")
    }
    for job_id in ids:
        nothing.append(seconds([bench.python, "-c", "pass"], environment))
        for form, taken in forms.items():
            words = [job_id if word == "ID" else word for word in form.split()]
            quiet = ["-q"] if "work" in words else []
            taken.append(bench.seconds(path, *words, *quiet))
    yield Line("python -c pass", milliseconds(statistics.median(nothing)))
    for form, taken in forms.items():
        target = {"--help": _HELP, "work --once": None}.get(form, _PLAIN)
        figure = milliseconds(statistics.median(taken))
        yield Line(f"spool {form}", figure, ratio(taken, nothing), "python -c pass", target)
