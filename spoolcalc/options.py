"""What a submitter may ask for beside the operation: checked here, before anything is written.

Every front (the command, the library, a document in ``inbox/``) gives these options by the same
names and gets the same errors.
"""

from __future__ import annotations

import os
import time

from spoolcalc.document import NEEDS, reference
from spoolcalc.errors import UsageError, shown
from spoolcalc.ids import is_id
from spoolcalc.job import LONGEST_TIME, timestamp
from spoolcalc.operations import COMMAND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypedDict

    class Options(TypedDict, total=False):
        """The options of a submit; None stands for the default."""

        priority: int | None  #: 0 (taken first) to 9, 5 if it is not given
        max_crashes: int | None  #: after the loss of so many workers it is poison
        label: str | None  #: the submitter's own word for it
        key: str | None  #: a second submit with the same key is the same job
        timeout: float | None  #: seconds that one attempt may take
        retries: int | None  #: how often it is tried again after a failure
        backoff: float | None  #: seconds before the first retry, doubled for each further one
        at: float | None  #: not before this time, in seconds since the epoch
        after: Sequence[tuple[str, str]]  #: ids of jobs it waits for, each with ``ok`` or ``any``
        max_output: int | None  #: bytes kept of each of a command's outputs
        cwd: str | None  #: a command's working directory
        env: Mapping[str, str] | None  #: what a command's environment has beside the worker's
        stdin: str | None  #: the absolute path of the file that a command reads


#: The longest label and key, in characters.
LONGEST_TEXT = 200
#: The last second that RFC 3339 can write.
LAST_TIME = 253_402_300_799.0
#: The most retries, and the most jobs that one may wait for.
MOST_RETRIES, MOST_NEEDS = 10_000, 100_000
#: The most that can be kept of a command's output, in bytes.
LARGEST_OUTPUT = 1 << 62

_NAMES = frozenset(
    ["after", "at", "backoff", "cwd", "env", "key", "label", "max_output", "retries"]
).union(["stdin", "timeout"])


def checked(
    operation: str, operands: Sequence[str], delay: float | None, options: Options
) -> dict[str, object]:
    """Return the optional fields of a document, None for absent, with what its operands refer to.

    ``delay`` is in seconds from now.  Raises :class:`~spoolcalc.errors.UsageError`.
    """
    strange = sorted(set(options) - set(_NAMES))
    if strange:
        raise UsageError(
            f"no such option: {shown(strange[0])}", f"There are {', '.join(sorted(_NAMES))}."
        )
    texts = {name: _text(name, options.get(name)) for name in ("label", "key")}
    needs = _needs(options.get("after") or (), operands)
    return {
        **texts,
        "timeout": _seconds("timeout", options.get("timeout"), shortest=0.001),
        "retries": _whole("retries", options.get("retries"), MOST_RETRIES),
        "backoff": _seconds("backoff", options.get("backoff")),
        "not_before": _not_before(options.get("at"), delay),
        "after": needs or None,
        "max_output": _whole("max_output", options.get("max_output"), LARGEST_OUTPUT),
        "command": _command(operation, options),
    }


def _not_before(at: float | None, delay: float | None) -> str | None:
    if at is not None and delay is not None:
        raise UsageError("a delay and a time cannot both be given")
    if delay is not None:
        at = time.time() + (_seconds("delay", delay) or 0.0)
    at = _seconds("at", at, longest=LAST_TIME)
    return None if at is None else timestamp(at)


def _text(name: str, text: object) -> str | None:
    if text is None or (
        isinstance(text, str) and 0 < len(text) <= LONGEST_TEXT and text.isprintable()
    ):
        return text
    raise UsageError(
        f"not a {name}: {shown(str(text))}",
        f"One line of 1 to {LONGEST_TEXT} printable characters.",
    )


def _seconds(
    name: str, value: object, *, shortest: float = 0.0, longest: float = LONGEST_TIME
) -> float | None:
    if value is None:
        return None
    if type(value) in (int, float) and shortest <= value <= longest:  # type: ignore[operator] # a number
        return float(value)  # type: ignore[arg-type] # see above
    raise UsageError(f"{name} cannot be {value}", f"Seconds, from {shortest:g} to {longest:.0f}.")


def _whole(name: str, value: object, most: int) -> int | None:
    if value is None or (type(value) is int and 0 <= value <= most):
        return value
    raise UsageError(f"{name} cannot be {value}", f"A whole number, from 0 to {most}.")


def _needs(after: Sequence[tuple[str, str]], operands: Sequence[str]) -> list[dict[str, str]]:
    needs: dict[str, str] = {}
    try:
        pairs = [(job_id, need) for job_id, need in after]
    except (TypeError, ValueError) as error:
        told = f"after: not a list of pairs: {shown(repr(after))}"
        raise UsageError(told, "Of each job its id, and ok or any.") from error
    for job_id, need in pairs:
        if not isinstance(job_id, str) or not is_id(job_id):
            raise UsageError(
                f"after: not a job id: {shown(str(job_id))}",
                "A job to wait for is given by its id; that of a file of inbox/ stands first in"
                " what `spool status NAME` prints.",
            )
        if need not in NEEDS:
            raise UsageError(
                f"after: a job is needed ok or any, not {shown(str(need))}",
                "ok: it must complete; any: it must have ended.",
            )
        needs[job_id] = "ok" if "ok" in (need, needs.get(job_id)) else need
    for operand in operands:
        job_id_or_none = reference(operand) if isinstance(operand, str) else None
        if job_id_or_none is not None:
            needs[job_id_or_none] = "ok"
    if len(needs) > MOST_NEEDS:
        raise UsageError(f"a job waits for at most {MOST_NEEDS} others, not {len(needs)}")
    return [{"id": job_id, "need": need} for job_id, need in needs.items()]


def _command(operation: str, options: Options) -> dict[str, object] | None:
    if operation != COMMAND:
        for name in ("cwd", "env", "stdin", "max_output"):
            if options.get(name) is not None:
                raise UsageError(f"{name} goes with {COMMAND}, which runs a command")
        return None
    cwd, env, stdin = options.get("cwd"), options.get("env") or {}, options.get("stdin")
    for name, path in (("cwd", cwd), ("stdin", stdin)):
        if path is not None and not _is_path(path):
            raise UsageError(f"{name} is not an absolute path: {shown(str(path))}")
    if not hasattr(env, "items"):
        raise UsageError(f"env is not a mapping: {shown(repr(env))}", "Of names to texts.")
    for variable, value in env.items():
        if not isinstance(variable, str) or not variable or {"=", "\0"} & set(variable):
            raise UsageError(f"not a name of a variable: {shown(str(variable))}")
        if not isinstance(value, str) or "\0" in value:
            raise UsageError(f"the variable {shown(variable)} has no text as its value")
    return {"cwd": cwd or _here(), "env": dict(env), "stdin": stdin}


def _here() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise UsageError(
            f"a command runs in the directory it is submitted in, and that cannot be told: "
            f"{error.strerror}",
            "Perhaps it was removed; go to another one.",
        ) from error


def _is_path(path: object) -> bool:
    return isinstance(path, str) and os.path.isabs(path) and "\0" not in path
