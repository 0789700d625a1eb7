"""The units of one spool on a machine, as ``spool unit --install`` wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spoolcalc import State, lookup
from spoolcalc.layout import Layout
from spoolcalc.systemd import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from subprocess import CompletedProcess

    from system.machine import Machine

WORK, DRAIN = "spool-work@{}.service", "spool-drain.service"


class Installation:
    """``spool`` is the spool's path on the machine."""

    def __init__(self, machine: Machine, spool: str, user: str = "spool") -> None:
        self.machine = machine
        self.spool = spool
        self.user = user

    @property
    def layout(self) -> Layout:
        """The spool as the host sees it; only to look at, because files would be root's."""
        return Layout(f"{self.machine.root}{self.spool}")

    def install(self) -> None:
        """Write the units and have them read."""
        said = self.run("unit", "--install", user="root").stdout
        for name in NAMES:
            assert f"/etc/systemd/system/{name}\n" in said
        self.systemctl("daemon-reload")
        self.forget_journal()

    def forget_journal(self) -> None:
        """Let the journal begin here."""
        self._since = self.machine.run("date", "+@%s.%6N").stdout.strip()

    def make(self) -> None:
        """Have the spool made."""
        self.start(DRAIN)
        assert self.shown(DRAIN, "Result") == "success"
        self.systemctl("stop", DRAIN)

    def remove(self) -> None:
        """Stop everything and remove the units and their drop-ins."""
        self.machine.run("systemctl", "stop", "spool-*.timer", "spool-*.path", "spool-*.socket")
        self.machine.run("systemctl", "kill", "-s", "KILL", "spool-*.service", check=False)
        self.machine.run("systemctl", "stop", "spool-*.service")
        self.machine.run("sh", "-c", "rm -rf /etc/systemd/system/*spool-* /etc/systemd/system/*/")
        self.systemctl("daemon-reload")
        self.machine.run("systemctl", "reset-failed")

    def run(
        self, *arguments: str, user: str | None = None, check: bool = True, text: str | None = None
    ) -> CompletedProcess[str]:
        """Run ``spool`` on the machine, on this spool."""
        command = ("spool", "--spool", self.spool, *arguments)
        return self.machine.run(*command, user=user or self.user, check=check, input=text)

    def submit(self, *arguments: str) -> str:
        """Submit a job and return its id."""
        return self.run("submit", *arguments).stdout.strip()

    def submit_lines(self, lines: Iterable[str]) -> list[str]:
        """Submit a job for each line, and return their ids."""
        said = self.run("submit", "--from", "-", text="".join(f"{line}\n" for line in lines))
        return [line.split("\t")[0] for line in said.stdout.splitlines()]

    def systemctl(self, *arguments: str) -> str:
        """Ask the service manager."""
        return self.machine.run("systemctl", *arguments).stdout

    def start(self, *units: str) -> None:
        """Start units."""
        self.systemctl("start", *units)

    def drop_in(self, unit: str, *lines: str) -> None:
        """Change a unit."""
        directory = self.machine.etc / "systemd" / "system" / f"{unit}.d"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "test.conf").write_text("".join(f"{line}\n" for line in lines))
        self.systemctl("daemon-reload")

    def shown(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def main_pid(self, unit: str) -> int:
        """Return the process id of a service, 0 if it has none, on the machine."""
        return int(self.shown(unit, "MainPID"))

    def journal(self, unit: str, *options: str) -> list[str]:
        """Return what the journal holds of a unit, since it was written."""
        # not --after-cursor: with a second filter, journalctl 252 leaves out what comes first
        since = f"--since={self._since}"
        asked = ("journalctl", "--quiet", "--output=cat", f"--unit={unit}", since, *options)
        return self.machine.run(*asked).stdout.splitlines()

    def states(self) -> dict[str, State]:
        """Return the state of each job, at a moment when nothing moves."""
        walked = ((state, lookup.walk(self.layout, state)) for state in State)
        return {job_id: state for state, found in walked for _, job_id, _ in found}

    def number(self, state: State) -> int:
        """Return how many jobs are in a state."""
        return lookup.count(self.layout, state)

    def document(self, job_id: str) -> dict[str, Any]:
        """Return a job's document, wherever it is; empty while it moves."""
        for path in Path(self.layout.root).glob(f"*/*/{job_id}.json"):
            try:
                document: dict[str, Any] = json.loads(path.read_text())
            except FileNotFoundError:
                continue
            return document
        return {}

    def ends(self, job_id: str) -> Sequence[str]:
        """Return how each attempt of a job has ended."""
        return [attempt["end"] for attempt in self.document(job_id).get("attempts", [])]
