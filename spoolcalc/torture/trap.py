"""A stand-in for the module ``os`` in our doors, by which a process kills itself at a system call.

The call is counted, and at the chosen one the process is gone: right before it, or right after it
was carried out.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any

from spoolcalc import files, reading

if TYPE_CHECKING:
    from spoolcalc.torture.journal import Journal

#: Functions of ``os`` that ask the system for nothing.
_PURE = frozenset({"strerror", "fspath", "fsencode", "fsdecode", "urandom", "getpid", "geteuid"})


class Trap:
    """Kills this process at the system call number ``at`` of those that go through the doors."""

    def __init__(self, at: int, journal: Journal, *, after: bool) -> None:
        self._left = at
        self._journal = journal
        self._after = after

    def set(self) -> None:
        """Have all calls of the doors counted, and those by which filelock takes locks."""
        locking = [module for name, module in sys.modules.items() if name.startswith("filelock.")]
        for module in (files, reading, *locking):
            if vars(module).get("os") is os:
                vars(module)["os"] = self

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name in _PURE or not isinstance(real, BuiltinFunctionType | FunctionType):
            return real

        def call(*args: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left:
                return real(*args, **options)
            self._journal.note("dies", "after" if self._after else "before", name)
            if self._after:
                with suppress(OSError):
                    real(*args, **options)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError("alive after SIGKILL")

        return call
