"""Hooks: run when a job has ended, whatever they do the job has ended as it has."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import Spool, hooks, reading
from spoolcalc.hook import Hook, Unfit
from spoolcalc.hooks import Hooks
from spoolcalc.job import Outcome
from spoolcalc.reporting import Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Jobs, Process, Ran


class Place:
    """The spool's hooks, which write into a directory beside the spool."""

    def __init__(self, spool: Spool) -> None:
        self.directory = Path(spool.layout.hooks)
        self.directory.mkdir(mode=0o755)
        self.out = Path(spool.path).parent / "out"
        self.out.mkdir()

    def put(self, name: str, body: str) -> Path:
        path = self.directory / name
        path.write_text(f"#!/bin/sh\ncd {self.out}\n{body}\n")
        path.chmod(0o755)
        return path

    def names(self) -> list[str]:
        return sorted(path.name for path in self.out.iterdir())


@pytest.fixture
def place(spool: Spool) -> Place:
    return Place(spool)


NOTE = 'cat > "$SPOOL_JOB_ID"'


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_hook_gets_the_job(run: Callable[..., Ran], spool: Spool, place: Place) -> None:
    """On stdin what status --json says of it, and the most of it in the environment."""
    place.put("on-failed", f"{NOTE}; env | grep ^SPOOL_ > env")
    job_id = spool.submit("exec", ["sh", "-c", "exit 3"], label="night")
    assert run("work", "--once", "-q").returncode == 0
    [told] = json.loads(run("status", "--json", job_id).stdout)["jobs"]
    assert json.loads((place.out / job_id).read_text()) == told
    found = dict(line.split("=", 1) for line in (place.out / "env").read_text().splitlines())
    worker = found.pop("SPOOL_WORKER")
    assert worker == told["worker"]
    assert found == {
        "SPOOL_HOOK": "on-failed",
        "SPOOL_DIR": spool.path,
        "SPOOL_JOB_ID": job_id,
        "SPOOL_OPERATION": "exec",
        "SPOOL_STATE": "failed",
        "SPOOL_REASON": "error",
        "SPOOL_ERROR": "it exited with 3",
        "SPOOL_EXIT_CODE": "3",
        "SPOOL_LABEL": "night",
        "SPOOL_ATTEMPTS": "1",
    }


def test_each_end_has_its_hook(run: Callable[..., Ran], spool: Spool, place: Place) -> None:
    """A worker that ends by itself waits for those it has begun; nothing of them is left."""
    for name in ("on-failed", "on-completed"):
        place.put(name, f"sleep 0.1; {NOTE}.{name.removeprefix('on-')}")
    good = [spool.submit("add", ["1", "1"]) for _ in range(6)]
    bad = spool.submit("div", ["1", "0"])
    dependent = spool.submit("add", [f"@{bad}", "1"])
    assert run("work", "--once", "-q").returncode == 0
    wanted = [*(f"{job_id}.completed" for job_id in good), f"{bad}.failed", f"{dependent}.failed"]
    assert place.names() == sorted(wanted)
    for name in ("tmp", "wip", "workers"):
        assert os.listdir(f"{spool.path}/{name}") == []


def test_only_the_last_failure_counts(run: Callable[..., Ran], spool: Spool, place: Place) -> None:
    """An attempt that will be followed by another has no hook."""
    place.put("on-failed", NOTE)
    job_id = spool.submit("exec", ["false"], retries=1, backoff=0.0)
    again = spool.submit("exec", ["false"], retries=1, backoff=3600.0)
    run("work", "--once", "-q")
    run("work", "--once", "-q")
    assert spool.find(again).state == "delayed"
    assert place.names() == [job_id]
    assert len(json.loads((place.out / job_id).read_text())["attempts"]) == 2


def test_poison_that_a_sweep_finds_has_its_hook(
    start: Callable[..., Process],
    run: Callable[..., Ran],
    spool: Spool,
    place: Place,
    plugin: dict[str, str],
    until: Callable[..., Any],
) -> None:
    """The worker that gives up the dead one runs it."""
    place.put("on-failed", f'{NOTE}; echo "$SPOOL_REASON" > reason')
    job_id = spool.submit("exec", ["sleep", "20"], max_crashes=1)
    first = start("work")
    until(lambda: spool.find(job_id).state == "wip")
    first.signal(signal.SIGKILL)
    first.end()
    run("work", "--once", "-q", env=plugin)
    assert place.names() == [job_id, "reason"]
    assert (place.out / "reason").read_text() == "poison\n"


def test_what_a_hook_writes_is_logged(run: Callable[..., Ran], spool: Spool, place: Place) -> None:
    """Line by line, what a terminal would obey made harmless; its failure is a warning."""
    place.put("on-failed", "printf 'told\\033[31m\\n'; echo trouble >&2; exit 4")
    job_id = spool.submit("div", ["1", "0"])
    said = run("work", "--once")
    assert said.returncode == 0
    lines = [line.split(" ", 1)[1] for line in said.stderr.splitlines() if " hook " in line]
    assert lines == [
        f"hook on-failed {job_id}: told\\x1b[31m",
        f"hook on-failed {job_id}: trouble",
        f"hook on-failed {job_id}: it exited with 4",
    ]
    assert spool.find(job_id).error == "division by zero"
    spool.submit("div", ["1", "0"])
    quiet = run("work", "--once", "-q").stderr
    assert "told" not in quiet
    assert "it exited with 4" in quiet


def test_a_hook_that_writes_without_end_fills_nothing(
    run: Callable[..., Ran], spool: Spool, place: Place
) -> None:
    """A part of it is logged."""
    place.put("on-completed", "head -c 1000000 /dev/zero | tr '\\0' x")
    spool.submit("add", ["1", "1"])
    said = run("work", "--once")
    assert hooks.OUTPUT < len(said.stderr) < hooks.OUTPUT + 1000


def test_a_hook_that_hangs_is_killed_with_all_it_started(
    run: Callable[..., Ran], spool: Spool, place: Place
) -> None:
    """And holds up no job meanwhile."""
    place.put("on-failed", "trap '' TERM; sleep 30 & echo $! > pid; echo $$ > own; wait; sleep 30")
    place.put("on-completed", "touch completed")
    spool.submit("div", ["1", "0"])
    spool.submit("exec", ["true"])
    began = time.monotonic()
    said = run("work", "--once", "--hook-time", "500ms")
    assert time.monotonic() - began < 10
    assert "it ran longer than 0.5 s and was killed" in said.stderr
    assert "completed" in place.names()
    for name in ("pid", "own"):
        assert not is_alive(int((place.out / name).read_text()))


def test_hooks_run_beside_each_other_and_the_jobs(
    start: Callable[..., Process], spool: Spool, place: Place, until: Callable[..., Any]
) -> None:
    """A few at a time; the jobs do not wait for them."""
    place.put("on-completed", 'touch "begun.$SPOOL_JOB_ID"; while [ ! -e go ]; do sleep 0.02; done')
    ids = [spool.submit("add", ["1", "1"]) for _ in range(6)]
    worker = start("work", "--hook-time", "15s")
    until(lambda: len(place.names()) == hooks.AT_ONCE)
    until(lambda: all(spool.find(job_id).state == "completed" for job_id in ids))
    assert len(place.names()) == hooks.AT_ONCE
    (place.out / "go").touch()
    until(lambda: len(place.names()) == 7)
    worker.signal(signal.SIGTERM)
    assert worker.end().returncode == 0


def test_a_hook_dies_with_its_worker(
    start: Callable[..., Process], spool: Spool, place: Place, until: Callable[..., Any]
) -> None:
    """Killed by SIGKILL, and a hook that ran away from it."""
    place.put("on-failed", "echo $$ > pid.new; mv pid.new pid; exec sleep 25")
    spool.submit("div", ["1", "0"])
    worker = start("work")
    until(lambda: place.names() == ["pid"])
    pid = int((place.out / "pid").read_text())
    assert is_alive(pid)
    worker.signal(signal.SIGKILL)
    worker.end()
    until(lambda: not is_alive(pid))


def test_a_second_signal_breaks_hooks_off(
    start: Callable[..., Process], spool: Spool, place: Place, until: Callable[..., Any]
) -> None:
    """The first one waits for them."""
    place.put("on-failed", "echo $$ > pid.new; mv pid.new pid; exec sleep 25")
    spool.submit("div", ["1", "0"])
    worker = start("work")
    until(lambda: place.names() == ["pid"])
    worker.signal(signal.SIGTERM)
    pid = int((place.out / "pid").read_text())
    with pytest.raises(Exception, match="timed out"):
        worker.popen.wait(0.5)
    assert is_alive(pid)
    worker.signal(signal.SIGTERM)
    worker.end(10)
    assert not is_alive(pid)


def make_writable(place: Place) -> None:
    (place.directory / "on-failed").chmod(0o775)


def make_directory_writable(place: Place) -> None:
    place.directory.chmod(0o757)


def make_link(place: Place) -> None:
    path = place.directory / "on-failed"
    path.rename(place.out / "elsewhere")
    path.symlink_to(place.out / "elsewhere")


def make_linked_directory(place: Place) -> None:
    place.directory.rename(place.out / "hooks")
    place.directory.symlink_to(place.out / "hooks")


def make_plain(place: Place) -> None:
    (place.directory / "on-failed").chmod(0o644)


def make_pipe(place: Place) -> None:
    path = place.directory / "on-failed"
    path.unlink()
    os.mkfifo(path, 0o755)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (make_writable, "others may write to it"),
        (make_directory_writable, "others may write to hooks/"),
        (make_link, "it is a symbolic link"),
        (make_linked_directory, "it is a link, or no directory"),
        (make_plain, "it is not executable"),
        (make_pipe, "it is no plain file"),
    ],
)
def test_what_others_could_have_placed_is_not_run(
    run: Callable[..., Ran],
    jobs: Jobs,
    place: Place,
    make: Callable[[Place], object],
    why: str,
) -> None:
    """It is said once why, and the jobs go on."""
    place.put("on-failed", NOTE)
    make(place)
    ids = [jobs.pending("div", "1", "0") for _ in range(3)]
    said = run("work", "--once", "-q")
    assert said.returncode == 0
    assert said.stderr.count(f"hook on-failed: it is not run: {why}") == 1
    assert not set(place.names()) & set(ids)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("what", ["on-failed", ""])
def test_a_stranger_s_hook_is_not_run(spool: Spool, place: Place, what: str) -> None:
    """Neither a file of another user, nor one in another user's directory."""
    place.put("on-failed", NOTE)
    os.chown(place.directory / what, 54321, -1)
    with pytest.raises(Unfit, match="belongs to user 54321"):
        Hook.find(spool.layout, "on-failed")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_the_owner_s_hooks_and_root_s_are_run(spool: Spool, place: Place) -> None:
    """Whoever the worker is; it is the spool's owner who counts."""
    place.put("on-failed", NOTE)
    place.put("on-completed", NOTE)
    os.chown(spool.path, 54321, -1)
    os.chown(place.directory / "on-failed", 54321, -1)
    for name in ("on-failed", "on-completed"):
        hook = Hook.find(spool.layout, name)
        assert hook is not None
        hook.close()


def test_a_shared_spool_runs_what_was_looked_at(run: Callable[..., Ran], tmp_path: Path) -> None:
    """Members of the group may rename what lies in the spool, also between the look and the run."""
    path = tmp_path / "shared"
    assert run("--spool", str(path), "init", "--group", str(os.getegid())).returncode == 0
    spool = Spool(path)
    place = Place(spool)
    place.put("on-failed", NOTE)
    found = Hook.find(spool.layout, "on-failed")
    assert found is not None
    place.directory.rename(tmp_path / "aside")
    Path(spool.layout.hooks).mkdir()
    assert Path(found.path).read_text().endswith(f"{NOTE}\n")
    found.close()
    Path(spool.layout.hooks).rmdir()
    (tmp_path / "aside").rename(place.directory)
    job_id = spool.submit("div", ["1", "0"])
    assert run("--spool", str(path), "work", "--once", "-q").returncode == 0
    assert place.names() == [job_id]


def test_without_hooks_there_is_one_look_a_second(
    spool: Spool, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one for each job, and no thread."""
    looks = []
    real = reading.status

    def status(path: str) -> Any:
        looks.append(path)
        return real(path)

    monkeypatch.setattr(reading, "status", status)
    job = spool.find(jobs.completed())
    looks.clear()
    mine = Hooks(spool.layout, Report())
    for _ in range(1000):
        mine.ended(job, Outcome.completed("1"), 0.0)
    assert 1 <= len(looks) <= 3
    assert set(looks) == {spool.layout.hooks}
    mine.finish(lambda: False, lambda: None)
    assert not (set(os.listdir(spool.layout.tmp)))


def test_a_job_that_is_gone_by_then_has_no_hook(spool: Spool, place: Place, jobs: Jobs) -> None:
    """It was fetched and cleaned meanwhile, which is said and harms nothing."""
    place.put("on-completed", NOTE)
    job = spool.find(jobs.retrieved())
    spool.clean()
    told: list[str | None] = []

    class Listener(Report):
        def hooked(self, hook: str, job_id: str, said: str, wrong: str | None) -> None:
            told.append(wrong)

    mine = Hooks(spool.layout, Listener())
    mine.started("w.1.00000000")
    mine.ended(job, Outcome.completed("1"), 0.0)
    mine.finish(lambda: False, lambda: None)
    assert len(told) == 1
    assert "no such job" in str(told[0])
    assert place.names() == []
