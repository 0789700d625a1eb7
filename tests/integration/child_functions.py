"""Functions that tests have run in a child process; some of them behave badly."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from spoolcalc import child

SLEEP = ["sleep", "1000"]


class Demanding(Exception):
    """An exception that can be pickled, and not be made again from that."""

    def __init__(self, first: object, second: object) -> None:
        super().__init__(f"{first} and {second}")


def add(first: int, second: int) -> int:
    return first + second


def pid() -> int:
    return os.getpid()


def raise_value_error() -> None:
    raise ValueError("so it is")


def raise_demanding() -> None:
    raise Demanding("one", "two")


def raise_system_exit() -> None:
    sys.exit(3)


def give_function() -> object:
    return lambda: None


def exit_with(code: int) -> None:
    os._exit(code)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def say(*messages: object) -> str:
    for message in messages:
        child.send(message)
    return "said"


def print_and_read() -> str:
    print("this must not disturb")
    os.write(1, b"nor must this")
    return sys.stdin.read()


def start_others(hold: str = "") -> list[int]:
    """Start one process in our group and one in a session of its own; hold on if asked to."""
    started = [
        subprocess.Popen(SLEEP).pid,
        subprocess.Popen(SLEEP, start_new_session=True).pid,
    ]
    child.send(started)
    while hold:
        time.sleep(1)
    return started


def leave_thread() -> int:
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    return os.getpid()


def ignore_sigterm(shown: str) -> None:
    """Ignore SIGTERM, show that by making a file, and go on for ever."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(shown).touch()
    while True:
        time.sleep(1)


def tidy_up(shown: str) -> None:
    """Show that it runs by making a file, and remove that in the end."""
    try:
        Path(shown).touch()
        time.sleep(1000)
    finally:
        time.sleep(0.05)
        Path(shown).unlink()


def swallow(shown: str) -> None:
    """Take no notice of being told to end."""
    for _ in range(2):
        with suppress(BaseException):
            Path(shown).touch()
            time.sleep(1000)


def swallow_once(shown: str) -> str:
    """Take what tells it to end for a reason to return."""
    with suppress(BaseException):
        Path(shown).touch()
        time.sleep(1000)
    return "all the same"


def end_a_fork() -> int:
    """Return how a process ended that was forked, and told to end once it ran."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writer, b"!")
        time.sleep(1000)
    os.read(reader, 1)
    os.kill(pid, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def busy_sum(shown: str) -> int:
    Path(shown).touch()
    return sum(range(10**12))


def busy_power(shown: str) -> int:
    Path(shown).touch()
    return int(pow(7**100_000, 1_000_000))


def busy_pattern(shown: str) -> bool:
    Path(shown).touch()
    return re.match("(a*)*b", "a" * 60) is not None


def mark() -> str | None:
    return os.environ.get("SPOOL_WORKER")
