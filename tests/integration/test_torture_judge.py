"""The judge of a torture sees every promise that is broken, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import Spool, Worker
from spoolcalc.torture.judge import Judge
from spoolcalc.torture.verdict import Broken, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Jobs


class Scene:
    """A spool with two jobs, of which one was fetched, and what was noted of them."""

    def __init__(self, spool: Spool, home: Path) -> None:
        self.spool = spool
        self.journals = home / "journals"
        self.journals.mkdir()
        self.first = spool.submit("add", ["1", "2"])
        self.second = spool.submit("add", ["3", "4"])
        Worker(spool, once=True).run()
        spool.fetch(self.first)
        self.lines = [
            ("submitter", 1, 10, f"printed {self.first} 1 2"),
            ("submitter", 1, 10, f"printed {self.second} 3 4"),
            ("worker", 2, 20, f"claimed {self.first}"),
            ("worker", 2, 30, f"ended {self.first} completed 3"),
            ("worker", 2, 40, f"claimed {self.second}"),
            ("conductor", 9, 50, "kills 2"),
            ("worker", 3, 60, f"claimed {self.second}"),
            ("worker", 3, 70, f"ended {self.second} completed 7"),
            ("fetcher", 4, 80, f"delivered {self.first} 3"),
        ]

    def judged(self) -> list[Broken]:
        """Return what the judge says."""
        for role, pid, at, text in self.lines:
            with (self.journals / f"{role}.{pid}.0").open("a") as file:
                file.write(f"{at} {text}\n")
        return list(Judge(self.spool.layout, str(self.journals)).judge())

    def without(self, text: str) -> None:
        """Take notes back."""
        self.lines = [line for line in self.lines if text not in line[3]]


@pytest.fixture
def scene(spool: Spool, tmp_path: Path) -> Scene:
    """Set the scene."""
    return Scene(spool, tmp_path)


def test_nothing_was_broken(scene: Scene) -> None:
    """A job whose worker was killed may be claimed by another."""
    assert scene.judged() == []


def _two_have_it(scene: Scene, jobs: Jobs) -> None:
    scene.without("kills")


def _killed_too_late(scene: Scene, jobs: Jobs) -> None:
    scene.without("kills")
    scene.lines.append(("conductor", 9, 65, "kills 2"))


def _claimed_after_its_end(scene: Scene, jobs: Jobs) -> None:
    scene.lines.append(("worker", 5, 90, f"claimed {scene.first}"))


def _two_outcomes(scene: Scene, jobs: Jobs) -> None:
    scene.lines.append(("worker", 3, 71, f"ended {scene.second} completed 7"))


def _taken_from_the_living(scene: Scene, jobs: Jobs) -> None:
    scene.lines.append(("worker", 3, 65, f"discarded {scene.second}"))


def _lost(scene: Scene, jobs: Jobs) -> None:
    jobs.path(scene.second).unlink()


def _not_done(scene: Scene, jobs: Jobs) -> None:
    scene.spool.submit("add", ["1", "2"])


def _torn(scene: Scene, jobs: Jobs) -> None:
    path = jobs.path(scene.second)
    path.write_bytes(path.read_bytes()[:50])


def _wrong(scene: Scene, jobs: Jobs) -> None:
    path = jobs.path(scene.second)
    path.write_bytes(path.read_bytes().replace(b'"result":"7"', b'"result":"8"'))


def _twice(scene: Scene, jobs: Jobs) -> None:
    path = jobs.path(scene.second)
    bucket = Path(scene.spool.path, "retrieved", path.parent.name)
    bucket.mkdir(exist_ok=True)
    (bucket / path.name).write_bytes(path.read_bytes())
    scene.lines.append(("fetcher", 4, 81, f"delivered {scene.second} 7"))


def _never_delivered(scene: Scene, jobs: Jobs) -> None:
    scene.without("delivered")


def _cleaned_unfetched(scene: Scene, jobs: Jobs) -> None:
    scene.without("delivered")
    jobs.path(scene.first).unlink()


def _delivered_otherwise(scene: Scene, jobs: Jobs) -> None:
    scene.lines.append(("fetcher", 4, 81, f"delivered {scene.first} 4"))


def _unreadable(scene: Scene, jobs: Jobs) -> None:
    Path(scene.spool.layout.corrupt, "x.json.00000000").write_bytes(b"")


def _read_torn(scene: Scene, jobs: Jobs) -> None:
    scene.lines.append(("reader", 6, 90, f"torn {scene.first} not JSON"))


def _not_found(scene: Scene, jobs: Jobs) -> None:
    scene.lines.append(("reader", 6, 90, f"missing {scene.second}"))


def _went_back(scene: Scene, jobs: Jobs) -> None:
    scene.lines.append(("fetcher", 4, 90, f"unfinished {scene.second}"))


def _a_bug(scene: Scene, jobs: Jobs) -> None:
    scene.lines.append(("worker", 7, 90, "failed KeyError: 1"))


@pytest.mark.parametrize(
    ("act", "promise"),
    [
        (_two_have_it, "P2"),
        (_killed_too_late, "P2"),
        (_claimed_after_its_end, "P2"),
        (_two_outcomes, "P3"),
        (_taken_from_the_living, "P4"),
        (_lost, "P1"),
        (_not_done, "P1"),
        (_torn, "P2"),
        (_wrong, "P3"),
        (_twice, "P2"),
        (_never_delivered, "P5"),
        (_cleaned_unfetched, "P1"),
        (_delivered_otherwise, "P3"),
        (_unreadable, "P2"),
        (_read_torn, "P2"),
        (_not_found, "P2"),
        (_went_back, "P2"),
        (_a_bug, "P6"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_was_broken_is_told(
    scene: Scene, jobs: Jobs, act: Callable[[Scene, Jobs], None], promise: str
) -> None:
    """By the promise it breaks, with the job or the path as evidence."""
    act(scene, jobs)
    judged = scene.judged()
    assert {broken.promise for broken in judged} == {promise}
    assert all(broken.evidence for broken in judged)


def test_a_silent_worker_may_lose_its_jobs(scene: Scene) -> None:
    """One whose lease is short may be given up while it lives."""
    scene.without("kills")
    scene.lines += [("worker", 2, 1, "short"), ("worker", 2, 75, f"discarded {scene.second}")]
    scene.lines.sort(key=lambda line: line[2])
    assert scene.judged() == []


def test_a_stopped_worker_may_tell_late_what_it_had(scene: Scene) -> None:
    """It was stopped between its claim and its note; another one had it done meanwhile."""
    scene.lines += [("stopped", 5, 1, "short"), ("stopped", 5, 90, f"claimed {scene.second}")]
    assert scene.judged() == []


def test_too_little_proves_nothing() -> None:
    """A verdict is only given if there was enough of everything."""
    verdict = Verdict("/x", "ext4", counts={"races": 1000, "deaths": 1000, "completed": 1})
    assert verdict.word == "inconclusive"
    assert verdict.too_few == ["completed"]
    verdict.counts["completed"] = 1000
    assert verdict.passed
    verdict.broken.append(Broken("P1", "x"))
    assert verdict.word == "broken"
