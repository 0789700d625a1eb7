"""The processes that are at it: forked, killed, waited for.  None outlives this one."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from spoolcalc import files, orphans
from spoolcalc.torture.journal import Journal
from spoolcalc.torture.trap import Trap

if TYPE_CHECKING:
    from collections.abc import Callable

    #: What a process does; it ends by itself at its time.
    Act = Callable[[Journal], object]

#: A process that is to kill itself does so at one of its first so many system calls.
FIRST, LAST = 5, 3_000
_INTERRUPTS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


class Stage:
    """A directory with a spool and journals, and who is at it; for one thread."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.spool = f"{home}/spool"
        self.journals = f"{home}/journals"
        files.make_directory(self.journals, 0o700)
        self.journal = Journal(self.journals, "conductor")
        self.roles: dict[int, str] = {}

    def start(self, role: str, act: Act, *, trapped: bool = False) -> int:
        """Fork a process that does ``act``; ``trapped``: it kills itself at some system call."""
        parent = os.getpid()
        # An interrupt in the middle would be lost with the hooks of a fork, or the process would.
        signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
        try:
            pid = os.fork()
            if pid == 0:
                _perform(parent, self.journals, role, act, trapped=trapped)
            self.roles[pid] = role
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
        return pid

    def kill(self, pid: int) -> None:
        """Kill a process, noted before it happens."""
        self.journal.note("kills", pid)
        self.send(pid, signal.SIGKILL)

    def send(self, pid: int, number: int) -> None:
        """Send a signal to a process that may have ended."""
        if pid in self.roles:  # not waited for yet, so that its number is still its own
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def reap(self) -> list[tuple[str, int]]:
        """Return the role and the status of each process that has ended."""
        ended = []
        for pid in list(self.roles):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                ended.append((self.roles.pop(pid), status))
        return ended

    def wait(self, until: float) -> None:
        """Wait until all have ended, and kill those that have not at that time."""
        while self.roles and time.monotonic() < until:
            self.reap()
            time.sleep(0.01)
        self.end()

    def end(self) -> None:
        """Kill all that are left."""
        for pid in list(self.roles):
            self.kill(pid)
            os.waitpid(pid, 0)
            del self.roles[pid]


def _perform(parent: int, journals: str, role: str, act: Act, *, trapped: bool) -> None:
    """Be the process; never returns."""
    code = 70
    try:
        orphans.die_with(parent)
        for number in _INTERRUPTS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        random.seed(os.urandom(8))
        journal = Journal(journals, role)
        journal.note("begins")
        if trapped:
            at = int(FIRST * (LAST / FIRST) ** random.random())
            Trap(at, journal, after=random.random() < 0.5).set()
        try:
            act(journal)
            code = 0
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is evidence
            journal.note("failed", f"{type(error).__name__}:", " ".join(str(error).split()))
        journal.note("ends", code)
    finally:
        sys.stderr = None  # nothing is said any more
        os._exit(code)
