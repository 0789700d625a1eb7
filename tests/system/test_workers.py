"""``spool-work@`` under a real systemd: drained, killed, hung, shut in."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import State
from spoolcalc.systemd import NAMES
from system.installation import WORK, Installation
from system.machine import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.machine import Machine

    Until = Callable[..., Any]

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

PATIENCE = 60.0
#: The longest time (seconds) that a watchdog here waits.
WATCHDOG = 2
SERVICES = [name.replace("@", "@1") for name in NAMES if name.endswith(".service")]


def work(units: Installation, *numbers: int) -> None:
    """Start workers, and return when they are at work."""
    units.start(*(WORK.format(number) for number in numbers))
    assert all(units.main_pid(WORK.format(number)) for number in numbers)


def test_systemd_finds_nothing_wrong_with_the_units(units: Installation) -> None:
    """Neither the system's, nor a user's own."""
    paths = [f"/etc/systemd/system/{name}" for name in NAMES]
    assert units.machine.run("systemd-analyze", "verify", *paths).stdout == ""
    units.run("unit", "--install", "--user", "--directory", "/run/own", user="root")
    own = [f"/run/own/{name}" for name in NAMES]
    environment = {"XDG_RUNTIME_DIR": "/run"}
    verify = ("systemd-analyze", "--user", "verify", *own)
    said = units.machine.run(*verify, environment=environment).stdout
    assert "spool" not in said  # what else is installed here may have something to say


@pytest.mark.parametrize("service", SERVICES)
def test_the_services_are_shut_in(service: str, units: Installation) -> None:
    """As systemd's own judge sees it: 0 is shut in, 10 is not at all."""
    said = units.machine.run("systemd-analyze", "security", "--no-pager", service).stdout
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d)", said)
    assert found is not None
    assert float(found[1]) <= 2.5


def test_a_job_can_write_to_the_spool_and_to_its_own_tmp_alone(
    units: Installation, until: Until
) -> None:
    """And has no rights beyond those of its user."""
    work(units, 1)
    script = """
        for place in /etc /usr /home /srv /var/lib /opt; do
            ! touch $place/x 2>/dev/null || echo "wrote to $place"
        done
        touch /tmp/mine "$SPOOL_DIR/x" && rm "$SPOOL_DIR/x" && id -un
        grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
    """
    job_id = units.submit("exec", "--", "sh", "-c", script)
    until(lambda: units.states()[job_id].finished, PATIENCE)
    said = units.run("fetch", job_id).stdout.split()
    nothing = "0" * 16
    expected = f"spool CapEff: {nothing} CapBnd: {nothing} NoNewPrivs: 1 Seccomp: 2"
    assert said == expected.split()
    assert units.machine.run("ls", "/tmp/mine", check=False).returncode != 0


def test_three_workers_are_stopped_in_the_middle_of_500_jobs(
    units: Installation, until: Until
) -> None:
    """Nothing stays with them, nothing is lost, and no attempt is charged."""
    workers = [WORK.format(number) for number in (1, 2, 3)]
    work(units, 1, 2, 3)
    lines = [
        "exec -- sh -c 'sleep 0.2; echo done'" if number % 10 == 0 else f"add {number} 1"
        for number in range(500)
    ]
    ids = []
    for at in range(0, 500, 100):
        ids += units.submit_lines(lines[at : at + 100])
    until(lambda: units.number(State.COMPLETED) >= 100, PATIENCE)
    units.systemctl("stop", *workers)
    states = units.states()
    assert sorted(states) == sorted(ids)
    assert set(states.values()) <= {State.PENDING, State.COMPLETED}
    assert State.PENDING in states.values(), "they were not stopped in the middle"
    for job_id, state in states.items():
        ends = units.ends(job_id)
        assert ends == (["completed"] if state is State.COMPLETED else [])
    for worker in workers:
        assert units.shown(worker, "Result") == "success"
        assert units.shown(worker, "ActiveState") == "inactive"
    units.start(*workers)
    until(lambda: units.number(State.COMPLETED) == 500, PATIENCE)
    assert {tuple(units.ends(job_id)) for job_id in ids} == {("completed",)}


def test_a_worker_that_is_killed_is_started_again(units: Installation, until: Until) -> None:
    """Its job goes on elsewhere, what it had started is gone, and the other worker stays."""
    work(units, 1, 2)
    script = 'test "$SPOOL_ATTEMPT" -gt 1 || exec sleep 4711'
    job_id = units.submit("exec", "--", "sh", "-c", script)
    until(lambda: units.states()[job_id] is State.WIP, PATIENCE)
    until(lambda: sleeping(units.machine), PATIENCE)
    number = next(n for n in (1, 2) if f".{units.main_pid(WORK.format(n))}." in holder(units))
    killed, other = WORK.format(number), units.main_pid(WORK.format(3 - number))
    units.systemctl("kill", "-s", "KILL", "--kill-whom=main", killed)
    until(lambda: units.states()[job_id] is State.COMPLETED, PATIENCE)
    assert units.ends(job_id) == ["lost", "completed"]
    assert not sleeping(units.machine)
    until(lambda: units.shown(killed, "NRestarts") == "1" and units.main_pid(killed), PATIENCE)
    assert units.main_pid(WORK.format(3 - number)) == other


def test_a_worker_that_was_stopped_is_killed_by_the_watchdog(
    units: Installation, until: Until
) -> None:
    """Long before its lease runs out, and another has its job."""
    units.drop_in("spool-work@.service", "[Service]", f"WatchdogSec={WATCHDOG}s")
    work(units, 1)
    script = 'test "$SPOOL_ATTEMPT" -gt 1 || exec sleep 4711'
    job_id = units.submit("exec", "--", "sh", "-c", script)
    until(lambda: units.states()[job_id] is State.WIP, PATIENCE)
    work(units, 2)
    units.systemctl("kill", "-s", "STOP", "--kill-whom=main", WORK.format(1))
    until(lambda: units.states()[job_id] is State.COMPLETED, 30)
    assert units.ends(job_id) == ["lost", "completed"]
    until(lambda: units.shown(WORK.format(1), "NRestarts") == "1", PATIENCE)
    assert units.shown(WORK.format(2), "NRestarts") == "0"


def test_a_worker_whose_main_loop_hangs_is_killed_by_the_watchdog(
    units: Installation, until: Until
) -> None:
    """Though its keeper goes on; where it hung is in the journal."""
    hook = """
import os, time
from spoolcalc import transitions
real = transitions.claim
def hang_here(*arguments):
    claimed = real(*arguments)
    try:
        os.close(os.open(os.environ["SPOOL_DIR"] + "/../hung", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return claimed
    time.sleep(4711)
transitions.claim = hang_here
"""
    units.machine.run("mkdir", "-p", "/srv/hook")
    units.machine.run("sh", "-c", "cat > /srv/hook/sitecustomize.py", input=hook)
    watched = f"WatchdogSec={WATCHDOG}s"
    units.drop_in("spool-work@.service", "[Service]", watched, "Environment=PYTHONPATH=/srv/hook")
    work(units, 1)
    job_id = units.submit("add", "12", "23")
    until(lambda: units.states()[job_id] is State.COMPLETED, 50)
    assert units.ends(job_id) == ["lost", "completed"]
    for told in ("Watchdog timeout", "in hang_here"):
        until(lambda told=told: told in "\n".join(units.journal(WORK.format(1))), PATIENCE)


@pytest.mark.parametrize("long", [False, True])
def test_a_drain_may_take_longer_than_systemd_would_wait(
    long: bool, units: Installation, until: Until
) -> None:
    """As long as the worker says that it gets on; what takes too long is given back, uncharged."""
    program = f"{PREFIX}/bin/spool"
    limit = ["ExecStart=", f"ExecStart={program} work --drain-time 1s"] if long else []
    units.drop_in("spool-work@.service", "[Service]", "TimeoutStopSec=1s", *limit)
    work(units, 1)
    job_id = units.submit("exec", "sleep", "4711" if long else "6")
    until(lambda: units.states()[job_id] is State.WIP, PATIENCE)
    began = time.monotonic()
    units.systemctl("stop", WORK.format(1))
    if not long:
        assert time.monotonic() - began > 3
    assert units.states()[job_id] is (State.PENDING if long else State.COMPLETED)
    assert units.ends(job_id) == ([] if long else ["completed"])
    assert units.shown(WORK.format(1), "Result") == "success"


def test_what_a_worker_is_at_and_what_went_wrong_can_be_seen(
    units: Installation, until: Until
) -> None:
    """By its status, and in the journal by its levels."""
    work(units, 1)
    units.submit("add", "1", "2")
    bad = units.submit("div", "1", "0")
    until(lambda: units.number(State.FAILED) == 1, PATIENCE)
    status = "idle; 2 done, 1 of them failed"
    until(lambda: units.shown(WORK.format(1), "StatusText") == status, PATIENCE)
    until(lambda: units.journal(WORK.format(1), "--priority=warning"), PATIENCE)
    [told] = units.journal(WORK.format(1), "--priority=warning")
    assert told.startswith(f"failed {bad} div 1 0 failed: division by zero")
    assert len([line for line in units.journal(WORK.format(1)) if "completed" in line]) == 1


def test_a_worker_waits_for_a_spool_that_cannot_be_used_yet(
    bare_units: Installation, until: Until
) -> None:
    """And never gives up."""
    bare_units.machine.run("install", "-D", "/dev/null", bare_units.spool)
    bare_units.drop_in("spool-work@.service", "[Service]", "RestartSec=10ms")
    bare_units.machine.run("systemctl", "start", "--no-block", WORK.format(1))
    until(lambda: int(bare_units.shown(WORK.format(1), "NRestarts")) > 6, PATIENCE)
    told = bare_units.journal(WORK.format(1), "--priority=err")
    assert f"spool: {bare_units.spool} is not a directory" in told
    bare_units.machine.run("rm", bare_units.spool)
    until(lambda: bare_units.shown(WORK.format(1), "ActiveState") == "active", PATIENCE)


def test_hostile_paths_work(machine: Machine, until: Until) -> None:
    """A spool's directory may have any printable name."""
    spool = '/srv/a "b"/100%/$HOME \\ é'
    odd = Installation(machine, spool)
    machine.run("install", "-d", "-m", "755", '/srv/a "b"', '/srv/a "b"/100%')
    machine.run("install", "-d", "-m", "700", "-o", "spool", spool)
    odd.install()
    try:
        odd.start("spool-drain.path")
        job_id = odd.submit("add", "12", "23")
        until(lambda: odd.states()[job_id] is State.COMPLETED, PATIENCE)
        odd.start(WORK.format(1))
        assert odd.main_pid(WORK.format(1))
    finally:
        odd.remove()


def sleeping(machine: Machine) -> bool:
    """Tell whether what the jobs here start is running."""
    found = machine.run("ps", "-eo", "args").stdout.splitlines()
    return "sleep 4711" in found


def holder(units: Installation) -> str:
    """Return the name of the worker that has the one job."""
    said = units.run("status", "--state", "wip", "--json").stdout
    found = re.search(r'"worker": *"([^"]+)"', said)
    return "" if found is None else found[1]
