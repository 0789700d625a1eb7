"""Several processes do the same thing to the same file at the same instant; one may win.

    claim     all rename the same files, each into a directory of its own: one has each, whole
    publish   all link files of their own to the same names: one is there, unharmed by the others
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
    from collections.abc import Callable, Iterable

    from spoolcalc.torture.stage import Stage

    #: Prepares a round, takes part in it as one of several, and judges it.
    Prepare = Callable[[str], None]
    Race = Callable[[str, int], int]
    Judge = Callable[[str, list[int]], str | None]

#: So many processes are in each race: as many as can run at the same instant.
RACERS = min(4, max(2, os.cpu_count() or 2))
#: So many files are claimed or published in one race, one after the other.
JOBS = 12
#: A round that takes longer than this (seconds) hangs: a racer was lost.
HANGS = 20.0
#: After so many broken rounds of one kind it is clear.
CLEAR = 5
_WIDTH = 8
_REFUSED = -1


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
        time.sleep(0.0002)  # the racers need the processors
        results = [_get(memory, racer + 1) for racer in range(RACERS)]
    if _REFUSED in results:
        return "a call was refused"
    wrong = judge(path, [result - 1 for result in results])
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
            _set(memory, racer + 1, won + 1)


def _get(memory: mmap.mmap, place: int) -> int:
    return int.from_bytes(memory[place * _WIDTH : (place + 1) * _WIDTH], "little", signed=True)


def _set(memory: mmap.mmap, place: int, value: int) -> None:
    memory[place * _WIDTH : (place + 1) * _WIDTH] = value.to_bytes(_WIDTH, "little", signed=True)


def _write(path: str, text: str) -> None:
    files.close([files.write(path, text.encode(), 0o600)])


def _holds(path: str) -> str | None:
    read = reading.read(path, 4096)
    return None if read is None else read[0].decode(errors="replace")


def _mask(won: Iterable[bool]) -> int:
    """Return a number that has a bit for each thing won."""
    return sum(1 << number for number, has in enumerate(won) if has)


# --- claim


def _prepare_claim(path: str) -> None:
    for racer in range(RACERS):
        files.make_directory(f"{path}/{racer}", 0o700)
    files.make_directory(f"{path}/all", 0o700)
    for job in range(JOBS):
        _write(f"{path}/all/{job}", f"job {job}")


def _claim(path: str, racer: int) -> int:
    return _mask(files.move(f"{path}/all/{job}", f"{path}/{racer}/{job}") for job in range(JOBS))


def _judge_claim(path: str, won: list[int]) -> str | None:
    directories = ["all", *map(str, range(RACERS))]
    lies = {name: set(reading.names(f"{path}/{name}") or ()) for name in directories}
    for job in range(JOBS):
        winners = [racer for racer in range(RACERS) if won[racer] >> job & 1]
        places = [name for name in directories if str(job) in lies[name]]
        if len(winners) != 1:
            return f"{len(winners)} have renamed the file {job}; then it was at {places}"
        held = _holds(f"{path}/{winners[0]}/{job}")
        if places != [str(winners[0])] or held != f"job {job}":
            return f"{winners[0]} has renamed the file {job}; it was at {places} and held {held!r}"
    return None


# --- publish


def _prepare_publish(path: str) -> None:
    files.make_directory(f"{path}/d", 0o700)
    for racer in range(RACERS):
        for job in range(JOBS):
            _write(f"{path}/{racer}.{job}", str(racer))


def _publish(path: str, racer: int) -> int:
    return _mask(_published(path, racer, job) for job in range(JOBS))


def _published(path: str, racer: int, job: int) -> bool:
    try:
        files.publish(f"{path}/{racer}.{job}", f"{path}/d", str(job), 0o700)
    except SpoolError:
        return False
    return True


def _judge_publish(path: str, won: list[int]) -> str | None:
    for job in range(JOBS):
        winners = [racer for racer in range(RACERS) if won[racer] >> job & 1]
        held = _holds(f"{path}/d/{job}")
        if len(winners) != 1 or held != str(winners[0]):
            return f"{winners} have linked to the name {job}; then it held {held!r}"
    return None


# --- give up


def _prepare_give_up(path: str) -> None:
    files.make_directory(f"{path}/owner", 0o700)
    _write(f"{path}/owner/job", "old")
    _write(f"{path}/outcome", "new")


def _give_up(path: str, racer: int) -> int:
    if racer == 0:  # the owner
        return files.move(f"{path}/outcome", f"{path}/owner/job")
    return files.move(f"{path}/owner", f"{path}/taken.{racer}")


def _judge_give_up(path: str, won: list[int]) -> str | None:
    winners = [racer for racer in range(RACERS) if won[racer]]
    takers = [racer for racer in winners if racer]
    places = ["owner/job", *(f"taken.{racer}/job" for racer in range(1, RACERS))]
    found = [(name, held) for name in places if (held := _holds(f"{path}/{name}")) is not None]
    right = [(f"taken.{taker}/job", "new" if 0 in winners else "old") for taker in takers]
    if len(takers) != 1 or found != right:
        return f"{winners} were told that they renamed; then there was {found}"
    return None


# --- lock


def _prepare_lock(path: str) -> None:
    _write(f"{path}/lock", "")
    _write(f"{path}/held", "")


def _lock(path: str, racer: int) -> int:
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


def _judge_lock(path: str, won: list[int]) -> str | None:
    held = (_holds(f"{path}/held") or "").split()
    if not any(won) or held[::2] != held[1::2]:
        return f"one took the lock while another had it: {' '.join(held)}"
    return None


_KINDS: dict[str, tuple[Prepare, Race, Judge]] = {
    "claim": (_prepare_claim, _claim, _judge_claim),
    "publish": (_prepare_publish, _publish, _judge_publish),
    "give up": (_prepare_give_up, _give_up, _judge_give_up),
    "lock": (_prepare_lock, _lock, _judge_lock),
}
_PROMISES = {"claim": "P2", "publish": "P1", "give up": "P3", "lock": "P4"}
