"""One job to its outcome.  Knows operations; knows no spool."""

from __future__ import annotations

from spoolcalc import operations
from spoolcalc.errors import UnknownOperation, UsageError
from spoolcalc.job import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from spoolcalc.context import Context, Report

#: The longest result, in characters, that is kept in a job's document.
LONGEST_RESULT = 4 * 1024 * 1024
#: The most characters that the operands of a light job have together.
LIGHT = 256


def is_light(operation: str, operands: Sequence[str]) -> bool:
    """Tell whether a job is done in milliseconds and can take no worker down.

    So is the arithmetic of our own with operands of a usual length; of others' operations, and of
    the files and processes that they may use, nothing is known.
    """
    arithmetic = operations.is_built_in(operation) and operation != operations.COMMAND
    return arithmetic and sum(map(len, operands)) <= LIGHT


def work(
    operation: str,
    operands: Sequence[str],
    job_id: str,
    attempt: int,
    report: Report | None = None,
) -> dict[str, Any]:
    """Run an operation, in whatever process or thread this is; return the outcome's fields.

    They can be passed between processes.  If the operation is unknown, or cannot be loaded, they
    are only ``unknown``, with the reason.  In a child, the worker hears the progress.
    """
    from spoolcalc.child import teller
    from spoolcalc.context import Context

    try:
        operations.get(operation)
    except UnknownOperation as error:
        return {"unknown": error.message}
    report = report or teller()
    context = Context(job_id, attempt, report) if report is not None else Context(job_id, attempt)
    outcome = execute(operation, operands, context)
    fields = {name: getattr(outcome, name) for name in outcome.__slots__}
    return {**fields, "state": outcome.state.value}


def execute(operation: str, operands: Sequence[str], context: Context | None = None) -> Outcome:
    """Run an operation; whatever it raises is the outcome, said in one line."""
    try:
        answer = operations.get(operation).run(operands, context)
        if not isinstance(answer.result, str):
            raise TypeError(f"its answer is a {type(answer.result).__name__}, not a text")
        outcome = Outcome.completed(answer.result, exact=answer.exact, precision=answer.precision)
    except operations.OperationFailed as error:
        return Outcome.failed(" ".join(str(error).split()) or "it failed")
    except UsageError as error:
        return Outcome.failed(error.message)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a job's own failure, of any kind
        return Outcome.failed(told(error))
    if len(answer.result) > LONGEST_RESULT:
        return Outcome.failed(
            f"the result has {len(answer.result)} characters, and {LONGEST_RESULT} are kept"
        )
    return outcome


def told(error: BaseException) -> str:
    """Return an exception in one line, even one that cannot say what it is."""
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - somebody's __str__, which may do anything
        text = ""
    return f"{name}: {text}" if text else name
