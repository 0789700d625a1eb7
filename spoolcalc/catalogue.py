"""What operations there are, each with all that a person wants to know of it.

It loads every package that offers one; a package that is broken is an entry with an error, and
stops nobody from reading about the others.
"""

from __future__ import annotations

from spoolcalc import operations, plugins
from spoolcalc.errors import UnknownOperation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spoolcalc.declare import Parameter
    from spoolcalc.definition import Operation


class Entry:
    """An operation as the catalogue has it.

    ``package`` and ``version`` are those of the package it comes from; ``package`` is None for a
    built-in one, and empty where the package did not leave its name.  ``usage``, ``help``, ``doc``
    (the whole docstring) and ``parameters`` (None: not declared one by one) are those of the
    operation; where it does not load, they are empty and ``error`` says why.
    """

    __slots__ = ("doc", "error", "help", "name", "package", "parameters", "usage", "version")

    def __init__(self, name: str, operation: Operation | None, error: str | None = None) -> None:
        self.name = name
        self.error = error
        self.package, self.version = _origin(name)
        self.usage = self.help = self.doc = ""
        self.parameters: Sequence[Parameter] | None = None
        if operation is not None:
            self.usage, self.help, self.doc = operation.usage, operation.help, operation.help
            self._describe(operation)

    def _describe(self, operation: Operation) -> None:
        if operations.is_built_in(self.name):
            return
        from spoolcalc.declare import Declared

        if isinstance(operation, Declared):
            self.doc = operation.doc
            self.parameters = operation.parameters


def entries() -> Iterator[Entry]:
    """Yield all operations, by name."""
    for name in operations.names():
        try:
            yield Entry(name, operations.get(name))
        except UnknownOperation as error:
            yield Entry(name, None, error.message)


def entry(name: str) -> Entry:
    """Return one operation; raises :class:`~spoolcalc.errors.UnknownOperation`."""
    return Entry(name, operations.get(name))


def _origin(name: str) -> tuple[str | None, str | None]:
    if operations.is_built_in(name):
        return None, None
    return plugins.package(name) or ("", None)
