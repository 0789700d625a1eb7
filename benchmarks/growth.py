"""Whether a claim, a submit or a look at one job costs more when more jobs are pending.

Spools with a thousand to a million pending jobs lie side by side, and each round does the same in
every one of them.  Their jobs are as if submitted at 5,000 a second, so that a full bucket (65 s)
holds 327,680; the bucket in which new jobs land is among the full ones of the million.  Only the
jobs that are claimed or looked at have documents, the others are empty files: names are what a
claim has to do with.  They are written without sync, and synced before the measurement begins.

The price of a claim is the median of the means of 25 claims in a row, and its share of listing the
bucket: what the first claim takes longer than the others, spread over the jobs it listed.  That
first claim is also shown by itself: a worker that starts waits for it once.
"""

from __future__ import annotations

import os
import stat
import statistics
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import Line, at_most, milliseconds, ratio
from spoolcalc import Spool
from spoolcalc.document import encode, new_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench
    from spoolcalc import Lease

#: Jobs a second at which the pending ones were submitted.
_RATE = 5_000
#: Milliseconds of a bucket, and jobs in a full one.
_BUCKET = 65_536
_FULL = _RATE * _BUCKET // 1000
#: Jobs claimed in each spool, and how many of them in one go.
_CLAIMS, _BATCH = 500, 25
_FILE = stat.S_IFREG | 0o600


class _Grown:
    """A spool with ``count`` jobs pending, and what was measured there."""

    def __init__(self, path: Path, count: int) -> None:
        self.count = count
        self.path = path
        Spool(path, create=True)
        self.ids = _seed(path, count)
        self.spool = Spool(path)
        self.first: list[float] = []
        self.claims: list[float] = []
        self.submits: list[float] = []
        self.finds: list[float] = []
        self.status: list[float] = []

    @property
    def claim(self) -> float:
        """Seconds of a claim, with its share of the listing."""
        steady = statistics.median(self.claims)
        listing = max(0.0, statistics.median(self.first) - steady)
        return steady + listing / min(self.count, _FULL)


def measure(bench: Bench) -> Iterator[Line]:
    """Yield what each number of pending jobs makes of a claim, a submit and a look."""
    sizes = (1_000, 10_000, 100_000) if bench.quick else (1_000, 10_000, 100_000, 1_000_000)
    grown = [_Grown(bench.directory(f"growth-{size}"), size) for size in sizes]
    subprocess.run(["sync", "-f", str(bench.place)], check=True)
    _measure_firsts(grown, bench.rounds(5, 2))
    _measure_claims(grown)
    _measure_submits(grown, bench.rounds(60, 10))
    _measure_looks(bench, grown, bench.rounds(20, 5))
    yield from _lines(grown)


def _measure_firsts(grown: list[_Grown], rounds: int) -> None:
    """Time the first claim of a worker, which hands it back when it leaves."""
    for _ in range(rounds):
        for each in grown:
            spool = Spool(each.path)
            with spool.register() as lease:
                each.first.append(_claim(spool, lease, 1))


def _measure_claims(grown: list[_Grown]) -> None:
    """Time all the other claims."""
    with ExitStack() as stack:
        leases = [stack.enter_context(each.spool.register()) for each in grown]
        for each, lease in zip(grown, leases, strict=True):
            _claim(each.spool, lease, _BATCH)  # lists the bucket
        for _ in range(_CLAIMS // _BATCH - 1):
            for each, lease in zip(grown, leases, strict=True):
                each.claims.append(_claim(each.spool, lease, _BATCH) / _BATCH)


def _measure_submits(grown: list[_Grown], rounds: int) -> None:
    for _ in range(rounds):
        for each in grown:
            began = time.perf_counter()
            each.spool.submit("add", ["12", "23"])
            each.submits.append(time.perf_counter() - began)


def _measure_looks(bench: Bench, grown: list[_Grown], rounds: int) -> None:
    for number in range(rounds):
        for each in grown:
            job_id = each.ids[number]
            began = time.perf_counter()
            each.spool.find(job_id)
            each.finds.append(time.perf_counter() - began)
            each.status.append(bench.seconds(each.path, "status", job_id))


def _claim(spool: Spool, lease: Lease, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        if spool.claim(lease) is None:
            raise RuntimeError("there was nothing to claim")
    return time.perf_counter() - began


def _lines(grown: list[_Grown]) -> Iterator[Line]:
    least, most = grown[0], grown[-1]
    for each in grown:
        of = "" if each is least else f"that with {least.count:,}"
        value = None if each is least else each.claim / least.claim
        target = at_most(2) if each is most else None
        figure = milliseconds(each.claim)
        yield Line(f"claim with {each.count:,} pending", figure, value, of, target)
    for each in grown:
        yield Line(
            f"  first claim with {each.count:,}", milliseconds(statistics.median(each.first))
        )
    for name in ("submits", "finds", "status"):
        what = {"submits": "submit()", "finds": "find(ID)", "status": "spool status ID"}[name]
        few: list[float] = getattr(least, name)
        for each in grown:
            taken: list[float] = getattr(each, name)
            of = "" if each is least else f"that with {least.count:,}"
            value = None if each is least else ratio(taken, few)
            figure = milliseconds(statistics.median(taken))
            yield Line(f"{what} with {each.count:,}", figure, value, of)


def _seed(path: Path, count: int) -> list[str]:
    """Write pending jobs, the first ones with documents; return the ids of those."""
    now = time.time_ns() // 1_000_000
    # The bucket before the current one is filled first, so that the current one is full as well.
    start = (now // _BUCKET - 1) * _BUCKET
    ids = []
    bucket = ""
    for number in range(count):
        job_id = _id(start * 1000 + number * 1_000_000 // _RATE, number)
        directory = f"{path}/pending/5-{job_id[:8]}"
        if directory != bucket:
            bucket = directory
            Path(bucket).mkdir(mode=0o700)
        file = f"{bucket}/{job_id}.json"
        if number < _CLAIMS:
            Path(file).write_bytes(encode(new_document(job_id, "add", ["12", "23"])))
            ids.append(job_id)
        else:
            os.mknod(file, _FILE)
    return ids


def _id(microseconds: int, number: int) -> str:
    """Return the id that a job submitted at that time would have."""
    whole, part = divmod(microseconds, 1000)
    tail = f"{0x8000_0000_0000_0000 | number * 0x9E37_79B9_7F4A_7C15 & 0x3FFF_FFFF_FFFF_FFFF:016x}"
    digits = f"{whole:012x}7{part * 4096 // 1000:03x}{tail}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
