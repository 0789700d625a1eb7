"""The job's document as it is stored: made, changed, encoded, decoded and checked.

Documents are plain dictionaries, in one line of JSON each; ``docs/format.md`` is the contract.
What the submitter wrote never changes: every function that "changes" one returns a copy with other
``attempts`` or another ``outcome``.  Nothing here does I/O.
"""

from __future__ import annotations

import json

from spoolcalc.errors import NewerFormat, UsageError
from spoolcalc.ids import is_id, seconds_of
from spoolcalc.job import (
    DEFAULT_PRIORITY,
    LARGEST_NUMBER,
    LONGEST_TIME,
    MAX_CRASHES,
    OUTCOME_FIELDS,
    PRIORITIES,
    shortened,
    timestamp,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spoolcalc.job import Attempt, Document, Outcome

#: The version of the document and of the directory; an unknown one is never operated on.
FORMAT = 1
#: A document larger than this many bytes is not read, and none is written.
MAX_DOCUMENT = 16 * 1024 * 1024
#: So much of that is for the outcome alone: no job is submitted, or tried again, without this room.
ROOM = 1024 * 1024
#: What a job may need of one that it waits for: that it completes, or only that it ends.
NEEDS = ("ok", "any")
#: An operand that starts so, with an id after it, stands for that job's result.
REFERENCE = "@"


class Malformed(ValueError):
    """The bytes are not a job document; the message is the reason, in one line."""


def new_document(
    job_id: str,
    operation: str,
    operands: Sequence[str],
    *,
    priority: int = DEFAULT_PRIORITY,
    max_crashes: int = MAX_CRASHES,
    **options: object,
) -> Document:
    """Return the document of a job that is about to be submitted.

    ``options`` are the optional fields, as ``docs/format.md`` names them; None stands for absent.
    """
    return {
        "format": FORMAT,
        "id": job_id,
        "operation": operation,
        "operands": list(operands),
        "priority": priority,
        "max_crashes": max_crashes,
        "submitted": timestamp(seconds_of(job_id)),
        **{name: value for name, value in options.items() if value is not None},
        "attempts": [],
        "outcome": None,
    }


def with_attempt(document: Document, attempt: Attempt) -> Document:
    """Return a copy of ``document`` with one more attempt."""
    noted = {name: getattr(attempt, name) for name in ("worker", "started", "ended", "end")}
    if attempt.error is not None:
        noted["error"] = shortened(attempt.error)
    return {**document, "attempts": [*document["attempts"], noted]}


def with_outcome(document: Document, outcome: Outcome, finished: str) -> Document:
    """Return a copy of ``document`` with its outcome, recorded at ``finished`` (RFC 3339)."""
    recorded: Document = {"state": outcome.state.value, "finished": finished}
    for name in ("result", "exact", "precision", "error", "reason", "exit_code", "cut"):
        value = getattr(outcome, name)
        if value is not None:
            recorded[name] = shortened(value) if name == "error" else value
    return {**document, "outcome": recorded}


def with_due(document: Document, due: str) -> Document:
    """Return a copy of ``document`` that is to be tried again at ``due`` (RFC 3339)."""
    return {**document, "due": due}


def due_of(document: Document) -> float | None:
    """Return when a job may run at the earliest, in seconds since the epoch; None: at once."""
    written = document.get("due") or document.get("not_before")
    if written is None:
        return None
    from datetime import datetime

    return datetime.fromisoformat(written).timestamp()


def again_at(document: Document) -> float | None:
    """Return the time of the next attempt (seconds since the epoch) if one failed before it."""
    return due_of(document) if "due" in document and document["outcome"] is None else None


def started_over(document: Document) -> Document:
    """Return a copy of ``document`` to be run anew: no outcome, and no attempt held against it."""
    again = {**document, "outcome": None, "forgiven": len(document["attempts"])}
    again.pop("due", None)
    return again


def crashes(document: Document) -> int:
    """Return how many attempts ended with a worker's loss or a crash, but for those forgiven."""
    return _ends(document, ("lost", "crashed"))


def failures(document: Document) -> int:
    """Return how many attempts failed, those forgiven not counted."""
    return _ends(document, ("failed",))


def reference(operand: str) -> str | None:
    """Return the id of the job whose result an operand stands for, None if it is plain."""
    if operand[:1] != REFERENCE:
        return None
    return operand[1:] if is_id(operand[1:]) else None


def _ends(document: Document, ends: tuple[str, ...]) -> int:
    counted = document["attempts"][document.get("forgiven", 0) :]
    return sum(1 for attempt in counted if attempt["end"] in ends)


def encode(document: Document) -> bytes:
    """Return the document as the one line that is stored."""
    return (json.dumps(document, separators=(",", ":")) + "\n").encode("ascii")


def has_room(document: Document) -> bool:
    """Tell whether a job's outcome will have room in its document, whatever that will be."""
    return len(encode(document)) <= MAX_DOCUMENT - ROOM


def too_large(document: Document) -> UsageError:
    """Return the error of a job whose document leaves no room for its outcome."""
    size, most = len(encode(document)), MAX_DOCUMENT - ROOM
    return UsageError(
        f"the job is too large: its document has {size:,} bytes, and may have {most:,}",
        "Pass large things as files, and name these in the job.",
    )


def decode(data: bytes) -> Document:
    """Return the document that ``data`` holds.

    Raises :class:`Malformed` if it is none, and :class:`~spoolcalc.errors.NewerFormat` if its rules
    are those of a later version.
    """
    try:
        return _decoded(data)
    except (Malformed, NewerFormat, MemoryError):
        raise
    except Exception as error:
        raise Malformed(f"it cannot be read ({type(error).__name__}: {error})") from error


def _decoded(data: bytes) -> Document:
    if not data:
        raise Malformed("the file is empty")
    try:
        document = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8 (byte {error.start})") from error
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON ({error})") from error
    if not isinstance(document, dict):
        raise Malformed("not a JSON object")
    version = document.get("format")
    if type(version) is int and version > FORMAT:
        raise NewerFormat(
            f"a job document of format {version}, and this version knows formats up to {FORMAT}",
            "Upgrade spoolcalc.",
        )
    for name in _FIELDS:
        if name not in document:
            raise Malformed(f"the field {name!r} is missing")
    for name, value in document.items():
        if name in _CHECKS and not _CHECKS[name](value):
            raise Malformed(f"the field {name!r} has a wrong value")
    return document


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_attempt(value: object) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name), str) for name in ("worker", "ended", "end"))
        and all(_is_text_or_none(value.get(name)) for name in ("started", "error"))
    )


def _is_outcome(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or not isinstance(value.get("finished"), str):
        return False
    content = {"completed": "result", "failed": "error"}.get(str(value.get("state")))
    if content is None or not isinstance(value.get(content), str):
        return False
    return all(
        value.get(name) is None or is_right(value[name])
        for name, is_right in OUTCOME_FIELDS.items()
    )


_FIELDS = {
    "format": lambda value: type(value) is int and value == FORMAT,
    "id": lambda value: isinstance(value, str) and is_id(value),
    "operation": lambda value: isinstance(value, str) and value != "",
    "operands": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "priority": lambda value: type(value) is int and value in PRIORITIES,
    "max_crashes": lambda value: _is_count(value) and value > 0,
    "submitted": _is_text,
    "attempts": lambda value: isinstance(value, list) and all(map(_is_attempt, value)),
    "outcome": _is_outcome,
}


def _is_duration(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= LONGEST_TIME  # type: ignore[operator] # a number


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_NUMBER


def _is_time(value: object) -> bool:
    if not isinstance(value, str):
        return False
    from datetime import datetime

    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _is_needs(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(need, dict)
        and isinstance(need.get("id"), str)
        and is_id(need["id"])
        and need.get("need") in NEEDS
        for need in value
    )


def _is_command(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("env"), dict):
        return False
    texts = [value.get("cwd"), *value["env"], *value["env"].values()]
    stdin = value.get("stdin")
    return all(map(_is_text, texts)) and (stdin is None or _is_text(stdin))


_OPTIONAL = {
    "label": _is_text,
    "key": _is_text,
    "timeout": _is_duration,
    "retries": _is_count,
    "backoff": _is_duration,
    "not_before": _is_time,
    "due": _is_time,
    "max_output": _is_count,
    "forgiven": _is_count,
    "after": _is_needs,
    "command": _is_command,
}

_CHECKS = {**_FIELDS, **_OPTIONAL}
