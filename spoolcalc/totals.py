"""How often each thing has happened since the spool was made: counters that only go up.

    events/totals.json    what was counted, and how far each file of events was read for it

They are the events, counted: :func:`count` counts those that came since the last time, and who
removes the oldest file of events has it counted first (:func:`shorten`).  Nothing is counted twice,
whoever is killed: how far was read stands in the same file as what was counted.

Only the first part of a line is looked at, which is the same for many, and how long it took: the
events of a hundred thousand jobs take about a second.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections import Counter
from contextlib import suppress

from spoolcalc import files, history, locks, reading
from spoolcalc.errors import StorageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from spoolcalc.layout import Layout

#: The name of the lock.
_LOCK = "events"
#: The largest file of counters, in bytes, that is read.
_LARGEST = 8 * 1024 * 1024
#: How many parts a key has.
_PARTS = 6
#: The largest counter, and the furthest place in a file.
_LARGEST_NUMBER = (1 << 63) - 1
#: The bounds (seconds) by which durations are sorted.
BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 21600)
#: So many operations are told apart; what comes later is counted as ``OTHER``.
OPERATIONS, OTHER = 100, "other"
#: Of so many times as many files as should be there the oldest goes uncounted.
_PATIENCE = 4
#: Where in a line that follows the time which is counted.
_COUNTED = len('{"time":"2026-11-24T03:00:00.000Z",')


class Key(tuple[str, ...]):
    """What is counted apart: event, operation, state before and after, attempt's end, reason."""

    __slots__ = ()

    @classmethod
    def of(cls, told: dict[str, Any], operation: str) -> Key:
        """Return the key of an event."""
        names = ("from", "to", "end", "reason")
        return cls((str(told["event"]), operation, *(str(told.get(n) or "") for n in names)))

    @property
    def event(self) -> str:
        """What happened."""
        return self[0]

    @property
    def operation(self) -> str:
        """Of which operation the job was; empty if that was not known."""
        return self[1]

    @property
    def end(self) -> str:
        """How an attempt ended that ended by it; else empty."""
        return self[4]

    @property
    def reason(self) -> str:
        """Why a job has failed; else empty."""
        return self[5]


class Durations:
    """How long attempts took: how many up to each of ``BOUNDS`` and above, and all in all."""

    __slots__ = ("numbers", "seconds")

    def __init__(self, numbers: Iterable[int] = (), seconds: float = 0.0) -> None:
        self.numbers = list(numbers) or [0] * (len(BOUNDS) + 1)
        self.seconds = seconds

    def add(self, seconds: float) -> None:
        """Count one."""
        self.numbers[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def add_all(self, others: Durations) -> None:
        """Count those that others have counted."""
        self.numbers = [a + b for a, b in zip(self.numbers, others.numbers, strict=True)]
        self.seconds += others.seconds


class Totals:
    """What was counted so far.  ``durations`` are those of attempts, by operation."""

    def __init__(self) -> None:
        self.counts: Counter[Key] = Counter()
        self.durations: dict[str, Durations] = {}
        self._first = 0
        self._read: dict[int, int] = {}

    @classmethod
    def load(cls, layout: Layout) -> Totals:
        """Return what is written; nothing if nothing is, or nothing that can be read."""
        totals = cls()
        odd = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
        with suppress(reading.Unreadable, *odd):
            read = reading.read(_path(layout), _LARGEST)
            written = json.loads(read[0]) if read else {}
            if written.get("format") == 1:
                totals._take(written)
        return totals

    def _take(self, written: dict[str, Any]) -> None:
        counts = Counter({Key(map(str, key)): int(number) for *key, number in written["counts"]})
        durations = {
            operation: Durations(map(int, numbers), float(seconds))
            for operation, (seconds, *numbers) in written["durations"].items()
            if len(numbers) == len(BOUNDS) + 1
        }
        first = int(written["first"])
        read = {int(number): int(at) for number, at in written["read"].items()}
        numbers = [first, *read, *read.values(), *counts.values()]
        for spent in durations.values():
            numbers += [*spent.numbers, int(spent.seconds)]
        right = all(0 <= number <= _LARGEST_NUMBER for number in numbers)
        if not right or any(len(key) != _PARTS for key in counts):
            raise ValueError("no counter of ours")
        # All or nothing: what is half read would count again what it knows.
        self.counts, self.durations, self._first, self._read = counts, durations, first, read

    def save(self, layout: Layout) -> None:
        """Write it, in place of what was written before."""
        written = {
            "format": 1,
            "first": self._first,
            "read": self._read,
            "counts": [[*key, number] for key, number in self.counts.items()],
            "durations": {
                operation: [round(spent.seconds, 6), *spent.numbers]
                for operation, spent in self.durations.items()
            },
        }
        temporary = layout.temporary("events", os.urandom(8).hex())
        data = (json.dumps(written, separators=(",", ":")) + "\n").encode("ascii")
        files.write_durably(temporary, data, layout.file_mode)
        try:
            files.move(temporary, _path(layout))
        except StorageFailure:
            with suppress(StorageFailure):
                files.remove(temporary)
            raise

    def catch_up(self, layout: Layout) -> None:
        """Count what has happened since it was written."""
        with history.History(layout, self._read, self._first) as told:
            self._count(told.lines())
            self._read = told.read

    def forget_before(self, number: int) -> None:
        """Never look at a file again that has a smaller number."""
        self._first = number
        self._read = {file: at for file, at in self._read.items() if file >= number}

    def _count(self, lines: Iterable[bytes]) -> None:
        counts: Counter[bytes] = Counter()
        durations: dict[bytes, Durations] = {}
        for line in lines:
            cut = line.find(b',"id":', _COUNTED)
            if cut < 0 or line[-1:] != b"}":
                continue  # torn by a full disk
            counted = line[_COUNTED:cut]
            counts[counted] += 1
            took = line.find(b',"seconds":', cut)
            if took >= 0:
                spent = durations.get(counted)
                if spent is None:
                    spent = durations[counted] = Durations()
                with suppress(ValueError):
                    spent.add(float(line[took + 11 :].partition(b",")[0].rstrip(b"}")))
        for counted, number in counts.items():
            self._add(counted, number, durations.get(counted))

    def _add(self, counted: bytes, number: int, spent: Durations | None) -> None:
        try:
            told = json.loads(b"{" + counted + b"}")
            operation = self._bounded(str(told.get("operation") or ""))
            self.counts[Key.of(told, operation)] += number
        except (ValueError, KeyError, RecursionError):
            return
        if spent is not None:
            self.durations.setdefault(operation, Durations()).add_all(spent)

    def _bounded(self, operation: str) -> str:
        known = {key.operation for key in self.counts}
        return operation if operation in known or len(known) < OPERATIONS else OTHER


def count(layout: Layout) -> Totals:
    """Return what was counted, all that has happened by now included."""
    with locks.exclusive(layout, _LOCK):
        totals = Totals.load(layout)
        totals.catch_up(layout)
        with suppress(StorageFailure):  # the disk is full: next time it is counted again
            totals.save(layout)
    return totals


def shorten(layout: Layout, keep: int) -> None:
    """Remove the oldest files of events, counted, so that at most ``keep`` are left.

    Killed before the counters are written: nothing has happened.  Killed after it: files that
    nobody counts again, which the next one removes.  Who finds another at it leaves it to that.
    """
    lock = locks.try_alone(layout, _LOCK)
    if lock is None:
        return
    try:
        numbers = history.numbers(layout)
        going = numbers[:-keep]
        if not going:
            return
        try:
            totals = Totals.load(layout)
            totals.catch_up(layout)
            totals.forget_before(numbers[-keep])
            totals.save(layout)
        except StorageFailure:
            if len(numbers) <= _PATIENCE * keep:
                raise
        for number in going:
            files.remove(layout.events_file(number))
    finally:
        lock.release()


def _path(layout: Layout) -> str:
    return f"{layout.events}/totals.json"
