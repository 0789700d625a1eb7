"""What an operand may be: the limits of all operations, and how a number is written.

Each check takes ``which``, the operand's name in messages (``operand 2 of add``), and raises
:class:`~spoolcalc.errors.BadOperands`.  They read and compute nothing: a text that :func:`number`
lets through is a number to ``int``, ``float`` and ``Decimal`` alike, and never NaN or infinite.
"""

from __future__ import annotations

import re

from spoolcalc.errors import BadOperands, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: A job has at most this many operands,
MAX_OPERANDS = 10_000
#: and they have at most this many characters together.
MAX_TOTAL_CHARACTERS = 1_000_000
#: A text (the operand of an operation that does not take numbers) has at most this many characters.
MAX_TEXT_CHARACTERS = 100_000
#: A number is written in at most this many characters,
MAX_NUMBER_CHARACTERS = 20_000
#: with at most this many digits, leading zeros not counted,
MAX_DIGITS = 10_000
#: and is zero, or between 10 to the power of minus this and 10 to the power of this plus one.
MAX_MAGNITUDE = 10_000

_NUMBER = re.compile(r"[+-]?(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(?:[eE]([+-]?[0-9]{1,7}))?")


def count(operation: str, usage: str, given: int, minimum: int, maximum: int | None) -> None:
    """Refuse too few operands, too many for the operation, and too many for any job."""
    if given > MAX_OPERANDS:
        raise BadOperands(
            f"{given:,} operands were given; a job takes at most {MAX_OPERANDS:,}",
            "Split the work into several jobs.",
        )
    if minimum <= given and (maximum is None or given <= maximum):
        return
    if maximum is None:
        takes = f"at least {_number_of(minimum)}"
    elif minimum == maximum:
        takes = _number_of(minimum)
    else:
        takes = f"{minimum} to {_number_of(maximum)}"
    were_given = {0: "none was given", 1: "1 was given"}.get(given, f"{given:,} were given")
    raise BadOperands(
        f"{operation} takes {takes}, {were_given}", f"Usage: {operation} {usage}".rstrip()
    )


def total(operation: str, operands: Sequence[str]) -> None:
    """Refuse operands that are too long together."""
    characters = sum(map(len, operands))
    if characters > MAX_TOTAL_CHARACTERS:
        raise BadOperands(
            f"the operands of {operation} have {characters:,} characters together; "
            f"a job takes at most {MAX_TOTAL_CHARACTERS:,}",
            "Split the work into several jobs.",
        )


def text(which: str, operand: str) -> None:
    """Refuse a text that is too long, or that no program could be given."""
    if len(operand) > MAX_TEXT_CHARACTERS:
        raise BadOperands(
            f"{which} is {shown(operand)}; at most {MAX_TEXT_CHARACTERS:,} are taken",
            "Pass the name of a file instead.",
        )
    if "\0" in operand:
        raise BadOperands(f"{which} has a NUL character in it: {shown(operand)}")


def number(which: str, operand: str) -> None:
    """Refuse what is not a number, or one beyond the limits."""
    if len(operand) > MAX_NUMBER_CHARACTERS:
        raise BadOperands(
            f"{which} is too long: {shown(operand)}",
            f"A number is written in at most {MAX_NUMBER_CHARACTERS:,} characters.",
        )
    match = _NUMBER.fullmatch(operand)
    if match is None:
        raise BadOperands(
            f"{which} is not a number: {shown(operand)}",
            "A number is written with the digits 0 to 9, like 12, -3, 0.5 or 1e3.",
        )
    whole, fraction = match[1] or "", match[2] or match[3] or ""
    written = whole + fraction
    digits = written.lstrip("0") or "0"
    if len(digits) > MAX_DIGITS:
        raise BadOperands(
            f"{which} has {len(digits):,} digits: {shown(operand)}",
            f"A number has at most {MAX_DIGITS:,} digits.",
        )
    magnitude = int(match[4] or 0) + len(whole) - 1 - (len(written) - len(digits))
    if abs(magnitude) > MAX_MAGNITUDE:
        size = "large" if magnitude > 0 else "small"
        raise BadOperands(
            f"{which} is too {size}: {shown(operand)}",
            f"Numbers go from 1e-{MAX_MAGNITUDE} to 9.99e{MAX_MAGNITUDE}, and zero.",
        )


def _number_of(operands: int) -> str:
    return "1 operand" if operands == 1 else f"{operands:,} operands"
