"""The server's units: systemd listens, and starts the server for the first who asks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from system.installation import Installation

pytestmark = pytest.mark.system

SOCKET, SERVER = "spool-serve.socket", "spool-serve.service"
#: Where it listens here: the machine shares its ports with the host.
PLACE = "/run/spool-test.sock"


def ask(units: Installation, path: str, *options: str) -> str:
    """Ask the server, on the machine."""
    curl = ("curl", "-s", "--max-time", "30", "--unix-socket", PLACE, *options)
    return units.machine.run(*curl, f"http://localhost{path}").stdout


def test_it_is_started_by_who_asks(units: Installation) -> None:
    """It submits for the units' user, says what it serves, and is not missed while it is away."""
    units.drop_in(SOCKET, "[Socket]", "ListenStream=", f"ListenStream={PLACE}")
    units.start(SOCKET)
    assert units.main_pid(SERVER) == 0
    told = json.loads(ask(units, "/api/v1/add/12/23", "-X", "POST"))
    assert told["status"] == "pending"
    first = units.main_pid(SERVER)
    assert first
    assert units.shown(SERVER, "StatusText").startswith(f"serving {units.spool} at unix:")
    units.systemctl("stop", SERVER)
    assert units.shown(SERVER, "Result") == "success"
    assert json.loads(ask(units, "/healthz")) == {"status": "ok"}
    assert units.main_pid(SERVER) not in (0, first)
    assert units.run("status", told["id"]).stdout.split("\t")[1] == "pending"
