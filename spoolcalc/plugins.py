"""The operations of installed packages.

A package adds operations with entry points of the group ``spoolcalc.operations``.  The name of the
entry point is the name of the operation; it loads an
:class:`~spoolcalc.Operation` of that name, decorated or made by hand, or a plain function, which
becomes one.  Of two packages that offer one name, the first on the path wins.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager, redirect_stdout, suppress

from spoolcalc.definition import Operation
from spoolcalc.errors import UnknownOperation, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoint

#: The group of entry points in which packages offer operations.
GROUP = "spoolcalc.operations"

_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")

#: The entry points by name, once they were looked for.
_found: dict[str, EntryPoint] | None = None


class Unlisted(Exception):
    """What is installed cannot be listed; the message says why, in one line."""


def points() -> dict[str, EntryPoint]:
    """Return the installed entry points by name.  Raises :class:`Unlisted`."""
    global _found  # noqa: PLW0603 - listing takes long, and what is installed does not change
    if _found is None:
        try:
            from importlib.metadata import entry_points

            found = list(entry_points(group=GROUP))
        except Exception as error:
            raise Unlisted(
                f"the operations of installed packages cannot be listed: {_reason(error)}"
            ) from error
        usable = [point for point in found if _NAME.fullmatch(point.name)]
        _found = {point.name: point for point in reversed(usable)}
    return _found


def load(name: str) -> Operation | None:
    """Return the operation that a package offers under that name; None if none does.

    Raises :class:`~spoolcalc.errors.UnknownOperation` if it does not load, and :class:`Unlisted`.
    """
    point = points().get(name) if _NAME.fullmatch(name) else None
    if point is None:
        return None
    try:
        with _stdout_kept():
            return _as_operation(point.name, point.load())
    except (Exception, SystemExit) as error:
        raise UnknownOperation(
            f"the operation {shown(point.name)} cannot be loaded from {shown(point.value)}: "
            f"{_reason(error)}",
            "Repair or uninstall the package that offers it; other operations are not affected.",
        ) from error


def package(name: str) -> tuple[str, str] | None:
    """Return the name and version of the package that offers an operation, if that is known."""
    point = points().get(name)
    if point is None or point.dist is None:
        return None
    return point.dist.name, point.dist.version


@contextmanager
def _stdout_kept() -> Iterator[None]:
    """Have what a package says as it is imported go to stderr: stdout has the answer, alone."""
    kept = -1
    with suppress(OSError):
        kept = os.dup(1)
        os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if kept >= 0:
            os.dup2(kept, 1)
            os.close(kept)


def _as_operation(name: str, loaded: object) -> Operation:
    if not isinstance(loaded, Operation):
        from spoolcalc.declare import declared

        return declared(name, loaded)
    if loaded.name != name:
        raise TypeError(f"it loads an operation of another name, {shown(loaded.name)}")
    return loaded


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
