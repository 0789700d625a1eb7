"""What a program gives the library must be of the right kind: else a job comes of it that is none.

The command line and JSON know only texts and what was checked; a Python program can give anything.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest

from spoolcalc import BadOperands, Outcome, State, UnknownOperation, UsageError
from spoolcalc.definition import Answer, Operation
from spoolcalc.execute import execute

if TYPE_CHECKING:
    from spoolcalc import Spool


@pytest.mark.parametrize(
    "operands", ["12", b"12", {"1": 1, "2": 2}, [1, 2], [Decimal(1), "2"], [1.0, "2"], None, 12]
)
def test_operands_are_a_list_of_texts(spool: Spool, operands: Any) -> None:
    """A text is no list of its characters, and what a number would be written as is not guessed."""
    with pytest.raises(BadOperands, match=r"text|list"):
        spool.submit("add", operands)
    assert not any(spool.counts().values())


def test_a_tuple_of_texts_will_do(spool: Spool) -> None:
    """Any sequence is taken."""
    assert spool.find(spool.submit("add", ("12", "23"))).operands == ("12", "23")


def test_an_operation_is_named_by_a_text(spool: Spool) -> None:
    """Anything else is no operation."""
    with pytest.raises(UnknownOperation, match="not the name of an operation"):
        spool.submit(cast("str", 7), ["12"])


@pytest.mark.parametrize(
    "options",
    [
        {"priority": True},
        {"priority": 1.0},
        {"priority": "5"},
        {"priority": 10},
        {"max_crashes": 2.5},
        {"max_crashes": True},
        {"max_crashes": 0},
        {"max_crashes": 10**30},
        {"after": ["x"]},
        {"after": 5},
        {"after": [("x", "ok")]},
        {"label": 5},
        {"retries": True},
        {"timeout": "5s"},
        {"env": ["A=1"], "cwd": "/"},
    ],
    ids=str,
)
def test_options_are_of_their_kind(spool: Spool, options: Any) -> None:
    """What is no such option is said, and nothing is written."""
    operation, operands = ("exec", ["true"]) if "env" in options else ("add", ["12", "23"])
    with pytest.raises(UsageError):
        spool.submit(operation, operands, **options)
    assert not any(spool.counts().values())


def test_none_is_the_default(spool: Spool) -> None:
    """Of each option, also where nothing else is given."""
    job = spool.find(spool.submit("add", ["12", "23"], priority=None, max_crashes=None))
    assert (job.priority, job.document["max_crashes"]) == (5, 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"state": State.COMPLETED, "result": 35},
        {"state": State.COMPLETED},
        {"state": State.COMPLETED, "result": "35", "exact": "yes"},
        {"state": State.COMPLETED, "result": "35", "precision": 10**30},
        {"state": State.FAILED},
        {"state": State.FAILED, "error": ValueError("x")},
        {"state": State.FAILED, "error": "x", "exit_code": "7"},
        {"state": State.PENDING, "error": "x"},
        {"state": "completed!", "result": "35"},
    ],
    ids=str,
)
def test_no_outcome_is_made_that_cannot_be_read(fields: Any) -> None:
    """It would be recorded, and the job could not be fetched."""
    with pytest.raises(UsageError, match="outcome"):
        Outcome(**fields)


def test_an_operation_that_answers_with_something_else_has_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The job's own failure, in one line."""

    def run(*operands: str) -> Answer:
        return Answer("35", exact=cast("bool", "yes"))

    odd = Operation("odd", 0, None, usage="", help="", load=lambda: run)
    monkeypatch.setattr("spoolcalc.operations.get", lambda name: odd)
    assert execute("odd", []).error == "an outcome's exact cannot be a str"
