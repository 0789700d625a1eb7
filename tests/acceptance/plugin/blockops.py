"""Operations for tests: one that holds its worker, one that kills it, one that marks its runs."""

import os
import signal
import time
from pathlib import Path


def hold(directory: str) -> str:
    """Say in DIRECTORY that it runs, by process id, and go on until a file `go` lies there."""
    place = Path(directory)
    (place / f"running.{os.getpid()}").touch()
    deadline = time.monotonic() + 60
    while not (place / "go").exists():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody let it go")
        time.sleep(0.005)
    (place / f"ended.{os.getpid()}").touch()
    return f"held by {os.getpid()}"


def die() -> str:
    """Kill the worker."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreachable"


def boom(text: str) -> str:
    """Raise an error."""
    raise ValueError(text)
