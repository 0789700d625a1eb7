"""Jobs a second, durable: submitted from a file, and drained by one worker and by two.

Each round takes the bare loop of the same system calls and the command in turn, in fresh
directories; which goes first changes from round to round, and a round before them is not counted.
What is timed:

- ``submit --from``: the command from start to end, its ids read from a pipe.  Its start is a
  small part of it, and is shown beside it.
- ``work --once -q``: from the first claim, as the documents tell it, until the last job came to lie
  in ``completed/``, as the file system tells it, so that the start of the process and the first
  listing are left out, for one worker as for two.

A worker makes outcomes durable in groups, and so does a second bare loop; the first one tells what
one by one costs.  Two bare loops at once tell what the file system leaves a second worker to gain.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import time
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING

from benchmarks.bare import Bare
from benchmarks.report import Line, at_least, milliseconds, rate, ratio
from spoolcalc import Spool
from spoolcalc.batch import LARGEST
from spoolcalc.submission import GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.bench import Bench

_JOB = ("add", ["12", "23"])


def measure(bench: Bench) -> Iterator[Line]:
    """Yield the rates of submitting and of draining."""
    pending, completed = _documents(bench)
    yield from _submits(bench, pending)
    yield from _drains(bench, pending, completed)


def _submits(bench: Bench, document: bytes) -> Iterator[Line]:
    count = bench.rounds(20_000, 4_000)
    lines = bench.place / "lines"
    lines.write_text((" ".join((_JOB[0], *_JOB[1])) + "\n") * count, encoding="ascii")
    start: list[float] = []

    def bare(path: Path) -> float:
        return count / _bare_submit(path, count, document)

    def command(path: Path) -> float:
        start.append(bench.seconds(path, "submit", "--from", os.devnull))
        return count / bench.seconds(path, "submit", "--from", str(lines))

    barely, really = _in_turn(bench, bench.rounds(7, 1), bare, command)
    yield Line(f"bare loop, {count:,} in groups of {GROUP}", rate(statistics.median(barely)))
    yield Line(
        "spool submit --from",
        rate(statistics.median(really)),
        ratio(really, barely),
        "the bare loop",
        at_least(0.5),
    )
    yield Line("  of it, the command's start", milliseconds(statistics.median(start)))


def _drains(bench: Bench, pending: bytes, completed: bytes) -> Iterator[Line]:
    count = bench.rounds(2_000, 1_000)

    def bare(loops: int, group: int) -> Callable[[Path], float]:
        return lambda path: count / _bare_drain(path, count, loops, group, pending, completed)

    singly, grouped, two_grouped, one, two = _in_turn(
        bench,
        bench.rounds(11, 1),
        bare(1, 1),
        bare(1, LARGEST),
        bare(2, LARGEST),
        lambda path: count / _drain(bench, path, count, 1),
        lambda path: count / _drain(bench, path, count, 2),
    )
    yield Line(f"bare loop, {count:,} one by one", rate(statistics.median(singly)))
    yield Line(
        f"bare loop, in groups of {LARGEST}",
        rate(statistics.median(grouped)),
        ratio(grouped, singly),
        "one by one",
    )
    yield Line(
        "two such bare loops at once",
        rate(statistics.median(two_grouped)),
        ratio(two_grouped, grouped),
        "one such loop",
    )
    yield Line(
        "spool work --once, one worker",
        rate(statistics.median(one)),
        ratio(one, singly),
        "one by one",
        at_least(0.6),
    )
    yield Line("  the same", "", ratio(one, grouped), "the loop in groups")
    yield Line(
        "spool work --once, two workers",
        rate(statistics.median(two)),
        ratio(two, one),
        "one worker",
        at_least(1.5),
    )


def _in_turn(
    bench: Bench, rounds: int, *measures: Callable[[Path], float]
) -> tuple[list[float], ...]:
    """Take all measures in each round, each with a path of its own; return what each gave."""
    taken: tuple[list[float], ...] = tuple([] for _ in measures)
    for number in range(rounds + 1):
        for place in range(len(measures)):
            index = (number + place) % len(measures)
            path = bench.directory("throughput")
            taken[index].append(measures[index](path))
            shutil.rmtree(path.parent)
    return tuple(values[1:] for values in taken)


def _bare_submit(path: Path, count: int, document: bytes) -> float:
    bare = Bare(path)
    reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert reader.stdin is not None
    names = _names(count)
    began = time.perf_counter()
    for first in range(0, count, GROUP):
        group = names[first : first + GROUP]
        bare.submit(group, document)
        os.write(reader.stdin.fileno(), ("\n".join(name[:36] for name in group) + "\n").encode())
    taken = time.perf_counter() - began
    reader.stdin.close()
    reader.wait()
    return taken


def _bare_drain(
    path: Path, count: int, loops: int, group: int, pending: bytes, completed: bytes
) -> float:
    bare = Bare(path)
    names = _names(count)
    for first in range(0, count, GROUP):
        bare.submit(names[first : first + GROUP], pending)
    began = time.perf_counter()

    def drain(number: int) -> None:
        _drain_barely(bare, number, loops, group, completed)

    children = [_fork(lambda: drain(1)) for _ in range(1, loops)]
    try:
        drain(0)
    except BaseException:
        for child in children:
            os.kill(child, signal.SIGKILL)
        raise
    if any(os.waitpid(child, 0)[1] for child in children):
        raise RuntimeError("a bare loop failed")
    return time.perf_counter() - began


def _fork(action: Callable[[], None]) -> int:
    """Run ``action`` in a child, which leaves no other way; return its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        action()
        code = 0
    finally:
        os._exit(code)


def _drain_barely(bare: Bare, number: int, loops: int, group: int, document: bytes) -> None:
    """Drain the files whose place in the order is ``number`` modulo ``loops``."""
    bare.be(number)
    mine = [name for name in bare.listing() if int(name[:36]) % loops == number]
    for first in range(0, len(mine), group):
        bare.record(mine[first : first + group], document)
        bare.settle()


def _drain(bench: Bench, path: Path, count: int, workers: int) -> float:
    """Return the seconds from the first claim to the last outcome."""
    for _ in Spool(path, create=True).submit_many([_JOB] * count):
        pass
    with ExitStack() as stack:
        processes = [stack.enter_context(bench.worker(path, "--once")) for _ in range(workers)]
        codes = [process.wait() for process in processes]
    if any(codes):
        raise RuntimeError("a worker failed")
    files = list((path / "completed").glob("*/*.json"))
    documents = [json.loads(file.read_bytes()) for file in files]
    if len(documents) != count:
        raise RuntimeError(f"{len(documents)} of {count} jobs were completed")
    first = min(_time(document["attempts"][0]["started"]) for document in documents)
    return max(file.stat().st_ctime for file in files) - first


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _names(count: int) -> list[str]:
    return [f"{number:036d}.json" for number in range(count)]


def _documents(bench: Bench) -> tuple[bytes, bytes]:
    """Return a job's document as it is submitted, and with its outcome."""
    path = bench.directory("document")
    Spool(path, create=True).submit(*_JOB)
    [pending] = [file.read_bytes() for file in (path / "pending").glob("*/*.json")]
    bench.seconds(path, "work", "--once", "-q")
    [completed] = [file.read_bytes() for file in (path / "completed").glob("*/*.json")]
    return pending, completed
