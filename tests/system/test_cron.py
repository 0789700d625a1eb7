"""A crontab under a real cron: what the page on operations says, for two minutes and a bit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import State
from system.installation import Installation
from system.machine import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.machine import Machine

    Until = Callable[..., Any]

pytestmark = [pytest.mark.system, pytest.mark.timeout(420)]

#: A job a second for so many seconds.
SECONDS = 120
#: From the end of the submits to the next minute's run, and that one's end.
PATIENCE = 75.0
PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def crontab(*spools: str) -> str:
    """Return the system's crontab with the page's line for workers, for each spool."""
    path, line = PAGE.read_text().partition("```crontab\n")[2].splitlines()[:2]
    assert path.startswith("PATH=")
    assert line.startswith("* * * * * spool work ")
    lines = [line.replace("* spool", f"* spool SPOOL_DIR={spool} spool") for spool in spools]
    return "\n".join([f"PATH={PREFIX}/bin:/usr/bin:/bin", "MAILTO=spool", *lines, ""])


def test_two_minutes_of_cron(machine: Machine, until: Until) -> None:
    """All jobs are done, each in one attempt, and only what went wrong is mailed, in a line.

    One job takes longer than a minute, so that the next run comes while the first is at it.
    """
    machine.run("install", "-d", "-o", "spool", "/var/lib/cron")
    well = Installation(machine, "/var/lib/cron/well")
    ill = Installation(machine, "/var/lib/cron/ill")
    bad = ill.submit("div", "1", "0")
    well.run("init")
    machine.run("groupadd", "--system", "crontab")
    machine.run("mkdir", "-p", "/var/spool/cron/crontabs")
    machine.run("mkdir", "-p", "/etc/cron.d")
    machine.run(
        "sh", "-c", "umask 022; cat > /etc/cron.d/spool", input=crontab(well.spool, ill.spool)
    )
    machine.run("systemctl", "start", "cron")
    ids = [well.submit("exec", "sleep", "63")]
    began = time.monotonic()
    for number in range(1, SECONDS):
        ids.append(well.submit("add", str(number), "1"))
        time.sleep(max(0.0, began + number - time.monotonic()))  # the pace is what is tested
    until(lambda: well.number(State.COMPLETED) == len(ids), PATIENCE)
    assert sorted(well.states()) == sorted(ids)
    assert {tuple(well.ends(job_id)) for job_id in ids} == {("completed",)}
    began_work = {well.document(job_id)["attempts"][0]["worker"] for job_id in ids}
    assert len(began_work) >= 2, "one run cannot have done it all"
    runs = machine.run("journalctl", "--quiet", "--output=cat", "-t", "CRON").stdout
    assert runs.count(f"SPOOL_DIR={well.spool}") >= len(began_work)
    machine.run("systemctl", "stop", "cron")
    assert ill.states() == {bad: State.FAILED}
    [mail] = machine.mails()
    assert f"SPOOL_DIR={ill.spool} spool work --once --single -q" in mail
    [said] = mail.partition("\n\n")[2].strip().splitlines()
    assert f" failed {bad} div 1 0 failed: division by zero" in said
