"""What came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

#: With fewer races, deaths, or jobs than this, nothing is proved.
ENOUGH = {"races": 40, "deaths": 10, "completed": 40}


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that was broken: which one, and what was seen."""

    promise: str
    evidence: str


@dataclass(slots=True)
class Verdict:
    """``directory`` is where it was tried; ``kept`` what is left there as evidence, if any is.

    ``counts`` tell what was tried, ``notes`` what else was seen.
    """

    directory: str
    file_system: str
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: bool = False
    kept: str | None = None

    @property
    def too_few(self) -> list[str]:
        """What was tried too seldom to prove anything."""
        return [name for name, least in ENOUGH.items() if self.counts.get(name, 0) < least]

    @property
    def passed(self) -> bool:
        """Whether everything held, and enough was tried."""
        return self.word == "passed"

    @property
    def word(self) -> str:
        """The verdict in one word."""
        if self.broken:
            return "broken"
        return "inconclusive" if self.refused or self.too_few else "passed"
