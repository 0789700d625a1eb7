"""What is measured, as lines of text: figure, ratio, target, met or missed.

A subject yields a :class:`Line` for each thing it measured.  Ratios are of two figures of the same
run, since the figures themselves are those of one machine on one day.

    spool status ID            17.0 ms       1.52 x python -c pass     <= 2.5    met

Pure computing but for :func:`show`, the only one that prints.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Target:
    """A bound that a value has to keep; ``most`` tells whether it is an upper one."""

    bound: float
    most: bool
    unit: str = ""

    def met_by(self, value: float) -> bool:
        """Tell whether ``value`` keeps the bound."""
        return value <= self.bound if self.most else value >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.most else '>='} {self.bound:g}{self.unit}"


@dataclass(frozen=True)
class Line:
    """One measurement.

    ``figure`` is it in words, ``value`` what is held against the ``target``, ``of`` what the value
    is a ratio of, in words (empty if it is no ratio).
    """

    what: str
    figure: str
    value: float | None = None
    of: str = ""
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target was met; None if there is none."""
        if self.target is None or self.value is None:
            return None
        return self.target.met_by(self.value)


def at_most(bound: float, unit: str = "") -> Target:
    """Return an upper bound."""
    return Target(bound, most=True, unit=unit)


def at_least(bound: float, unit: str = "") -> Target:
    """Return a lower bound."""
    return Target(bound, most=False, unit=unit)


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median of the ratios of figures that were taken in pairs, one after the other."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(seconds: float) -> str:
    """Return a duration as it is printed: ``17.0 ms``."""
    return f"{seconds * 1000:.1f} ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f} us"


def rate(per_second: float) -> str:
    """Return a rate as it is printed: ``6,550 jobs/s``."""
    return f"{per_second:,.0f} jobs/s"


def show(line: Line) -> None:
    """Print a line, at once."""
    compared = "" if line.value is None or not line.of else f"{line.value:.2f} x {line.of}"
    verdict = {True: "met", False: "MISSED", None: ""}[line.met]
    target = str(line.target or "")
    text = f"  {line.what:<38} {line.figure:<13} {compared:<25} {target:<9} {verdict}"
    print(text.rstrip(), flush=True)
