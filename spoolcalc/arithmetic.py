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

Decimals are computed with by methods of our own contexts only: operators would use the context of
the thread, which belongs to somebody else.  Integers become decimals and back without being written
as text, since Python limits the length of that.
"""

from __future__ import annotations

import decimal
import math
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from spoolcalc.definition import Answer, OperationFailed
from spoolcalc.errors import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

#: A result, written out, has at most this many digits.
MAX_RESULT_DIGITS = 100_000
#: A rounded result has at least this many significant digits.
PRECISION = 50
#: Operands of ``gcd`` and of ``lcm``, written out, have at most this many digits together; so their
#: product has no more than a result may have.
MAX_INTEGER_DIGITS = MAX_RESULT_DIGITS
#: A power that may have to be rounded takes numbers of at most this many digits.
MAX_POWER_DIGITS = 1_000
#: The factorial of the next number has more than MAX_RESULT_DIGITS.
MAX_FACTORIAL = 25_205

_ZERO, _ONE, _HALF = Decimal(0), Decimal(1), Decimal("0.5")
#: No number within the limits is a power of this degree, but 0 and 1: even 2**40000 is larger.
_MAX_ROOT = 40_000


def _context(precision: int, *more_traps: type[decimal.DecimalException]) -> Context:
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


_EXACT = _context(MAX_RESULT_DIGITS, decimal.Inexact)
#: For estimates of how large a result will be.
_ROUGH = _context(30)


def _exact(function: Callable[..., Decimal]) -> Callable[..., Answer]:
    def run(*operands: str) -> Answer:
        try:
            return Answer(_plain(function(*map(_EXACT.create_decimal, operands))))
        except decimal.Inexact:  # of which Overflow and Underflow are kinds
            raise _too_long("exact result") from None

    return run


def _rounded(function: Callable[..., Decimal]) -> Callable[..., Answer]:
    def run(*operands: str) -> Answer:
        values = [_EXACT.create_decimal(operand) for operand in operands]
        context = _context(max(PRECISION, *map(_digits, values)))
        value = function(context, *values)
        exact = not context.flags[decimal.Inexact]
        result = _plain(value, "exact result" if exact else "result")
        return Answer(result, exact=exact, precision=None if exact else context.prec)

    return run


def _plain(value: Decimal, what: str = "exact result") -> str:
    """Return the number in plain notation: no exponent, no zero at the end of a fraction."""
    if value.is_zero():
        return "0"
    if abs(value.adjusted()) > MAX_RESULT_DIGITS:
        raise _too_long(what)
    text = format(_EXACT.normalize(value), "f")
    if len(text) - text.count("-") - text.count(".") > MAX_RESULT_DIGITS:
        raise _too_long(what)
    return text


def _too_long(what: str) -> OperationFailed:
    return OperationFailed(f"the {what} has more than {MAX_RESULT_DIGITS:,} digits")


def _digits(value: Decimal) -> int:
    return len(value.as_tuple().digits)


def _exponent(value: Decimal) -> int:
    return value.adjusted() + 1 - _digits(value)


def _is_whole(value: Decimal) -> bool:
    return value == value.to_integral_value(context=_EXACT)


# --- one number, or two ---------------------------------------------------------------------------


def _divide(context: Context, a: Decimal, b: Decimal) -> Decimal:
    if b.is_zero():
        raise OperationFailed("division by zero")
    return context.divide(a, b)


def _divide_whole(a: Decimal, b: Decimal) -> tuple[Decimal, Decimal]:
    """Return the quotient, rounded down like Python's, and the remainder, which has b's sign."""
    if b.is_zero():
        raise OperationFailed("division by zero")
    quotient, remainder = _EXACT.divmod(a, b)
    if not remainder.is_zero() and remainder.is_signed() != b.is_signed():
        return _EXACT.subtract(quotient, _ONE), _EXACT.add(remainder, b)
    return quotient, remainder


def _square_root(context: Context, a: Decimal) -> Decimal:
    if a < _ZERO:
        raise OperationFailed("a negative number has no real square root")
    return context.sqrt(a)


def _to_places(a: Decimal, places: Decimal = _ZERO) -> Decimal:
    if not _is_whole(places):
        raise OperationFailed(f"PLACES of round is a whole number, not {shown(str(places))}")
    if places >= -_exponent(a):
        return a
    if places < -a.adjusted() - 1:  # not even one half of the last place that is kept
        return _ZERO
    return a.quantize(Decimal((0, (1,), -int(places))), context=_context(MAX_RESULT_DIGITS))


def _sign(a: Decimal) -> Decimal:
    return _ZERO if a.is_zero() else _ONE.copy_sign(a)


def _to_whole(rounding: str) -> Callable[[Decimal], Decimal]:
    return lambda a: a.to_integral_value(rounding, _EXACT)


# --- powers ---------------------------------------------------------------------------------------


def _power(context: Context, a: Decimal, b: Decimal) -> Decimal:
    """Return a to the power of b.  Zero to the power of zero is one."""
    a, b = _EXACT.normalize(a), _EXACT.normalize(b)
    if b.is_zero() or a == _ONE:
        return _ONE
    if a.is_zero():
        if b < _ZERO:
            raise OperationFailed("zero to a negative power is a division by zero")
        return _ZERO
    if _is_whole(b):
        return _exact_power(a, b) if b > _ZERO else _whole_power(context, a, b)
    if a < _ZERO:
        raise OperationFailed("a negative number to a fractional power is not a real number")
    _check_size(a, b)
    root = _exact_root(a, b)
    if root is not None:
        return _whole_power(context, *root)
    return _rounded_power(context, a, b)


def _check_size(a: Decimal, b: Decimal) -> None:
    if max(_digits(a), _digits(b)) > MAX_POWER_DIGITS:
        raise OperationFailed(
            f"pow takes numbers of at most {MAX_POWER_DIGITS:,} digits if it may have to round"
        )


def _whole_power(context: Context, a: Decimal, n: Decimal) -> Decimal:
    """Return a to a whole power, rounded once if it has too many digits or is a fraction."""
    try:
        power = _exact_power(a, n.copy_abs())
    except OperationFailed:
        _check_size(a, n)
        size = _rounded_power(context, a.copy_abs(), n)
        return context.minus(size) if a < _ZERO and int(n) % 2 else size
    return power if n > _ZERO else context.divide(_ONE, power)


def _exact_power(a: Decimal, n: Decimal) -> Decimal:
    """Return a to the power of n > 0, unless it has too many digits, which is told in advance."""
    coefficient = _ROUGH.scaleb(a.copy_abs(), -_exponent(a))
    digits = _ROUGH.multiply(_ROUGH.log10(coefficient), n)
    magnitude = _ROUGH.multiply(Decimal(a.adjusted()).copy_abs(), n)
    if max(digits, magnitude) > MAX_RESULT_DIGITS:
        raise _too_long("exact result")
    try:
        return _EXACT.power(a, n)
    except decimal.Inexact:
        raise _too_long("exact result") from None


def _exact_root(a: Decimal, b: Decimal) -> tuple[Decimal, Decimal] | None:
    """Return a whole power, base and exponent, equal to a > 0 to the power of b, or None.

    With b = n / s in lowest terms, the result is a fraction only if a is the s-th power of one,
    of t, and then it is t to the power of n.
    """
    places, exponent = -_exponent(b), _exponent(a)
    if places > 15:  # then s, which is at least 2**places, is too large as well
        return None
    n = int(b.scaleb(places, _EXACT))
    common = math.gcd(n, 10**places)
    s = 10**places // common
    if s > _MAX_ROOT or exponent % s:
        return None
    coefficient = a.scaleb(-exponent, _EXACT)
    wide = _context(_digits(a) // s + 20)
    root = wide.power(coefficient, wide.divide(_ONE, Decimal(s))).to_integral_value(context=wide)
    if _EXACT.power(root, Decimal(s)) != coefficient:
        return None
    return root.scaleb(exponent // s, _EXACT), Decimal(n // common)


def _rounded_power(context: Context, a: Decimal, b: Decimal) -> Decimal:
    """Return a > 0 to the power of b, which is not exact, rounded correctly.

    The library's power may be off in its last digits.  So it is computed with more digits than are
    kept, and if their error could still tip the rounding, with more than twice as many: what lies
    near to the middle between two results leaves it there, at the square of the distance.
    """
    if _ROUGH.multiply(_ROUGH.log10(a), b).copy_abs() > MAX_RESULT_DIGITS:
        raise _too_long("result")
    for extra in (20, 20 + context.prec):
        wide = _context(context.prec + extra)
        near = wide.power(a, b)
        error = Decimal((0, (1,), near.adjusted() - wide.prec + 3))
        low, high = (context.plus(step(near, error)) for step in (wide.subtract, wide.add))
        if low == high:
            break
    return low


# --- many numbers ---------------------------------------------------------------------------------


def _sum(*values: Decimal) -> Decimal:
    total = _ZERO
    for value in values:
        total = _EXACT.add(total, value)
    return total


def _product(*values: Decimal) -> Decimal:
    return _ZERO if _ZERO in values else _in_pairs(_EXACT.multiply, list(values))


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
    return _EXACT.multiply(_EXACT.add(below, above), _HALF)


def _integers(name: str, values: tuple[Decimal, ...]) -> list[int]:
    for position, value in enumerate(values, 1):
        if not _is_whole(value):
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
    if a < _ZERO or not _is_whole(a):
        raise OperationFailed(f"factorial takes a whole number from 0, not {shown(str(a))}")
    if a > MAX_FACTORIAL:
        raise _too_long("exact result")
    return Decimal(math.factorial(int(a)))


FUNCTIONS: dict[str, Callable[..., Answer]] = {
    "add": _exact(_EXACT.add),
    "sub": _exact(_EXACT.subtract),
    "mul": _exact(_EXACT.multiply),
    "div": _rounded(_divide),
    "idiv": _exact(lambda a, b: _divide_whole(a, b)[0]),
    "mod": _exact(lambda a, b: _divide_whole(a, b)[1]),
    "pow": _rounded(_power),
    "neg": _exact(_EXACT.minus),
    "abs": _exact(_EXACT.abs),
    "sign": _exact(_sign),
    "sqrt": _rounded(_square_root),
    "floor": _exact(_to_whole(ROUND_FLOOR)),
    "ceil": _exact(_to_whole(ROUND_CEILING)),
    "trunc": _exact(_to_whole(ROUND_DOWN)),
    "round": _exact(_to_places),
    "min": _exact(lambda *values: min(values)),
    "max": _exact(lambda *values: max(values)),
    "sum": _exact(_sum),
    "product": _exact(_product),
    "mean": _rounded(_mean),
    "median": _exact(_median),
    "gcd": _exact(_greatest_common_divisor),
    "lcm": _exact(_least_common_multiple),
    "factorial": _exact(_factorial),
}
