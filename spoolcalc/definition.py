"""What an operation is, and what it gives.

    operation.check(["12", "23"])     at submit: BadOperands if the job could never be run
    operation.run(["12", "23"])       in a worker: an Answer, or an exception

``check`` reads, it does not compute: what only computing can tell (a division by zero) is a failure
of the job, and ``run`` raises it as :class:`OperationFailed`.  ``run`` checks again, since anybody
may have written the job's file.  An operation from an installed package may raise any exception;
turning it into a failed job is up to the caller.

This module is on the path of ``spool submit``, whose start-up time is a feature: it imports nothing
that an interpreter takes long to load.
"""

from __future__ import annotations

from spoolcalc import operands as allowed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from spoolcalc.context import Context

    #: Takes the operands as strings; what it may return says :func:`answer`.
    Function = Callable[..., object]

#: An int of more bits than this may have more digits than Python writes by itself.
_LARGE = 10_000


class OperationFailed(Exception):
    """The job itself failed: its operands have no result, or none within the limits.

    The message is one line for people.  Trying again would give the same.
    """


class Answer:
    """What an operation returns.

    ``result`` is the text that is stored; ``exact`` tells whether it is the very result or had to
    be rounded (None: nobody said), and ``precision``, in significant digits, to how many digits it
    was rounded.
    """

    __slots__ = ("exact", "precision", "result")

    def __init__(
        self, result: str, *, exact: bool | None = True, precision: int | None = None
    ) -> None:
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

    def check(self, operands: Sequence[str], unknown: Container[int] = ()) -> None:
        """Raise :class:`~spoolcalc.errors.BadOperands` if the operation can never take these.

        ``unknown`` are the positions, from 0, of operands whose values are not known yet: results
        of other jobs.  They are counted, and not looked at.
        """
        allowed.count(self.name, self.usage, len(operands), self.minimum, self.maximum)
        for index, operand in enumerate(operands):
            if index not in unknown:
                self.check_one(index, operand)
        allowed.total(self.name, operands)

    def check_one(self, index: int, operand: str) -> None:
        """Check the operand at ``index`` (from 0) by itself."""
        check = allowed.number if self.numbers else allowed.text
        check(f"operand {index + 1} of {self.name}", operand)

    def run(self, operands: Sequence[str], context: Context | None = None) -> Answer:
        """Return the answer.  Raises whatever the function raises, and what ``check`` does.

        ``context`` is the job that it is run for; only an operation that asks for it sees it.
        """
        self.check(operands)
        return answer(self.call(operands, context))

    def call(self, operands: Sequence[str], context: Context | None) -> object:  # noqa: ARG002 - kinds of operations differ in this
        """Call the function with operands that were checked."""
        return self.load()(*operands)


def answer(returned: object) -> Answer:
    """Return what an operation's function returned as an Answer.

    Texts, numbers, paths, dates and members of enumerations are their text, True and False are
    ``true`` and ``false``, None is an empty result, and dicts, lists and tuples are JSON.  Raises
    TypeError for anything else: what nobody meant to be read is not stored as a result.
    """
    if isinstance(returned, Answer):
        return returned
    if returned is None:
        return Answer("", exact=None)
    if type(returned) is str:
        return Answer(returned, exact=None)
    if isinstance(returned, bool):
        return Answer("true" if returned else "false", exact=None)
    if isinstance(returned, dict | list | tuple):
        import json

        text = json.dumps(returned, ensure_ascii=False, allow_nan=False, default=_text)
        return Answer(text, exact=None)
    return Answer(_text(returned), exact=None)


def _text(value: object) -> str:
    from datetime import date, time
    from decimal import Decimal
    from enum import Enum
    from pathlib import PurePath

    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, int) and value.bit_length() > _LARGE:
        return format(Decimal(value), "f")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, str | int | float | Decimal | PurePath):
        return str(value)
    raise TypeError(
        f"it returned a {type(value).__name__}, which has no obvious text; "
        "return a text, a number, a dict, a list, or nothing"
    )
