"""Operations for tests: some that hold on, some that kill, some that are busy.

They run in a child of the worker, so that the worker is their parent.
"""

import os
import signal
import time
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from spoolcalc import Context


def hold(directory: str) -> str:
    """Say in DIRECTORY that it runs, by the worker's id, and go on until a file `go` lies there."""
    place = Path(directory)
    worker = os.getppid()
    (place / f"running.{worker}").touch()
    deadline = time.monotonic() + 60
    while not (place / "go").exists():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody let it go")
        time.sleep(0.005)
    (place / f"ended.{worker}").touch()
    return f"held by {worker}"


def fail(directory: str) -> str:
    """Hold on as `hold` does, and fail."""
    raise ValueError(hold(directory))


def die() -> str:
    """Kill the worker, and go on until that has its effect."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
    return "unreachable"


def crash(how: str) -> str:
    """Kill the process it runs in: HOW is a signal's number, or exit."""
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), int(how))
    return "unreachable"


def spin(rounds: str) -> int:
    """Compute in pure Python for ROUNDS rounds."""
    total = 0
    for number in range(int(rounds)):
        total += number % 7
    return total


def busy(directory: str) -> int:
    """Say in DIRECTORY that it runs, and be busy in C for hours."""
    (Path(directory) / f"running.{os.getppid()}").touch()
    return sum(range(10**13))


def report(directory: str, context: Context) -> str:
    """Report progress again and again until a file `go` lies in DIRECTORY."""
    for number in range(100_000):
        context.progress(0.25, f"round {number} of attempt {context.attempt}")
        if (Path(directory) / "go").exists():
            break
        time.sleep(0.01)
    return context.job_id


def boom(text: str) -> str:
    """Raise an error."""
    raise ValueError(text)


def spawning(max_workers: int) -> ProcessPoolExecutor:
    """Give an executor whose processes are not forked from the worker."""
    return ProcessPoolExecutor(max_workers, mp_context=get_context("spawn"))


def down(max_workers: int) -> Executor:
    """Be an executor whose scheduler cannot be reached, until there is the file that UP names."""
    if not Path(os.environ["UP"]).exists():
        raise ConnectionRefusedError(111, "the scheduler is down")
    return ThreadPoolExecutor(max_workers)


class _Mute(ThreadPoolExecutor):
    def submit(self, *_: object, **__: object) -> Any:
        """Take nothing."""
        raise TimeoutError("the scheduler does not answer")


def mute(max_workers: int) -> Executor:
    """Give an executor that takes no job."""
    return _Mute(max_workers)


class _Broken(ThreadPoolExecutor):
    def submit(self, *_: object, **__: object) -> Any:
        """Be broken."""
        raise BrokenExecutor("a child died early")


def broken(max_workers: int) -> Executor:
    """Give an executor that breaks at once, as often as it is replaced."""
    return _Broken(max_workers)
