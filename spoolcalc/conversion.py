"""From an operand's text to a value of a type, or a refusal that says what was expected.

    KINDS[int].convert("operand 1 of f (COUNT)", "12")      12

Every kind refuses by :class:`~spoolcalc.errors.BadOperands`, whose message begins with what the
operand is called.  Numbers are those of the arithmetic (``operands.number``), so that what one
operation takes every other one takes too.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from spoolcalc import operands
from spoolcalc.errors import BadOperands, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: The choices that a message lists.
_LISTED = 20

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Kind(Protocol):
    """A kind of operand: ``expected`` says in a few words what it is."""

    @property
    def expected(self) -> str:
        """What is expected, like ``a whole number``."""

    def convert(self, which: str, operand: str) -> object:
        """Return the value; ``which`` names the operand in a refusal."""


class _Simple:
    """A kind that one function converts."""

    __slots__ = ("convert", "expected")

    def __init__(self, expected: str, convert: Callable[[str, str], object]) -> None:
        self.expected = expected
        self.convert = convert


class Choice:
    """One of some texts, each of which stands for a value."""

    __slots__ = ("expected", "values")

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = values
        listed = list(values)[:_LISTED]
        more = [] if len(values) <= _LISTED else [f"or {len(values) - _LISTED} more"]
        self.expected = "one of " + ", ".join((*map(_choice, listed), *more))

    def convert(self, which: str, operand: str) -> object:
        """Return the value that the text stands for, exactly as it is written."""
        if operand not in self.values:
            raise BadOperands(
                f"{which} is none of its choices: {shown(operand)}", f"It is {self.expected}."
            )
        return self.values[operand]


def choices(values: Iterable[tuple[object, object]]) -> dict[str, object] | None:
    """Return the choices by their texts; None if one is neither a text nor a whole number."""
    found = {}
    for written, value in values:
        if isinstance(written, bool) or not isinstance(written, str | int):
            return None
        found[str(written)] = value
    return found or None


def _choice(text: str) -> str:
    return text if text.isascii() and text.isprintable() and text else shown(text)


def _text(which: str, operand: str) -> str:
    operands.text(which, operand)
    return operand


def _whole(which: str, operand: str) -> int:
    """Return an int; 2.0 and 1e3 are whole, as everywhere in the arithmetic."""
    whole, parts = _decimal(which, operand).as_integer_ratio()
    if parts != 1:
        raise BadOperands(
            f"{which} is not a whole number: {shown(operand)}",
            "A whole number is written like 12, -3 or 1e3.",
        )
    return whole


def _float(which: str, operand: str) -> float:
    operands.number(which, operand)
    value = float(operand)
    too_large = value in (float("inf"), float("-inf"))
    if too_large or (value == 0 and _decimal(which, operand) != 0):
        raise BadOperands(
            f"{which} is too {'large' if too_large else 'small'}: {shown(operand)}",
            "It is computed with as a float: those go from 5e-324 to 1.79e308, and zero.",
        )
    return value


def _decimal(which: str, operand: str) -> Decimal:
    operands.number(which, operand)
    return Decimal(operand)


def _truth(which: str, operand: str) -> bool:
    truth = _WORDS.get(operand.lower()) if operand.isascii() else None
    if truth is None:
        raise BadOperands(
            f"{which} is neither true nor false: {shown(operand)}",
            "Write true, yes or 1, or false, no or 0.",
        )
    return truth


def _path(which: str, operand: str) -> Path:
    operands.text(which, operand)
    if not operand.startswith("/"):
        raise BadOperands(
            f"{which} is not a whole path: {shown(operand)}",
            'Workers run in a directory of their own: write it from the root, like "$PWD/FILE".',
        )
    return Path(operand)


#: The kinds of operands by the types that functions declare.
KINDS: dict[object, Kind] = {
    str: _Simple("any text", _text),
    int: _Simple("a whole number", _whole),
    float: _Simple("a number", _float),
    Decimal: _Simple("a number", _decimal),
    bool: _Simple("true or false", _truth),
    Path: _Simple("a path from the root", _path),
}
