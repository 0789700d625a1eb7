"""A function with type hints becomes an operation.

    @operation
    def convert(amount: Decimal, rate: Decimal, places: int = 2) -> Decimal:
        '''AMOUNT in another currency, at RATE.'''

Operands are checked at submit, by the hints, and the function gets them converted.  A hint may be
``str`` (so is one that is missing), ``int``, ``float``, ``Decimal``, ``bool``, ``Path``, a
``Literal`` of texts or whole numbers, or an ``Enum`` of such; ``| None`` changes nothing.  A
parameter with a default may be left out, and ``*operands`` takes any number.  One of type
:class:`~spoolcalc.Context` is no operand and gets the context.  The first line of the docstring is
the operation's help.

The decorated function can be called as before.  A hint that cannot be an operand is the
programmer's error, a TypeError when it is decorated.
"""

from __future__ import annotations

import enum
import inspect
import re
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    NamedTuple,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    overload,
)

from spoolcalc import conversion
from spoolcalc.context import Context
from spoolcalc.definition import Answer, Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from spoolcalc.conversion import Kind

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
#: What an annotation can mean although its module imports it for type checkers only.
_WELL_KNOWN = {thing.__name__: thing for thing in (Answer, Context, Decimal, Path, enum.Enum)} | {
    "Literal": Literal,
    "Any": Any,
}
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Parameter(NamedTuple):
    """An operand as the function declares it."""

    name: str
    kind: Kind
    required: bool
    repeated: bool

    @property
    def label(self) -> str:
        """The name in capitals, as usage lines and messages have it."""
        return self.name.upper()

    @property
    def usage(self) -> str:
        """How it stands in a usage line."""
        label = self.label + ("..." if self.repeated else "")
        return label if self.required else f"[{label}]"


class Declared(Operation, Generic[P, R]):
    """An operation made of a function.

    ``function`` is that; ``parameters`` are the operands it declares, and ``doc`` is its whole
    docstring.  To call it is to call the function.
    """

    __slots__ = ("_signature", "doc", "function", "parameters")

    def __init__(self, name: str, function: Callable[P, R]) -> None:
        if not _NAME.fullmatch(name):
            raise TypeError(
                f"{name!r} is no name of an operation: small letters, digits, '_', '.' and '-', "
                'at most 64, a letter first; @operation(name="...") gives another'
            )
        if inspect.iscoroutinefunction(function):
            raise TypeError("a coroutine function cannot be an operation")
        self._signature = _signature(function)
        self.function = function
        self.parameters = _parameters(self._signature)
        self.doc = inspect.getdoc(function) or ""
        minimum = sum(parameter.required for parameter in self.parameters)
        unlimited = any(parameter.repeated for parameter in self.parameters)
        super().__init__(
            name,
            minimum,
            None if unlimited else len(self.parameters),
            usage=" ".join(parameter.usage for parameter in self.parameters),
            help=self.doc.strip().partition("\n")[0],
            load=lambda: function,
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself: nothing is converted or checked."""
        return self.function(*args, **kwargs)

    def check_one(self, index: int, operand: str) -> None:
        """Check an operand by its parameter's type."""
        self._converted(index, operand)

    def call(self, operands: Sequence[str], context: Context | None) -> object:
        """Call the function with the operands converted and, if it asks, the context."""
        values = [self._converted(index, operand) for index, operand in enumerate(operands)]
        given: list[object] = []
        by_name: dict[str, object] = {}
        for parameter in self._signature.parameters.values():
            if _is_context(parameter.annotation):
                value: object = context or Context()
                if parameter.kind is parameter.KEYWORD_ONLY:
                    by_name[parameter.name] = value
                else:
                    given.append(value)
            elif parameter.kind in _BY_POSITION:
                given.append(values.pop(0) if values else parameter.default)
        function: Callable[..., object] = self.function
        return function(*given, *values, **by_name)

    def _converted(self, index: int, operand: str) -> object:
        parameter = self.parameters[min(index, len(self.parameters) - 1)]
        which = f"operand {index + 1} of {self.name} ({parameter.label})"
        return parameter.kind.convert(which, operand)


@overload
def operation(function: Callable[P, R], /) -> Declared[P, R]: ...


@overload
def operation(*, name: str) -> Callable[[Callable[P, R]], Declared[P, R]]: ...


def operation(
    function: Callable[P, R] | None = None, /, *, name: str | None = None
) -> Declared[P, R] | Callable[[Callable[P, R]], Declared[P, R]]:
    """Make an operation of a function, by its type hints and its docstring.

    Its name is the function's, or ``name``; a package's entry point must have the same.  Raises
    TypeError if the function cannot be one.
    """
    if function is not None:
        return Declared(function.__name__ if name is None else name, function)

    def decorate(function: Callable[P, R]) -> Declared[P, R]:
        return Declared(function.__name__ if name is None else name, function)

    return decorate


def declared(name: str, function: object) -> Operation:
    """Make an operation of what a package offers as a plain function."""
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise TypeError("it loads neither an Operation nor a callable that returns its result")
    return Declared(name, function)


def _signature(function: Callable[..., object]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:  # something that is imported for type checkers only
        pass
    try:
        return inspect.signature(function, eval_str=True, locals=_WELL_KNOWN)
    except NameError as error:
        raise TypeError(
            f"its hints cannot be read: {error}; import what they name outside of TYPE_CHECKING"
        ) from error


def _parameters(signature: inspect.Signature) -> tuple[Parameter, ...]:
    """Return the operands a function declares, in order."""
    found = []
    for parameter in signature.parameters.values():
        required = parameter.default is parameter.empty
        repeated = parameter.kind is parameter.VAR_POSITIONAL
        if _is_context(parameter.annotation):
            if repeated or parameter.kind is parameter.VAR_KEYWORD:
                raise TypeError(f"its parameter {parameter.name} takes several contexts")
        elif repeated:
            found.append(Parameter(parameter.name, _kind(parameter), required=False, repeated=True))
        elif parameter.kind in _BY_POSITION:
            found.append(Parameter(parameter.name, _kind(parameter), required, repeated=False))
        elif parameter.kind is parameter.KEYWORD_ONLY and required:
            raise TypeError(f"its parameter {parameter.name} cannot be given as an operand")
    return tuple(found)


def _kind(parameter: inspect.Parameter) -> Kind:
    hint = _without_none(parameter.annotation)
    if hint is parameter.empty:
        hint = str
    kind = conversion.KINDS.get(hint)
    if kind is not None:
        return kind
    choices: dict[str, object] | None = None
    if get_origin(hint) is Literal:
        choices = conversion.choices((value, value) for value in get_args(hint))
    elif isinstance(hint, enum.EnumType):
        members: Iterable[enum.Enum] = hint
        choices = conversion.choices((member.value, member) for member in members)
    if choices is None:
        raise TypeError(
            f"its parameter {parameter.name} cannot be an operand: {inspect.formatannotation(hint)}"
            " is none of str, int, float, Decimal, bool, Path, and a Literal or an Enum of texts"
            " or whole numbers"
        )
    return conversion.Choice(choices)


def _is_context(hint: object) -> bool:
    return _without_none(hint) is Context


def _without_none(hint: Any) -> Any:
    """Return ``T`` of ``T | None``, and everything else as it is."""
    if get_origin(hint) in (Union, UnionType):
        others = [one for one in get_args(hint) if one is not NoneType]
        if len(others) == 1:
            return others[0]
    return hint
