"""Nothing that was started for a job outlives its worker: how processes are found and killed.

Three nets, each for what slips through the one before it:

- :func:`die_with` has the kernel kill a process when its parent dies, whatever it is doing;
- :func:`adopt` makes a process the parent of all its descendants that lose theirs, however they
  tried to get away (``setsid``, a double fork), so that :func:`kill_descendants` finds them all;
- :func:`kill_marked` kills every process of this host that carries a worker's mark in its
  environment.  A guardian (``GUARD``) kills what it guards by itself when its worker dies: it is
  let finish before it is killed too.

A process is killed through a descriptor of it, and looked at again once that is open, so that a
process id that was given to another process meanwhile harms nobody.  A process that was sent a
SIGKILL runs none of its own instructions any more, and cannot fork.

Not promised: a process that took the mark out of its environment, *and* whose guardian was killed
too, is not found; nor is one of another user.  Anywhere but on Linux (5.3), nothing is found.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Every process that is started for a job has this in its environment: its worker's name.
MARK = "SPOOL_WORKER"
#: A guardian has this in its own, and not MARK.
GUARD = "SPOOL_GUARDIAN"
#: How long (seconds) guardians may take to kill what they guard.
PATIENCE = 1.0
#: How often at most all processes are looked through again; each time something was found.
LOOKS = 100

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_EXITING, _KERNEL_THREAD = 0x4, 0x200000


def die_with(parent: int, by: int = signal.SIGKILL) -> None:
    """Have this process sent the signal ``by`` when the thread of ``parent`` that started it ends.

    It is sent it at once if ``parent`` has gone before the kernel was asked.
    """
    _prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:
        os.kill(os.getpid(), by)


def bind_forks() -> None:
    """Have each process that a main thread forks die with it; for this process, and for good.

    What this one forks obeys signals as any process does, not as this one; a Ctrl-C on the terminal
    is this one's business.  What another thread forks would die with that thread, and is let be.
    """
    import ctypes
    import threading

    own, forking, main = os.getpid(), 0, False
    with suppress(AttributeError):
        ctypes.CDLL(None).prctl  # noqa: B018 - looked up now: a child had better load nothing

    def before() -> None:
        nonlocal forking, main
        forking, main = os.getpid(), threading.current_thread() is threading.main_thread()

    def in_child() -> None:
        if main:
            die_with(forking)
        if forking == own:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    os.register_at_fork(before=before, after_in_child=in_child)


def adopt() -> None:
    """Become the parent of each descendant whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children() -> list[int]:
    """Return the processes whose parent this one is, dead ones that nobody waited for included."""
    own = str(os.getpid())
    try:
        found = _read(f"/proc/self/task/{own}/children").split()
        for thread in os.listdir("/proc/self/task"):
            with suppress(OSError):  # the thread has ended: another has its children
                found += (
                    [] if thread == own else _read(f"/proc/self/task/{thread}/children").split()
                )
        return list(map(int, found))
    except FileNotFoundError:  # a kernel that was built without these files
        return [pid for pid in _processes() if _parent_of(pid) == int(own)]


def kill_descendants(seconds: float) -> int:
    """Kill all processes below this one, which called :func:`adopt`; return how many there were.

    Each round kills the children; what they had started becomes a child by that.  It ends when
    there is no child any more, or after ``seconds``: what hangs in the kernel dies later.
    """
    killed = 0
    deadline = time.monotonic() + seconds
    pause = 0.0005
    while True:
        for pid in children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                killed += os.WIFSIGNALED(ended[1]) and os.WTERMSIG(ended[1]) == signal.SIGKILL
        except ChildProcessError:
            return killed
        if time.monotonic() > deadline:
            return killed
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def kill_marked(worker: str) -> int:
    """Kill all that was started for ``worker``'s jobs, once that is dead; return how many."""
    guardians = _Search({GUARD: worker})
    guardians.look()
    try:
        _wait_for(guardians.found, PATIENCE)
    finally:
        guardians.close()
    return kill_carrying({MARK: worker}) + kill_carrying({GUARD: worker})


def kill_carrying(variables: Mapping[str, str]) -> int:
    """Kill every process that has all of ``variables`` in its environment; return how many.

    A process may fork behind its back and end, so that it looks at what is new until there is
    nothing of that kind, and none that ended before it was looked at.  This process is spared.
    """
    search = _Search(variables)
    killed = 0
    try:
        for _ in range(LOOKS):
            missed = search.look()
            for descriptor in search.found[killed:]:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            if not missed and killed == len(search.found):
                break
            _wait_for(search.found[killed:], PATIENCE)
            killed = len(search.found)
    finally:
        search.close()
    return killed


class _Search:
    """Looks for processes that carry ``variables``; ``found`` are their descriptors."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.found: list[int] = []
        self._wanted = {os.fsencode(f"{name}={value}") for name, value in variables.items()}
        self._seen = {os.getpid()}

    def look(self) -> bool:
        """Look at all processes that are new; True if one had ended by then."""
        missed = False
        if not hasattr(os, "pidfd_open"):
            return missed
        for pid in set(_processes()) - self._seen:
            self._seen.add(pid)
            environment = _environment(pid)
            if environment is None:
                missed = True
            elif self._wanted <= environment:
                missed = not self._take(pid) or missed
        return missed

    def close(self) -> None:
        """Let go of what was found."""
        for descriptor in self.found:
            os.close(descriptor)

    def _take(self, pid: int) -> bool:
        """Get hold of a process; False if it has ended, and its number may be another's."""
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return False
        if self._wanted <= (_environment(pid) or set()):
            self.found.append(descriptor)
            return True
        os.close(descriptor)
        return False


def signal_name(number: int) -> str:
    """Return what a signal is called: ``SIGKILL``, or ``signal 40``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []


def _parent_of(pid: int) -> int:
    try:
        return int(_read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _environment(pid: int) -> set[bytes] | None:
    """Return what stands in a process's environment, nothing if that is forbidden; None: it ended.

    In the middle of ``execve`` a process seems to have none; it is waited for.
    """
    for _ in range(LOOKS):
        try:
            environment = _read(f"/proc/{pid}/environ")
            if environment:
                return set(environment.split(b"\0"))
            fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        except PermissionError:
            return set()
        except OSError:
            return None
        state, flags, end_of_environment = fields[0], int(fields[6]), int(fields[48])
        if state in b"ZX" or flags & _EXITING:
            return None
        if flags & _KERNEL_THREAD or end_of_environment:
            break
        time.sleep(0.0005)
    return set()


def _wait_for(descriptors: Sequence[int], seconds: float) -> None:
    """Wait until all of these processes have ended, at most ``seconds``."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    left = len(descriptors)
    deadline = time.monotonic() + seconds
    while left and (rest := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(rest * 1000):
            poll.unregister(descriptor)
            left -= 1


def _read(path: str) -> bytes:
    """Return what a file of the kernel's holds."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while more := os.read(descriptor, 65536):
            data += more
        return data
    finally:
        os.close(descriptor)


def _prctl(option: int, value: int) -> None:
    """Set an attribute of this process; where there is no prctl, do without."""
    import ctypes

    with suppress(AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
