"""Every way a job changes its state is broken at every system call it makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash_breaker import CHANGING
from crash_scenarios import RACES, SCENARIOS

import spoolcalc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
#: Where a copy of a spool costs least, if there is such a place.
MEMORY = Path("/dev/shm")


@pytest.fixture
def fast_directory(tmp_path: Path) -> Iterator[Path]:
    """An empty directory, in memory where that is possible."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="spool-crash-") as directory:
        yield Path(directory)


def run_series(
    kind: str, scenario: str, directory: Path, least: Callable[[list[str]], int] = len
) -> None:
    """Let the driver run a series; fail with all that was wrong."""
    top = str(Path(spoolcalc.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-W", "error", HERE / "crash_driver.py", kind, scenario, directory],
        env={**os.environ, "PYTHONPATH": top, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert not report["wrong"], "\n".join([str(len(report["wrong"])), *report["wrong"][:20]])
    assert len(report["calls"]) >= {**SCENARIOS, **RACES}[scenario].minimum
    assert report["points"] >= least(report["calls"])


def changing(calls: list[str]) -> int:
    """Return how many of the calls change something."""
    return sum(call in CHANGING for call in calls)


QUICK = [
    pytest.param(name, marks=pytest.mark.slow if scenario.long else ())
    for name, scenario in SCENARIOS.items()
]


@pytest.mark.parametrize("scenario", QUICK)
def test_a_kill_at_any_call_breaks_no_promise(scenario: str, fast_directory: Path) -> None:
    """Whoever is killed at any system call, the next one to come finds all promises kept."""
    run_series("kill", scenario, fast_directory)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_kill_after_any_change_breaks_no_promise(scenario: str, fast_directory: Path) -> None:
    """The same holds for a kill right after each call that changes something."""
    run_series("kill after", scenario, fast_directory, changing)


@pytest.mark.parametrize("scenario", QUICK)
def test_a_refusal_at_any_call_costs_nothing(scenario: str, fast_directory: Path) -> None:
    """A full disk, a broken one or a missing permission is said clearly and costs no attempt."""
    run_series("refuse", scenario, fast_directory)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_other_refusal_costs_anything(scenario: str, fast_directory: Path) -> None:
    """The same holds for the errors that were left out above to save time."""
    run_series("refuse again", scenario, fast_directory)


@pytest.mark.parametrize("race", RACES)
def test_another_at_any_call_breaks_no_promise(race: str, fast_directory: Path) -> None:
    """Whatever another one does between any two system calls, nothing is lost or done twice."""
    run_series("race", race, fast_directory)
