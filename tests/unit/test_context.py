"""What an operation can tell about the job it is run for."""

from __future__ import annotations

import math

import pytest

from spoolcalc import Context


def reported(fraction: float | None, text: str = "") -> tuple[float | None, str]:
    """Return what arrives when an operation reports this."""
    told: list[tuple[float | None, str]] = []
    Context("id", 2, lambda *report: told.append(report)).progress(fraction, text)
    [report] = told
    return report


def test_it_knows_its_job_and_the_attempt() -> None:
    context = Context("id", 2)
    assert (context.job_id, context.attempt) == ("id", 2)
    assert repr(context) == "Context('id', 2)"


@pytest.mark.parametrize("fraction", [0, 0.25, 1, None])
def test_progress_is_reported(fraction: float | None) -> None:
    assert reported(fraction, "reading") == (fraction, "reading")


@pytest.mark.parametrize(("near", "fraction"), [(1 + 1e-9, 1.0), (-1e-9, 0.0)])
def test_a_fraction_that_was_added_up_may_be_a_little_off(near: float, fraction: float) -> None:
    assert reported(near) == (fraction, "")


@pytest.mark.parametrize("fraction", [-0.1, 1.1, 50, math.nan, math.inf])
def test_what_is_no_fraction_is_refused(fraction: float) -> None:
    """A percentage is a mistake that should not be seen as done."""
    with pytest.raises(ValueError, match="progress goes from 0 to 1, or is None"):
        Context().progress(fraction)


def test_the_text_is_one_short_line() -> None:
    assert reported(None, " two\n\tlines ") == (None, "two lines")
    assert reported(None, "x" * 1000) == (None, "x" * 200)


def test_without_a_job_reports_go_nowhere() -> None:
    """As in the test of an operation's function."""
    context = Context()
    assert (context.job_id, context.attempt) == ("", 1)
    context.progress(0.5, "half")
