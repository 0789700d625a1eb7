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

from spoolcalc.errors import UsageError
from spoolcalc.ids import seconds_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, NoReturn

    Document = dict[str, Any]

#: The operation that runs a command; its operands are the command's words.
COMMAND = "exec"
#: A job that took this many workers down with it is not tried again.
MAX_CRASHES = 3
#: Nobody can have it tried more often than this in spite of that.
MOST_CRASHES = 1_000_000
#: ``--priority``: 0 is taken first, 9 last.
PRIORITIES = range(10)
DEFAULT_PRIORITY = 5
#: ``--lease``: how long (seconds) a worker may be silent before it is given up.
DEFAULT_LEASE = 60.0
#: The shortest lease that can be kept on a busy machine, in seconds.
SHORTEST_LEASE = 0.5
#: ``--backoff``: seconds before the first retry; each further one waits twice as long,
DEFAULT_BACKOFF = 10.0
#: but none longer than this (seconds), and give or take this part of it.
LONGEST_BACKOFF, JITTER = 3600.0, 0.1
#: The longest time limit, delay and backoff, in seconds: about 30 years.
LONGEST_TIME = 1e9
#: An error that is longer, in characters, is cut.
LONGEST_ERROR = 4000
#: The largest whole number that a document has.
LARGEST_NUMBER = (1 << 63) - 1


class State(StrEnum):
    """Where a job is, in the order in which jobs flow.  The value is the directory's name."""

    BLOCKED = "blocked"  #: waits for other jobs
    DELAYED = "delayed"  #: waits for its time
    PENDING = "pending"  #: can be run now
    WIP = "wip"  #: a worker has it
    COMPLETED = "completed"  #: it has a result, which nobody fetched yet
    FAILED = "failed"  #: it ended with an error
    RETRIEVED = "retrieved"  #: its result was fetched; ``clean`` removes it

    @property
    def finished(self) -> bool:
        """Whether a job in this state has an outcome."""
        return self in (State.COMPLETED, State.FAILED, State.RETRIEVED)


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


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return type(value) is bool


def _is_number(value: object) -> bool:
    return type(value) is int and -LARGEST_NUMBER <= value <= LARGEST_NUMBER


#: What each field of an outcome may be, if it is there.
OUTCOME_FIELDS = {
    "result": _is_text,
    "exact": _is_flag,
    "precision": _is_number,
    "error": _is_text,
    "reason": _is_text,
    "exit_code": _is_number,
    "cut": _is_flag,
}
#: What an outcome of each state must have.
_NEEDED: dict[object, str] = {State.COMPLETED: "result", State.FAILED: "error"}
_HINTS = {"result": "Give it as a text, like '35'.", "error": "Give it as a text."}


class Outcome(_Value):
    """What came of a job: a result, or an error.

    ``exact`` and ``precision`` (significant digits) tell of a computed result whether it was
    rounded; ``reason`` tells of a failure what kind it is: ``error`` (the operation's own),
    ``timeout`` (it ran longer than its limit), ``poison`` (it took ``max_crashes`` workers down),
    ``cancelled``, or ``dependency`` (a job it needed has failed).  ``exit_code`` is a command's,
    128 + N if signal N ended it; ``cut`` tells that not all of its output was kept.

    Raises :class:`~spoolcalc.errors.UsageError` for what no document could have: a ``completed``
    one without a result that is a text, a ``failed`` one without an error, and other kinds.
    """

    __slots__ = ("cut", "error", "exact", "exit_code", "precision", "reason", "result", "state")

    state: State
    result: str | None
    error: str | None
    reason: str | None
    exact: bool | None
    precision: int | None
    exit_code: int | None
    cut: bool | None

    def __init__(
        self,
        state: State,
        *,
        result: str | None = None,
        error: str | None = None,
        reason: str | None = None,
        exact: bool | None = None,
        precision: int | None = None,
        exit_code: int | None = None,
        cut: bool | None = None,
    ) -> None:
        self._set(
            state=state,
            result=result,
            error=error,
            reason=reason,
            exact=exact,
            precision=precision,
            exit_code=exit_code,
            cut=cut,
        )
        needed = _NEEDED.get(state)
        if needed is None:
            raise UsageError(f"not the state of an outcome: {state!r}", "It completed, or failed.")
        for name, is_right in OUTCOME_FIELDS.items():
            value: object = getattr(self, name)
            if not is_right(value) and (value is not None or name == needed):
                kind = type(value).__name__
                raise UsageError(f"an outcome's {name} cannot be a {kind}", _HINTS.get(name, ""))

    @classmethod
    def completed(
        cls,
        result: str,
        *,
        exact: bool | None = None,
        precision: int | None = None,
        exit_code: int | None = None,
        cut: bool | None = None,
    ) -> Outcome:
        """Return the outcome of a job that gave ``result``."""
        return cls(
            State.COMPLETED,
            result=result,
            exact=exact,
            precision=precision,
            exit_code=exit_code,
            cut=cut,
        )

    @classmethod
    def failed(
        cls,
        error: str,
        *,
        reason: str = "error",
        exit_code: int | None = None,
        cut: bool | None = None,
    ) -> Outcome:
        """Return the outcome of a job that ended with ``error``, one sentence for people.

        A very long one is cut, and says so.
        """
        error = shortened(error)
        return cls(State.FAILED, error=error, reason=reason, exit_code=exit_code, cut=cut)

    @classmethod
    def cancelled(cls) -> Outcome:
        """Return the outcome of a job that somebody cancelled."""
        return cls.failed("it was cancelled", reason="cancelled")


class Attempt(_Value):
    """One try at a job: by which worker, from when to when (RFC 3339), and how it ended.

    ``end`` is ``completed``, ``failed``, ``lost`` (the worker died or fell silent) or ``crashed``
    (the process that ran it died, and its worker did not).
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
    def document(self) -> Document:
        """What is stored of it; not to be changed."""
        return self._document

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
    def label(self) -> str | None:
        """The submitter's own word for it."""
        return self._document.get("label")

    @property
    def key(self) -> str | None:
        """What makes a second submit with the same key mean this job."""
        return self._document.get("key")

    @property
    def timeout(self) -> float | None:
        """How long (seconds) an attempt may take, if the submitter said so."""
        return self._document.get("timeout")

    @property
    def retries(self) -> int:
        """How often it is tried again after a failure."""
        return int(self._document.get("retries", 0))

    @property
    def backoff(self) -> float:
        """How long (seconds) it waits before the first of its retries."""
        return float(self._document.get("backoff", DEFAULT_BACKOFF))

    @property
    def not_before(self) -> str | None:
        """When it may run at the earliest (RFC 3339): as submitted, or after a failure."""
        due: str | None = self._document.get("due") or self._document.get("not_before")
        return due

    @property
    def after(self) -> tuple[tuple[str, str], ...]:
        """The jobs it waits for, each with ``ok`` (it must complete) or ``any`` (end)."""
        return tuple((need["id"], need["need"]) for need in self._document.get("after", ()))

    @property
    def max_output(self) -> int | None:
        """How many bytes are kept of each of a command's two outputs; None: all."""
        return self._document.get("max_output")

    @property
    def command(self) -> dict[str, Any] | None:
        """A command's ``cwd``, ``env`` (what is added) and ``stdin`` (a path, or None)."""
        return self._document.get("command")

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
            exit_code=recorded.get("exit_code"),
            cut=recorded.get("cut"),
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


def shortened(error: str) -> str:
    """Return an error as it is kept: of a very long one its beginning, and how long it was."""
    if not isinstance(error, str) or len(error) <= LONGEST_ERROR:
        return error
    note = f"... (cut; it had {len(error):,} characters)"
    return error[: LONGEST_ERROR - len(note)] + note


def timestamp(seconds: float) -> str:
    """Return ``seconds`` since the epoch in RFC 3339, UTC, to the millisecond."""
    milliseconds = int(seconds * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03d}Z"
