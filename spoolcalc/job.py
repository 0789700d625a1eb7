"""The job: its states, its document, and the frozen values people get to see.

A job is one JSON document.  What the submitter wrote never changes; ``attempts`` and ``outcome``
are added by whoever owns the file at that time.  The state is not in the document: the directory
in which it lies says it.  ``docs/format.md`` is the contract.

Nothing here does I/O.  Classes are written out instead of being made by ``dataclasses``, whose
import costs as much as everything else that a ``spool submit`` does (11 of 27 ms here).
"""

from __future__ import annotations

import time
from enum import StrEnum

from spoolcalc.ids import seconds_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, NoReturn

    Document = dict[str, Any]

#: A job that took this many workers down with it is not tried again.
MAX_CRASHES = 3
#: ``--priority``: 0 is taken first, 9 last.
PRIORITIES = range(10)
DEFAULT_PRIORITY = 5


class State(StrEnum):
    """Where a job is, in the order in which jobs flow.  The value is the directory's name."""

    PENDING = "pending"  #: can be run now
    WIP = "wip"  #: a worker has it
    COMPLETED = "completed"  #: it has a result, which nobody fetched yet
    FAILED = "failed"  #: it ended with an error
    RETRIEVED = "retrieved"  #: its result was fetched; ``clean`` removes it

    @property
    def finished(self) -> bool:
        """Whether a job in this state has an outcome."""
        return self not in (State.PENDING, State.WIP)


class _Value:
    """A record that cannot be changed; compared and shown by its slots."""

    __slots__: tuple[str, ...] = ()

    def _set(self, **fields: object) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(repr(self))

    def _fields(self) -> list[object]:
        return [getattr(self, name) for name in self.__slots__]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({shown})"


class Outcome(_Value):
    """What came of a job: a result, or an error.

    ``exact`` and ``precision`` (significant digits) tell of a computed result whether it was
    rounded; ``reason`` tells of a failure what kind it is: ``error`` (the operation's own),
    or ``poison`` (it took ``max_crashes`` workers down).
    """

    __slots__ = ("error", "exact", "precision", "reason", "result", "state")

    state: State
    result: str | None
    error: str | None
    reason: str | None
    exact: bool | None
    precision: int | None

    def __init__(
        self,
        state: State,
        *,
        result: str | None = None,
        error: str | None = None,
        reason: str | None = None,
        exact: bool | None = None,
        precision: int | None = None,
    ) -> None:
        self._set(
            state=state,
            result=result,
            error=error,
            reason=reason,
            exact=exact,
            precision=precision,
        )

    @classmethod
    def completed(
        cls, result: str, *, exact: bool | None = None, precision: int | None = None
    ) -> Outcome:
        """Return the outcome of a job that gave ``result``."""
        return cls(State.COMPLETED, result=result, exact=exact, precision=precision)

    @classmethod
    def failed(cls, error: str, *, reason: str = "error") -> Outcome:
        """Return the outcome of a job that ended with ``error``, one sentence for people."""
        return cls(State.FAILED, error=error, reason=reason)


class Attempt(_Value):
    """One try at a job: by which worker, from when to when (RFC 3339), and how it ended.

    ``end`` is ``completed``, ``failed`` or ``lost`` (the worker died or fell silent).
    """

    __slots__ = ("end", "ended", "error", "started", "worker")

    worker: str
    started: str | None
    ended: str
    end: str
    error: str | None

    def __init__(
        self, worker: str, started: str | None, ended: str, end: str, error: str | None = None
    ) -> None:
        self._set(worker=worker, started=started, ended=ended, end=end, error=error)


class Job(_Value):
    """A job as it was when it was looked at.

    ``state`` is where its file lay, ``worker`` who has it (only in ``wip``), ``updated`` when it
    came to where it lay, in seconds since the epoch by the file system's clock.
    """

    __slots__ = ("_document", "state", "updated", "worker")

    _document: Document
    state: State
    worker: str | None
    updated: float

    def __init__(
        self, document: Document, state: State, *, worker: str | None = None, updated: float = 0.0
    ) -> None:
        self._set(_document=document, state=state, worker=worker, updated=updated)

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self._document["id"])

    @property
    def operation(self) -> str:
        """The name of the operation to run."""
        return str(self._document["operation"])

    @property
    def operands(self) -> tuple[str, ...]:
        """The operands, as the submitter wrote them."""
        return tuple(self._document["operands"])

    @property
    def priority(self) -> int:
        """0 (taken first) to 9 (taken last)."""
        return int(self._document["priority"])

    @property
    def submitted(self) -> datetime:
        """When it was submitted, by the submitter's clock; aware, UTC."""
        from datetime import UTC, datetime

        return datetime.fromtimestamp(seconds_of(self.id), UTC)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt that has ended, the oldest first."""
        return tuple(
            Attempt(a["worker"], a.get("started"), a["ended"], a["end"], a.get("error"))
            for a in self._document["attempts"]
        )

    @property
    def outcome(self) -> Outcome | None:
        """The outcome, or None while there is none."""
        recorded = self._document["outcome"]
        if recorded is None:
            return None
        return Outcome(
            State(recorded["state"]),
            result=recorded.get("result"),
            error=recorded.get("error"),
            reason=recorded.get("reason"),
            exact=recorded.get("exact"),
            precision=recorded.get("precision"),
        )

    @property
    def result(self) -> str | None:
        """The result, or None if there is none (yet)."""
        outcome = self.outcome
        return outcome.result if outcome else None

    @property
    def error(self) -> str | None:
        """The error, or None if there is none (yet)."""
        outcome = self.outcome
        return outcome.error if outcome else None

    @property
    def completed_on(self) -> str | None:
        """When the outcome was recorded (RFC 3339, by the worker's clock), or None."""
        recorded = self._document["outcome"]
        return recorded and str(recorded["finished"])


def timestamp(seconds: float) -> str:
    """Return ``seconds`` since the epoch in RFC 3339, UTC, to the millisecond."""
    milliseconds = int(seconds * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03d}Z"
