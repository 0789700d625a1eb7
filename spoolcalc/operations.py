"""The operations a job can name: the built-in ones, and what installed packages add.

    operation = get("add")            the operation, or UnknownOperation

What an operation is, and what can be asked of it, says ``definition``; how packages add theirs,
``plugins``.  A built-in operation cannot be replaced, and one that does not load is an unknown
operation and disturbs no other one.

This module is on the path of ``spool submit``, whose start-up time is a feature: the arithmetic is
imported when it is first run, and packages are looked for when a name is not built in.
"""

from __future__ import annotations

from spoolcalc.definition import Answer, Operation, OperationFailed
from spoolcalc.errors import BadOperands, UnknownOperation, shown
from spoolcalc.job import COMMAND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.definition import Function

__all__ = [
    "COMMAND",
    "Answer",
    "Operation",
    "OperationFailed",
    "get",
    "is_built_in",
    "is_offered",
    "names",
]

_loaded: dict[str, Operation] = {}


def get(name: str) -> Operation:
    """Return the operation of that name.

    Raises :class:`~spoolcalc.errors.UnknownOperation` if there is none, or if the installed package
    that should have it is broken.
    """
    operation = _BUILT_IN.get(name) or _loaded.get(name)
    if operation is not None:
        return operation
    from spoolcalc import plugins

    try:
        operation = plugins.load(name)
    except plugins.Unlisted as error:
        built_in = f"Built in are {', '.join(sorted(_BUILT_IN))}."
        raise UnknownOperation(str(error), built_in) from error.__cause__
    if operation is None:
        raise UnknownOperation(f"unknown operation {shown(name)}", _nearest(name))
    _loaded[name] = operation
    return operation


def is_built_in(name: str) -> bool:
    """Tell whether an operation comes with this package; ``exec`` does too."""
    return name in _BUILT_IN


def is_offered(name: str) -> bool:
    """Tell whether there is an operation of that name; whether it loads is not tried."""
    if name in _BUILT_IN:
        return True
    from spoolcalc import plugins

    try:
        return name in plugins.points()
    except plugins.Unlisted:
        return False


def names() -> list[str]:
    """Return the names of all operations, sorted; whether they load was not tried."""
    from spoolcalc import plugins

    try:
        added = set(plugins.points())
    except plugins.Unlisted:
        added = set()
    return sorted(added | set(_BUILT_IN))


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    known = names()
    close = get_close_matches(name[:64].lower(), known, n=1)
    guess = f"Did you mean {close[0]}? " if close else ""
    return f"{guess}Known operations: {', '.join(known)}."


class _Command(Operation):
    """The operation ``exec``: checked like any other, and run by the worker as a process."""

    __slots__ = ()

    def check_one(self, index: int, operand: str) -> None:
        super().check_one(index, operand)
        if index == 0 and not operand:
            raise BadOperands(f"operand 1 of {self.name} is empty; it is the command to run")
        try:
            operand.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            told = f"operand {index + 1} of {self.name} has half a character in it"
            raise BadOperands(f"{told}: {shown(operand)}") from None


def _run_elsewhere() -> Function:
    raise RuntimeError("only a worker runs commands, as processes of their own")


def _arithmetic(name: str, minimum: int, maximum: int | None, usage: str, text: str) -> Operation:
    def load() -> Function:
        from spoolcalc.arithmetic import FUNCTIONS

        return FUNCTIONS[name]

    return Operation(name, minimum, maximum, usage=usage, help=text, load=load, numbers=True)


_BUILT_IN: dict[str, Operation] = {
    row[0]: _arithmetic(*row)
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
_BUILT_IN[COMMAND] = _Command(
    COMMAND,
    1,
    None,
    usage="COMMAND [ARGUMENT...]",
    help="run a command; its output is the result",
    load=_run_elsewhere,
)
