"""Exact decimals: the contexts they are computed in, and functions of them made operations.

:func:`exact` and :func:`rounded` make of a function of decimals what an operation runs: it takes
the operands as texts and returns an :class:`~spoolcalc.definition.Answer`.

Decimals are computed with by methods of our own contexts only: operators would use the context of
the thread, which belongs to somebody else.  Integers become decimals and back without being written
as text, since Python limits the length of that.
"""

from __future__ import annotations

import decimal
from decimal import ROUND_HALF_EVEN, Context, Decimal

from spoolcalc.definition import Answer, OperationFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: A result, written out, has at most this many digits.
MAX_RESULT_DIGITS = 100_000
#: A rounded result has at least this many significant digits.
PRECISION = 50

ZERO, ONE = Decimal(0), Decimal(1)


def new_context(precision: int, *more_traps: type[decimal.DecimalException]) -> Context:
    """Return a context of so many digits, in which nothing goes wrong in silence."""
    return Context(
        prec=precision,
        rounding=ROUND_HALF_EVEN,
        Emin=decimal.MIN_EMIN,
        Emax=decimal.MAX_EMAX,
        capitals=1,
        clamp=0,
        flags=[],
        traps=[
            decimal.InvalidOperation,
            decimal.DivisionByZero,
            decimal.Overflow,
            decimal.Underflow,
            *more_traps,
        ],
    )


EXACT = new_context(MAX_RESULT_DIGITS, decimal.Inexact)
#: For estimates of how large a result will be.
ROUGH = new_context(30)


def exact(function: Callable[..., Decimal]) -> Callable[..., Answer]:
    """Make an operation of a function that never rounds."""

    def run(*operands: str) -> Answer:
        try:
            return Answer(plain_notation(function(*map(EXACT.create_decimal, operands))))
        except decimal.Inexact:  # of which Overflow and Underflow are kinds
            raise too_long("exact result") from None

    return run


def rounded(function: Callable[..., Decimal]) -> Callable[..., Answer]:
    """Make an operation of a function that may round in the context it is given first."""

    def run(*operands: str) -> Answer:
        values = [EXACT.create_decimal(operand) for operand in operands]
        context = new_context(max(PRECISION, *map(digits_of, values)))
        value = function(context, *values)
        exact = not context.flags[decimal.Inexact]
        result = plain_notation(value, "exact result" if exact else "result")
        return Answer(result, exact=exact, precision=None if exact else context.prec)

    return run


def plain_notation(value: Decimal, what: str = "exact result") -> str:
    """Return the number in plain notation: no exponent, no zero at the end of a fraction."""
    if value.is_zero():
        return "0"
    if abs(value.adjusted()) > MAX_RESULT_DIGITS:
        raise too_long(what)
    text = format(EXACT.normalize(value), "f")
    if len(text) - text.count("-") - text.count(".") > MAX_RESULT_DIGITS:
        raise too_long(what)
    return text


def too_long(what: str) -> OperationFailed:
    """Return the failure to be raised for a result of too many digits."""
    return OperationFailed(f"the {what} has more than {MAX_RESULT_DIGITS:,} digits")


def digits_of(value: Decimal) -> int:
    """Return how many digits a number has, zeros at its end that are written included."""
    return len(value.as_tuple().digits)


def exponent_of(value: Decimal) -> int:
    """Return the power of ten of a number's last digit."""
    return value.adjusted() + 1 - digits_of(value)


def is_whole(value: Decimal) -> bool:
    """Tell whether a number has no fraction."""
    return value == value.to_integral_value(context=EXACT)
