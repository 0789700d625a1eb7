"""`spool clean`: what was retrieved goes, and nothing else unless told so."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import NoSuchJob, Outcome, State, cleaning, files, reading
from spoolcalc.errors import StorageFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Commands, Jobs, Ran

HOUR = 3600.0
#: The states, but for wip, of jobs that have not ended.
WAITING = ("delayed", "blocked", "pending")


def make_old(jobs: Jobs, job_id: str, seconds: float) -> None:
    """Let a job's last change be so long ago."""
    then = time.time() - seconds
    os.utime(jobs.path(job_id), (then, then))


def left(jobs: Jobs, ids: dict[str, str]) -> list[str]:
    """Return the names of the jobs that are still there."""
    return [name for name, job_id in ids.items() if is_there(jobs, job_id)]


def is_there(jobs: Jobs, job_id: str) -> bool:
    """Tell whether a job can be found."""
    try:
        jobs.spool.find(job_id)
    except NoSuchJob:
        return False
    return True


def test_what_was_retrieved_is_removed(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Clean removes retrieved jobs, says so, and leaves all others alone."""
    ids = jobs.of_each_state()
    size = jobs.path(ids["retrieved"]).stat().st_size
    assert run("clean") == (0, f"removed 1 job (1 retrieved), {size} bytes\n", "")
    assert left(jobs, ids) == [*WAITING, "completed", "failed"]
    assert os.listdir(Path(jobs.spool.path) / "retrieved") == []
    assert run("clean") == (0, "removed 0 jobs, 0 bytes\n", "")


def test_drained_buckets_go_whatever_is_kept(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Those that stay behind when results were fetched; not for the asking alone."""
    kept = jobs.completed()
    empty = [Path(jobs.spool.path, state, "00000000") for state in ("completed", "failed")]
    for bucket in empty:
        bucket.mkdir()
    assert run("clean", "--dry-run").returncode == 0
    assert all(bucket.exists() for bucket in empty)
    assert run("clean") == (0, "removed 0 jobs, 0 bytes\n", "")
    assert not any(bucket.exists() for bucket in empty)
    assert is_there(jobs, kept)


def test_keys_are_not_listed(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are; one look tells whether there is any."""
    listed: list[str] = []
    real = reading.names

    def names(path: str) -> list[str] | None:
        listed.append(path)
        return real(path)

    monkeypatch.setattr(reading, "names", names)
    job_id = jobs.spool.submit("add", ["12", "23"], key="nightly")
    with jobs.spool.register() as lease:
        claim = jobs.spool.claim(lease)
        assert claim is not None
        jobs.spool.finish(claim, Outcome.completed("35"))
    jobs.spool.fetch(job_id)
    assert jobs.spool.clean().retrieved == 1
    assert jobs.spool.layout.keys not in listed
    assert os.listdir(jobs.spool.layout.keys) == []


def test_grace(run: Callable[..., Ran], jobs: Jobs) -> None:
    """With --grace only what was retrieved so long ago is removed."""
    fresh, old = jobs.retrieved(), jobs.retrieved()
    make_old(jobs, old, 2 * HOUR)
    assert run("clean", "--grace", "1h").stdout.startswith("removed 1 job ")
    assert is_there(jobs, fresh)
    assert not is_there(jobs, old)


@pytest.mark.parametrize(("keep", "removed"), [("", 1), ('keep_retrieved = "3h"\n', 0)])
def test_a_grace_that_settings_beat(
    keep: str, removed: int, run: Callable[..., Ran], jobs: Jobs
) -> None:
    """--grace-unless-set is for units: what the spool's settings say is kept is kept."""
    Path(jobs.spool.layout.settings).write_text(keep)
    jobs.retrieved()
    make_old(jobs, jobs.retrieved(), 2 * HOUR)
    told = run("clean", "--grace-unless-set", "1h").stdout
    assert told.startswith(f"removed {removed} job")
    assert run("clean", "--grace-unless-set", "1h", "--grace", "0s").stdout.startswith("removed ")
    assert jobs.spool.counts()[State.RETRIEVED] == 0


def test_no_new_file_is_needed(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without room for one is when it is needed most."""
    jobs.retrieved()

    def full(*_: object, **__: object) -> None:
        raise StorageFailure("write", "it", OSError(errno.ENOSPC, "full"))

    monkeypatch.setattr(files, "write", full)
    monkeypatch.setattr(files, "append", full)
    assert jobs.spool.clean().retrieved == 1


def test_grace_counts_from_the_retrieval(run: Callable[..., Ran], jobs: Jobs) -> None:
    """A job that completed long ago and was fetched just now is kept for the grace."""
    job_id = jobs.completed()
    make_old(jobs, job_id, 30 * 24 * HOUR)
    jobs.spool.fetch(job_id)
    assert run("clean", "--grace", "1h").returncode == 0
    assert is_there(jobs, job_id)
    assert run("clean", "--grace", "0s").returncode == 0
    assert not is_there(jobs, job_id)


@pytest.mark.parametrize("state", ["completed", "failed"])
def test_the_users_own_retention(state: str, run: Callable[..., Ran], jobs: Jobs) -> None:
    """Completed and failed jobs go only where an age was given for them, and only older ones."""
    ids = {**jobs.of_each_state(), "old": getattr(jobs, state)()}
    make_old(jobs, ids["old"], 2 * HOUR)
    assert run("clean", f"--{state}-older-than", "1h").returncode == 0
    assert left(jobs, ids) == [*WAITING, "completed", "failed"]
    assert run("clean", f"--{state}-older-than", "0s").returncode == 0
    assert left(jobs, ids) == [s for s in (*WAITING, "completed", "failed") if s != state]


def test_dry_run_removes_nothing(run: Callable[..., Ran], jobs: Jobs) -> None:
    """With --dry-run it only tells, and what it tells is what would be removed."""
    jobs.of_each_state()
    leftover(jobs, "old", 2 * 24 * HOUR)
    before = sorted(Path(jobs.spool.path).rglob("*"))
    words = ["clean", "--completed-older-than", "0s", "--failed-older-than", "0s"]
    told = run(*words, "--dry-run").stdout
    assert told.startswith(
        "would remove 3 jobs (1 retrieved, 1 completed, 1 failed) and 1 leftover in tmp/, "
    )
    assert sorted(Path(jobs.spool.path).rglob("*")) == before
    assert run(*words).stdout == told.replace("would remove", "removed")


def test_json(run: Callable[..., Ran], jobs: Jobs) -> None:
    """One object of schema 1 has the numbers by kind, and the bytes."""
    ids = jobs.of_each_state()
    size = sum(jobs.path(ids[name]).stat().st_size for name in ("failed", "retrieved"))
    words = ["clean", "--json", "--failed-older-than", "0s"]
    expected = {
        "schema": 1,
        "dry_run": True,
        "retrieved": 1,
        "completed": 0,
        "failed": 1,
        "leftovers": 0,
        "bytes": size,
    }
    assert json.loads(run(*words, "--dry-run").stdout) == expected
    assert json.loads(run(*words).stdout) == {**expected, "dry_run": False}


def leftover(jobs: Jobs, name: str, age: float) -> Path:
    """Leave a file in tmp/, as a process does that is killed."""
    path = Path(jobs.spool.layout.temporary("submit", name))
    path.touch()
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_leftovers(run: Callable[..., Ran], jobs: Jobs) -> None:
    """What lies in tmp/ is removed when it is a day old: until then somebody may be writing."""
    new, old = leftover(jobs, "new", 23 * HOUR), leftover(jobs, "old", 25 * HOUR)
    assert run("clean").stdout == "removed 0 jobs and 1 leftover in tmp/, 0 bytes\n"
    assert new.exists()
    assert not old.exists()


def test_what_a_submit_for_later_left_is_old_in_a_day_too(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file's time is that of the job, and tells nothing of its age."""
    monkeypatch.setattr(cleaning, "TMP_AGE", 0.0)
    path = leftover(jobs, "later", -30 * 24 * HOUR)
    assert jobs.spool.clean().leftovers == 1
    assert not path.exists()


def test_what_is_unreadable_is_never_removed(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Whatever its age, what lies in corrupt/ stays, and so does what is no job elsewhere."""
    root = Path(jobs.spool.path)
    bucket = jobs.path(jobs.retrieved()).parent
    kept = [root / "corrupt" / "rubbish", bucket / "notes.txt", root / "retrieved" / "notes.txt"]
    for path in kept:
        path.write_text("mine")
        os.utime(path, (0, 0))
    ended = run("clean", "--completed-older-than", "0s", "--failed-older-than", "0s")
    assert ended.stdout.startswith("removed 1 job ")
    assert [path.read_text() for path in kept] == ["mine"] * 3


def test_directories_named_as_jobs_stop_nothing(run: Callable[..., Ran], jobs: Jobs) -> None:
    """The jobs beside them are removed, and it is no bug of ours."""
    ids = [jobs.retrieved() for _ in range(12)]
    planted = [jobs.path(ids.pop(position)) for position in (1, 4, 7)]
    for path in planted:
        path.unlink()
        path.mkdir()
        (path / "notes.txt").touch()
    ended = run("clean")
    assert ended.returncode in (0, 7)
    assert "a bug" not in ended.stderr
    assert not any(is_there(jobs, job_id) for job_id in ids)
    assert all((path / "notes.txt").exists() for path in planted)


@pytest.mark.parametrize(
    "words", ["--grace -1s", "--grace soon", "--completed-older-than 1x", "--grace", "all"]
)
def test_bad_options_remove_nothing(words: str, run: Callable[..., Ran], jobs: Jobs) -> None:
    """What is no duration is a usage error."""
    job_id = jobs.retrieved()
    assert run("clean", *words.split()).returncode == 2
    assert is_there(jobs, job_id)


def test_beside_fetches_nothing_unretrieved_is_lost(commands: Commands, jobs: Jobs) -> None:
    """Cleaners that run all the while never take a result from the one who fetches it."""
    ids = [jobs.completed(str(n)) for n in range(60)]
    fetches = [
        commands.open("fetch", *ids[n::3], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for n in range(3)
    ]
    while any(fetch.poll() is None for fetch in fetches):
        assert jobs.spool.clean().completed == 0
    for n, fetch in enumerate(fetches):
        out, err = fetch.communicate()
        assert (fetch.returncode, err) == (0, b"")
        assert out.split() == [str(i).encode() for i in range(60)[n::3]]
    jobs.spool.clean()
    assert sum(jobs.spool.counts().values()) == 0


def test_many_cleaners_at_once(commands: Commands, jobs: Jobs) -> None:
    """Two at once remove each job once between them."""
    for n in range(40):
        jobs.retrieved(str(n))
    cleaners = [commands.open("clean", "--json", stdout=subprocess.PIPE) for _ in range(3)]
    told = [json.loads(cleaner.communicate(timeout=20)[0]) for cleaner in cleaners]
    assert [cleaner.returncode for cleaner in cleaners] == [0, 0, 0]
    assert sum(one["retrieved"] for one in told) == 40
    assert jobs.spool.counts()[State.RETRIEVED] == 0
