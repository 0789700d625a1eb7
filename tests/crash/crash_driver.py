"""Breaks one scenario at each of its system calls in turn, and prints what was wrong as JSON.

    python crash_driver.py KIND SCENARIO DIRECTORY

A process of its own with a single thread, since it forks: one child for each break, on a fresh copy
of the prepared spool, and after a kill one more that reopens it.  A series ends by itself when the
scenario came to its end before its N-th call.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import shutil
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crash_breaker import CHANGING, NEEDING_SPACE, Breaker, breaking
from crash_promises import Judge
from crash_races import Race
from crash_scenarios import RACES, SCENARIOS

from spoolcalc import Spool, State, StorageFailure, Worker, orphans

if TYPE_CHECKING:
    from collections.abc import Callable

    from crash_base import Scenario
    from crash_census import Facts

#: No child may take longer (seconds); it is killed then, and that is told as a fault.
PATIENCE = 30


@dataclass(frozen=True)
class Ended:
    """How a child ended and what it had said."""

    told: list[str]
    status: int

    @property
    def killed(self) -> bool:
        """Whether it was killed as planned."""
        return os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL

    @property
    def whole(self) -> bool:
        """Whether it came to its end."""
        return self.status == 0

    def all_of(self, verb: str) -> list[str]:
        """Return what it said with ``verb``."""
        return [line.partition(" ")[2] for line in self.told if line.startswith(f"{verb} ")]


def in_child(act: Callable[[Callable[[str], object]], object]) -> Ended:
    """Run ``act`` in a forked child, given a way to tell lines to this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.close(reader)
            signal.alarm(PATIENCE)
            act(lambda line: os.write(writer, line.encode() + b"\n"))
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it is, the driver has to hear of it
            os.write(writer, f"wrong {_in_one_line()}\n".encode())
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader, "rb") as said:
        told = said.read().decode().splitlines()
    return Ended(told, os.waitpid(child, 0)[1])


class Series:
    """One scenario on its template, broken again and again."""

    def __init__(self, name: str, directory: str) -> None:
        _warm_up(f"{directory}/warm")
        self.scenario: Scenario = {**SCENARIOS, **RACES}[name]()
        self.template = f"{directory}/template"
        self.copy = f"{directory}/copy"
        os.mkdir(self.template, 0o700)
        self.facts: Facts = self.scenario.prepare(f"{self.template}/spool")
        self.root = f"{self.copy}/spool"
        self.points = 0
        self.wrong: list[str] = []
        self.calls: list[str] = []

    def kill(self) -> None:
        """SIGKILL before each call, within each write, and after the last call."""
        for number in itertools.count(1):
            ended = self._run_killed("before", number)
            if not ended.killed:
                self.calls = ended.all_of("called")[0].split() if ended.whole else []
                break
        for number, name in enumerate(self.calls, 1):
            if name == "write":
                self._run_killed("torn", number)
        self._run_killed("after", len(self.calls))

    def kill_after(self) -> None:
        """SIGKILL right after each call that changes something."""
        self.calls = self._run_killed("count", 0).all_of("called")[0].split()
        for number, name in enumerate(self.calls, 1):
            if name in CHANGING:
                self._run_killed("after", number)

    def refuse(self) -> None:
        """Two errors at each call, a disk that fills up, and writes and reads that stop short.

        After the first error it is tried again, after the second the process gives up and leaves.
        """
        for number in itertools.count(1):
            calls = self._run_refused(("ENOSPC", "EIO")[number % 2], number)
            if len(calls) < number:
                self.calls = calls
                break
            self._run_refused("EACCES", number)
        for number, name in enumerate(self.calls, 1):
            if name in NEEDING_SPACE:
                self._run_refused("full", number)
            if name == "write":
                self._run_refused("half", number)
            if name in ("write", "read"):
                self._run_refused("short", number)

    def refuse_again(self) -> None:
        """The errors that :meth:`refuse` leaves out."""
        for number in itertools.count(1):
            self.calls = self._run_refused(("EIO", "ENOSPC")[number % 2], number)
            if len(self.calls) < number:
                break

    def race(self) -> None:
        """Something else before each call."""
        for number in itertools.count(1):
            calls = self._run_raced(number)
            if calls is not None:
                self.calls = calls
                break

    def _run_raced(self, number: int) -> list[str] | None:
        """Let a run be interrupted; return its calls if it came to its end before that."""
        shutil.copytree(self.template, self.copy)
        ended = _told_by(lambda tell: self._compete(number, tell))
        shutil.rmtree(self.copy)
        self._note(f"meanwhile {number}", [ended])
        raced = bool(ended.all_of("broken"))
        self.points += raced
        return None if raced else " ".join(ended.all_of("called")).split()

    def _compete(self, number: int, tell: Callable[[str], object]) -> None:
        told: list[str] = []
        scenario = self.scenario.fresh()
        assert isinstance(scenario, Race)
        scenario.arrange(self.root)
        breaker = Breaker(
            "meanwhile", number, tell=tell, meanwhile=lambda: scenario.meanwhile(told.append)
        )
        with breaking(breaker):
            scenario.act(told.append)
        tell(f"called {' '.join(breaker.calls)}")
        if breaker.broken is None:
            scenario.meanwhile(told.append)
        scenario.leave()
        _tell_all(tell, Judge(self.root, self.facts, told, killed=False).judge())

    def _run_killed(self, what: str, number: int) -> Ended:
        """Let a child be killed, and another one judge what it left."""
        shutil.copytree(self.template, self.copy)
        with self.scenario.hold(self.root):
            ended = in_child(lambda tell: self._act(Breaker(what, number, tell=tell), tell))
            judged = _told_by(
                lambda tell: _tell_all(
                    tell, Judge(self.root, self.facts, ended.told, killed=True).judge()
                )
            )
        shutil.rmtree(self.copy)
        if not (ended.killed or ended.whole) or not judged.whole:
            self.wrong.append(f"{what} {number}: ended with {ended.status}, {judged.status}")
        self._note(f"{what} {number}", [ended, judged])
        self.points += ended.killed
        return ended

    def _act(self, breaker: Breaker, tell: Callable[[str], object]) -> None:
        scenario = self.scenario.fresh()
        scenario.arrange(self.root)
        with breaking(breaker):
            scenario.act(tell)
        tell(f"called {' '.join(breaker.calls)}")

    def _run_refused(self, what: str, number: int) -> list[str]:
        """Let a child be refused a call, recover by itself, and judge what came of it."""
        shutil.copytree(self.template, self.copy)
        with self.scenario.hold(self.root):
            ended = _told_by(lambda tell: self._endure(Breaker(what, number, tell=tell), tell))
        shutil.rmtree(self.copy)
        if not ended.whole:
            self.wrong.append(f"{what} {number}: ended with {ended.status}")
        self._note(f"{what} {number}", [ended])
        self.points += bool(ended.all_of("broken"))
        return " ".join(ended.all_of("called")).split()

    def _endure(self, breaker: Breaker, tell: Callable[[str], object]) -> None:
        told: list[str] = []
        scenario = self.scenario.fresh()
        opened = len(os.listdir("/dev/fd"))
        scenario.arrange(self.root)
        full = breaker.what == "full"
        with breaking(breaker):
            refused = self._try(scenario.act, told, tell)
        tell(f"called {' '.join(breaker.calls)}")
        if refused:
            if self._came(told):
                tell("wrong it was refused, and yet the job came to be")
            if breaker.what not in ("EACCES", "full"):
                scenario.again(told.append)
        with breaking(breaker if full else Breaker("count")):
            if self._try(lambda _: scenario.leave(), told, tell) and not full:
                tell("wrong to leave was refused")
        if refused and self.facts.creates:
            scenario.again(told.append)
        left = len(os.listdir("/dev/fd"))
        if left != opened and breaker.calls[breaker.at - 1 : breaker.at] != ["close"]:
            tell(f"wrong {opened} descriptors were open before, and {left} after")
        _tell_all(tell, Judge(self.root, self.facts, told, killed=False).judge())

    def _try(
        self,
        act: Callable[[Callable[[str], object]], object],
        told: list[str],
        tell: Callable[[str], object],
    ) -> bool:
        """Do something; return whether it was refused, as it should be if it is."""
        try:
            act(told.append)
        except StorageFailure as error:
            _tell_all(tell, _unclear(error, os.path.dirname(self.root)))
            return True
        except Exception:  # noqa: BLE001 - whatever it is, it is no clear refusal
            tell(f"wrong no clear refusal: {_in_one_line()}")
            return True
        return False

    def _came(self, told: list[str]) -> list[str]:
        """Return the names of jobs that are visible although submitting them was refused."""
        names = {f"{job_id}.json" for job_id in self.facts.jobs}
        names |= {f"{line.split()[1]}.json" for line in told if line.startswith("submitted ")}
        return [
            name
            for state in ("blocked", "delayed", "pending")
            for _, _, found in os.walk(f"{self.root}/{state}")
            for name in found
            if name.endswith(".json") and name not in names and self.facts.coming
        ]

    def _note(self, what: str, ended: list[Ended]) -> None:
        broken = "; ".join(line for end in ended for line in end.all_of("broken"))
        for line in (line for end in ended for line in end.all_of("wrong")):
            self.wrong.append(f"{broken or what}: {line}")


def _told_by(act: Callable[[Callable[[str], object]], object]) -> Ended:
    told: list[str] = []
    signal.alarm(PATIENCE)
    try:
        act(told.append)
    except Exception:  # noqa: BLE001 - whatever it is, the report has to tell it
        return Ended([*told, f"wrong {_in_one_line()}"], 70)
    finally:
        signal.alarm(0)
    return Ended(told, 0)


def _warm_up(root: str) -> None:
    """Load all that the children will need, so that not each of them has to."""
    spool = Spool(root, create=True)
    for operands in (("1", "1"), ("1", "0")):
        spool.submit("div", operands)
    Worker(spool, once=True).run()
    for job in spool.list(State.COMPLETED):
        spool.fetch(job.id)
    spool.clean()
    gc.collect()
    gc.freeze()


def _in_one_line() -> str:
    """Return the error at hand and where it came from, without what lies between."""
    kind, error, trace = sys.exc_info()
    steps = traceback.extract_tb(trace)[-4:]
    where = " > ".join(f"{os.path.basename(s.filename)}:{s.lineno} {s.name}" for s in steps)
    return f"{kind and kind.__name__}: {' '.join(str(error).split())} at {where}"


def _tell_all(tell: Callable[[str], object], wrong: list[str]) -> None:
    for line in wrong:
        tell(f"wrong {' '.join(line.split())}")


def _unclear(error: StorageFailure, top: str) -> list[str]:
    """Return what is missing in an error that should say clearly what to do about what."""
    wrong = []
    if error.exit_code != 7:
        wrong.append(f"exit code {error.exit_code}: {error.message}")
    if not error.hint:
        wrong.append(f"no hint: {error.message}")
    if top not in error.message:
        wrong.append(f"no path is named: {error.message}")
    return wrong


def main() -> None:
    """Run one series."""
    # Nobody here starts processes for jobs, and to look at all there are takes most of a sweep.
    orphans.kill_marked = lambda worker: 0
    kind, name, directory = sys.argv[1:]
    series = Series(name, directory)
    {
        "kill": series.kill,
        "kill after": series.kill_after,
        "refuse": series.refuse,
        "refuse again": series.refuse_again,
        "race": series.race,
    }[kind]()
    report = {"points": series.points, "calls": series.calls, "wrong": series.wrong}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
