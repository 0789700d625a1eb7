"""What a thorough sweep does for the jobs that wait for others, and what that may cost."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from spoolcalc import Spool, State, dependants, lookup

if TYPE_CHECKING:
    from spoolcalc import Job
    from spoolcalc.layout import Layout


class Clock:
    """A clock that goes on by a step at each look-up of a job."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.now = 100.0
        self.looked_up: list[str] = []

    def monotonic(self) -> float:
        """Return what time it is."""
        return self.now

    def find(self, layout: Layout, job_id: str) -> tuple[Job, str]:
        """Look a job up, which takes its time."""
        self.now += self.step
        self.looked_up.append(job_id)
        return lookup.find(layout, job_id)


def test_a_sweep_looks_for_a_short_time_at_what_seems_to_be_in_order(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many each job waits for; at other ones each time, so that nothing is missed."""
    needed = [spool.submit("neg", ["1"], delay=3600.0) for _ in range(40)]
    waiting = [spool.submit("sum", [f"@{n}" for n in needed]) for _ in range(2)]
    clock = Clock(dependants.SLICE / 9.5)
    monkeypatch.setattr(dependants, "time", clock)
    monkeypatch.setattr(dependants, "lookup", clock)
    with spool.register() as lease:
        spool.sweep(lease)
        assert len(clock.looked_up) == 10
        for job_id in waiting:  # what a power failure may take
            os.unlink(f"{spool.path}/waited/{needed[7]}/{job_id}")
        for _ in range(1_000):
            spool.sweep(lease)
            if os.path.exists(f"{spool.path}/waited/{needed[7]}"):
                break
        else:
            pytest.fail("it was never looked at")
    assert {spool.find(job_id).state for job_id in waiting} == {State.BLOCKED}
