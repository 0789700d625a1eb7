"""The jobs that a worker has running beside itself: what becomes of those that do not end."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from spoolcalc import files, orphans, slots
from spoolcalc.bell import Bell
from spoolcalc.engine import Engine
from spoolcalc.layout import CANCEL
from spoolcalc.runs import End, Run
from spoolcalc.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import pytest

    from spoolcalc import Spool


def carrying(variable: str, worker: str) -> list[int]:
    """Return the processes that have a worker's mark of that kind."""
    mark = f"{variable}={worker}".encode()
    return [p for p in orphans._processes() if mark in (orphans._environment(p) or ())]


def test_a_command_whose_guardian_hangs_is_killed_before_its_job_is_given_back(
    spool: Spool, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next worker would run the job beside it."""
    monkeypatch.setattr(slots, "HANGS", 0.1)
    spool.submit("exec", ["sh", "-c", "trap '' TERM; sleep 1000 & setsid sleep 1000"])
    bell = Bell(spool.layout.bell)
    engine = Engine(spool.layout, wake=bell.wake)
    running = slots.Slots(spool.layout, engine, bell, 1)
    with bell, spool.register() as lease:
        claim = spool.claim(lease)
        assert claim is not None
        running.start(claim, claim.document["operands"])
        until(lambda: len(carrying(orphans.MARK, lease.worker)) == 3)
        for guardian in carrying(orphans.GUARD, lease.worker):
            os.kill(guardian, signal.SIGSTOP)
        assert [slot.claim for slot in running.abandon()] == [claim]
        assert carrying(orphans.MARK, lease.worker) == []
        assert len(running) == 0
        engine.close()


class Unloadable(Run):
    """A job that turns out to be none for this worker, just when somebody wishes it cancelled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def poll(self) -> End:
        """Return the end, and have the wish come in the instant before."""
        where, name = os.path.split(self._path)
        files.note(where, name.removesuffix(".json") + CANCEL, 0o600, None)
        return End(unknown="it cannot be loaded")


def test_a_wish_that_comes_as_the_job_is_given_back_is_obeyed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who wished it was told that the wish stays with the job."""
    job_id = spool.submit("exec", ["true"])
    monkeypatch.setattr(Engine, "start", lambda _self, claim, *_: Unloadable(claim.path))
    Worker(spool, once=True).run()
    outcome = spool.find(job_id).outcome
    assert outcome is not None
    assert outcome.reason == "cancelled"
