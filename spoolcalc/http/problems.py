"""Errors as problem documents (RFC 9457), with the same words as on the command line.

The status follows from the error's exit code, so that a new kind of error has one.  ``detail`` is
the message, ``hint`` what to do, ``exit_code`` what the command would exit with.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from spoolcalc.errors import (
    BUG,
    CANCELLED,
    FAILED,
    NO_SUCH_JOB,
    NOT_FINISHED,
    UNUSABLE,
    USAGE,
    Quarantined,
    SpoolError,
    plain,
)
from spoolcalc.http.limits import RETRY_AFTER

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE = "application/problem+json"

#: The status of each exit code.
STATUS = {
    USAGE: 400,
    NO_SUCH_JOB: 404,
    NOT_FINISHED: 409,
    FAILED: 422,
    CANCELLED: 422,
    UNUSABLE: 503,
    BUG: 500,
}
#: The exit code that goes with a refusal of the server's own.
_CODES = {404: NO_SUCH_JOB, 410: NO_SUCH_JOB, 503: UNUSABLE, 504: UNUSABLE}


class Refused(Exception):
    """The server refuses a request by itself, before the spool is asked."""

    def __init__(
        self,
        status: int,
        message: str,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        **more: object,  # further members of the document
    ) -> None:
        super().__init__(message)
        self.more = more
        self.status = status
        self.message = message
        self.hint = hint
        self.headers = dict(headers or {})
        if status == 503:
            self.headers.setdefault("retry-after", str(RETRY_AFTER))


def status_of(error: SpoolError) -> int:
    """Return the status of an error that has none of its own."""
    if isinstance(error, Quarantined):
        return 410  # to ask again will not help
    return STATUS.get(error.exit_code, 503)


def refusal(refused: Refused) -> Response:
    """Return the answer to a request that the server refuses."""
    code = _CODES.get(refused.status, USAGE)
    # Its own refusals tell clients that another try may succeed, whatever the spool is like.
    more = {"busy": True} if refused.status == 503 else {}
    return _response(
        refused.status, refused.message, refused.hint, code, refused.headers, **more, **refused.more
    )


def problem(error: SpoolError, status: int | None = None, **more: object) -> Response:
    """Return the answer that tells of an error; ``more`` are further members of the document."""
    chosen = status or status_of(error)
    headers = {"retry-after": str(RETRY_AFTER)} if chosen in (202, 503) else {}
    return _response(chosen, error.message, error.hint, error.exit_code, headers, **more)


def document(status: int, message: str, hint: str, code: int, **more: object) -> dict[str, Any]:
    """Return a problem document."""
    told: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": plain(message),
        "exit_code": code,
    }
    if hint:
        told["hint"] = "\n".join(map(plain, hint.splitlines()))
    return {**told, **more}


def _response(
    status: int, message: str, hint: str, code: int, headers: Mapping[str, str], **more: object
) -> Response:
    body = json.dumps(document(status, message, hint, code, **more)) + "\n"
    return Response(body, status, headers, MEDIA_TYPE)
