"""The registry: finding operations, checking operands, and what installed packages add."""

from __future__ import annotations

import datetime as dt
import enum
import importlib.metadata
import re
import subprocess
import sys
from decimal import Decimal
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spoolcalc import operands as limits
from spoolcalc import operations, plugins
from spoolcalc.errors import BadOperands, UnknownOperation, shown
from spoolcalc.operations import Answer, Operation, OperationFailed, get, names

if TYPE_CHECKING:
    from collections.abc import Callable

    Install = Callable[..., None]

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "arithmetic.md"
BUILT_IN = sorted(operations._BUILT_IN)
ARITHMETIC = [name for name in BUILT_IN if name != operations.COMMAND]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that pretends that packages with these operations are installed."""
    module = ModuleType("a_package")
    monkeypatch.setitem(sys.modules, "a_package", module)

    def pretend(*more: EntryPoint, **offered: object) -> None:
        points = [EntryPoint(n, f"a_package:{n}", plugins.GROUP) for n in offered]
        module.__dict__.update(offered)
        monkeypatch.setattr(plugins, "_found", None)
        monkeypatch.setattr(operations, "_loaded", {})
        monkeypatch.setattr(
            importlib.metadata,
            "entry_points",
            lambda *, group: [p for p in (*more, *points) if p.group == group],
        )

    return pretend


@pytest.fixture(autouse=True)
def _nothing_installed(install: Install) -> None:
    install()


def refusal(name: str, *operands: str) -> BadOperands:
    with pytest.raises(BadOperands) as caught:
        get(name).check(operands)
    assert "\n" not in caught.value.message
    assert caught.value.message.isascii()
    assert len(caught.value.message) < 150
    return caught.value


def unknown(name: str) -> UnknownOperation:
    with pytest.raises(UnknownOperation) as caught:
        get(name)
    assert "\n" not in caught.value.message
    return caught.value


# --- start-up -------------------------------------------------------------------------------------


def test_finding_and_checking_a_built_in_operation_loads_nothing_slow() -> None:
    """The interpreter runs bare (-I -S): what it loads is loaded by us."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from spoolcalc.operations import get\n"
        "get('add').check(['12', '23'])\n"
        "slow = ['decimal', '_decimal', 'typing', 'dataclasses', 'importlib.metadata', 'inspect',\n"
        "        'difflib', 'fractions', 'spoolcalc.arithmetic', 'spoolcalc.plugins',\n"
        "        'spoolcalc.declare', 'spoolcalc.context']\n"
        "print([name for name in slow if name in sys.modules])\n"
        "get('add').run(['12', '23'])\n"
        "print('decimal' in sys.modules)\n"
    )
    run = [sys.executable, "-I", "-S", "-c", program]
    answer = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.splitlines() == ["[]", "True"]


# --- names ----------------------------------------------------------------------------------------


def test_every_built_in_operation_is_found_by_its_name() -> None:
    assert names() == BUILT_IN
    assert len(ARITHMETIC) == 24
    assert all(get(name).name == name for name in BUILT_IN)


def test_the_built_in_operations_are_told_from_others(install: Install) -> None:
    install(greet=greet)
    assert operations.is_built_in("add")
    assert operations.is_built_in("exec")
    assert not operations.is_built_in("greet")
    assert not operations.is_built_in("nonsense")


def test_every_built_in_operation_has_a_function_and_the_other_way_round() -> None:
    from spoolcalc.arithmetic import FUNCTIONS

    assert sorted(FUNCTIONS) == ARITHMETIC


def test_an_unknown_name_is_answered_with_the_nearest_and_all_known_ones() -> None:
    error = unknown("ad")
    assert error.message == "unknown operation 'ad'"
    assert error.hint == f"Did you mean add? Known operations: {', '.join(BUILT_IN)}."


def test_a_name_near_to_none_is_answered_without_a_guess() -> None:
    assert unknown("qqqq").hint == f"Known operations: {', '.join(BUILT_IN)}."


def test_a_name_in_capitals_is_unknown_but_understood() -> None:
    assert unknown("SQRT").hint.startswith("Did you mean sqrt?")


@pytest.mark.parametrize(
    "name",
    [
        *["", "add\n", " add", "../add", "a" * 65, "_add", "1add", "-a"],
        *["ad\N{LATIN SMALL LETTER E WITH ACUTE}", "$(x)", "a\0", "a\udcff"],
    ],
)
def test_what_is_not_a_name_is_unknown_and_shown_escaped(name: str, install: Install) -> None:
    """Not even a package can offer it."""
    install(EntryPoint(name, "a_package:x", plugins.GROUP), x=print)
    error = unknown(name)
    assert error.message.isascii()
    assert "\0" not in error.message
    assert name not in names()


def test_a_very_long_name_is_shown_shortened() -> None:
    assert unknown("x" * 1_000_000).message == (
        f"unknown operation '{'x' * 39}...' (1,000,000 characters)"
    )


@given(st.text())
def test_whatever_is_shown_is_short_and_printable(text: str) -> None:
    assert len(shown(text)) < 80
    assert shown(text).isascii()
    assert shown(text).isprintable()


# --- how many operands ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "operands", "message", "usage"),
    [
        ("add", [], "add takes 2 operands, none was given", "add A B"),
        ("add", ["1"], "add takes 2 operands, 1 was given", "add A B"),
        ("add", ["1", "2", "3"], "add takes 2 operands, 3 were given", "add A B"),
        ("sqrt", ["1", "2"], "sqrt takes 1 operand, 2 were given", "sqrt A"),
        ("round", ["1"] * 3, "round takes 1 to 2 operands, 3 were given", "round A [PLACES]"),
        ("sum", [], "sum takes at least 1 operand, none was given", "sum A..."),
    ],
)
def test_a_wrong_number_of_operands(
    name: str, operands: list[str], message: str, usage: str
) -> None:
    error = refusal(name, *operands)
    assert error.message == message
    assert error.hint == f"Usage: {usage}"


def test_a_job_takes_ten_thousand_operands_and_no_more() -> None:
    get("sum").check(["1"] * 10_000)
    error = refusal("sum", *["1"] * 10_001)
    assert error.message == "10,001 operands were given; a job takes at most 10,000"
    assert error.hint


def test_the_operands_have_a_million_characters_together_and_no_more() -> None:
    get("sum").check(["1" * 10_000] * 100)
    error = refusal("sum", *["1" * 10_000] * 100, "1")
    assert error.message == (
        "the operands of sum have 1,000,001 characters together; a job takes at most 1,000,000"
    )


def test_operands_that_are_not_known_yet_are_counted_and_not_looked_at() -> None:
    """They are results of other jobs."""
    get("add").check(["@x", "1"], {0})
    get("sum").check(["@x", "1", "@x"], frozenset((0, 2)))
    with pytest.raises(BadOperands, match="operand 2 of add is not a number"):
        get("add").check(["@x", "@x"], {0})
    with pytest.raises(BadOperands, match="add takes 2 operands, 1 was given"):
        get("add").check(["@x"], {0})


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        *["0", "12", "-3", "+5", ".5", "5.", "1e3", "1E+3", "1e-3", "007", "-.5e-0000003", "-0"],
        *["1e10000", "9.99e10000", "1e-10000", "-1e0010000", "0e10000", "0.001e10003", "100e9998"],
        *["1" * 10_000, "0" * 19_999 + "1", "0." + "0" * 9_999 + "1", "." + "1" * 10_000],
    ],
)
def test_what_a_number_is(number: str) -> None:
    get("neg").check([number])
    get("neg").run([number])


@pytest.mark.parametrize(
    "operand",
    [
        *["", " ", " 12", "12 ", "12\n", "\n", "\t1", "1\0", "\0", "+", "-", ".", "e3", "1e"],
        *["NaN", "nan", "sNaN", "inf", "-Infinity", "1_000", "1,5", "1.2.3", "--1", "0x10", "1/2"],
        *[
            "\uff11\uff12",
            "٣",
            "²",
            "½",
            "\u22121",
            "1e1٣",
            "$(x)",
            "`id`",
            "1;2",
            "None",
            "1e12345678",
            "1j",
        ],
        *["1e+", "\udcff", "1\u202e", "%s", "{0}", "é"],
    ],
)
def test_what_a_number_is_not(operand: str) -> None:
    error = refusal("add", "1", operand)
    assert error.message == f"operand 2 of add is not a number: {shown(operand)}"
    assert error.hint == "A number is written with the digits 0 to 9, like 12, -3, 0.5 or 1e3."


@pytest.mark.parametrize("operand", ["1" * 20_001, "9" * 1_000_000, "0" * 20_001, "x" * 20_001])
def test_an_operand_that_is_too_long(operand: str) -> None:
    error = refusal("add", operand, "1")
    assert error.message == f"operand 1 of add is too long: {shown(operand)}"
    assert error.hint == "A number is written in at most 20,000 characters."


@pytest.mark.parametrize("operand", ["1" * 10_001, "0.1" + "0" * 10_000, "001" + "0" * 10_000])
def test_an_operand_with_too_many_digits(operand: str) -> None:
    error = refusal("add", operand, "1")
    assert error.message == f"operand 1 of add has 10,001 digits: {shown(operand)}"
    assert error.hint == "A number has at most 10,000 digits."


@pytest.mark.parametrize(
    ("operand", "size"),
    [
        ("1e10001", "large"),
        ("-0.1e10002", "large"),
        ("1e9999999", "large"),
        ("0e10001", "large"),
        ("1e-10001", "small"),
        ("0." + "0" * 10_000 + "1", "small"),
    ],
)
def test_an_operand_that_is_too_large_or_too_small(operand: str, size: str) -> None:
    error = refusal("add", operand, "1")
    assert error.message == f"operand 1 of add is too {size}: {shown(operand)}"
    assert error.hint == "Numbers go from 1e-10000 to 9.99e10000, and zero."


def test_an_exponent_of_nine_digits_is_refused_unread() -> None:
    refusal("add", "1e999999999", "1")


@given(st.text(max_size=30))
@settings(deadline=None)
def test_a_number_that_passes_is_the_number_that_python_reads(text: str) -> None:
    """Whatever passes has one meaning, to the arithmetic and to everybody else."""
    try:
        get("neg").check([text])
    except BadOperands:
        return
    assert re.fullmatch(r"[-+0-9.eE]+", text)
    assert float(text) == -float(get("neg").run([text]).result)


# --- running --------------------------------------------------------------------------------------


def test_running_checks_again() -> None:
    """A job's file may have been written by anybody."""
    for operands in (["NaN", "1"], ["1"], ["1e9999999", "1"]):
        with pytest.raises(BadOperands):
            get("add").run(operands)


def test_running_gives_an_answer() -> None:
    answer = get("add").run(["12", "23"])
    assert (answer.result, answer.exact, answer.precision) == ("35", True, None)
    assert repr(answer) == "Answer('35', exact=True, precision=None)"
    assert repr(get("add")) == "<Operation add A B>"


def test_a_job_that_has_no_result_fails_with_one_sentence() -> None:
    with pytest.raises(OperationFailed, match=r"^division by zero$"):
        get("div").run(["1", "0"])


# --- commands -------------------------------------------------------------------------------------


def test_a_command_is_any_texts_and_at_least_one() -> None:
    get("exec").check(["true"])
    get("exec").check(["sh", "-c", "echo é $(x)", ""])
    get("exec").check(["@x"], {0})
    error = refusal("exec")
    assert error.message == "exec takes at least 1 operand, none was given"
    assert error.hint == "Usage: exec COMMAND [ARGUMENT...]"
    assert refusal("exec", "").message == "operand 1 of exec is empty; it is the command to run"
    assert "NUL" in refusal("exec", "true", "a\0b").message
    assert "1,000,001 characters together" in refusal("exec", "x", *["x" * 100_000] * 10).message


def test_a_command_is_not_run_as_a_function() -> None:
    """The worker gives it a process of its own."""
    with pytest.raises(RuntimeError, match="only a worker runs commands"):
        get("exec").run(["true"])


# --- answers --------------------------------------------------------------------------------------


class Unit(enum.Enum):
    KILOMETRE = "km"
    NONE = object()


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (None, ""),
        ("two\nlines", "two\nlines"),
        (True, "true"),
        (False, "false"),
        (-7, "-7"),
        pytest.param(10**20_000, "1" + "0" * 20_000, id="a long one"),
        (1.5, "1.5"),
        (Decimal("1.50"), "1.50"),
        (Path("/a/b"), "/a/b"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
        (Unit.KILOMETRE, "km"),
        ({"é": [1, None, True]}, '{"é": [1, null, true]}'),
        ([Decimal("0.1"), Path("/a")], '["0.1", "/a"]'),
        ((), "[]"),
    ],
)
def test_what_a_function_returns_becomes_a_text(returned: object, text: str) -> None:
    """And nobody claims that it is exact."""
    answer = Operation("f", 0, 0, usage="", help="", load=lambda: lambda: returned).run([])
    assert (answer.result, answer.exact, answer.precision) == (text, None, None)


@pytest.mark.parametrize(
    "returned", [object(), b"bytes", {1}, iter(()), Unit.NONE, [object()], {"a": {b"b"}}]
)
def test_what_has_no_obvious_text_is_refused(returned: object) -> None:
    """An address in memory is nobody's result."""
    operation = Operation("f", 0, 0, usage="", help="", load=lambda: lambda: returned)
    with pytest.raises(TypeError, match="which has no obvious text"):
        operation.run([])


def test_json_holds_no_nan() -> None:
    operation = Operation("f", 0, 0, usage="", help="", load=lambda: lambda: [float("nan")])
    with pytest.raises(ValueError, match="not JSON compliant"):
        operation.run([])


# --- installed packages ---------------------------------------------------------------------------


def greet(name: str, greeting: str = "Hello", *others: str) -> str:
    """Greet somebody.

    At some length.
    """
    return f"{greeting},\n{' and '.join((name, *others))}!"


def test_a_plain_callable_is_an_operation(install: Install) -> None:
    install(greet=greet)
    operation = get("greet")
    assert names() == sorted([*BUILT_IN, "greet"])
    assert (operation.minimum, operation.maximum) == (1, None)
    assert operation.usage == "NAME [GREETING] [OTHERS...]"
    assert operation.help == "Greet somebody."
    assert operation.run(["$(x)"]).result == "Hello,\n$(x)!"
    assert operation.run(["é", "", " "]).result == ",\né and  !"
    with pytest.raises(BadOperands, match=r"^greet takes at least 1 operand, none was given\n"):
        operation.check([])


def test_the_parameters_of_a_callable_say_how_many_operands_it_takes(install: Install) -> None:
    def plain(*, flag: bool = False, **others: object) -> int:
        return 7

    install(plain=plain, pair=lambda a, b, /: None, class_=str, more=lambda *a: len(a))
    assert (get("plain").minimum, get("plain").maximum, get("plain").usage) == (0, 0, "")
    assert get("plain").help == ""
    assert get("plain").run([]).result == "7"
    assert refusal("plain", "x").hint == "Usage: plain"
    assert (get("pair").minimum, get("pair").maximum, get("pair").usage) == (2, 2, "A B")
    assert get("pair").run(["a", "b"]).result == ""
    assert get("more").run([]).result == "0"


def test_a_callable_may_return_an_answer_and_raise_anything(install: Install) -> None:
    answer = Answer("1.5", exact=False, precision=2)

    def broken() -> None:
        raise KeyError("its own affair")

    install(good=lambda: answer, broken=broken)
    assert get("good").run([]) is answer
    with pytest.raises(KeyError, match="its own affair"):
        get("broken").run([])


def test_texts_have_limits(install: Install) -> None:
    install(echo=lambda text: text)
    get("echo").check(["é" * 100_000])
    error = refusal("echo", "é" * 100_001)
    assert error.message == (
        f"operand 1 of echo (TEXT) is {shown('é' * 100_001)}; at most 100,000 are taken"
    )
    assert refusal("echo", "a\0b").message == (
        "operand 1 of echo (TEXT) has a NUL character in it: 'a\\x00b'"
    )


def test_an_operation_object_is_taken_as_it_is(install: Install) -> None:
    half = Operation(
        "half", 1, 1, usage="A", help="A by two", load=lambda: lambda a: int(a) / 2, numbers=True
    )
    install(half=half)
    assert get("half") is half
    assert get("half").run(["3"]).result == "1.5"
    refusal("half", "x")


def test_a_built_in_operation_cannot_be_replaced(install: Install) -> None:
    install(add=lambda a, b: "wrong")
    assert get("add").run(["12", "23"]).result == "35"
    assert names() == BUILT_IN


def test_of_two_packages_with_one_name_the_first_on_the_path_wins(install: Install) -> None:
    install(EntryPoint("twice", "a_package:first", plugins.GROUP), first=greet, twice=print)
    assert get("twice").run(["A"]).result == "Hello,\nA!"


def test_entry_points_of_other_groups_are_none_of_ours(install: Install) -> None:
    install(EntryPoint("other", "a_package:x", "console_scripts"), x=print)
    unknown("other")


async def coroutine() -> None:
    raise AssertionError("is never called")


def needs_a_keyword(*, key: str) -> None:
    raise AssertionError("is never called")


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        (7, "TypeError: it loads neither an Operation nor a callable"),
        (coroutine, "TypeError: it loads neither an Operation nor a callable"),
        (needs_a_keyword, "TypeError: its parameter key cannot be given as an operand"),
        (
            Operation("other", 0, 0, usage="", help="", load=lambda: print),
            "TypeError: it loads an operation of another name, 'other'",
        ),
    ],
)
def test_an_entry_point_that_loads_something_else(
    offered: object, reason: str, install: Install
) -> None:
    install(bad=offered, good=greet)
    error = unknown("bad")
    assert error.message.startswith(
        f"the operation 'bad' cannot be loaded from 'a_package:bad': {reason}"
    )
    assert "not affected" in error.hint
    assert get("good").run(["A"]).result == "Hello,\nA!"
    assert "bad" in names()


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (ImportError("no\nsuch\tthing"), "ImportError: no such thing"),
        (SystemExit(3), "SystemExit: 3"),
        (ValueError("x" * 1000), "ValueError: " + "x" * 188),
    ],
)
def test_an_entry_point_that_does_not_load_is_unknown_and_disturbs_no_other(
    raised: BaseException, reason: str, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(point: EntryPoint) -> object:
        if point.name == "bad":
            raise raised
        return greet

    monkeypatch.setattr(EntryPoint, "load", load)
    install(bad=None, good=None)
    error = unknown("bad")
    assert error.message == (f"the operation 'bad' cannot be loaded from 'a_package:bad': {reason}")
    assert error.__cause__ is raised
    assert get("good").name == "good"
    assert get("add").name == "add"


def test_a_missing_module_is_named(install: Install) -> None:
    install(EntryPoint("gone", "no_such_package_at_all:x", plugins.GROUP))
    assert "No module named 'no_such_package_at_all'" in unknown("gone").message


def test_an_interruption_is_not_swallowed(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(point: EntryPoint) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(EntryPoint, "load", load)
    install(bad=None)
    with pytest.raises(KeyboardInterrupt):
        get("bad")


def test_packages_that_cannot_be_listed_leave_the_built_in_operations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def entry_points(*, group: str) -> list[EntryPoint]:
        raise ValueError("bad\nmetadata")

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    assert names() == BUILT_IN
    assert get("add").name == "add"
    error = unknown("greet")
    assert error.message == (
        "the operations of installed packages cannot be listed: ValueError: bad metadata"
    )
    assert error.hint == f"Built in are {', '.join(BUILT_IN)}."


def test_entry_points_are_listed_once_and_loaded_once(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(greet=greet)
    first = get("greet")
    monkeypatch.delattr(importlib.metadata, "entry_points")
    monkeypatch.delattr(EntryPoint, "load")
    assert get("greet") is first
    assert "greet" in names()


def test_built_in_operations_are_found_without_looking_for_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(importlib.metadata, "entry_points")
    assert get("add").name == "add"


# --- the reference --------------------------------------------------------------------------------


def reference() -> dict[str, list[str]]:
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|\n").split(" | ")]
        for line in REFERENCE.read_text(encoding="utf-8").splitlines()
        if re.match(r"\| `[a-z]+` \|", line)
    ]
    return {row[0]: row[1:] for row in rows}


def test_the_reference_lists_every_operation_as_it_is() -> None:
    documented = {name: (row[0], row[1]) for name, row in reference().items()}
    assert documented == {n: (get(n).usage, get(n).help) for n in ARITHMETIC}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_the_examples_in_the_reference_are_true(name: str) -> None:
    _, _, example, result, exactness = reference()[name]
    operation, *operands = example.split()
    assert operation == name
    assert get(name).run(operands).result == result
    assert exactness.rstrip(" |").startswith(("exact", "rounded"))


def test_the_reference_states_the_limits_as_they_are() -> None:
    from spoolcalc import arithmetic, decimals, powers

    text = REFERENCE.read_text(encoding="utf-8")
    rows = re.compile(r"^\| ([^|`].*?) \| ([^|]+) \|$", re.MULTILINE)
    table = dict(rows.findall(text.partition("## Limits")[2]))
    assert table == {
        "what": "at most",
        "operands of a job": f"{limits.MAX_OPERANDS:,}",
        "characters of all operands of a job together": f"{limits.MAX_TOTAL_CHARACTERS:,}",
        "characters of a number": f"{limits.MAX_NUMBER_CHARACTERS:,}",
        "digits of a number, leading zeros not counted": f"{limits.MAX_DIGITS:,}",
        "size of a number other than zero": (
            f"from 1e-{limits.MAX_MAGNITUDE} to 9.99…e{limits.MAX_MAGNITUDE}"
        ),
        "digits of an exponent": "7",
        "digits of a result, written out, and of each product on the way to that of `product`": (
            f"{decimals.MAX_RESULT_DIGITS:,}"
        ),
        "A in `factorial` (25,206! has more than 100,000 digits)": f"{arithmetic.MAX_FACTORIAL:,}",
        "digits of all operands of `gcd` or `lcm` together, written out": (
            f"{arithmetic.MAX_INTEGER_DIGITS:,}"
        ),
        "digits of A and of B in `pow`, if B is fractional, or if A to the power of -B has more "
        "than 100,000 digits": f"{powers.MAX_POWER_DIGITS:,}",
        "characters of a text, for an operation from another package": (
            f"{limits.MAX_TEXT_CHARACTERS:,}"
        ),
    }
