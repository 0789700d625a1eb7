"""One torture from its beginning to its end: trials, races, the storm, the calm, the judgement."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from spoolcalc import access, files, host, lookup
from spoolcalc.doctor import Severity, probes
from spoolcalc.errors import SpoolError
from spoolcalc.job import State
from spoolcalc.torture import actors
from spoolcalc.torture.judge import Judge
from spoolcalc.torture.races import race
from spoolcalc.torture.stage import Stage
from spoolcalc.torture.verdict import Broken, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from spoolcalc.layout import Layout
    from spoolcalc.torture.stage import Act

#: This part of the time goes to the races, and at most so many seconds.
RACING, LONGEST_RACING = 0.35, 12.0
#: Somebody is killed about every so many seconds.
GUST = 0.06
#: How long (seconds) a worker is stopped that has a short lease.
STOPPED = 1.8
#: How long (seconds) what is left may take to be done, when nobody is killed any more.
CALM = 60.0
#: So much evidence of each promise is told.
SHOWN = 5


def torture(directory: str, seconds: float) -> Verdict:
    """Torture the file system that holds ``directory``, for about ``seconds``.

    Raises :class:`~spoolcalc.errors.StorageFailure` if nothing can be made there.
    """
    verdict = Verdict(directory, host.file_system(os.path.realpath(directory)) or "unknown")
    began = time.monotonic()
    home = f"{directory}/trial.{os.urandom(8).hex()}"
    files.make_directory(home, 0o700)
    stage: Stage | None = None
    try:
        _try_all(verdict, home)
        stage = Stage(home)
        racing = min(seconds * RACING, LONGEST_RACING)
        verdict.counts["races"], broken = race(stage, began + racing)
        verdict.broken += broken
        _storm(verdict, stage, began + seconds)
    finally:
        if stage is not None:
            stage.end()
        verdict.seconds = time.monotonic() - began
        if verdict.broken:
            verdict.kept = home
        else:
            with suppress(SpoolError):  # a leftover; where it lies in a spool, clean removes it
                files.remove_tree(home)
    return verdict


def _try_all(verdict: Verdict, home: str) -> None:
    trials = f"{home}/trials"
    files.make_directory(trials, 0o700)
    for finding in probes.tries(trials, verdict.directory):
        if finding.severity is Severity.CRITICAL:
            verdict.broken.append(Broken(finding.check, finding.detail))
        elif finding.severity:
            verdict.notes.append(f"{finding.check}: {finding.detail}. {finding.means}")
    files.remove_tree(trials)


def _storm(verdict: Verdict, stage: Stage, until: float) -> None:
    layout = access.open_spool(stage.spool, create=True)
    wanted: dict[str, Callable[[], Act]] = {
        "worker": lambda: actors.worker(stage.spool, until),
        "stopped": lambda: actors.worker(stage.spool, until, lease=actors.SHORT_LEASE),
        "submitter": lambda: actors.submitter(stage.spool, until),
        "fetcher": lambda: actors.fetcher(stage.spool, until),
        "cleaner": lambda: actors.cleaner(stage.spool, until),
        "reader": lambda: actors.reader(stage.spool, until, stage.journals),
    }
    numbers = {"worker": 3, "submitter": 2}
    asleep: dict[int, float] = {}
    while time.monotonic() < until:
        stage.reap()
        for role, act in wanted.items():
            for _ in range(numbers.get(role, 1) - sum(r == role for r in stage.roles.values())):
                stage.start(role, actors.enduring(act()), trapped=random.random() < 0.5)
        _gust(stage, asleep)
        time.sleep(GUST * random.uniform(0.5, 1.5))
    stage.end()  # all at once: whatever they were at, others have to go on
    if not _calm(stage, layout):
        left = {state.value: n for state in State if (n := lookup.count(layout, state))}
        verdict.broken.append(Broken("P1", f"not all jobs were done within {CALM:.0f} s: {left}"))
    _pass_judgement(verdict, Judge(layout, stage.journals))


def _gust(stage: Stage, asleep: dict[int, float]) -> None:
    """Kill somebody, or stop a worker whose lease is short, or have one go on."""
    now = time.monotonic()
    for pid in [pid for pid, since in asleep.items() if now - since > STOPPED]:
        stage.send(pid, signal.SIGCONT)
        del asleep[pid]
    pid = random.choice(list(stage.roles))
    if pid in asleep:
        return
    if stage.roles[pid] == "stopped" and random.random() < 0.8:
        stage.journal.note("stops", pid)
        stage.send(pid, signal.SIGSTOP)
        asleep[pid] = now
    elif random.random() < 0.6:
        stage.kill(pid)


def _calm(stage: Stage, layout: Layout) -> bool:
    """Have what is left be done; tell whether it was."""
    until = time.monotonic() + CALM
    for _ in range(2):
        stage.start("worker", actors.enduring(actors.worker(stage.spool, until)))
    waiting = (State.BLOCKED, State.DELAYED, State.PENDING, State.WIP)
    while any(lookup.count(layout, state) for state in waiting) and time.monotonic() < until:
        stage.reap()
        time.sleep(0.05)
    for pid in list(stage.roles):
        stage.send(pid, signal.SIGTERM)
    stage.wait(time.monotonic() + 10.0)
    return not any(lookup.count(layout, state) for state in waiting)


def _pass_judgement(verdict: Verdict, judge: Judge) -> None:
    by_promise: dict[str, int] = {}
    for broken in judge.judge():
        by_promise[broken.promise] = by_promise.get(broken.promise, 0) + 1
        if by_promise[broken.promise] <= SHOWN:
            verdict.broken.append(broken)
    for promise, number in by_promise.items():
        if number > SHOWN:
            verdict.notes.append(f"{promise} was broken {number} times; {SHOWN} are told")
    verdict.counts |= judge.counts()
    verdict.counts["stopped"] = len(judge.by_word["stops"])
    refused = judge.by_word["refused"]
    if refused:
        verdict.refused = True
        told = " ".join(refused[0].rest)
        verdict.notes.append(f"{len(refused)} calls were refused, the first: {told}")
