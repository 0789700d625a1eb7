"""``spool-drain`` and ``spool-clean`` under a real systemd: started by jobs and by the clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import State
from system.installation import DRAIN
from system.machine import PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.installation import Installation

    Until = Callable[..., Any]

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

PATIENCE = 60.0
#: For so many seconds nothing may happen that should not.
WHILE = 3.0
#: Submits bursts of one to three jobs, each at another moment around the end of the worker that
#: drained the last: from before it has seen that pending/ is empty, to after it has gone.
BURSTS = """
import os, random, sys, time
from spoolcalc import Spool, State
path, number = sys.argv[1], int(sys.argv[2])
spool = Spool(path, create=True)
layout = spool.layout
left = 0
deadline = time.monotonic() + 340
for burst in range(number):
    for _ in range(random.randint(1, 3)):
        spool.submit("add", [str(burst), "1"])
    while os.listdir(layout.pending) or any(spool.list(State.WIP)):
        if time.monotonic() > deadline:
            sys.exit("left behind: burst %d" % burst)
        time.sleep(0.002)
    time.sleep(random.choice([0.0, random.uniform(0, 0.02), random.uniform(0, 0.2)]))
"""


def starts(units: Installation) -> int:
    """Return how often the worker was started."""
    return len([line for line in units.journal(DRAIN) if line.startswith("Started ")])


@pytest.mark.timeout(420)  # a loaded machine takes a second to start a worker
def test_two_hundred_bursts_that_race_with_the_worker_s_end(
    units: Installation, until: Until
) -> None:
    """Each job is run, and the units do not fail."""
    units.start("spool-drain.path")
    burst = (PYTHON, "-c", BURSTS, units.spool, "200")
    units.machine.run(*burst, user="spool", timeout=380)
    until(lambda: set(units.states().values()) == {State.COMPLETED}, PATIENCE)
    assert len(units.states()) >= 200
    until(lambda: units.shown(DRAIN, "ActiveState") == "inactive", PATIENCE)
    for unit, state in (("spool-drain.path", "active"), (DRAIN, "inactive")):
        assert units.shown(unit, "Result") == "success"
        assert units.shown(unit, "ActiveState") == state
    assert units.shown(DRAIN, "NRestarts") == "0"
    until(lambda: starts(units) > 50, PATIENCE)  # else the worker has hardly ever ended


def test_jobs_that_were_there_before_are_drained_and_then_it_is_quiet(
    units: Installation, until: Until
) -> None:
    """No worker is there without jobs, and none starts."""
    ids = units.submit_lines(f"add {number} 1" for number in range(20))
    units.start("spool-drain.path")
    until(lambda: {units.states()[job_id] for job_id in ids} == {State.COMPLETED}, PATIENCE)
    until(lambda: units.shown(DRAIN, "ActiveState") == "inactive", PATIENCE)
    nothing_more(units)


def nothing_more(units: Installation) -> None:
    """See that no worker is started for a while."""
    before = units.shown(DRAIN, "InvocationID")
    quiet = time.monotonic() + WHILE
    while time.monotonic() < quiet:
        assert units.shown(DRAIN, "InvocationID") == before


def test_jobs_that_may_not_be_run_do_not_make_it_spin(units: Installation, until: Until) -> None:
    """One worker waits for the end of the pause."""
    units.run("pause")
    units.submit("add", "1", "2")
    units.start("spool-drain.path")
    until(lambda: units.shown(DRAIN, "ActiveState") == "active", PATIENCE)
    nothing_more(units)
    units.run("resume")
    until(lambda: units.shown(DRAIN, "ActiveState") == "inactive", PATIENCE)
    until(lambda: starts(units) == 1, PATIENCE)
    assert set(units.states().values()) == {State.COMPLETED}


def test_a_worker_that_fails_does_not_make_it_spin(units: Installation, until: Until) -> None:
    """It is started again after a while, and when it can, it runs what waits."""
    job_id = units.submit("add", "1", "2")
    units.machine.run("chmod", "o+w", units.spool)
    units.start("spool-drain.path")
    until(lambda: units.shown(DRAIN, "SubState") == "auto-restart", PATIENCE)
    nothing_more(units)
    units.machine.run("chmod", "o-w", units.spool)
    until(lambda: units.states()[job_id] is State.COMPLETED, PATIENCE)
    until(lambda: units.shown(DRAIN, "ActiveState") == "inactive", PATIENCE)
    assert units.shown("spool-drain.path", "ActiveState") == "active"


def test_delayed_jobs_are_run_by_the_timer_and_on_time(units: Installation, until: Until) -> None:
    """The worker stays for what is due soon, and not for what is due tomorrow."""
    units.drop_in("spool-drain.timer", "[Timer]", "OnCalendar=", "OnActiveSec=500ms")
    soon = units.submit("add", "1", "2", "--delay", "4s")
    later = units.submit("add", "1", "2", "--delay", "1d")
    units.start("spool-drain.path", "spool-drain.timer")
    due = time.monotonic() + 4
    until(lambda: units.states()[soon] is State.COMPLETED, PATIENCE)
    assert time.monotonic() - due < 10
    assert units.states()[later] is State.DELAYED
    until(lambda: units.shown(DRAIN, "ActiveState") == "inactive", PATIENCE)
    until(lambda: starts(units) == 1, PATIENCE)


def test_what_was_fetched_long_ago_is_cleaned_by_the_timer(
    units: Installation, until: Until
) -> None:
    """And nothing else."""
    ids = [units.submit("add", "1", str(number)) for number in range(3)]
    units.run("work", "--once", "-q")
    old, fresh, unfetched = ids
    units.run("fetch", old, fresh)
    for job_id, days in ((old, 8), (fresh, 6), (unfetched, 400)):
        [path] = units.machine.run("sh", "-c", f"ls {units.spool}/*/*/{job_id}.json").stdout.split()
        units.machine.run("touch", "-d", f"{days} days ago", path)
    units.drop_in(
        "spool-clean.timer",
        "[Timer]",
        "OnCalendar=",
        "OnActiveSec=500ms",
        "AccuracySec=1ms",
        "RandomizedDelaySec=0",
    )
    units.start("spool-clean.timer")
    until(lambda: units.number(State.RETRIEVED) == 1, PATIENCE)
    assert units.states() == {fresh: State.RETRIEVED, unfetched: State.COMPLETED}
    until(lambda: units.shown("spool-clean.service", "ActiveState") == "inactive", PATIENCE)
    assert units.shown("spool-clean.service", "Result") == "success"


def test_without_a_spool_cleaning_is_no_failure(bare_units: Installation) -> None:
    """The timer may be there before the first job."""
    bare_units.start("spool-clean.service")
    assert bare_units.shown("spool-clean.service", "Result") == "success"
    assert bare_units.shown("spool-clean.service", "ConditionResult") == "no"
