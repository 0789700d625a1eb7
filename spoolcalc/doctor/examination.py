"""The whole examination: look, look again, mend, look once more.

Nothing is told that passes by itself: :data:`PAUSES` after the first look, whatever is suspicious
has to be there still, unchanged.  What the checks have in common stands in ``ground``.

Mending goes in rounds, in the order of the checks: what is no job first, then jobs that are there
twice, then the rest, so that nothing is moved over anything else.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spoolcalc import access, reading
from spoolcalc.doctor import index, leftovers, modes, probes, room, workers
from spoolcalc.doctor.census import Census
from spoolcalc.doctor.findings import CHECKS, Finding, Severity, Suspicion, found
from spoolcalc.doctor.ground import Ground
from spoolcalc.errors import NoSpool, SpoolError, SpoolUnusable, StorageFailure
from spoolcalc.hand import Hand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spoolcalc.layout import Layout

#: Seconds before the second look, and before the third.  A living worker sweeps every 0.4 s.
PAUSES = (0.6, 0.9)
#: How often at most it is mended and looked at again.
ROUNDS = 8
#: So many findings of one check are kept; the others are only counted.
KEPT = 10_000
_ORDER = {check: number for number, check in enumerate(CHECKS)}


@dataclass(slots=True)
class Examination:
    """What came of it.

    ``findings`` are what is there now, facts included, the worst first; ``mended`` what was and is
    not any more; ``refused`` why what could have been mended was not, by the finding's key.
    ``more`` counts, by check, what was found beyond those that are kept.
    """

    path: str
    findings: list[Finding] = field(default_factory=list)
    mended: list[Finding] = field(default_factory=list)
    mendable: set[tuple[str, str]] = field(default_factory=set)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    more: dict[str, int] = field(default_factory=dict)
    jobs: int = 0
    documents: int = 0
    seconds: float = 0.0

    @property
    def verdict(self) -> Severity:
        """How bad the worst is that was not mended."""
        return max((finding.severity for finding in self.findings), default=Severity.OK)

    def number(self, severity: Severity) -> int:
        """Return how many findings are as bad as that."""
        kept = sum(1 for finding in self.findings if finding.severity is severity)
        return kept + sum(n for check, n in self.more.items() if CHECKS[check].severity is severity)


def examine(
    path: str, *, deep: bool = False, fix: bool = False, patience: float = 900.0
) -> Examination:
    """Look at the spool at ``path``, whatever state it is in; with ``fix``, mend what can be.

    ``deep`` has every document read.  ``patience`` is how long (seconds) a job may wait.
    """
    began = time.monotonic()
    examination = Examination(os.path.abspath(path))
    layout = _open(examination, fix=fix)
    if layout is not None:
        examination.path = layout.root
        confirmed = _look(examination, Ground(layout, deep=deep, patience=patience))
        for _ in range(ROUNDS if fix else 0):
            if not _mend(examination, layout, confirmed):
                break
            confirmed = _look(examination, Ground(layout, deep=deep, patience=patience))
    still = {finding.key for finding in examination.findings}
    examination.mended = [f for f in dict.fromkeys(examination.mended) if f.key not in still]
    examination.seconds = time.monotonic() - began
    return examination


def _open(examination: Examination, *, fix: bool) -> Layout | None:
    try:
        return access.open_spool(examination.path)
    except SpoolUnusable as error:
        finding = found("spool", examination.path, str(error).replace("\n", ". "))
        if not (isinstance(error, NoSpool) and _lost_its_format(examination.path)):
            examination.findings.append(finding)
            return None
    # Without format.json nothing tells that it was shared, so that only a private one is mended.
    examination.mendable.add(finding.key)
    if fix:
        try:
            layout = access.open_spool(examination.path, create=True)
        except SpoolError as error:
            examination.refused[finding.key] = error.message
        else:
            examination.mended.append(finding)
            return layout
    examination.findings.append(finding)
    return None


def _lost_its_format(path: str) -> bool:
    """Tell whether a directory has what a spool consists of, but for the file that says so."""
    names = set(reading.names(path) or ())
    return "format.json" not in names and names.issuperset(("pending", "wip", "workers"))


def _look(examination: Examination, ground: Ground) -> list[Suspicion]:
    """Look at all there is, and again at what is suspicious; return what is so."""
    number: Counter[str] = Counter()
    suspicions: dict[tuple[str, str], Suspicion] = {}
    for suspicion in _suspicions(ground):
        check = suspicion.finding.check
        number[check] += 1
        if number[check] <= KEPT:
            key = suspicion.finding.key
            if key not in suspicions or not suspicions[key].finding.severity:
                suspicions[key] = suspicion
    confirmed = list(suspicions.values())
    for pause in PAUSES:
        if any(suspicion.still is not None for suspicion in confirmed):
            time.sleep(pause)
        confirmed = [s for s in confirmed if s.still is None or _is_still(s)]
    examination.findings = sorted(
        (suspicion.finding for suspicion in confirmed),
        key=lambda finding: (-finding.severity, _ORDER[finding.check], finding.subject),
    )
    examination.mendable = {s.finding.key for s in confirmed if s.mend is not None}
    examination.more = {check: n - KEPT for check, n in number.items() if n > KEPT}
    examination.jobs, examination.documents = ground.jobs, ground.documents
    return confirmed


def _suspicions(ground: Ground) -> Iterator[Suspicion]:
    census = Census(ground)
    yield from _careful(ground, probes.look(ground))
    yield from _careful(ground, room.look(ground))
    yield from _careful(ground, room.set_by_the_settings(ground))
    yield from _careful(ground, modes.look(ground))
    yield from _careful(ground, census.look())
    ground.jobs = sum(census.counts.values())
    yield from _careful(ground, leftovers.look(ground, census))
    yield from _careful(ground, index.look(ground))
    yield from _careful(ground, workers.look(ground))


def _careful(ground: Ground, family: Iterable[Suspicion]) -> Iterator[Suspicion]:
    """Have one family's being refused something be a finding, and not the end of all."""
    try:
        yield from family
    except StorageFailure as error:
        yield Suspicion(found("spool", ground.layout.root, str(error).replace("\n", ". ")))


def _is_still(suspicion: Suspicion) -> bool:
    try:
        return suspicion.still is None or suspicion.still()
    except SpoolError:
        return True


def _mend(examination: Examination, layout: Layout, confirmed: list[Suspicion]) -> bool:
    """Mend what can be; tell whether anything was."""
    todo = [s for s in confirmed if s.mend is not None and s.finding.severity]
    todo.sort(key=lambda suspicion: _ORDER[suspicion.finding.check])
    done = False
    hand = Hand(layout)
    try:
        for suspicion in todo:
            try:
                mended = suspicion.mend is not None and suspicion.mend(hand)
            except SpoolError as error:
                examination.refused[suspicion.finding.key] = error.message
                continue
            if mended:
                examination.mended.append(suspicion.finding)
                examination.refused.pop(suspicion.finding.key, None)
                done = True
    finally:
        with suppress(StorageFailure):  # what it still has is swept
            hand.close()
    return done
