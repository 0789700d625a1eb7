"""The built-in arithmetic, over exact decimals.

``FUNCTIONS`` maps the name of each operation to its function, which takes the operands as texts
that :meth:`~spoolcalc.definition.Operation.check` has let through, and returns an
:class:`~spoolcalc.definition.Answer` or raises :class:`~spoolcalc.definition.OperationFailed`.

* Most operations are exact.  They compute in a context that refuses to round: a result of more than
  ``MAX_RESULT_DIGITS`` is a failure, never an approximation.
* ``div``, ``sqrt``, ``mean`` and ``pow`` with a negative or fractional exponent round when they
  have to, half to even, to the digits of the longest operand and at least ``PRECISION``; the answer
  says whether they did.
* Nothing takes longer than about a second, whatever the operands: one call into C cannot be
  interrupted, so the sizes are limited before it is made.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Context, Decimal

from spoolcalc.decimals import (
    EXACT,
    MAX_RESULT_DIGITS,
    ONE,
    ZERO,
    exact,
    exponent_of,
    is_whole,
    new_context,
    rounded,
    too_long,
)
from spoolcalc.definition import OperationFailed
from spoolcalc.errors import shown
from spoolcalc.powers import power

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from spoolcalc.definition import Answer

    T = TypeVar("T")

#: Operands of ``gcd`` and of ``lcm``, written out, have at most this many digits together; so their
#: product has no more than a result may have.
MAX_INTEGER_DIGITS = MAX_RESULT_DIGITS
#: The factorial of the next number has more than MAX_RESULT_DIGITS.
MAX_FACTORIAL = 25_205

_HALF = Decimal("0.5")


# --- one number, or two ---------------------------------------------------------------------------


def _divide(context: Context, a: Decimal, b: Decimal) -> Decimal:
    if b.is_zero():
        raise OperationFailed("division by zero")
    return context.divide(a, b)


def _divide_whole(a: Decimal, b: Decimal) -> tuple[Decimal, Decimal]:
    """Return the quotient, rounded down like Python's, and the remainder, which has b's sign."""
    if b.is_zero():
        raise OperationFailed("division by zero")
    quotient, remainder = EXACT.divmod(a, b)
    if not remainder.is_zero() and remainder.is_signed() != b.is_signed():
        return EXACT.subtract(quotient, ONE), EXACT.add(remainder, b)
    return quotient, remainder


def _square_root(context: Context, a: Decimal) -> Decimal:
    if a < ZERO:
        raise OperationFailed("a negative number has no real square root")
    return context.sqrt(a)


def _to_places(a: Decimal, places: Decimal = ZERO) -> Decimal:
    if not is_whole(places):
        raise OperationFailed(f"PLACES of round is a whole number, not {shown(str(places))}")
    if places >= -exponent_of(a):
        return a
    if places < -a.adjusted() - 1:  # not even one half of the last place that is kept
        return ZERO
    return a.quantize(Decimal((0, (1,), -int(places))), context=new_context(MAX_RESULT_DIGITS))


def _sign(a: Decimal) -> Decimal:
    return ZERO if a.is_zero() else ONE.copy_sign(a)


def _to_whole(rounding: str) -> Callable[[Decimal], Decimal]:
    return lambda a: a.to_integral_value(rounding, EXACT)


# --- many numbers ---------------------------------------------------------------------------------


def _sum(*values: Decimal) -> Decimal:
    total = ZERO
    for value in values:
        total = EXACT.add(total, value)
    return total


def _product(*values: Decimal) -> Decimal:
    return ZERO if ZERO in values else _in_pairs(EXACT.multiply, list(values))


def _in_pairs(combine: Callable[[T, T], T], row: list[T]) -> T:
    """Combine in pairs, then the results in pairs: long numbers meet as late as they can."""
    while len(row) > 1:
        odd_one_out = row[-1:] if len(row) % 2 else []
        row = [*map(combine, row[::2], row[1::2]), *odd_one_out]
    return row[0]


def _mean(context: Context, *values: Decimal) -> Decimal:
    return context.divide(_sum(*values), Decimal(len(values)))


def _median(*values: Decimal) -> Decimal:
    ordered = sorted(values)
    below, above = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return EXACT.multiply(EXACT.add(below, above), _HALF)


def _integers(name: str, values: tuple[Decimal, ...]) -> list[int]:
    for position, value in enumerate(values, 1):
        if not is_whole(value):
            raise OperationFailed(
                f"{name} takes whole numbers, and operand {position} is {shown(str(value))}"
            )
    if sum(max(value.adjusted(), 0) + 1 for value in values) > MAX_INTEGER_DIGITS:
        raise OperationFailed(
            f"{name} takes numbers of at most {MAX_INTEGER_DIGITS:,} digits together"
        )
    return [int(value) for value in values]


def _greatest_common_divisor(*values: Decimal) -> Decimal:
    return Decimal(math.gcd(*_integers("gcd", values)))


def _least_common_multiple(*values: Decimal) -> Decimal:
    return Decimal(_in_pairs(math.lcm, [1, *_integers("lcm", values)]))


def _factorial(a: Decimal) -> Decimal:
    if a < ZERO or not is_whole(a):
        raise OperationFailed(f"factorial takes a whole number from 0, not {shown(str(a))}")
    if a > MAX_FACTORIAL:
        raise too_long("exact result")
    return Decimal(math.factorial(int(a)))


FUNCTIONS: dict[str, Callable[..., Answer]] = {
    "add": exact(EXACT.add),
    "sub": exact(EXACT.subtract),
    "mul": exact(EXACT.multiply),
    "div": rounded(_divide),
    "idiv": exact(lambda a, b: _divide_whole(a, b)[0]),
    "mod": exact(lambda a, b: _divide_whole(a, b)[1]),
    "pow": rounded(power),
    "neg": exact(EXACT.minus),
    "abs": exact(EXACT.abs),
    "sign": exact(_sign),
    "sqrt": rounded(_square_root),
    "floor": exact(_to_whole(ROUND_FLOOR)),
    "ceil": exact(_to_whole(ROUND_CEILING)),
    "trunc": exact(_to_whole(ROUND_DOWN)),
    "round": exact(_to_places),
    "min": exact(lambda *values: min(values)),
    "max": exact(lambda *values: max(values)),
    "sum": exact(_sum),
    "product": exact(_product),
    "mean": rounded(_mean),
    "median": exact(_median),
    "gcd": exact(_greatest_common_divisor),
    "lcm": exact(_least_common_multiple),
    "factorial": exact(_factorial),
}
