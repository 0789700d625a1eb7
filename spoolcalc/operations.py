"""The operations a job can name: the built-in arithmetic, and what installed packages add.

    operation = get("add")            the operation, or UnknownOperation
    operation.check(["12", "23"])     at submit: BadOperands if the job could never be run
    operation.run(["12", "23"])       in a worker: an Answer, or an exception

``check`` reads, it does not compute: what only computing can tell (a division by zero) is a failure
of the job, and ``run`` raises it as :class:`OperationFailed`.  ``run`` checks again, since anybody
may have written the job's file.  An operation from an installed package may raise any exception;
turning it into a failed job is up to the caller.

A package adds operations with entry points of the group ``spoolcalc.operations``.  The name of the
entry point is the name of the operation; it loads an :class:`Operation` of that name, or a plain
callable that takes the operands as strings.  A built-in operation cannot be replaced, and an entry
point that does not load is an unknown operation and disturbs no other one.

This module is on the path of ``spool submit``, whose start-up time is a feature: it imports nothing
that an interpreter takes long to load.  The arithmetic is imported when it is first run.
"""

from __future__ import annotations

import re

from spoolcalc.errors import BadOperands, UnknownOperation, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.metadata import EntryPoint

    #: Takes the operands as strings; returns an Answer, or anything that ``str`` takes.
    Function = Callable[..., object]

#: The group of entry points in which packages offer operations.
GROUP = "spoolcalc.operations"
#: A job has at most this many operands,
MAX_OPERANDS = 10_000
#: and they have at most this many characters together.
MAX_TOTAL_CHARACTERS = 1_000_000
#: A text (the operand of an operation that is not built in) has at most this many characters.
MAX_TEXT_CHARACTERS = 100_000
#: A number is written in at most this many characters,
MAX_NUMBER_CHARACTERS = 20_000
#: with at most this many digits, leading zeros not counted,
MAX_DIGITS = 10_000
#: and is zero, or between 10 to the power of minus this and 10 to the power of this plus one.
MAX_MAGNITUDE = 10_000

_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_NUMBER = re.compile(r"[+-]?(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(?:[eE]([+-]?[0-9]{1,7}))?")


class OperationFailed(Exception):
    """The job itself failed: its operands have no result, or none within the limits.

    The message is one line for people.  Trying again would give the same.
    """


class Answer:
    """What an operation returns.

    ``result`` is the text that is stored; ``exact`` tells whether it is the very result or had to
    be rounded, and ``precision``, in significant digits, to how many digits it was rounded.
    """

    __slots__ = ("exact", "precision", "result")

    def __init__(self, result: str, *, exact: bool = True, precision: int | None = None) -> None:
        self.result = result
        self.exact = exact
        self.precision = precision

    def __repr__(self) -> str:
        return f"Answer({self.result!r}, exact={self.exact}, precision={self.precision})"


class Operation:
    """Something a job can ask for.  Not changed after it was made.

    ``minimum`` and ``maximum`` (None: no limit of its own) say how many operands it takes,
    ``usage`` names them (``A B``), ``help`` is one line.  ``load`` returns the function; it is
    called when the operation is first run, so imports belong in there.  With ``numbers``, operands
    have to be numbers; otherwise they are any text.
    """

    __slots__ = ("help", "load", "maximum", "minimum", "name", "numbers", "usage")

    def __init__(
        self,
        name: str,
        minimum: int,
        maximum: int | None,
        *,
        usage: str,
        help: str,  # noqa: A002 - what everybody calls it
        load: Callable[[], Function],
        numbers: bool = False,
    ) -> None:
        self.name = name
        self.minimum = minimum
        self.maximum = maximum
        self.usage = usage
        self.help = help
        self.load = load
        self.numbers = numbers

    def __repr__(self) -> str:
        return f"<Operation {self.name} {self.usage}>"

    def check(self, operands: Sequence[str]) -> None:
        """Raise :class:`~spoolcalc.errors.BadOperands` if the operation can never take these."""
        self._check_number_of(operands)
        check_one = _check_number if self.numbers else _check_text
        for position, operand in enumerate(operands, 1):
            check_one(f"operand {position} of {self.name}", operand)
        total = sum(map(len, operands))
        if total > MAX_TOTAL_CHARACTERS:
            raise BadOperands(
                f"the operands of {self.name} have {total:,} characters together; "
                f"a job takes at most {MAX_TOTAL_CHARACTERS:,}",
                "Split the work into several jobs.",
            )

    def run(self, operands: Sequence[str]) -> Answer:
        """Return the answer.  Raises whatever the function raises, and what ``check`` does."""
        self.check(operands)
        answer = self.load()(*operands)
        return answer if isinstance(answer, Answer) else Answer(str(answer))

    def _check_number_of(self, operands: Sequence[str]) -> None:
        given = len(operands)
        if given > MAX_OPERANDS:
            raise BadOperands(
                f"{given:,} operands were given; a job takes at most {MAX_OPERANDS:,}",
                "Split the work into several jobs.",
            )
        if self.minimum <= given and (self.maximum is None or given <= self.maximum):
            return
        if self.maximum is None:
            takes = f"at least {_operands(self.minimum)}"
        elif self.minimum == self.maximum:
            takes = _operands(self.minimum)
        else:
            takes = f"{self.minimum} to {_operands(self.maximum)}"
        were_given = {0: "none was given", 1: "1 was given"}.get(given, f"{given:,} were given")
        raise BadOperands(
            f"{self.name} takes {takes}, {were_given}", f"Usage: {self.name} {self.usage}".rstrip()
        )


def get(name: str) -> Operation:
    """Return the operation of that name.

    Raises :class:`~spoolcalc.errors.UnknownOperation` if there is none, or if the installed package
    that should have it is broken.
    """
    operation = _BUILT_IN.get(name) or _loaded.get(name)
    if operation is not None:
        return operation
    point = _entry_points().get(name) if _NAME.fullmatch(name) else None
    if point is None:
        raise UnknownOperation(f"unknown operation {shown(name)}", _nearest(name))
    _loaded[name] = operation = _from_entry_point(point)
    return operation


def names() -> list[str]:
    """Return the names of all operations, sorted; whether they load was not tried."""
    try:
        added = set(_entry_points())
    except UnknownOperation:
        added = set()
    return sorted(added | set(_BUILT_IN))


def _operands(number: int) -> str:
    return "1 operand" if number == 1 else f"{number:,} operands"


def _check_text(which: str, operand: str) -> None:
    if len(operand) > MAX_TEXT_CHARACTERS:
        raise BadOperands(
            f"{which} is {shown(operand)}; at most {MAX_TEXT_CHARACTERS:,} are taken",
            "Pass the name of a file instead.",
        )
    if "\0" in operand:
        raise BadOperands(f"{which} has a NUL character in it: {shown(operand)}")


def _check_number(which: str, operand: str) -> None:
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


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    known = names()
    close = get_close_matches(name[:64].lower(), known, n=1)
    guess = f"Did you mean {close[0]}? " if close else ""
    return f"{guess}Known operations: {', '.join(known)}."


def _built_in(name: str, minimum: int, maximum: int | None, usage: str, text: str) -> Operation:
    def load() -> Function:
        from importlib import import_module

        functions: dict[str, Function] = import_module("spoolcalc.arithmetic").FUNCTIONS
        return functions[name]

    return Operation(name, minimum, maximum, usage=usage, help=text, load=load, numbers=True)


_BUILT_IN = {
    row[0]: _built_in(*row)
    for row in (
        ("add", 2, 2, "A B", "A plus B"),
        ("sub", 2, 2, "A B", "A minus B"),
        ("mul", 2, 2, "A B", "A times B"),
        ("div", 2, 2, "A B", "A divided by B, rounded if it does not come out even"),
        ("idiv", 2, 2, "A B", "how many whole times B goes into A, rounded down"),
        ("mod", 2, 2, "A B", "what idiv leaves over: A minus B times (A idiv B)"),
        ("pow", 2, 2, "A B", "A to the power of B"),
        ("neg", 1, 1, "A", "A with the other sign"),
        ("abs", 1, 1, "A", "A without its sign"),
        ("sign", 1, 1, "A", "-1, 0 or 1: whether A is negative, zero or positive"),
        ("sqrt", 1, 1, "A", "the square root of A"),
        ("floor", 1, 1, "A", "the largest whole number that is not above A"),
        ("ceil", 1, 1, "A", "the smallest whole number that is not below A"),
        ("trunc", 1, 1, "A", "A without what stands after the point"),
        ("round", 1, 2, "A [PLACES]", "A rounded to PLACES after the point (0), halves to even"),
        ("min", 1, None, "A...", "the smallest"),
        ("max", 1, None, "A...", "the largest"),
        ("sum", 1, None, "A...", "all added up"),
        ("product", 1, None, "A...", "all multiplied"),
        ("mean", 1, None, "A...", "the sum divided by how many there are"),
        ("median", 1, None, "A...", "the middle one by size, or the mean of the middle two"),
        ("gcd", 1, None, "A...", "the greatest common divisor of whole numbers"),
        ("lcm", 1, None, "A...", "the least common multiple of whole numbers"),
        ("factorial", 1, 1, "A", "the product of all whole numbers from 1 to A"),
    )
}

#: The entry points by name, once they were looked for, and the operations they loaded.
_found: dict[str, EntryPoint] | None = None
_loaded: dict[str, Operation] = {}


def _entry_points() -> dict[str, EntryPoint]:
    """Return the installed entry points by name; of two with one name, the first on the path."""
    global _found  # noqa: PLW0603 - listing takes long, and what is installed does not change
    if _found is None:
        try:
            from importlib.metadata import entry_points

            points = list(entry_points(group=GROUP))
        except Exception as error:
            raise UnknownOperation(
                f"the operations of installed packages cannot be listed: {_reason(error)}",
                f"Built in are {', '.join(sorted(_BUILT_IN))}.",
            ) from error
        usable = [point for point in points if _NAME.fullmatch(point.name)]
        _found = {point.name: point for point in reversed(usable)}
    return _found


def _from_entry_point(point: EntryPoint) -> Operation:
    try:
        return _as_operation(point.name, point.load())
    except (Exception, SystemExit) as error:
        raise UnknownOperation(
            f"the operation {shown(point.name)} cannot be loaded from {shown(point.value)}: "
            f"{_reason(error)}",
            "Repair or uninstall the package that offers it; other operations are not affected.",
        ) from error


def _as_operation(name: str, loaded: object) -> Operation:
    if not isinstance(loaded, Operation):
        return _from_callable(name, loaded)
    if loaded.name != name:
        raise TypeError(f"it loads an operation of another name, {shown(loaded.name)}")
    return loaded


def _from_callable(name: str, function: object) -> Operation:
    import inspect

    if not callable(function) or inspect.iscoroutinefunction(function):
        raise TypeError("it loads neither an Operation nor a callable that returns its result")
    minimum, usage = 0, []
    maximum: int | None = 0
    for parameter in inspect.signature(function).parameters.values():
        label = parameter.name.upper()
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.VAR_POSITIONAL:
            maximum = None
            usage.append(f"[{label}...]")
        elif parameter.kind is parameter.KEYWORD_ONLY and required:
            raise TypeError(f"its parameter {parameter.name} cannot be given as an operand")
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            minimum += required
            maximum = len(usage) + 1
            usage.append(label if required else f"[{label}]")
    return Operation(
        name,
        minimum,
        maximum,
        usage=" ".join(usage),
        help=(inspect.getdoc(function) or "").strip().partition("\n")[0],
        load=lambda: function,
    )


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
