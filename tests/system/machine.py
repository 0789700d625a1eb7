"""A machine to run services on: a container whose first process is the host's own systemd.

Its file system is made afresh in memory; ``/usr`` is the host's, read-only, with ``spool`` and a
stand-in for sendmail added.  Nothing of the host's services is touched, nothing is left behind, and
when the tests die, so does the machine.
"""

from __future__ import annotations

import compileall
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import spoolcalc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What takes longer than this (seconds) hangs.
HANGS = 60.0
#: Where the programs are, in the machine.
PREFIX = "/opt/spool"
PYTHON = f"{PREFIX}/bin/python3"
#: Where the installed packages that spool needs are, in the machine.
PACKAGES = "/opt/packages"
#: Where each mail is a file.
MAILS = "/var/mails"

_CGROUPS = Path("/sys/fs/cgroup")
_SPOOL = f"#!{PYTHON}\nfrom spoolcalc.entry import main\nmain()\n"
_SENDMAIL = f"#!/bin/sh\nexec cat > {MAILS}/$$.$(date +%s%N)\n"
#: Enters control groups of its own before it becomes the container.
_ENTER = 'for group in $GROUPS_TO_ENTER; do echo $$ > "$group/cgroup.procs"; done; exec "$@"'


class Machine:
    """One machine, from :meth:`boot` to :meth:`destroy`; ``place`` is for its files on the host."""

    def __init__(self, place: Path) -> None:
        self.name = f"spool-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.etc = place / "etc"
        self._place = place
        self._groups = _own_groups(self.name)
        self._leader = 0

    @property
    def root(self) -> str:
        """Its root directory, as the host sees it."""
        return f"/proc/{self._leader}/root"

    def boot(self) -> None:
        """Start it, and return when it is up."""
        self.etc.mkdir(parents=True)
        (self.etc / "machine-id").write_text(uuid.uuid4().hex + "\n")  # else nobody knows it
        for name in ("alternatives", "pam.d", "security"):
            shutil.copytree(f"/etc/{name}", self.etc / name)
        for group in self._groups:
            group.mkdir()
        alone = [] if Path("/run/systemd/system").exists() else ["--keep-unit"]
        with (self._place / "console").open("wb") as console:
            self._nspawn = subprocess.Popen(
                [
                    *("sh", "-c", _ENTER, "sh", "setpriv", "--pdeathsig", "KILL"),
                    *("systemd-nspawn", "--quiet", "--boot", "--console=pipe", *alone),
                    *(f"--machine={self.name}", "--register=no", "--link-journal=no"),
                    *("--private-network", "--resolv-conf=off", "--timezone=off"),
                    *("--directory=/", "--volatile=yes", f"--bind={self.etc}:/etc"),
                    *self._programs(),
                ],
                env={**os.environ, "GROUPS_TO_ENTER": " ".join(map(str, self._groups))},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        self._leader = int(self._await(self._first_process))
        self._await(lambda: self.state() == "running")
        for path in reversed(Path(sys.base_prefix).parents):  # of root's home, it may be
            Path(f"{self.root}{path}").chmod(0o755)
        self.run("mkdir", "-m", "1777", MAILS)
        user = ("--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin")
        self.run("useradd", *user, "spool")

    def run(
        self,
        *command: str,
        user: str = "root",
        check: bool = True,
        environment: dict[str, str] | None = None,
        input: str | None = None,  # noqa: A002 - as in subprocess
        timeout: float = HANGS,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on it to its end, with stdout and stderr as one."""
        enter = ["nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--net"]
        switch = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        given = {"PATH": f"{PREFIX}/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "HOME": "/"}
        pairs = [f"{name}={value}" for name, value in {**given, **(environment or {})}.items()]
        ended = subprocess.run(
            [*enter, "--pid", "--", *switch, "env", "--chdir=/", "-i", *pairs, *command],
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check:
            assert ended.returncode == 0, f"{command}: {ended.returncode}\n{ended.stdout}"
        return ended

    def state(self) -> str:
        """Return what its service manager says of the whole."""
        return self.run("systemctl", "is-system-running", check=False).stdout.strip()

    def mails(self) -> list[str]:
        """Return all mails that were sent on it."""
        return [path.read_text() for path in sorted(Path(f"{self.root}{MAILS}").iterdir())]

    def destroy(self) -> None:
        """Have its power fail, and remove what is left."""
        if self._leader:
            with suppress(ProcessLookupError):
                os.kill(self._leader, signal.SIGKILL)
        try:
            self._nspawn.wait(HANGS)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()
        for group in self._groups:
            for directory, _, _ in os.walk(group, topdown=False):
                with suppress(OSError):
                    os.rmdir(directory)

    def _programs(self) -> Iterator[str]:
        """Make what is added to the machine's programs; yield the options that add it."""
        usr, prefix = self._place / "usr", self._place / "prefix"
        _write(usr / "sbin" / "sendmail", _SENDMAIL)
        yield f"--overlay-ro=/usr:{usr}:/usr"
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = prefix / "lib" / version / "site-packages"
        shutil.copytree(Path(spoolcalc.__file__).parent, packages / "spoolcalc")
        compileall.compile_dir(packages, quiet=2)
        _write(packages / "packages.pth", f"{PACKAGES}\n")
        _write(prefix / "pyvenv.cfg", f"home = {sys.base_prefix}/bin\n")
        _write(prefix / "bin" / "spool", _SPOOL)
        (prefix / "bin" / "python3").symlink_to(f"{sys.base_prefix}/bin/{version}")
        yield f"--bind-ro={prefix}:{PREFIX}"
        yield f"--bind-ro={sysconfig.get_path('purelib')}:{PACKAGES}"
        if not Path(sys.base_prefix).is_relative_to("/usr"):
            yield f"--bind-ro={sys.base_prefix}"

    def _first_process(self) -> str:
        """Return the process id of the machine's systemd, empty before it runs."""
        with suppress(OSError):
            pid = self._nspawn.pid
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    return child
        return ""

    def _await(self, look: Callable[[], str | bool]) -> str | bool:
        deadline = time.monotonic() + HANGS
        while not (seen := look()):
            up = self._nspawn.poll() is None and time.monotonic() < deadline
            assert up, f"the machine is not up: {(self._place / 'console').read_text()}"
            time.sleep(0.02)
        return seen


def _own_groups(name: str) -> list[Path]:
    """Return the control groups to make for a machine, where no service manager does it."""
    if Path("/run/systemd/system").exists():
        return []
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS / name]
    return [_CGROUPS / kind / name for kind in ("systemd", "unified") if (_CGROUPS / kind).exists()]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
