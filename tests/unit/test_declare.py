"""A function with hints becomes an operation: its operands, its help, and its context."""

from __future__ import annotations

import enum
import functools
import math
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

import spoolcalc
from spoolcalc import Answer, BadOperands, Context, Operation, operation
from spoolcalc.declare import Declared, declared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    class OnlyForTypeCheckers:
        """Is not there at run time."""


class Unit(enum.Enum):
    KILOMETRE = "km"
    MILE = "mi"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


def taking(hint: object) -> Declared[..., str]:
    """Return an operation that shows what its one operand became."""

    def show(value: Any) -> str:
        return repr(value)

    show.__annotations__["value"] = hint
    return operation(show)


def refusal(refusing: Operation, *operands: str) -> BadOperands:
    with pytest.raises(BadOperands) as caught:
        refusing.check(operands)
    assert "\n" not in caught.value.message
    assert caught.value.message.isascii()
    assert caught.value.hint
    return caught.value


# --- the function ---------------------------------------------------------------------------------


@operation
def convert(amount: Decimal, rate: Decimal, places: int = 2, *tags: str) -> Decimal:
    """AMOUNT in another currency, at RATE.

    Rounded to PLACES, halves up.
    """
    assert isinstance(places, int)
    assert all(isinstance(tag, str) for tag in tags)
    return round(amount * rate, places)


def test_a_decorated_function_is_an_operation() -> None:
    assert isinstance(convert, Operation)
    assert convert.name == "convert"
    assert (convert.minimum, convert.maximum) == (2, None)
    assert convert.usage == "AMOUNT RATE [PLACES] [TAGS...]"
    assert convert.help == "AMOUNT in another currency, at RATE."
    assert convert.doc.endswith("\n\nRounded to PLACES, halves up.")
    assert repr(convert) == "<Operation convert AMOUNT RATE [PLACES] [TAGS...]>"


def test_it_is_run_with_converted_operands() -> None:
    assert convert.run(["10", "1.0837"]).result == "10.84"
    assert convert.run(["1e1", "1.0837", "3"]).result == "10.837"
    assert convert.run(["10", "1.0837", "1", "a", ""]).result == "10.8"


def test_running_checks_again() -> None:
    """A job's file may have been written by anybody."""
    with pytest.raises(BadOperands):
        convert.run(["10", "NaN"])


def test_it_can_be_called_as_before() -> None:
    """By other code, and by tests."""
    assert convert(Decimal(10), rate=Decimal("1.0837"), places=1) == Decimal("10.8")


def test_it_can_have_another_name() -> None:
    @operation(name="to-fahrenheit")
    def to_fahrenheit(degrees: float) -> float:
        return degrees * 9 / 5 + 32

    assert to_fahrenheit.name == "to-fahrenheit"
    assert to_fahrenheit.help == ""
    assert to_fahrenheit.run(["100"]).result == "212.0"


@pytest.mark.parametrize("name", ["", "Add", "_x", "a b", "a" * 65, "é", "a/b"])
def test_a_name_that_no_job_could_have_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="is no name of an operation"):
        operation(name=name)(print)


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(TypeError, match=r"'<lambda>' is no name of an operation.*@operation\(name"):
        operation(lambda: 1)
    assert operation(name="one")(lambda: 1).run([]).result == "1"


def test_a_coroutine_function_is_refused() -> None:
    async def later() -> None:
        """Is never called."""

    with pytest.raises(TypeError, match="coroutine"):
        operation(later)


def test_the_public_decorator_is_the_function_and_no_module() -> None:
    """Whatever was imported before."""
    assert spoolcalc.operation is operation


# --- operands of each type ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "operand", "value"),
    [
        (str, " $(x)\n", "' $(x)\\n'"),
        (str, "", "''"),
        (int, "12", "12"),
        (int, "-3", "-3"),
        (int, "007", "7"),
        (int, "2.0", "2"),
        (int, "1e3", "1000"),
        (int, "1.5e1", "15"),
        (float, "1e-3", "0.001"),
        (float, "-0", "-0.0"),
        (Decimal, "0.10", "Decimal('0.10')"),
        (bool, "true", "True"),
        (bool, "Yes", "True"),
        (bool, "1", "True"),
        (bool, "FALSE", "False"),
        (bool, "no", "False"),
        (bool, "0", "False"),
        (Path, "/a/../b", "PosixPath('/a/../b')"),
        (Literal["km", "mi"], "km", "'km'"),
        (Literal["auto", 2], "2", "2"),
        (Unit, "mi", "<Unit.MILE: 'mi'>"),
        (Level, "2", "<Level.HIGH: 2>"),
        (Union[int, None], "1", "1"),  # noqa: UP007 - older code has it; it is another type
        (int | None, "1", "1"),
        ("int", "1", "1"),
        ("Decimal | None", "1", "Decimal('1')"),
    ],
    ids=str,
)
def test_an_operand_becomes_a_value(hint: object, operand: str, value: str) -> None:
    assert taking(hint).run([operand]).result == value


def test_a_parameter_without_a_hint_takes_a_text() -> None:
    @operation
    def show(text):  # type: ignore[no-untyped-def] # that is the case at hand
        return text * 2

    assert show.run(["1"]).result == "11"


@pytest.mark.parametrize(
    ("hint", "operand", "message", "hint_begins"),
    [
        (str, "a\0", "has a NUL character in it: 'a\\x00'", None),
        (int, "x", "is not a number: 'x'", "A number is written with the digits 0 to 9"),
        (int, "1.5", "is not a whole number: '1.5'", "A whole number is written like 12"),
        (int, "1e-3", "is not a whole number: '1e-3'", "A whole number is written like 12"),
        (int, "1_000", "is not a number: '1_000'", "A number is written"),
        (float, "nan", "is not a number: 'nan'", "A number is written"),
        (float, "1e309", "is too large: '1e309'", "It is computed with as a float"),
        (float, "-1e309", "is too large: '-1e309'", "It is computed with as a float"),
        (float, "1e-400", "is too small: '1e-400'", "It is computed with as a float"),
        (Decimal, "-inf", "is not a number: '-inf'", "A number is written"),
        (Decimal, "1e10001", "is too large: '1e10001'", "Numbers go from 1e-10000"),
        (Decimal, " 1", "is not a number: ' 1'", "A number is written"),
        (bool, "maybe", "is neither true nor false: 'maybe'", "Write true, yes or 1"),
        (bool, "ye\u017f", "is neither true nor false: 'ye\\u017f'", "Write true"),
        (Path, "a/b", "is not a whole path: 'a/b'", "Workers run in a directory of their own"),
        (Path, "", "is not a whole path: ''", "Workers run"),
        (Unit, "lb", "is none of its choices: 'lb'", "It is one of km, mi."),
        (Unit, "MILE", "is none of its choices: 'MILE'", "It is one of km, mi."),
        (Literal["a b", ""], "c", "is none of its choices: 'c'", "It is one of a b, ''."),
        (Level, "3", "is none of its choices: '3'", "It is one of 1, 2."),
    ],
    ids=str,
)
def test_an_operand_of_another_type_is_refused_by_name(
    hint: object, operand: str, message: str, hint_begins: str | None
) -> None:
    """With its position, its parameter, and what was expected."""
    with pytest.raises(BadOperands) as caught:
        taking(hint).check([operand])
    assert caught.value.message == f"operand 1 of show (VALUE) {message}"
    assert caught.value.hint.startswith(hint_begins or "")


def test_the_position_of_a_repeated_operand_is_told() -> None:
    @operation
    def total(first: int, *more: int) -> int:
        return first + sum(more)

    assert total.run(["1", "2", "3"]).result == "6"
    assert refusal(total, "1", "2", "x").message == "operand 3 of total (MORE) is not a number: 'x'"


def test_a_message_lists_a_few_of_many_choices() -> None:
    many = taking(Literal[tuple(range(100))])
    assert refusal(many, "x").hint.endswith("18, 19, or 80 more.")


def test_an_unknown_operand_is_counted_and_not_looked_at() -> None:
    """It is the result of another job."""
    convert.check(["@x", "1"], {0})
    assert "operand 2" in refusal_of_unknown(convert, ["@x", "@x"], {0}).message


def refusal_of_unknown(
    refusing: Operation, operands: Sequence[str], unknown: set[int]
) -> BadOperands:
    with pytest.raises(BadOperands) as caught:
        refusing.check(operands, unknown)
    return caught.value


@given(st.from_regex(r"[+-]?[0-9]{0,5}\.?[0-9]{0,5}(e[+-]?[0-9]{1,3})?", fullmatch=True))
def test_whatever_number_passes_is_the_same_to_every_type(text: str) -> None:
    """A type refuses what it cannot hold, and never changes what it is given."""

    def value(hint: Callable[[str], Any]) -> Any:
        try:
            [seen] = [taking_value(hint, text)]
        except BadOperands:
            return None
        return seen

    exact = value(Decimal)
    if exact is None:
        assert value(int) is None
        assert value(float) is None
        return
    assert exact == Decimal(text)
    whole, rough = value(int), value(float)
    assert whole is None or whole == exact
    assert (whole is None) == (exact.as_integer_ratio()[1] != 1)
    assert rough is None or (math.isfinite(rough) and (rough == 0) == (exact == 0))


def taking_value(hint: object, text: str) -> object:
    """Return what an operand becomes."""
    seen: list[object] = []

    def keep(value: Any) -> None:
        seen.append(value)

    keep.__annotations__["value"] = hint
    operation(keep).run([text])
    return seen[0]


# --- the context ----------------------------------------------------------------------------------


def test_a_context_is_no_operand() -> None:
    @operation
    def slow(context: Context, path: str, /, times: int = 1, *rest: str) -> str:
        context.progress(0.5, path)
        return f"{context.job_id} {context.attempt} {path} {times} {rest}"

    told: list[tuple[float | None, str]] = []
    context = Context("id", 3, lambda *report: told.append(report))
    assert slow.usage == "PATH [TIMES] [REST...]"
    assert slow.run(["a"], context).result == "id 3 a 1 ()"
    assert slow.run(["a", "2", "b"], context).result == "id 3 a 2 ('b',)"
    assert told == [(0.5, "a")] * 2
    assert refusal(slow, "a", "x").message == "operand 2 of slow (TIMES) is not a number: 'x'"


def test_a_context_may_come_by_keyword_or_between_defaults() -> None:
    def by_keyword(*parts: str, context: Context) -> str:
        return f"{context.job_id} {parts}"

    def between(first: int = 1, context: Context | None = None, second: int = 2) -> str:
        assert context is not None
        return f"{context.job_id} {first} {second}"

    context = Context("id")
    assert operation(by_keyword).run(["a"], context).result == "id ('a',)"
    assert operation(between).run([], context).result == "id 1 2"
    assert operation(between).run(["5"], context).result == "id 5 2"
    assert operation(between).run(["5", "6"], context).result == "id 5 6"


def test_without_a_context_it_gets_one_that_reports_to_nobody() -> None:
    @operation
    def slow(context: Context) -> str:
        context.progress(1)
        return repr(context)

    assert slow.run([]).result == "Context('', 1)"


# --- what cannot be an operation ------------------------------------------------------------------


@pytest.mark.parametrize(
    "hint",
    [
        list[str],
        dict,
        bytes,
        int | str,
        object,
        Any,
        type(None),
        Literal[True],
        enum.Enum("Empty", []),
        enum.Enum("Objects", [("A", object())]),
    ],
)
def test_a_hint_that_cannot_be_an_operand_is_refused_at_once(hint: object) -> None:
    with pytest.raises(TypeError, match="its parameter value cannot be an operand"):
        taking(hint)


def test_a_keyword_that_must_be_given_is_refused() -> None:
    def keyed(*, key: str) -> None:
        """Is never called."""

    with pytest.raises(TypeError, match="its parameter key cannot be given as an operand"):
        operation(keyed)


def test_several_contexts_are_refused() -> None:
    def several(*contexts: Context) -> None:
        """Is never called."""

    with pytest.raises(TypeError, match="its parameter contexts takes several contexts"):
        operation(several)


def test_a_hint_that_is_not_there_at_run_time_is_refused() -> None:
    def unread(value: OnlyForTypeCheckers) -> None:
        """Is never called."""

    with pytest.raises(TypeError, match="'OnlyForTypeCheckers' is not defined; import"):
        operation(unread)


def test_well_known_hints_may_be_imported_for_type_checkers_only() -> None:
    """As linters want it."""
    program: dict[str, Any] = {}
    exec(  # a module whose imports are gone at run time
        "from __future__ import annotations\n"
        "def f(a: Decimal, b: Literal['x'], context: Context | None = None) -> Answer:\n"
        "    return type(a).__name__ + b\n",
        program,
    )
    assert operation(program["f"]).run(["1", "x"]).result == "Decimalx"


# --- plain callables ------------------------------------------------------------------------------


def test_a_plain_function_gets_the_same_treatment() -> None:
    def halve(number: float) -> float:
        return number / 2

    made = declared("halve", halve)
    assert made.run(["3"]).result == "1.5"
    assert refusal(made, "x").message == "operand 1 of halve (NUMBER) is not a number: 'x'"


def test_other_callables_are_operations_too() -> None:
    class Adder:
        def __init__(self, by: int) -> None:
            self.by = by

        def __call__(self, number: int) -> int:
            return number + self.by

    assert declared("f", Adder(2)).run(["3"]).result == "5"
    assert declared("f", Adder(2).__call__).run(["3"]).result == "5"
    assert declared("f", functools.partial(round, ndigits=1)).minimum == 1


def test_an_answer_is_given_as_it_is() -> None:
    answer = Answer("1.5", exact=False, precision=2)
    assert declared("f", lambda: answer).run([]) is answer
