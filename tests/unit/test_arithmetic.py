"""The arithmetic, held against Python's integers and fractions."""

from __future__ import annotations

import decimal
import math
import random
import re
import statistics
import sys
import time
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from spoolcalc.arithmetic import FUNCTIONS
from spoolcalc.operations import Answer, OperationFailed, get

PLAIN = re.compile(r"0|-?(?:[1-9][0-9]*|(?:0|[1-9][0-9]*)\.[0-9]*[1-9])")
TOO_LONG = "^the exact result has more than 100,000 digits$"

quick = settings(deadline=None)


@st.composite
def written(draw: st.DrawFn) -> str:
    """Return a number as somebody may write it."""
    digits = "0123456789"
    whole = draw(st.text(digits, max_size=25))
    fraction = draw(st.text(digits, min_size=0 if whole else 1, max_size=25))
    point = "." if fraction or draw(st.booleans()) else ""
    exponent = draw(st.sampled_from(["", "", "e3", "E+12", "e-7", "e-0", "e40"]))
    return draw(st.sampled_from(["", "", "-", "+"])) + whole + point + fraction + exponent


numbers = written()
several = st.lists(written(), min_size=1, max_size=12)
integers = st.integers(-(10**40), 10**40)


def run(name: str, *operands: object) -> Answer:
    answer = get(name).run([str(operand) for operand in operands])
    assert PLAIN.fullmatch(answer.result), answer.result[:100]
    assert answer.exact == (answer.precision is None)
    return answer


def exact(name: str, *operands: object) -> Fraction:
    answer = run(name, *operands)
    assert answer.exact
    return value(answer.result)


def value(text: str) -> Fraction:
    return Fraction(Decimal(text))


def digits(text: str) -> int:
    return len(Decimal(text).as_tuple().digits)


def bounds(answer: Answer) -> tuple[Fraction, Fraction]:
    """Return between what the true value lies if the answer is rounded as it says."""
    assert answer.precision is not None
    middle = value(answer.result)
    half = Fraction(10) ** (Decimal(answer.result).adjusted() - answer.precision + 1) / 2
    assert digits(answer.result) <= max(
        answer.precision, Decimal(answer.result).adjusted() + 1
    )  # zeros before the point are written, but not significant
    return middle - half, middle + half


def fails(message: str, name: str, *operands: object) -> None:
    with pytest.raises(OperationFailed, match=message) as caught:
        run(name, *operands)
    assert "\n" not in str(caught.value)


# --- exact operations -----------------------------------------------------------------------------


@given(numbers, numbers)
@example("0.1", "0.2")
@quick
def test_sums_differences_and_products_are_exact(a: str, b: str) -> None:
    assert exact("add", a, b) == value(a) + value(b)
    assert exact("sub", a, b) == value(a) - value(b)
    assert exact("mul", a, b) == value(a) * value(b)


@given(numbers, numbers)
@example("-7", "2")
@example("7", "-2")
@example("-6", "2")
@example("-0.1", "1e40")
@quick
def test_whole_division_rounds_down_and_the_remainder_makes_up_for_it(a: str, b: str) -> None:
    assume(value(b) != 0)
    quotient, remainder = exact("idiv", a, b), exact("mod", a, b)
    assert quotient * value(b) + remainder == value(a)
    assert quotient == value(a) // value(b)
    assert remainder == value(a) % value(b)


@given(numbers)
@quick
def test_operations_on_one_number(a: str) -> None:
    assert exact("neg", a) == -value(a)
    assert exact("abs", a) == abs(value(a))
    assert exact("floor", a) == math.floor(value(a))
    assert exact("ceil", a) == math.ceil(value(a))
    assert exact("trunc", a) == math.trunc(value(a))
    assert exact("round", a) == round(value(a))
    assert exact("sign", a) == (value(a) > 0) - (value(a) < 0)


@given(numbers, st.integers(-60, 60))
@example("2.5", 0)
@example("5", -1)
@example("5.1", -1)
@example("15", -1)
@example("0.00", 0)
@quick
def test_rounding_to_places(a: str, places: int) -> None:
    assert exact("round", a, places) == round(value(a), places)


@given(several)
@quick
def test_operations_on_many_numbers(operands: list[str]) -> None:
    values = [value(operand) for operand in operands]
    assert exact("sum", *operands) == sum(values)
    assert exact("product", *operands) == math.prod(values)
    assert exact("min", *operands) == min(values)
    assert exact("max", *operands) == max(values)
    assert exact("median", *operands) == statistics.median(values)


@given(st.lists(integers, min_size=1, max_size=8))
@example([0])
@example([0, 0])
@example([-4])
@example([0, 6])
@quick
def test_common_divisors_and_multiples(operands: list[int]) -> None:
    assert exact("gcd", *operands) == math.gcd(*operands)
    assert exact("lcm", *operands) == math.lcm(*operands)


@pytest.mark.parametrize("a", [0, 1, 2, 20, 1000])
def test_factorials(a: int) -> None:
    assert run("factorial", a).result == str(math.factorial(a))


@given(numbers)
@quick
def test_a_result_can_be_an_operand_and_stays_as_it_is(a: str) -> None:
    once = run("max", a).result
    assert value(once) == value(a)
    assert run("max", once).result == once


@pytest.mark.parametrize(
    ("job", "result"),
    [
        ("add 12 23", "35"),
        ("add 0.1 0.2", "0.3"),
        ("add 0.5 0.5", "1"),
        ("mul 1e3 1", "1000"),
        ("mul 1e-3 1", "0.001"),
        ("mul -1 0", "0"),
        ("neg 0", "0"),
        ("max -0.00", "0"),
        ("max 0e9999", "0"),
        ("ceil -0.5", "0"),
        ("max 007", "7"),
        ("max 5.", "5"),
        ("max -.50", "-0.5"),
        ("max 1200", "1200"),
        ("round -0.4", "0"),
        ("round 1 3", "1"),
        ("round 1e3 1e10000", "1000"),
        ("round 9.9e9999 -1e10000", "0"),
        ("gcd 2.0 1e1", "2"),
        ("median 3 1 2", "2"),
        ("product 3", "3"),
    ],
)
def test_results_are_written_plainly(job: str, result: str) -> None:
    assert run(*job.split()).result == result


def test_thousands_of_digits_are_exact_though_python_limits_their_conversion() -> None:
    assert sys.get_int_max_str_digits() == 4300
    nines = "9" * 9_000
    assert run("add", nines, "1").result == "1" + "0" * 9_000
    assert run("mul", nines, nines).result == "9" * 8_999 + "8" + "0" * 8_999 + "1"
    assert run("gcd", nines, nines).result == nines
    assert run("lcm", nines, "9").result == nines
    assert len(run("factorial", "2000").result) == 5_736
    assert len(run("pow", "2", "20000").result) == 6_021


# --- rounded operations ---------------------------------------------------------------------------


@given(numbers, numbers)
@example("1", "3")
@example("1", "4")
@example("2", "3e40")
@quick
def test_quotients_are_exact_or_correctly_rounded(a: str, b: str) -> None:
    assume(value(b) != 0)
    answer = run("div", a, b)
    if answer.exact:
        assert value(answer.result) == value(a) / value(b)
    else:
        low, high = bounds(answer)
        assert low <= value(a) / value(b) <= high
        assert answer.precision == max(50, digits(a), digits(b))


@given(several)
@quick
def test_means_are_exact_or_correctly_rounded(operands: list[str]) -> None:
    mean = sum(map(value, operands)) / len(operands)
    answer = run("mean", *operands)
    if answer.exact:
        assert value(answer.result) == mean
    else:
        low, high = bounds(answer)
        assert low <= mean <= high
        assert answer.precision == max(50, *map(digits, operands))


@given(numbers)
@example("2")
@example("4")
@example("1e-7")
@quick
def test_square_roots_are_exact_or_correctly_rounded(a: str) -> None:
    assume(value(a) >= 0)
    answer = run("sqrt", a)
    if answer.exact:
        assert value(answer.result) ** 2 == value(a)
    else:
        low, high = bounds(answer)
        assert low**2 <= value(a) <= high**2


@given(numbers)
@quick
def test_the_square_root_of_a_square_is_exact(a: str) -> None:
    square = run("mul", a, a).result
    assert exact("sqrt", square) == abs(value(a))


@pytest.mark.parametrize(
    ("job", "result", "precision"),
    [
        ("div 1 4", "0.25", None),
        ("div 1 3", "0." + "3" * 50, 50),
        ("div 2 3", "0." + "6" * 49 + "7", 50),
        ("div 1e60 3", "3" * 50 + "0" * 10, 50),
        ("div " + "1" * 61 + " 7", None, 61),
        ("div 1 " + "3" * 70, None, 70),
        ("div 0 7", "0", None),
        ("mean 1 2", "1.5", None),
        ("mean 1 1 2", "1." + "3" * 49, 50),
        ("sqrt 1e10000", "1" + "0" * 5_000, None),
        ("sqrt 0", "0", None),
        ("sqrt -0", "0", None),
        ("pow 9 -0.5", "0." + "3" * 50, 50),
    ],
)
def test_an_answer_says_to_how_many_digits_it_was_rounded(
    job: str, result: str | None, precision: int | None
) -> None:
    answer = run(*job.split())
    assert answer.precision == precision
    assert result is None or answer.result == result


# --- powers ---------------------------------------------------------------------------------------


@given(numbers, st.integers(0, 60))
@example("0", 0)
@quick
def test_whole_powers_are_exact(a: str, n: int) -> None:
    assert exact("pow", a, n) == value(a) ** n


@given(numbers, st.integers(1, 30))
@quick
def test_inverse_powers_are_exact_or_correctly_rounded(a: str, n: int) -> None:
    assume(value(a) != 0)
    answer = run("pow", a, -n)
    if answer.exact:
        assert value(answer.result) == value(a) ** -n
    else:
        low, high = bounds(answer)
        assert low <= value(a) ** -n <= high


EXPONENTS = st.sampled_from(["0.5", "-0.5", "1.5", "0.2", "-0.4", "2.25", "0.125", "0.75", "-1.2"])


@given(numbers, EXPONENTS)
@example("1." + "0" * 48 + "3", "0.5")  # just below the middle between two results
@example("1." + "0" * 48 + "3", "1.5")  # just above it
@example("40", "0.5")  # 2 squared, and half a ten
@example("1e-7", "0.2")
@quick
def test_fractional_powers_are_exact_or_correctly_rounded(a: str, b: str) -> None:
    assume(value(a) > 0)
    answer = run("pow", a, b)
    n, s = value(b).as_integer_ratio()
    if answer.exact:
        assert value(answer.result) ** s == value(a) ** n
    else:
        low, high = bounds(answer)
        assert max(low, Fraction(0)) ** s <= value(a) ** n <= high**s


@given(st.integers(1, 10**9), st.integers(-30, 30), EXPONENTS)
@example(2, 0, "0.2")
@example(10, 3, "-0.4")
@quick
def test_a_power_that_is_a_fraction_is_exact(digits: int, exponent: int, b: str) -> None:
    n, s = value(b).as_integer_ratio()
    power = Decimal(run("pow", f"{digits}e{exponent}", s).result)
    answer = run("pow", power, b)
    true = value(f"{digits}e{exponent}") ** n
    assert value(answer.result) == true if n > 0 else bounds_or_exact(answer, true)


def bounds_or_exact(answer: Answer, true: Fraction) -> bool:
    if answer.exact:
        return value(answer.result) == true
    low, high = bounds(answer)
    return low <= true <= high


@pytest.mark.parametrize(
    ("job", "result"),
    [
        ("pow -1 1e10000", "1"),
        ("pow -1 " + "9" * 10_000, "-1"),
        ("pow 1 0.3", "1"),
        ("pow 0 0.5", "0"),
        ("pow 0 1e10000", "0"),
        ("pow 1e4 1e2", "1" + "0" * 400),
        ("pow -2 -3", "-0.125"),
        ("pow 1e-5000 -0.5", "1" + "0" * 2_500),
        ("pow 1024 0.1", "2"),
        ("pow 7 1e-9999", "1"),  # rounded
        ("pow 10 99999", "1" + "0" * 99_999),
        ("pow 0.1 99999", "0." + "0" * 99_998 + "1"),
    ],
)
def test_powers_at_the_edges(job: str, result: str) -> None:
    assert run(*job.split()).result == result


def test_a_power_too_long_to_be_inverted_exactly_is_rounded() -> None:
    """1.0001 to the power of 30000 has 120,001 digits; the same numbers, inverted, have 50."""
    fails(TOO_LONG, "pow", "1.0001", 30_000)
    answer = run("pow", "1.0001", -30_000)
    low, high = bounds(answer)
    assert answer.precision == 50
    assert low <= Fraction(10_000, 10_001) ** 30_000 <= high
    assert run("pow", "-1.0001", -30_000).result == answer.result
    assert run("pow", "-1.0001", -30_001).result.startswith("-0.0497895575345901644911")
    assert not run("pow", "1.0201", "50000.5").exact  # 1.01 to the power of 100001


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("div 1 0", "division by zero"),
        ("div 0 0", "division by zero"),
        ("idiv 1 -0.0", "division by zero"),
        ("mod 1 0", "division by zero"),
        ("pow 0 -1", "zero to a negative power is a division by zero"),
        ("pow 0 -0.5", "zero to a negative power is a division by zero"),
        ("pow -8 0.5", "a negative number to a fractional power is not a real number"),
        ("sqrt -1", "a negative number has no real square root"),
        ("round 1 0.5", "PLACES of round is a whole number, not '0.5'"),
        ("gcd 1 1.5", "gcd takes whole numbers, and operand 2 is '1.5'"),
        ("lcm 1e-3", "lcm takes whole numbers, and operand 1 is '0.001'"),
        ("factorial -1", "factorial takes a whole number from 0, not '-1'"),
        ("factorial 1.5", "factorial takes a whole number from 0, not '1.5'"),
        ("gcd 1." + "1" * 99, f"gcd takes whole numbers, and operand 1 is '1.{'1' * 37}..."),
    ],
)
def test_what_has_no_result_says_why(job: str, message: str) -> None:
    fails("^" + re.escape(message), *job.split())


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "job",
    [
        "pow 10 100000",
        "pow 0.1 100000",
        "pow 0.5 100000",
        "pow 10 -100000",
        "pow 2 332193",
        "pow 7 1e10000",
        "pow -1.5 1e10000",
        "pow 1.1 99999",
        "factorial 25206",
        "factorial 1e10000",
        "product" + " 1e10000" * 10,
        "product" + " 1e10000" * 10_000,
        "product" + " 1e-10000" * 10,
        "product" + f" {'9' * 10_000}" * 11,
        "product" + f" 1.{'9' * 9_999}" * 11,  # would fit if it were rounded
    ],
)
def test_an_exact_result_beyond_the_limit_is_a_failure(job: str) -> None:
    fails(TOO_LONG, *job.split())


@pytest.mark.parametrize(
    ("job", "length"),
    [
        ("pow 2 332192", 100_000),
        ("factorial 25205", 99_996),
        ("product" + " 1e9999" * 10 + " 1e9", 100_000),
        ("product" + f" {'9' * 10_000}" * 10, 100_000),
        ("product" + " 1e10000" * 1_000 + " 1e-10000" * 1_000, 1),
        ("product" + f" {'9' * 10_000}" * 20 + " 0", 1),
        ("add 9e10000 9e-10000", 20_002),
        ("idiv 1e10000 3e-10000", 20_000),
    ],
)
def test_an_exact_result_within_the_limit_is_exact(job: str, length: int) -> None:
    assert len(run(*job.split()).result) == length


def test_a_rounded_result_beyond_the_limit_is_a_failure() -> None:
    for operands in (("7", "-1e10000"), ("1e10000", "10.5"), ("1e10000", "-10.5")):
        fails("^the result has more than 100,000 digits$", "pow", *operands)


def test_a_power_that_may_be_rounded_takes_a_thousand_digits() -> None:
    message = "^pow takes numbers of at most 1,000 digits if it may have to round$"
    assert run("pow", "1." + "1" * 999, "0.3").precision == 1_000
    fails(message, "pow", "1." + "1" * 1_000, "0.3")
    fails(message, "pow", "2", "0." + "3" * 1_001)
    fails(message, "pow", "1." + "1" * 1_000, -100_000)
    assert run("pow", "1." + "1" * 1_000, -2).precision == 1_001


def test_common_divisors_take_a_hundred_thousand_digits_together() -> None:
    for name in ("gcd", "lcm"):
        run(name, *["1e9999"] * 10)
        fails(
            f"^{name} takes numbers of at most 100,000 digits together$",
            *[name, *["1e9999"] * 10, "1"],
        )


def test_the_limit_of_factorial_is_that_of_the_result() -> None:
    assert math.floor(math.lgamma(25_205 + 1) / math.log(10)) + 1 <= 100_000
    assert math.floor(math.lgamma(25_206 + 1) / math.log(10)) + 1 > 100_000


def long(count: int, seed: int = 1) -> str:
    return "".join(random.Random(seed).choices("123456789", k=count))


@pytest.mark.parametrize(
    ("name", "operands"),
    [
        ("pow", ["1." + "0" * 998 + "3", "0.5"]),  # computed with 1,019 digits, then with 2,018
        ("pow", ["1." + "0" * 998 + "3", "-" + long(900)]),
        ("factorial", ["25205"]),
        ("sqrt", [long(10_000)]),
        ("div", [long(10_000), long(10_000, 2)]),
        ("product", ["9" * 9_990] * 10 + ["1." + "0" * 90] * 9_000),
        ("sum", ["1e10000", "-1e-10000"] * 5_000),
        ("lcm", [long(10_000, seed) for seed in range(10)]),
        ("lcm", [long(20, seed) for seed in range(5_000)]),
        ("gcd", [long(10_000, seed) for seed in range(10)]),
        ("median", ["1e10000", "1" + "0" * 80 + "e9920"] * 5_000),
    ],
)
def test_the_longest_jobs_are_short(name: str, operands: list[str]) -> None:
    """They take a quarter of a second; the limit leaves room for slow machines."""
    start = time.process_time()
    run(name, *operands)
    assert time.process_time() - start < 5


# --- contexts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_context_of_the_thread_is_neither_used_nor_changed(name: str) -> None:
    operands = ["12345678", "-7", "3"][: get(name).maximum]
    if name == "factorial":
        operands = ["12"]
    elif name == "sqrt":
        operands = ["2"]
    expected = run(name, *operands).result
    with decimal.localcontext() as context:
        context.prec, context.Emax, context.Emin = 1, 1, -1
        context.rounding = decimal.ROUND_UP
        for signal in context.traps:
            context.traps[signal] = True
        context.clear_flags()
        answer = get(name).run(operands)
        assert not any(context.flags.values())
    assert answer.result == expected
