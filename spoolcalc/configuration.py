"""The table of all settings, and how each is read from where it is written.

    from_file         spool.toml: TOML, one key a setting
    from_environment  SPOOL_TIMEOUT=10m
    from_program      Spool(path, settings={"timeout": 600})

Each returns the values and where they come from, by name.  Whoever can write the file decides for
all users of the spool, so that it must be the spool owner's or root's and nobody else's to write.
"""

from __future__ import annotations

import math
import os
import re
import stat
import tomllib
from difflib import get_close_matches

from spoolcalc import reading
from spoolcalc.document import MAX_DOCUMENT
from spoolcalc.errors import BadSettings, UsageError, shown
from spoolcalc.job import (
    DEFAULT_BACKOFF,
    DEFAULT_LEASE,
    LONGEST_TIME,
    MAX_CRASHES,
    MOST_CRASHES,
    SHORTEST_LEASE,
)
from spoolcalc.options import MOST_RETRIES
from spoolcalc.units import seconds, size, written_duration, written_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from spoolcalc.settings import Settings

    #: Values, and where each comes from, by the setting's name.
    Found = dict[str, tuple[float, str]]

BUILT_IN = "built in"
_TIMES = '"30s", "10m" or "2d"'
_LARGEST_SIZE = float(1 << 62)


class Kind:
    """How a setting is written: from ``least`` to ``most``, or ``never`` for no limit at all."""

    __slots__ = ("_least", "_like", "_most", "_read", "_times", "default", "never", "written")

    def __init__(
        self,
        read: Callable[[str], float],
        written: Callable[[float], str],
        default: float,
        span: tuple[float, float],
        like: str,
        never: str = "",
    ) -> None:
        self._read = read
        self._like = like
        self._times = written is written_duration
        self._least, self._most = span
        self.default = default
        self.never = never
        self.written = written

    def parse(self, value: object) -> float:
        """Return a value that was written as a text or a number; raises UsageError."""
        if self.never and value == self.never:
            return math.inf
        if isinstance(value, str):
            number = self._read(value)
        elif type(value) is int or (type(value) is float and self._times):
            number = float(value) if self._times else value
        else:
            raise UsageError(f"it cannot be {_kind(value)}", self._example())
        if not self._least <= number <= self._most:
            span = f"from {self.written(self._least)} to {self.written(self._most)}"
            raise UsageError(f"it cannot be {shown(str(value))}", f"It goes {span}.")
        return number

    def show(self, value: float) -> str:
        """Return a value as it may be written."""
        return self.never if value == math.inf else self.written(value)

    def _example(self) -> str:
        also = f', or "{self.never}"' if self.never else ""
        return f"Write it like {self._like}{also}."


def _whole(text: str) -> int:
    if re.fullmatch("[0-9]{1,12}", text, re.ASCII) is None:
        raise UsageError(f"not a whole number: {shown(text)}", "Write it like 10.")
    return int(text)


def _duration(default: float, least: float = 0.0, never: str = "") -> Kind:
    return Kind(seconds, written_duration, default, (least, LONGEST_TIME), _TIMES, never)


def _count(default: float, least: int, most: int, never: str = "") -> Kind:
    return Kind(_whole, lambda number: f"{number:.0f}", default, (least, most), "10", never)


def _size(default: float, most: float) -> Kind:
    return Kind(size, written_size, default, (0 if default == 0 else 1, most), '"64K" or "10M"')


_LONG_NUMBER = re.compile(r"[0-9_]{4300,}")

#: Every setting, in the order in which they are shown.
SETTINGS: dict[str, Kind] = {
    "timeout": _duration(math.inf, 0.001, "none"),
    "retries": _count(0, 0, MOST_RETRIES),
    "backoff": _duration(DEFAULT_BACKOFF),
    "max_crashes": _count(MAX_CRASHES, 1, MOST_CRASHES),
    "lease": _duration(DEFAULT_LEASE, SHORTEST_LEASE),
    "keep_retrieved": _duration(0.0, never="forever"),
    "keep_completed": _duration(math.inf, never="forever"),
    "keep_failed": _duration(math.inf, never="forever"),
    "max_document": _size(MAX_DOCUMENT, MAX_DOCUMENT),
    "max_pending": _count(math.inf, 0, 1_000_000_000, "none"),
    "min_free": _size(0, _LARGEST_SIZE),
}


def from_file(path: str, data: bytes, status: os.stat_result) -> Found:
    """Return what the file at ``path`` says; raises :class:`~spoolcalc.errors.BadSettings`."""
    _refuse_strangers(path, status)
    try:
        text = data.decode("utf-8")
        written = tomllib.loads(text)
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise BadSettings(path, number, f"it is not UTF-8 (byte {error.start})") from error
    except (ValueError, RecursionError) as error:  # bad TOML, or a number of too many digits
        reason, line = _told(error, text)
        raise BadSettings(path, line, reason) from error
    found: Found = {}
    for name, value in written.items():
        line = _line_of(name, text)
        kind = SETTINGS.get(name)
        if kind is None:
            reason = f"there is no setting {shown(name)}"
            raise BadSettings(path, line, reason, _nearest(name))
        try:
            found[name] = kind.parse(value), f"{path}, line {line}"
        except UsageError as error:
            raise BadSettings(path, line, f"{name}: {error.message}", error.hint) from error
    return found


def from_environment(named: Mapping[str, str]) -> Found:
    """Return what variables say, given by the names of their settings; raises UsageError."""
    found: Found = {}
    for name, text in named.items():
        variable = f"SPOOL_{name.upper()}"
        try:
            found[name] = SETTINGS[name].parse(text), variable
        except UsageError as error:
            raise UsageError(f"{variable}: {error.message}", error.hint) from error
    return found


def from_program(given: Mapping[str, object]) -> Found:
    """Return what a program has set; None leaves a setting alone.  Raises UsageError."""
    found: Found = {}
    for name, value in given.items():
        if name not in SETTINGS:
            raise UsageError(f"there is no setting {shown(name)}", _nearest(name))
        if value is not None:
            try:
                found[name] = SETTINGS[name].parse(value), "the program"
            except UsageError as error:
                raise UsageError(f"{name}: {error.message}", error.hint) from error
    return found


def entries(settings: Settings) -> Iterator[tuple[str, float, str, str]]:
    """Yield each setting: its name, its value (infinity: no limit), as written, where it is from.

    What is built in is among them.
    """
    for name, kind in SETTINGS.items():
        value = getattr(settings, name)
        value = kind.default if value is None else value
        yield name, value, kind.show(value), settings.origins.get(name, BUILT_IN)


def _refuse_strangers(path: str, status: os.stat_result) -> None:
    top = reading.status(os.path.dirname(path))
    owner = status.st_uid if top is None else top.st_uid
    if status.st_uid not in (0, owner):
        reason = f"it belongs to user {status.st_uid}, and the spool to user {owner}"
        hint = "Only the spool's owner and root set anything for all. Remove it, or: chown"
        raise BadSettings(path, None, reason, f"{hint} {owner} {path}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        reason = f"others may write to it (mode {stat.S_IMODE(status.st_mode):04o})"
        raise BadSettings(path, None, reason, f"Look at what it says, then: chmod go-w {path}")


def _told(error: Exception, text: str) -> tuple[str, int | None]:
    """Return what is wrong with the TOML, and in which line."""
    reason = str(error) or type(error).__name__
    if type(error) is ValueError and (number := _LONG_NUMBER.search(text)):  # Python's own limit
        return "a number of too many digits", text.count("\n", 0, number.start()) + 1
    place = re.search(r" \(at line (\d+), column (\d+)\)$", reason)
    if place is not None:
        return reason[: place.start()], int(place[1])
    at_end = reason.endswith(" (at end of document)")
    return reason, text.rstrip("\n").count("\n") + 1 if at_end else None


def _line_of(name: str, text: str) -> int | None:
    """Return the line in which a key is written, as far as a look at the lines can tell."""
    key = re.compile(rf"\s*\[*\s*[\"']?{re.escape(name)}[\"']?\s*[=.\]]")
    lines = enumerate(text.splitlines(), 1)
    return next((number for number, line in lines if key.match(line)), None)


def _nearest(name: str) -> str:
    near = get_close_matches(name, SETTINGS, 1)
    meant = f"Did you mean {near[0]}? " if near else ""
    return f"{meant}There are {', '.join(SETTINGS)}."


def _kind(value: object) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number with a fraction"}
    kinds |= {list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or a time")
