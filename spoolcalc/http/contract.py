"""The OpenAPI document: every path, what it takes, and each answer it may give.

It is written by hand, beside the handlers, and held against them by a test that sends thousands of
requests made from it.  ``/docs`` is made from it, too.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from spoolcalc import __version__
from spoolcalc.http import limits
from spoolcalc.http.jobs import LONGEST_PATIENCE
from spoolcalc.http.problems import MEDIA_TYPE
from spoolcalc.http.shapes import ASKED, JOB, PROBLEM, TEXT, TEXT_OR_NONE
from spoolcalc.job import State
from spoolcalc.options import LONGEST_TEXT

_ID = "019ab2c4-5d6e-7f80-9a1b-2c3d4e5f6071"
#: What any request may be refused with.
_ANY = (400, 401, 403, 405, 408, 413, 414, 415, 421, 431, 500, 503, 504)

_WHY = {
    400: "The request is wrong; nothing was written.",
    401: "The server was started with a token, which is missing or wrong.",
    403: "A page of another site asks, or the operation is off over HTTP.",
    404: "There is no such job.",
    405: "The path is there, and takes other methods.",
    408: "The request did not come in time.",
    409: "The job's state does not allow it, or its worker has not obeyed in time.",
    410: "The job was there and was cleaned, or cannot be read any more.",
    413: f"The body has more than {limits.LARGEST_BODY} bytes.",
    414: f"The path has more than {limits.LONGEST_URL} bytes.",
    415: "The body is not application/json.",
    421: "The header Host is not a name of this server.",
    422: "The job has failed or was cancelled.",
    431: f"The headers have more than {limits.LARGEST_HEAD} bytes.",
    500: "A bug of ours.",
    503: "The spool, or the server, cannot take it now; see Retry-After.",
    504: "The server ended in the middle of it: what changes something may be done all the same.",
}


def contract() -> dict[str, Any]:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "spool",
            "version": __version__,
            "description": "A job queue that is a directory, over HTTP. Errors are problem "
            "documents with the words and exit codes of the command line.",
        },
        "paths": _paths(),
        "components": {
            "schemas": {"Problem": PROBLEM, "Job": JOB, "Asked": ASKED},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _paths() -> dict[str, Any]:
    job, listed = _schema("Job"), {"type": "array", "items": _schema("Job")}
    wait = _query("wait", "Hold the answer so many seconds, or until the job has ended.", _waits())
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "If a job has this key already, the answer is that job.",
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT},
    }
    job_id = _in_path("id", "The job's id, or the name of the file in inbox/ it was made of.", _ID)
    of_job = "/api/v1/job/{id}"
    accepted = _json(202, job, "All of it is safe on disk.", links=_LINKS)
    return {
        "/api/v1/{operation}/{operands}": {
            "post": _operation(
                "submit",
                "Submit a job: each further part of the path is an operand, as in "
                "/api/v1/add/12/23.",
                [
                    _in_path("operation", "Its name.", "add"),
                    _in_path("operands", "One part for each operand.", "12"),
                    key,
                ],
                accepted | _problems(404, 410),
            ),
        },
        "/api/v1/jobs": {
            "get": _operation(
                "list",
                "A page of the jobs in a state, or of all.",
                [
                    _query("state", "", {"type": "string", "enum": [s.value for s in State]}),
                    _query("label", "Those with this label.", TEXT),
                    _query("operation", "Those of this operation.", TEXT),
                    _query(
                        "limit",
                        "",
                        {"type": "integer", "minimum": 1, "maximum": limits.LARGEST_PAGE},
                    ),
                    _query("cursor", "Where to go on, from `next` of the page before.", TEXT),
                ],
                _json(200, _object(jobs=listed, next=TEXT_OR_NONE)),
            ),
            "post": _operation(
                "submit_json",
                f"Submit a job, or up to {limits.MOST_JOBS}: all of them or none.",
                [key],
                _json(
                    202,
                    {"oneOf": [job, _object(jobs=listed)]},
                    "All of it is safe on disk.",
                    links=_LINKS,
                )
                | _problems(404, 410),
                body={
                    "oneOf": [
                        _schema("Asked"),
                        {
                            "type": "array",
                            "items": _schema("Asked"),
                            "minItems": 1,
                            "maxItems": limits.MOST_JOBS,
                        },
                    ]
                },
            ),
        },
        of_job: {
            "get": _operation(
                "job",
                "All about a job. It changes nothing.",
                [job_id, wait],
                _json(200, job) | _problems(404, 409, 410),
            ),
            "delete": _operation(
                "cancel",
                "Cancel a job: one that waits never runs, one that runs is ended.",
                [
                    job_id,
                    _query(
                        "patience",
                        "Give its worker so many seconds.",
                        {"type": "number", "minimum": 0, "maximum": LONGEST_PATIENCE},
                    ),
                ],
                _json(200, job) | _problems(404, 409, 410),
            ),
        },
        f"{of_job}/result": {
            "get": _operation(
                "result",
                "The result, which marks the job retrieved once the answer has been sent. "
                "It is given again until the job is cleaned. Of a command, what it wrote to "
                "stdout.",
                [
                    job_id,
                    wait,
                    _query("keep", "Do not mark it retrieved.", {"type": "boolean"}),
                ],
                {
                    "200": {
                        "description": "The result and a newline, or a command's bytes.",
                        "content": {
                            "text/plain": {"schema": TEXT},
                            "application/octet-stream": {"schema": {}},
                        },
                    },
                    "202": _problem("It has not ended."),
                }
                | _problems(404, 409, 410, 422),
            ),
        },
        f"{of_job}/output/{{stream}}": {
            "get": _operation(
                "output",
                "What a command has written so far, in its newest attempt.",
                [
                    job_id,
                    _in_path("stream", "", "stdout", enum=["stdout", "stderr"]),
                    _query(
                        "tail",
                        "So many bytes of the end of it.",
                        {"type": "integer", "minimum": 1, "maximum": limits.LARGEST_TAIL},
                    ),
                ],
                _text("application/octet-stream") | _problems(404, 409, 410),
            ),
        },
        f"{of_job}/retrieved": {
            "post": _operation(
                "retrieved",
                "Mark a completed job retrieved, when its result was kept by other means.",
                [job_id],
                _json(200, job) | _problems(404, 409, 410),
            ),
        },
        f"{of_job}/retry": {
            "post": _operation(
                "retry",
                "Have a failed job run again, no attempt held against it.",
                [job_id],
                _json(200, job) | _problems(404, 409, 410),
            ),
        },
        "/api/v1/wait": {
            "post": _operation(
                "wait",
                "Which of these jobs have ended; with wait, as soon as one has.",
                [wait],
                _json(
                    200,
                    _object(
                        ended={"type": "array", "items": _object(id=TEXT, state=TEXT)},
                        errors={"type": "array", "items": _schema("Problem")},
                    ),
                ),
                body={
                    **_object(
                        ids={
                            "type": "array",
                            "items": {"type": "string", "examples": [_ID]},
                            "minItems": 1,
                            "maxItems": limits.MOST_AWAITED,
                        }
                    ),
                    "additionalProperties": False,
                },
            ),
        },
        "/api/v1/status": {
            "get": _operation("status", "The whole spool at one look.", [], _json(200, _object())),
        },
        "/api/v1/operations": {
            "get": _operation(
                "operations",
                "Which operations there are.",
                [],
                _json(200, _object(operations={"type": "array", "items": {"type": "object"}})),
            ),
        },
        "/api/v1/events": {
            "get": _operation(
                "events",
                "Server-sent events: `spool`, whenever something has changed, and `stopping`.",
                [],
                _text("text/event-stream"),
            ),
        },
        "/healthz": {
            "get": _operation(
                "healthz", "The server answers.", [], _json(200, _object(status=TEXT))
            )
        },
        "/readyz": {
            "get": _operation(
                "readyz",
                "The spool can be used, and a worker is alive; 503 if not.",
                [],
                _json(200, _object(status=TEXT)),
            )
        },
        "/metrics": {
            "get": _operation("metrics", "Figures for Prometheus.", [], _text("text/plain"))
        },
    }


#: Where the id in an answer leads.
_LINKS = {
    name: {"operationId": name, "parameters": {"id": "$response.body#/id"}}
    for name in ("job", "result", "cancel", "retry", "retrieved")
}


def _waits() -> dict[str, Any]:
    return {"type": "number", "minimum": 0, "maximum": limits.LONGEST_WAIT}


def _operation(
    name: str,
    summary: str,
    parameters: list[dict[str, Any]],
    responses: dict[str, Any],
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": {**responses, **_problems(*(s for s in _ANY if str(s) not in responses))},
    }
    if body is not None:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return told


def _schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _in_path(name: str, text: str, example: str, **more: Any) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "examples": [example], **more}
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _query(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _json(
    status: int, schema: dict[str, Any], text: str = "", links: dict[str, Any] | None = None
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": text or HTTPStatus(status).phrase,
        "content": {"application/json": {"schema": schema}},
    }
    if status == 202:
        told["headers"] = {"Location": {"description": "where the job is", "schema": TEXT}}
    if links:
        told["links"] = links
    return {str(status): told}


def _text(kind: str) -> dict[str, Any]:
    return {"200": {"description": "OK", "content": {kind: {"schema": TEXT}}}}


def _problems(*statuses: int) -> dict[str, Any]:
    return {str(status): _problem(_WHY[status]) for status in statuses}


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {MEDIA_TYPE: {"schema": _schema("Problem")}}}
