"""The shapes in the OpenAPI document: a problem, a job, and what is asked for."""

from __future__ import annotations

from spoolcalc.job import LONGEST_TIME, MOST_CRASHES, State
from spoolcalc.options import LARGEST_OUTPUT, LONGEST_TEXT, MOST_NEEDS, MOST_RETRIES

TEXT = {"type": "string"}
TEXT_OR_NONE = {"type": ["string", "null"]}
_NUMBER_OR_NONE = {"type": ["number", "null"]}
_SECONDS = {"type": "number", "minimum": 0, "maximum": LONGEST_TIME}

PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457), in the words of the command line.",
    "required": ["type", "title", "status", "detail", "exit_code"],
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what happened, and to what"},
        "hint": {"type": "string", "description": "what to do"},
        "exit_code": {"type": "integer", "description": "what the command would exit with"},
    },
}

JOB = {
    "type": "object",
    "required": ["id", "status", "operation", "operands", "last_updated", "completed_on"],
    "properties": {
        "id": TEXT,
        "status": {"type": "string", "enum": [state.value for state in State]},
        "state": {"type": "string", "description": "the same as status"},
        "operation": TEXT,
        "operands": {"type": "array", "items": TEXT},
        "priority": {"type": "integer"},
        "submitted": {"type": "string", "format": "date-time"},
        "last_updated": {"type": "string", "format": "date-time"},
        "completed_on": {"type": ["string", "null"], "format": "date-time"},
        "attempts": {"type": "array", "items": {"type": "object"}},
        "worker": TEXT_OR_NONE,
        "result": TEXT_OR_NONE,
        "exact": {"type": ["boolean", "null"]},
        "precision": {"type": ["integer", "null"]},
        "error": TEXT_OR_NONE,
        "reason": TEXT_OR_NONE,
        "label": TEXT_OR_NONE,
        "key": TEXT_OR_NONE,
        "timeout": _NUMBER_OR_NONE,
        "retries": {"type": "integer"},
        "backoff": _NUMBER_OR_NONE,
        "not_before": TEXT_OR_NONE,
        "after": {"type": "array", "items": {"type": "object"}},
        "command": {"type": ["object", "null"]},
        "max_output": {"type": ["integer", "null"]},
        "exit_code": {"type": ["integer", "null"]},
        "cut": {"type": ["boolean", "null"]},
        "progress": {"type": ["object", "null"]},
        "output": {"type": ["object", "null"]},
    },
}

ASKED = {
    "type": "object",
    "required": ["operation", "operands"],
    "additionalProperties": False,
    "properties": {
        "operation": {"type": "string", "examples": ["add"]},
        "operands": {"type": "array", "items": TEXT, "examples": [["12", "23"]]},
        "priority": {"type": "integer", "minimum": 0, "maximum": 9, "default": 5},
        "max_crashes": {"type": "integer", "minimum": 1, "maximum": MOST_CRASHES},
        "label": {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT},
        "key": {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT},
        "timeout": {"type": "number", "minimum": 0.001, "maximum": LONGEST_TIME},
        "retries": {"type": "integer", "minimum": 0, "maximum": MOST_RETRIES},
        "backoff": _SECONDS,
        "delay": {**_SECONDS, "description": "seconds from now"},
        "at": {"type": "number", "minimum": 0, "description": "seconds since the epoch"},
        "after": {
            "type": "array",
            "maxItems": MOST_NEEDS,
            "items": {
                "type": "array",
                "items": TEXT,
                "minItems": 2,
                "maxItems": 2,
                "description": "an id, and ok or any",
            },
        },
        "max_output": {"type": "integer", "minimum": 0, "maximum": LARGEST_OUTPUT},
        "cwd": {"type": "string", "description": "exec: the directory it runs in"},
        "env": {"type": "object", "additionalProperties": TEXT},
        "stdin": {"type": "string", "description": "exec: the file it reads"},
    },
}
