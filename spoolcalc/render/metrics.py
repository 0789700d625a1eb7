"""A spool's figures in the text format of Prometheus, version 0.0.4.

Every sample has the label ``spool``, so that the figures of several spools can stand in one place.
"""

from __future__ import annotations

from spoolcalc import __version__
from spoolcalc.totals import BOUNDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from spoolcalc.metrics import Figures
    from spoolcalc.totals import Durations

    #: Labels and a value.
    Sample = tuple[Mapping[str, str], float]


def as_text(figures: Figures) -> str:
    """Return all figures."""
    return "".join([*_now(figures), *_so_far(figures), *_durations(figures)])


def _now(figures: Figures) -> Iterable[str]:
    """Yield what there is now."""
    seen = figures.seen
    page = _Page(seen.path)
    yield page.family(
        "spool_info", "gauge", "The version of spoolcalc.", [({"version": __version__}, 1)]
    )
    yield page.family(
        "spool_jobs",
        "gauge",
        "Jobs in each state.",
        [({"state": state.value}, number) for state, number in seen.counts.items()],
    )
    yield page.family(
        "spool_oldest_job_age_seconds",
        "gauge",
        "Since the submission of the oldest job in a state.",
        [({"state": state.value}, age) for state, age in figures.ages.items()],
    )
    for name, told, value in (
        ("spool_corrupt", "Things in corrupt/.", seen.corrupt),
        ("spool_inbox", "Files in inbox/ that are no jobs yet.", seen.inbox),
        ("spool_paused", "Whether the spool is paused.", int(figures.paused)),
        ("spool_workers", "Living workers.", len(seen.workers)),
        (
            "spool_workers_busy",
            "Living workers that run a job.",
            sum(1 for view in seen.workers if view.jobs),
        ),
    ):
        yield page.family(name, "gauge", told, [({}, value)])


def _so_far(figures: Figures) -> Iterable[str]:
    """Yield what has happened so far."""
    page = _Page(figures.seen.path)
    for name, told, counted in (
        ("submitted", "Jobs submitted.", figures.by_operation("submitted")),
        ("completed", "Jobs completed.", figures.by_operation("completed")),
        (
            "cancelled",
            "Jobs cancelled.",
            figures.by_operation("failed", reason="cancelled"),
        ),
        (
            "retries",
            "Failed attempts after which a job was to be tried again, by itself or by hand.",
            figures.by_operation("postponed", "retried"),
        ),
        ("fetched", "Jobs whose result was fetched.", figures.by_operation("fetched")),
    ):
        samples = [({"operation": operation}, number) for operation, number in counted.items()]
        yield page.family(f"spool_{name}_total", "counter", told, samples)
    cleaned = figures.by_operation("cleaned").total()
    yield page.family("spool_cleaned_total", "counter", "Jobs removed.", [({}, cleaned)])
    yield page.family(
        "spool_failed_total",
        "counter",
        "Jobs that have failed, by reason; a cancelled one is one of them.",
        [({"operation": o, "reason": r}, number) for (o, r), number in figures.failures().items()],
    )
    attempts = figures.attempts()
    yield page.family(
        "spool_attempts_total",
        "counter",
        "Attempts that have ended, by how they did.",
        [({"operation": o, "end": end}, number) for (o, end), number in attempts.items()],
    )
    crashes: dict[str, float] = {}
    for (operation, end), number in attempts.items():
        if end in ("lost", "crashed"):
            crashes[operation] = crashes.get(operation, 0) + number
    yield page.family(
        "spool_crashes_total",
        "counter",
        "Attempts whose worker, or process, has died.",
        [({"operation": operation}, number) for operation, number in crashes.items()],
    )


def _durations(figures: Figures) -> Iterable[str]:
    """Yield how long attempts took."""
    page = _Page(figures.seen.path)
    name = "spool_attempt_duration_seconds"
    yield page.head(name, "histogram", "How long attempts took.")
    for operation, spent in figures.totals.durations.items():
        yield page.histogram(name, {"operation": operation}, spent)


class _Page:
    """Writes the figures of one spool."""

    def __init__(self, spool: str) -> None:
        self._spool = spool

    def head(self, name: str, kind: str, told: str) -> str:
        return f"# HELP {name} {told}\n# TYPE {name} {kind}\n"

    def family(self, name: str, kind: str, told: str, samples: Iterable[Sample]) -> str:
        lines = [self._sample(name, labels, value) for labels, value in samples]
        return self.head(name, kind, told) + "".join(lines)

    def histogram(self, name: str, labels: Mapping[str, str], spent: Durations) -> str:
        lines = []
        so_far = 0
        for bound, number in zip((*BOUNDS, float("inf")), spent.numbers, strict=True):
            so_far += number
            le = "+Inf" if bound == float("inf") else f"{float(bound)!r}"
            lines.append(self._sample(f"{name}_bucket", {**labels, "le": le}, so_far))
        lines.append(self._sample(f"{name}_sum", labels, spent.seconds))
        lines.append(self._sample(f"{name}_count", labels, so_far))
        return "".join(lines)

    def _sample(self, name: str, labels: Mapping[str, str], value: float) -> str:
        told = ",".join(
            f'{n}="{_escaped(v)}"' for n, v in (("spool", self._spool), *labels.items())
        )
        return f"{name}{{{told}}} {value!r}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
