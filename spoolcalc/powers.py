"""Powers of decimals: exact where they can be, and otherwise rounded correctly.

One call into C cannot be interrupted, so how large a result will be is estimated before it is made.
"""

from __future__ import annotations

import decimal
import math
from decimal import Context, Decimal

from spoolcalc.decimals import (
    EXACT,
    MAX_RESULT_DIGITS,
    ONE,
    ROUGH,
    ZERO,
    digits_of,
    exponent_of,
    is_whole,
    new_context,
    too_long,
)
from spoolcalc.definition import OperationFailed

#: A power that may have to be rounded takes numbers of at most this many digits.
MAX_POWER_DIGITS = 1_000

#: No number within the limits is a power of this degree, but 0 and 1: even 2**40000 is larger.
_MAX_ROOT = 40_000


def power(context: Context, a: Decimal, b: Decimal) -> Decimal:
    """Return a to the power of b.  Zero to the power of zero is one."""
    a, b = EXACT.normalize(a), EXACT.normalize(b)
    if b.is_zero() or a == ONE:
        return ONE
    if a.is_zero():
        if b < ZERO:
            raise OperationFailed("zero to a negative power is a division by zero")
        return ZERO
    if is_whole(b):
        return _exact_power(a, b) if b > ZERO else _whole_power(context, a, b)
    if a < ZERO:
        raise OperationFailed("a negative number to a fractional power is not a real number")
    _check_size(a, b)
    root = _exact_root(a, b)
    if root is not None:
        return _whole_power(context, *root)
    return _rounded_power(context, a, b)


def _check_size(a: Decimal, b: Decimal) -> None:
    if max(digits_of(a), digits_of(b)) > MAX_POWER_DIGITS:
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
        return context.minus(size) if a < ZERO and int(n) % 2 else size
    return power if n > ZERO else context.divide(ONE, power)


def _exact_power(a: Decimal, n: Decimal) -> Decimal:
    """Return a to the power of n > 0, unless it has too many digits, which is told in advance."""
    coefficient = ROUGH.scaleb(a.copy_abs(), -exponent_of(a))
    digits = ROUGH.multiply(ROUGH.log10(coefficient), n)
    magnitude = ROUGH.multiply(Decimal(a.adjusted()).copy_abs(), n)
    if max(digits, magnitude) > MAX_RESULT_DIGITS:
        raise too_long("exact result")
    try:
        return EXACT.power(a, n)
    except decimal.Inexact:
        raise too_long("exact result") from None


def _exact_root(a: Decimal, b: Decimal) -> tuple[Decimal, Decimal] | None:
    """Return a whole power, base and exponent, equal to a > 0 to the power of b, or None.

    With b = n / s in lowest terms, the result is a fraction only if a is the s-th power of one,
    of t, and then it is t to the power of n.
    """
    places, exponent = -exponent_of(b), exponent_of(a)
    if places > 15:  # then s, which is at least 2**places, is too large as well
        return None
    n = int(b.scaleb(places, EXACT))
    common = math.gcd(n, 10**places)
    s = 10**places // common
    if s > _MAX_ROOT or exponent % s:
        return None
    coefficient = a.scaleb(-exponent, EXACT)
    wide = new_context(digits_of(a) // s + 20)
    root = wide.power(coefficient, wide.divide(ONE, Decimal(s))).to_integral_value(context=wide)
    if EXACT.power(root, Decimal(s)) != coefficient:
        return None
    return root.scaleb(exponent // s, EXACT), Decimal(n // common)


def _rounded_power(context: Context, a: Decimal, b: Decimal) -> Decimal:
    """Return a > 0 to the power of b, which is not exact, rounded correctly.

    The library's power may be off in its last digits.  So it is computed with more digits than are
    kept, and if their error could still tip the rounding, with more than twice as many: what lies
    near to the middle between two results leaves it there, at the square of the distance.
    """
    if ROUGH.multiply(ROUGH.log10(a), b).copy_abs() > MAX_RESULT_DIGITS:
        raise too_long("result")
    for extra in (20, 20 + context.prec):
        wide = new_context(context.prec + extra)
        near = wide.power(a, b)
        error = Decimal((0, (1,), near.adjusted() - wide.prec + 3))
        low, high = (context.plus(step(near, error)) for step in (wide.subtract, wide.add))
        if low == high:
            break
    return low
