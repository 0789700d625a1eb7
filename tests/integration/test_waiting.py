"""Jobs that wait: for others, for their time, for another try; and what is done to jobs by hand."""

from __future__ import annotations

import errno
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import (
    BadOperands,
    Lease,
    NoSuchJob,
    NotFinished,
    Outcome,
    Spool,
    State,
    StorageFailure,
    UsageError,
    Worker,
    dependants,
    reading,
    waits,
)
from spoolcalc.due import COARSE, Calendar
from spoolcalc.ids import new_id
from spoolcalc.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Make a fresh spool."""
    return Spool(tmp_path / "spool", create=True)


def drain(spool: Spool) -> int:
    """Run all that can be run."""
    return Worker(Spool(spool.path), once=True).run()


def index(spool: Spool) -> list[str]:
    """Return what is noted of who waits for whom."""
    root = Path(spool.path)
    return [
        str(path.relative_to(root)) for d in ("waits", "waited") for path in root.glob(d + "/*")
    ]


@contextmanager
def claimed(spool: Spool) -> Iterator[tuple[Lease, Callable[[Outcome], State | None]]]:
    """Have the next job claimed; give the lease, and what ends the job."""
    with spool.register() as lease:
        claim = spool.claim(lease)
        assert claim is not None
        yield lease, lambda outcome: spool.finish(claim, outcome)


def error_of(spool: Spool, job_id: str) -> str:
    """Return a failed job's error."""
    return spool.find(job_id).error or ""


# --- other jobs


def test_results_are_operands(spool: Spool) -> None:
    """A diamond of references gives the right number, whatever the order of submits."""
    top = spool.submit("add", ["1", "2"])
    left = spool.submit("mul", [f"@{top}", "10"])
    right = spool.submit("sub", [f"@{top}", "1"])
    end = spool.submit("add", [f"@{left}", f"@{right}"])
    assert spool.find(end).state is State.BLOCKED
    drain(spool)
    assert spool.find(end).result == "32"
    assert spool.find(end).operands == (f"@{left}", f"@{right}"), "what was submitted stays"
    assert index(spool) == []


def test_a_failed_corner_is_told_at_the_end(spool: Spool) -> None:
    """The reason at the start of a chain is seen at its end, and nothing was run in between."""
    top = spool.submit("div", ["1", "0"])
    left = spool.submit("neg", [f"@{top}"])
    right = spool.submit("add", ["1", "1"])
    end = spool.submit("add", [f"@{left}", f"@{right}"])
    drain(spool)
    ended = spool.find(end)
    assert ended.state is State.FAILED
    assert ended.outcome is not None
    assert ended.outcome.reason == "dependency"
    assert top in (ended.error or "")
    assert "division by zero" in (ended.error or "")
    assert ended.attempts == ()
    assert index(spool) == []


def test_any_end_will_do(spool: Spool) -> None:
    """With ``any`` a job runs after a failure; with ``ok`` it fails."""
    bad = spool.submit("div", ["1", "0"])
    whatever = spool.submit("add", ["1", "2"], after=[(bad, "any")])
    only_ok = spool.submit("add", ["1", "2"], after=[(bad, "ok")])
    drain(spool)
    assert spool.find(whatever).result == "3"
    assert spool.find(only_ok).state is State.FAILED


@pytest.mark.parametrize("failing_first", [True, False])
def test_a_failure_is_not_waited_out(failing_first: bool, spool: Spool) -> None:
    """A job fails as soon as one that it needs has failed, though others have not ended."""
    bad = spool.submit("div", ["1", "0"], priority=0)
    later = spool.submit("add", ["1", "2"], delay=3600.0)
    needs = [bad, later] if failing_first else [later, bad]
    both = spool.submit("add", [f"@{needed}" for needed in needs])
    drain(spool)
    assert spool.find(both).state is State.FAILED
    assert index(spool) == []


def test_it_waits_for_what_has_ended_already(spool: Spool) -> None:
    """A job after finished ones can be run at once; a fetched result still counts."""
    one, two = spool.submit("add", ["1", "2"]), spool.submit("add", ["3", "4"])
    drain(spool)
    spool.fetch(one)
    job_id = spool.submit("add", [f"@{one}", f"@{two}"])
    assert spool.find(job_id).state is State.PENDING
    drain(spool)
    assert spool.find(job_id).result == "10"


def test_what_is_not_there_is_refused(spool: Spool) -> None:
    """A job to wait for that was cleaned, or never was, is refused, and nothing is left of it."""
    gone = spool.submit("add", ["1", "2"])
    drain(spool)
    spool.fetch(gone)
    spool.clean()
    for missing in (gone, new_id()):
        with pytest.raises(NoSuchJob, match=missing):
            spool.submit("neg", [f"@{missing}"])
    with pytest.raises(UsageError):
        spool.submit("add", ["1", "2"], after=[("nonsense", "ok")])
    with pytest.raises(BadOperands):
        spool.submit("neg", [f"@{gone}", "1"])
    assert index(spool) == []
    assert sum(spool.counts().values()) == 0


def test_clean_keeps_what_is_still_needed(spool: Spool) -> None:
    """A result that another job waits to use is not cleaned before that has ended."""
    one = spool.submit("add", ["1", "2"])
    drain(spool)
    late = spool.submit("add", [f"@{one}", "1"], delay=3600.0)
    spool.fetch(one)
    assert spool.clean().retrieved == 0
    spool.cancel(late)
    assert spool.clean().retrieved == 1


def test_the_dead_leave_nobody_waiting(spool: Spool) -> None:
    """A submit that was killed before it looked, and lost notes, are made good by the sweep."""
    one = spool.submit("add", ["1", "2"])
    two = spool.submit("neg", [f"@{one}"])
    three = spool.submit("neg", [f"@{two}"])
    waits.forget(spool.layout, two, [one])  # as a power failure may do
    drain(spool)
    assert spool.find(two).state is State.BLOCKED or spool.find(two).result == "-3"
    with spool.register() as lease:
        sweep(spool.layout, lease, thorough=True)
    drain(spool)
    assert [spool.find(i).result for i in (two, three)] == ["-3", "3"]
    assert index(spool) == []


@pytest.mark.parametrize("lost", ["waits", "waited", "needed"])
def test_nobody_waits_in_vain(spool: Spool, lost: str) -> None:
    """Single notes that were lost, and a need that cannot be read, are found by the sweep."""
    one, two = (spool.submit("add", ["1", "2"], priority=n) for n in (4, 5))
    job_id = spool.submit("add", ["2", "2"], after=[(one, "ok"), (two, "any")])
    if lost == "needed":
        [path] = Path(spool.path).glob(f"pending/*/{one}.json")
        path.write_text("{")
    elif lost == "waits":
        (Path(spool.layout.waits) / job_id / f"{one}.ok").unlink()
    else:
        (Path(spool.layout.waited) / one / job_id).unlink()
    with spool.register() as lease:
        while (claim := spool.claim(lease)) is not None:
            spool.finish(claim, Outcome.completed("3"))
    spool.sweep()
    drain(spool)
    assert spool.find(job_id).state is (State.FAILED if lost == "needed" else State.COMPLETED)
    assert index(spool) == []


def test_let_go_too_early_it_waits_on(spool: Spool) -> None:
    """A worker that takes a job whose needs have not ended puts it back among the blocked."""
    later = spool.submit("add", ["1", "2"], delay=3600.0)
    job_id = spool.submit("neg", [f"@{later}"])
    from spoolcalc.transitions import unblock

    assert unblock(spool.layout, job_id)
    assert spool.find(job_id).state is State.PENDING
    drain(spool)
    assert spool.find(job_id).state is State.BLOCKED
    assert dependants.is_needed(spool.layout, later)


@pytest.mark.parametrize("length", [300])
def test_long_chains_and_wide_fans(spool: Spool, length: int) -> None:
    """A chain counts up; a job that waits for many has them all."""
    last = spool.submit("add", ["0", "1"])
    ids = [last]
    for _ in range(length - 1):
        last = spool.submit("add", [f"@{last}", "1"])
        ids.append(last)
    total = spool.submit("sum", [f"@{job_id}" for job_id in ids])
    drain(spool)
    assert spool.find(last).result == str(length)
    assert spool.find(total).result == str(length * (length + 1) // 2)
    assert index(spool) == []


def test_submits_race_with_the_end_of_what_they_need(spool: Spool) -> None:
    """However a submit and the end of what it needs meet, nobody is left waiting."""
    stop = threading.Event()
    work = threading.Thread(target=lambda: [drain(spool) for _ in iter(stop.is_set, True)])
    work.start()
    try:
        ids = []
        for _ in range(60):
            one = spool.submit("add", ["1", "2"])
            ids.append(spool.submit("neg", [f"@{one}"]))
    finally:
        stop.set()
        work.join()
    drain(spool)
    assert [spool.find(i).result for i in ids] == ["-3"] * len(ids)
    assert index(spool) == []


def test_what_a_later_version_wrote_is_left_to_it(spool: Spool) -> None:
    """A document of a newer format in blocked/ or delayed/ keeps nobody from his own work."""
    needed = spool.submit("add", ["1", "2"])
    spool.submit("neg", [f"@{needed}"])
    spool.submit("add", ["1", "2"], delay=3600.0)
    for path in [*Path(spool.path).glob("blocked/*/*"), *Path(spool.path).glob("delayed/*/*")]:
        path.write_text(path.read_text().replace('"format":1', '"format":2', 1))
        os.utime(path, (1, 1))
        past = path.parent.with_name("00000001")
        path.parent.rename(past if path.parent.parent.name == "delayed" else path.parent)
    drain(spool)
    assert spool.find(needed).result == "3"
    assert [len(list(Path(spool.path).glob(f"{s}/*/*"))) for s in ("blocked", "delayed")] == [1, 1]


def test_a_dependant_is_kept_its_needs_when_it_is_tried_again(spool: Spool) -> None:
    """What a job needs is not cleaned once it was told to run again."""
    one = spool.submit("add", ["1", "2"])
    drain(spool)
    job_id = spool.submit("div", [f"@{one}", "0"])
    drain(spool)
    spool.fetch(one)
    assert spool.retry(job_id).state is State.PENDING
    assert spool.clean().retrieved == 0
    drain(spool)
    assert len(spool.find(job_id).attempts) == 2
    assert spool.clean().retrieved == 1
    assert index(spool) == []


# --- their time


def test_a_delayed_job_waits_for_its_time(spool: Spool, until: Callable[..., object]) -> None:
    """Before its time it is delayed, and within a second after it it is done."""
    job_id = spool.submit("add", ["1", "2"], delay=0.6)
    assert spool.find(job_id).state is State.DELAYED
    worker = Worker(Spool(spool.path), poll=60.0)
    thread = threading.Thread(target=worker.run)
    began = time.monotonic()
    thread.start()
    until(lambda: spool.find(job_id).state is State.COMPLETED)
    took = time.monotonic() - began
    worker.stop()
    thread.join()
    assert took < 1.6
    [attempt] = spool.find(job_id).attempts
    assert attempt.started is not None
    assert attempt.started >= (spool.find(job_id).not_before or "")
    assert list(Path(spool.layout.delayed).iterdir()) == []


def test_many_delayed_jobs_are_promoted_in_time(spool: Spool) -> None:
    """What is due is made runnable, what is not stays; a time in the past is now."""
    now = time.time()
    past = spool.submit("add", ["1", "2"], at=now - 5)
    soon = [spool.submit("add", ["1", str(n)], at=now + 0.05) for n in range(20)]
    later = [spool.submit("add", ["1", "2"], at=now + 3600 * n) for n in range(1, 20)]
    assert spool.find(past).state is State.PENDING
    time.sleep(max(0.0, now + 0.06 - time.time()))  # their time, which nothing can bring about
    drain(spool)
    assert {spool.find(i).state for i in soon} == {State.COMPLETED}
    assert {spool.find(i).state for i in later} == {State.DELAYED}


def test_a_refused_look_is_made_again(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be listed once is not taken for empty until something changes."""
    job_id = spool.submit("add", ["1", "2"], delay=3600.0)
    os.utime(spool.layout.delayed, (1, 1))
    calendar = Calendar(spool.layout)

    def refuse(path: str) -> None:
        raise StorageFailure("list", path, OSError(errno.EIO, os.strerror(errno.EIO)))

    calendar.promote()
    until = time.monotonic() + 2 * COARSE
    while time.monotonic() < until:  # what was listed by then is listed once more, and then holds
        time.sleep(0.01)
    with monkeypatch.context() as patched:
        patched.setattr(reading, "entries", refuse)
        with pytest.raises(StorageFailure):
            calendar.promote()
    sooner = spool.submit("add", ["1", "2"], delay=1800.0)
    os.utime(spool.layout.delayed, (1, 1))
    later = time.time() + 7200
    monkeypatch.setattr(time, "time", lambda: later)
    calendar.promote()
    assert spool.find(job_id).state is spool.find(sooner).state is State.PENDING


@pytest.mark.parametrize("ahead", [0.0, 3600.0, -3600.0])
def test_two_changes_of_one_moment_are_both_seen(
    ahead: float, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far this host's clock is from the one that stamps files."""
    monkeypatch.setattr("spoolcalc.due.SLICE", 60.0)  # all at one look
    calendar = Calendar(spool.layout)
    due = time.time() + 0.5
    times = []
    for number in range(2):
        job_id = spool.submit("add", [str(number), "1"], at=due)
        for directory in (spool.layout.delayed, spool.layout.delayed_bucket(due)):
            times.append((directory, os.stat(directory).st_mtime_ns))
            if number:  # as on a file system whose clock ticks seldom
                first = dict(times[:2])[directory]
                os.utime(directory, ns=(first, first))
        with monkeypatch.context() as patched:
            patched.setattr(time, "time_ns", lambda: int((time.time() + ahead) * 1e9))
            assert calendar.promote() > 0
    while time.time() < due:
        time.sleep(0.01)
    calendar.promote()
    assert spool.find(job_id).state is State.PENDING
    assert spool.counts()[State.PENDING] == 2


def test_a_file_with_a_wrong_time_waits_for_the_right_one(spool: Spool) -> None:
    """The document says when; a changed mtime, as after a copy, does no harm."""
    job_id = spool.submit("add", ["1", "2"], delay=5.0)
    [path] = Path(spool.layout.delayed).glob("*/*.json")
    bucket = path.parent.with_name("00000001")
    bucket.mkdir()
    path.rename(bucket / path.name)
    os.utime(bucket / path.name, (1, 1))
    drain(spool)
    assert spool.find(job_id).state is State.DELAYED


# --- another try


def test_failures_are_tried_again(spool: Spool) -> None:
    """As often as was said, each time later, with every error kept."""
    job_id = spool.submit("div", ["1", "0"], retries=2, backoff=0.001)
    for _ in range(3):
        drain(spool)
        if spool.find(job_id).state is State.FAILED:
            break
        time.sleep(0.01)  # its backoff, which nothing can bring about
    job = spool.find(job_id)
    assert job.state is State.FAILED
    assert [a.end for a in job.attempts] == ["failed"] * 3
    assert all(a.error == "division by zero" for a in job.attempts)


def test_the_wait_doubles(spool: Spool) -> None:
    """Each wait is twice the one before, give or take a tenth, up to a ceiling."""
    job_id = spool.submit("add", ["1", "2"], retries=20, backoff=100.0)
    expected = [100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 3600.0, 3600.0]
    for wait in expected:
        [path] = Path(spool.path).glob(f"*/*/{job_id}.json")
        if path.parent.parent.name == "delayed":
            target = Path(spool.layout.pending_bucket(5, job_id))
            target.mkdir(exist_ok=True)
            path.rename(target / path.name)
        with claimed(spool) as (_, finish):
            now = time.time()
            assert finish(Outcome.failed("not yet")) is State.DELAYED
        [path] = Path(spool.layout.delayed).glob("*/*.json")
        assert 0.9 * wait - 1 <= path.stat().st_mtime - now <= 1.1 * wait + 1


def test_crashes_and_failures_are_counted_apart(spool: Spool) -> None:
    """A crash uses up no retry, and a failure is no step towards poison."""
    job_id = spool.submit("add", ["1", "2"], retries=1, backoff=0.0, max_crashes=2)
    for end in (State.PENDING, None, State.FAILED):  # no backoff: runnable at once
        with spool.register() as lease:
            claim = spool.claim(lease)
            assert claim is not None
            if end is None:
                assert spool.crashed(claim, "killed by SIGSEGV") is State.PENDING
            else:
                assert spool.finish(claim, Outcome.failed("no")) is end
    assert [a.end for a in spool.find(job_id).attempts] == ["failed", "crashed", "failed"]


@pytest.mark.parametrize("end", ["failed", "crashed"])
def test_a_worker_that_dies_at_a_second_try_is_charged_for_it(spool: Spool, end: str) -> None:
    """One that noted an end and let the job go is not; it is when it took the job again."""
    job_id = spool.submit("add", ["1", "2"], retries=1, backoff=0.0)
    lease = Lease.take(spool.layout)
    for _ in range(2):
        claim = spool.claim(lease)
        assert claim is not None
        if end == "failed" and not claim.job.attempts:
            assert spool.finish(claim, Outcome.failed("no")) is State.PENDING
        elif not claim.job.attempts:
            assert spool.crashed(claim, "killed by SIGSEGV") is State.PENDING
    lease._lock.release()  # as its death does
    spool.sweep()
    assert [attempt.end for attempt in spool.find(job_id).attempts] == [end, "lost"]


def test_retry_starts_over(spool: Spool) -> None:
    """A failed job runs again, its attempts kept and forgiven; others cannot be tried again."""
    job_id = spool.submit("div", ["1", "0"], retries=1, backoff=0.0)
    drain(spool)
    drain(spool)
    assert len(spool.find(job_id).attempts) == 2
    assert spool.retry(job_id).state is State.PENDING
    drain(spool)
    drain(spool)
    assert len(spool.find(job_id).attempts) == 4
    assert spool.find(job_id).state is State.FAILED
    fine = spool.submit("add", ["1", "2"])
    with pytest.raises(UsageError, match="pending"):
        spool.retry(fine)
    assert list(spool.retry_failed("add")) == []
    assert list(spool.retry_failed("div")) == [job_id]


# --- by hand


@pytest.mark.parametrize("how", ["pending", "delayed", "blocked"])
def test_what_waits_never_runs_once_cancelled(spool: Spool, how: str) -> None:
    """A cancelled job ends in failed, with no attempt."""
    needed = spool.submit("add", ["1", "2"], delay=3600.0)
    job_id = {
        "pending": lambda: spool.submit("add", ["1", "2"]),
        "delayed": lambda: spool.submit("add", ["1", "2"], delay=3600.0),
        "blocked": lambda: spool.submit("neg", [f"@{needed}"]),
    }[how]()
    assert spool.find(job_id).state == how
    job = spool.cancel(job_id)
    assert job.state is State.FAILED
    assert job.outcome == Outcome.cancelled()
    assert job.attempts == ()
    drain(spool)
    assert spool.find(job_id).outcome == Outcome.cancelled()
    assert spool.cancel(job_id).outcome == Outcome.cancelled(), "again: as it is"


def test_a_finished_job_is_not_cancelled(spool: Spool) -> None:
    """Too late: it is as it ended."""
    job_id = spool.submit("add", ["1", "2"])
    drain(spool)
    assert spool.cancel(job_id).state is State.COMPLETED


def test_the_wish_to_cancel_outlives_a_worker(spool: Spool) -> None:
    """A job whose worker died with the wish beside it is not run again."""
    job_id = spool.submit("add", ["1", "2"])
    lease = Lease.take(spool.layout)
    assert spool.claim(lease) is not None
    with pytest.raises(NotFinished, match=lease.worker):
        spool.cancel(job_id, patience=0.0)
    lease._lock.release()  # as its death does
    spool.sweep()
    assert spool.find(job_id).outcome == Outcome.cancelled()
    assert list(Path(spool.layout.wip).iterdir()) == []


def test_cancelling_what_others_need_fails_them(spool: Spool) -> None:
    """A dependant of a cancelled job fails, and says why."""
    one = spool.submit("add", ["1", "2"], delay=3600.0)
    two = spool.submit("neg", [f"@{one}"])
    spool.cancel(one)
    drain(spool)
    assert "cancelled" in error_of(spool, two)


def test_nothing_is_claimed_while_paused(spool: Spool) -> None:
    """A pause outlives everybody, and says since when and why."""
    job_id = spool.submit("add", ["1", "2"])
    assert spool.paused is None
    spool.pause("the disk is being changed")
    assert drain(spool) == 0
    told = Spool(spool.path).paused
    assert told is not None
    assert told["reason"] == "the disk is being changed"
    assert spool.resume()
    assert not spool.resume()
    assert drain(spool) == 1
    assert spool.find(job_id).result == "3"


# --- keys


def test_a_key_has_one_job(spool: Spool) -> None:
    """A second submit with a key is the first one's job; another key is another job."""
    first = spool.submit("add", ["1", "2"], key="nightly")
    assert spool.submit("add", ["5", "6"], key="nightly") == first
    assert spool.submit("add", ["5", "6"], key="weekly") != first
    assert spool.find(first).key == "nightly"
    assert spool.counts()[State.PENDING] == 2


def test_a_key_goes_with_its_job(spool: Spool) -> None:
    """Once its job was cleaned, a key can be used again."""
    first = spool.submit("add", ["1", "2"], key="nightly")
    drain(spool)
    assert spool.submit("add", ["1", "2"], key="nightly") == first
    spool.fetch(first)
    assert spool.submit("add", ["1", "2"], key="nightly") == first
    spool.clean()
    assert list(Path(spool.layout.keys).iterdir()) == []
    assert spool.submit("add", ["1", "2"], key="nightly") != first


def test_many_submit_with_one_key(spool: Spool) -> None:
    """Of many at once one makes the job, and all get its id."""
    ids: list[str] = []

    def submit() -> None:
        ids.append(Spool(spool.path).submit("add", ["1", "2"], key="nightly"))

    threads = [threading.Thread(target=submit) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 16
    assert len(set(ids)) == 1
    assert spool.counts()[State.PENDING] == 1


def test_a_key_without_a_job_is_free(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A submit that failed between the key and the job leaves the key to the next."""
    from spoolcalc import transitions

    def refuse(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(transitions, "publish", refuse)
        with pytest.raises(KeyboardInterrupt):
            spool.submit("add", ["1", "2"], key="nightly")
    job_id = spool.submit("add", ["1", "2"], key="nightly")
    assert spool.find(job_id).key == "nightly"


@pytest.mark.parametrize(
    "options",
    [
        {"label": ""},
        {"label": "two\nlines"},
        {"key": "x" * 201},
        {"timeout": 0.0},
        {"timeout": float("nan")},
        {"retries": -1},
        {"backoff": float("inf")},
        {"delay": -1.0},
        {"delay": 1.0, "at": 1.0},
        {"at": 1e18},
        {"after": [("@x", "ok")]},
        {"max_output": 5},
        {"stdin": "/dev/null"},
        {"nonsense": 1},
    ],
)
def test_wrong_options_are_refused(spool: Spool, options: dict[str, object]) -> None:
    """Before anything is written."""
    with pytest.raises(UsageError):
        spool.submit("add", ["1", "2"], **options)  # type: ignore[arg-type] # wrong on purpose
    assert sum(spool.counts().values()) == 0
