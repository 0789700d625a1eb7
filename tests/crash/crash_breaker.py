"""A stand-in for the module ``os`` in the package's doors, which breaks at one system call.

All that the package does to a spool goes through ``spoolcalc.files`` and ``spoolcalc.reading``, but
for taking a lock, which filelock does; so the stand-in is put there too.  To count its calls is to
count every step at which a process can be killed or refused.  What it does at the one that is to be
broken:

    count       nothing; only the calls are noted
    before      SIGKILL instead of the call
    after       SIGKILL right after the call was carried out
    torn        a write (or read) of half the bytes, and then SIGKILL
    short       a write or read of half the bytes, which is no error: the caller has to go on
    ENOSPC ...  the call is not carried out, and this is the error
    half        a write of half the bytes, and then ENOSPC
    full        from this call on ENOSPC for all that needs space on the disk
    meanwhile   something else takes place, and then the call
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import contextmanager, suppress
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any, NoReturn

import filelock  # noqa: F401 - loads the modules that are broken

from spoolcalc import events, files, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The modules in which it stands in for ``os``: our doors, and all there is of filelock.
_BROKEN = (
    files,
    reading,
    *(module for name, module in sys.modules.items() if name.startswith("filelock.")),
)
#: Functions of ``os`` that ask the system for nothing that could be refused.
_PURE = frozenset({"strerror", "fspath", "fsencode", "fsdecode", "urandom", "getpid", "geteuid"})
#: Calls that change something; after any other all is as before it.
CHANGING = frozenset(
    {
        "chmod",
        "chown",
        "fchmod",
        "fsync",
        "link",
        "mkdir",
        "open",
        "rename",
        "rmdir",
        "unlink",
        "utime",
        "write",
    }
)
#: Calls that need space on the disk, ``open`` only where it makes a file.
NEEDING_SPACE = frozenset({"fsync", "link", "mkdir", "open", "write"})


class Breaker:
    """Counts the calls that go through it and breaks number ``at``, or the first ``when`` picks."""

    def __init__(
        self,
        what: str,
        at: int = 0,
        *,
        when: Callable[[str, tuple[Any, ...]], bool] | None = None,
        tell: Callable[[str], object] = lambda _: None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        self.what = what
        self.at = at
        self.calls: list[str] = []
        self.broken: str | None = None
        self._when = when
        self._tell = tell
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name in _PURE or not isinstance(real, BuiltinFunctionType):
            return real

        def call(*args: Any, **options: Any) -> Any:
            return self._call(name, real, args, options)

        return call

    def _call(
        self, name: str, real: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        self.calls.append(name)
        here = len(self.calls) == self.at if self._when is None else self._when(name, args)
        if here and self.broken is None and self.what != "count":
            self.broken = f"{self.what} call {len(self.calls)}, {name}{_shown(args)}"
            self._tell(f"broken {self.broken}")
            return self._break(name, real, args, options)
        if self.what == "full" and self.broken is not None and _needs_space(name, args):
            _refuse(args, errno.ENOSPC)
        return real(*args, **options)

    def _break(
        self, name: str, real: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """Do what is to be done at the call that was picked."""
        if self.what == "before":
            _die()
        if self.what == "meanwhile":
            self._meanwhile()
        if self.what in ("torn", "half", "short") and name in ("write", "read"):
            args = (args[0], _half(args[1]))
        elif self.what == "full":
            if _needs_space(name, args):
                _refuse(args, errno.ENOSPC)
        elif hasattr(errno, self.what):
            if name == "close":
                real(*args, **options)  # the descriptor is gone, whatever close() answers
            _refuse(args, getattr(errno, self.what))
        if self.what in ("after", "torn"):
            with suppress(OSError):
                kept = [real(*args, **options)]  # Python complains of a listing dropped unclosed
                _die(*kept)
            _die()
        done = real(*args, **options)
        if self.what == "half":
            _refuse((), errno.ENOSPC)
        return done


@contextmanager
def breaking(breaker: Breaker) -> Iterator[None]:
    """Let all system calls of the package go through ``breaker``, as of a new process."""
    events._newest = "", 0  # what this one has told of so far
    modules = [vars(module) for module in _BROKEN if vars(module).get("os") is os]
    assert vars(files) in modules
    assert vars(reading) in modules
    for names in modules:
        names["os"] = breaker
    try:
        yield
    finally:
        for names in modules:
            names["os"] = os


def _die(*kept: object) -> NoReturn:
    """Be killed, with ``kept`` still held."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("alive after SIGKILL")


def _refuse(args: tuple[Any, ...], number: int) -> NoReturn:
    """Raise what the real call would: it names the paths it was given, and no descriptors."""
    paths = [argument for argument in args if isinstance(argument, str)]
    if len(paths) == 2:
        raise OSError(number, os.strerror(number), paths[0], None, paths[1])
    raise OSError(number, os.strerror(number), *paths)


def _needs_space(name: str, args: tuple[Any, ...]) -> bool:
    if name == "open":
        return bool(args[1] & os.O_CREAT)
    return name in NEEDING_SPACE


def _half(argument: Any) -> Any:
    """Return half of what is to be written, or half the number of bytes to be read."""
    return argument // 2 if isinstance(argument, int) else argument[: len(argument) // 2]


def _shown(args: tuple[Any, ...]) -> str:
    return "(" + ", ".join(repr(a) if isinstance(a, str | int) else "..." for a in args) + ")"
