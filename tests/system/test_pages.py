"""What docs/operations.md says of systemd is typed as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from system.machine import PREFIX

if TYPE_CHECKING:
    from system.machine import Machine

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_set_up_with_systemd(machine: Machine) -> None:
    """Every command succeeds, and each that waits for its job prints the result.

    As root where the prompt is #, as somebody else where it is $.
    """
    page = PAGE.read_text()
    section = page.partition("\n## From systemd\n")[2].partition("\n## ")[0]
    typed = re.findall(
        r"^([#$]) (.*)$", re.sub(r"```ini.*?```", "", section, flags=re.DOTALL), re.MULTILINE
    )
    assert len(typed) > 15
    machine.run("userdel", "spool")  # the page makes that user
    machine.run("groupdel", "spool")
    machine.run("useradd", "--create-home", "--user-group", "eve")
    uid = machine.run("id", "-u", "eve").stdout.strip()
    machine.run("systemctl", "start", f"user@{uid}.service")
    given = {"HOME": "/home/eve", "XDG_RUNTIME_DIR": f"/run/user/{uid}"}
    path = f"PATH={PREFIX}/bin:$PATH; "
    results = 0
    for prompt, command in typed:
        own = prompt == "$"
        said = machine.run(
            *("sh", "-c", path + command),
            user="eve" if own else "root",
            environment=given if own else None,
        ).stdout
        if "--wait" in command:
            assert said.splitlines()[-1] == "35", f"{command}: {said}"
            results += 1
    assert results == 4
    for manager in ([], [f"--machine={uid}@.host", "--user"]):
        failed = machine.run("systemctl", *manager, "--failed", "--quiet", check=False).stdout
        assert "spool" not in failed
    machine.run("systemctl", "stop", f"user@{uid}.service")
    machine.run("systemctl", "disable", "--now", "spool-drain.path", "spool-drain.timer")
    machine.run("systemctl", "disable", "--now", "spool-clean.timer")
