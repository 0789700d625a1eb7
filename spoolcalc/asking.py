"""Jobs that are asked for in JSON: the fields, their kinds, and the job's document made of them.

    asked(parsed(data), {}, key="nightly")     the document, with a new id, or UsageError

A file in ``inbox/`` and a request over HTTP are held to the same rules, in the same words.  Nothing
is written.  What the values mean is checked by :func:`~spoolcalc.submission.prepare`.
"""

from __future__ import annotations

import json

from spoolcalc.errors import UsageError, shown
from spoolcalc.operations import COMMAND
from spoolcalc.submission import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from spoolcalc.job import Document

#: What can be asked for, and what kind each value is.  ``null`` stands for the default.
KINDS: dict[str, tuple[type, ...]] = {
    "operation": (str,),
    "operands": (list,),
    "priority": (int,),
    "max_crashes": (int,),
    "label": (str,),
    "timeout": (int, float),
    "retries": (int,),
    "backoff": (int, float),
    "delay": (int, float),
    "at": (int, float),
    "after": (list,),
    "max_output": (int,),
    "cwd": (str,),
    "env": (dict,),
    "stdin": (str,),
}
_WORDS = {
    str: "a text",
    list: "a list",
    int: "a whole number",
    float: "a number",
    dict: "an object",
}


class Unfit(UsageError):
    """It cannot be made a job."""


def parsed(data: bytes) -> object:
    """Return what JSON says, in which no object may have a field twice."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_without_doubles)
    except UnicodeDecodeError as error:
        raise Unfit(f"not UTF-8 (byte {error.start})") from error
    except (ValueError, RecursionError) as error:
        raise Unfit(f"not JSON ({error})") from error


def asked(
    fields: object, defaults: Mapping[str, Any], *, key: str | None, no_key: str = ""
) -> Document:
    """Check what is asked for, and return the document of the job.

    ``defaults`` are the options of a job that is not given others; ``key`` is the job's, and
    ``no_key`` says why the fields cannot name one.
    """
    if not isinstance(fields, dict):
        raise Unfit("not a JSON object")
    options = {name: value for name, value in fields.items() if value is not None}
    _check_kinds(options, no_key)
    try:
        operation, operands = options.pop("operation"), options.pop("operands")
    except KeyError as error:
        raise Unfit(f"the field {error} is missing") from error
    if operation == COMMAND and "cwd" not in options:
        raise Unfit("the field 'cwd' is missing: the directory that the command runs in")
    if key is not None:
        options["key"] = key
    return prepare(operation, operands, defaults=defaults, **options)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise Unfit("it has a field twice")
    return fields


def _check_kinds(options: dict[str, Any], no_key: str) -> None:
    for name, value in options.items():
        kinds = KINDS.get(name)
        if kinds is None:
            hint = f"; {no_key}" if name == "key" and no_key else ""
            raise Unfit(f"there is no field {shown(name)}{hint}")
        if type(value) not in kinds:
            raise Unfit(f"the field {name!r} is not {_WORDS[kinds[-1]]}")
    if not all(isinstance(operand, str) for operand in options.get("operands", ())):
        raise Unfit("the field 'operands' is not a list of texts")
    for pair in options.get("after", ()):
        if type(pair) is not list or [type(part) for part in pair] != [str, str]:
            raise Unfit("the field 'after' is not a list of pairs, an id and ok or any")
