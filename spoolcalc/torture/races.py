"""Several processes do the same thing to the same file at the same instant; one may win.

    claim     all rename one file, each into a directory of its own: one has it, whole
    publish   all link a file of their own to one name: one is there, unharmed by the others
    give up   a directory is renamed away while its owner renames an outcome into it: either the
              outcome is in what was taken, or the owner is told that it came too late
    lock      all lock one file: one has it

The instant is a number in memory that all of them watch.
"""

from __future__ import annotations

import mmap
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from spoolcalc import files, reading
from spoolcalc.errors import SpoolError
from spoolcalc.locks import try_lock
from spoolcalc.torture.verdict import Broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spoolcalc.torture.stage import Stage

    #: Prepares a round, takes part in it as one of several, and judges it.
    Prepare = Callable[[str], None]
    Race = Callable[[str, int], bool]
    Judge = Callable[[str, list[int]], str | None]

#: So many processes are in each race.
RACERS = 4
#: A round that takes longer than this (seconds) hangs: a racer was lost.
HANGS = 20.0
#: After so many broken rounds of one kind it is clear.
CLEAR = 5
_WIDTH = 8
_LOST, _WON, _REFUSED = 1, 2, 3


def race(stage: Stage, until: float) -> tuple[int, list[Broken]]:
    """Run races of all kinds in turn; return how many, and what was broken."""
    broken: list[Broken] = []
    rounds = 0
    with mmap.mmap(-1, _WIDTH * (RACERS + 1)) as memory:
        top = f"{stage.home}/races"
        files.make_directory(top, 0o700)
        for racer in range(RACERS):
            stage.start("racer", lambda _, racer=racer: _run(memory, racer, top, until + HANGS))  # type: ignore[misc] # bound
        kinds = list(_KINDS)
        while time.monotonic() < until and kinds:
            kind = kinds[rounds % len(kinds)]
            rounds += 1
            wrong = _round(memory, rounds, kind, f"{top}/{rounds}")
            if wrong is not None:
                broken.append(Broken(_PROMISES[kind], f"race {rounds} ({kind}): {wrong}"))
                if sum(b.promise == _PROMISES[kind] for b in broken) >= CLEAR:
                    kinds.remove(kind)
        _set(memory, 0, -1)
        stage.wait(time.monotonic() + 1.0)
        with suppress(SpoolError):  # it goes with the rest
            files.remove_tree(top)
    return rounds, broken


def _round(memory: mmap.mmap, number: int, kind: str, path: str) -> str | None:
    prepare, _, judge = _KINDS[kind]
    files.make_directory(path, 0o700)
    prepare(path)
    for racer in range(RACERS):
        _set(memory, racer + 1, 0)
    _set(memory, 0, number * len(_KINDS) + list(_KINDS).index(kind))
    hangs = time.monotonic() + HANGS
    results: list[int] = [0]
    while 0 in results:
        if time.monotonic() > hangs:
            return "a process did not come to an end"
        os.sched_yield()
        results = [_get(memory, racer + 1) for racer in range(RACERS)]
    if _REFUSED in results:
        return "a call was refused"
    wrong = judge(path, [racer for racer, result in enumerate(results) if result == _WON])
    if wrong is None:
        with suppress(SpoolError):  # it goes with the rest
            files.remove_tree(path)
    return wrong


def _run(memory: mmap.mmap, racer: int, top: str, until: float) -> None:
    """Take part in every round, until told that it is over."""
    last = 0
    while time.monotonic() < until:
        seen = _get(memory, 0)
        if seen == -1:
            return
        if seen == last:
            os.sched_yield()
            continue
        last = seen
        number, kind = divmod(seen, len(_KINDS))
        try:
            won = list(_KINDS.values())[kind][1](f"{top}/{number}", racer)
        except SpoolError:
            _set(memory, racer + 1, _REFUSED)
        else:
            _set(memory, racer + 1, _WON if won else _LOST)


def _get(memory: mmap.mmap, place: int) -> int:
    return int.from_bytes(memory[place * _WIDTH : (place + 1) * _WIDTH], "little", signed=True)


def _set(memory: mmap.mmap, place: int, value: int) -> None:
    memory[place * _WIDTH : (place + 1) * _WIDTH] = value.to_bytes(_WIDTH, "little", signed=True)


def _write(path: str, text: str) -> None:
    files.close([files.write(path, text.encode(), 0o600)])


def _found(path: str, names: Iterator[str]) -> list[tuple[str, str]]:
    """Return which of these files are there, and what they hold."""
    found = []
    for name in names:
        read = reading.read(f"{path}/{name}", 4096)
        if read is not None:
            found.append((name, read[0].decode(errors="replace")))
    return found


# --- claim


def _prepare_claim(path: str) -> None:
    for racer in range(RACERS):
        files.make_directory(f"{path}/{racer}", 0o700)
    _write(f"{path}/job", "whole")


def _claim(path: str, racer: int) -> bool:
    return files.move(f"{path}/job", f"{path}/{racer}/job")


def _judge_claim(path: str, winners: list[int]) -> str | None:
    found = _found(path, iter(["job", *(f"{racer}/job" for racer in range(RACERS))]))
    if len(winners) != 1:
        return f"{len(winners)} of {RACERS} have renamed it; then it was at {found}"
    right = [(f"{winners[0]}/job", "whole")]
    return None if found == right else f"{winners[0]} has renamed it, and it was at {found}"


# --- publish


def _prepare_publish(path: str) -> None:
    files.make_directory(f"{path}/d", 0o700)
    for racer in range(RACERS):
        _write(f"{path}/{racer}", str(racer))


def _publish(path: str, racer: int) -> bool:
    try:
        files.publish(f"{path}/{racer}", f"{path}/d", "job", 0o700)
    except SpoolError:
        return False
    return True


def _judge_publish(path: str, winners: list[int]) -> str | None:
    found = _found(path, iter(["d/job"]))
    if len(winners) != 1 or found != [("d/job", str(winners[0]))]:
        return f"{winners} of {RACERS} have linked to one name; then it held {found}"
    return None


# --- give up


def _prepare_give_up(path: str) -> None:
    files.make_directory(f"{path}/owner", 0o700)
    _write(f"{path}/owner/job", "old")
    _write(f"{path}/outcome", "new")


def _give_up(path: str, racer: int) -> bool:
    if racer == 0:  # the owner
        return files.move(f"{path}/outcome", f"{path}/owner/job")
    return files.move(f"{path}/owner", f"{path}/taken.{racer}")


def _judge_give_up(path: str, winners: list[int]) -> str | None:
    takers = [racer for racer in winners if racer]
    places = ["owner/job", *(f"taken.{racer}/job" for racer in range(1, RACERS))]
    found = _found(path, iter(places))
    right = [(f"taken.{taker}/job", "new" if 0 in winners else "old") for taker in takers]
    if len(takers) != 1 or found != right:
        return f"{winners} were told that they renamed; then there was {found}"
    return None


# --- lock


def _prepare_lock(path: str) -> None:
    _write(f"{path}/lock", "")
    _write(f"{path}/held", "")


def _lock(path: str, racer: int) -> bool:
    lock = try_lock(f"{path}/lock")
    if lock is None:
        return False
    descriptor = os.open(f"{path}/held", os.O_WRONLY | os.O_APPEND)
    try:
        # Held until all have tried: who comes later must not find it free.
        os.write(descriptor, f"{racer} ".encode())
        until = time.monotonic() + 0.002
        while time.monotonic() < until:
            os.sched_yield()
        os.write(descriptor, f"{racer} ".encode())
    finally:
        os.close(descriptor)
        lock.release()
    return True


def _judge_lock(path: str, winners: list[int]) -> str | None:
    read = reading.read(f"{path}/held", 4096)
    held = (read[0] if read else b"").decode().split()
    if not winners or held[::2] != held[1::2]:
        return f"one took the lock while another had it: {' '.join(held)}"
    return None


_KINDS: dict[str, tuple[Prepare, Race, Judge]] = {
    "claim": (_prepare_claim, _claim, _judge_claim),
    "publish": (_prepare_publish, _publish, _judge_publish),
    "give up": (_prepare_give_up, _give_up, _judge_give_up),
    "lock": (_prepare_lock, _lock, _judge_lock),
}
_PROMISES = {"claim": "P2", "publish": "P1", "give up": "P3", "lock": "P4"}
