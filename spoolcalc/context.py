"""What an operation can ask and tell about the job that it is run for.

An operation asks for it by a parameter annotated :class:`Context`; it is no operand.  Whoever runs
the job makes it and says where a report goes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    #: Is called with the fraction that is done (None: not known) and a line of text.
    Report = Callable[[float | None, str], object]

#: The characters of a report's text that are kept.
LONGEST_TEXT = 200
#: A fraction may be this far from 0 to 1: sums of fractions are seldom exactly 1.
_SLACK = 1e-6


def _nobody(fraction: float | None, text: str) -> None:
    """Take a report where nobody asked for one, as in a test of an operation's function."""


class Context:
    """The job that an operation is run for.

    ``job_id`` is its id, and ``attempt`` which attempt this is, from 1.  ``report`` takes the
    progress.  Made without anything, it belongs to no job, and reports go nowhere.
    """

    __slots__ = ("_report", "attempt", "job_id")

    def __init__(self, job_id: str = "", attempt: int = 1, report: Report = _nobody) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self._report = report

    def __repr__(self) -> str:
        return f"Context({self.job_id!r}, {self.attempt})"

    def progress(self, fraction: float | None, text: str = "") -> None:
        """Report how much is done, from 0 to 1 (None: not known), and what is going on.

        ``text`` is shown in one line, cut to 200 characters.  Reporting is cheap to ask for
        and may be skipped when it comes often.  Raises ValueError for a fraction that is none.
        """
        if fraction is not None:
            if not -_SLACK <= fraction <= 1 + _SLACK:  # NaN neither
                raise ValueError(f"progress goes from 0 to 1, or is None: {fraction!r}")
            fraction = min(1.0, max(0.0, float(fraction)))
        self._report(fraction, " ".join(text.split())[:LONGEST_TEXT])
