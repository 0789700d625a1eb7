"""A spool is copied by the administrator's own commands, restored, and goes on elsewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import Outcome, Spool, State, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Commands, Jobs, Process, Ran

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
#: So many copies of a spool in use, in each of which a job is found twice, are restored.
COPIES = 3
#: How often it is copied for that, at most.
TRIES = 40


def documented(program: str) -> str:
    """Return the first command with that program which the page on operations has."""
    text = PAGE.read_text().replace("\n> ", "\n")
    found = re.search(rf"^\$ ({program} (?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def shell(command: str, cwd: Path, **environment: str) -> int:
    """Run what somebody would type."""
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C", **environment}
    return subprocess.run(["sh", "-c", command], cwd=cwd, env=env, check=False).returncode


class Users:
    """They submit, rename files into inbox/, retry, fetch and clean; and know what they were told.

    ``results`` are ids, or names, and what each job gives; ``failing`` the ids of those that fail
    until they are told to be tried again, which then fail again.
    """

    def __init__(self, spool: Spool, place: Path) -> None:
        self.results: dict[str, str] = {}
        self.failing: list[str] = []
        self.over = False
        self._spool = spool
        self._place = place
        self._threads = [
            threading.Thread(target=self._submit),
            threading.Thread(target=self._fetch),
        ]

    def __enter__(self) -> Users:  # noqa: PYI034 - it is this one
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True
        for thread in self._threads:
            thread.join()

    def _submit(self) -> None:
        spool, number = self._spool, 0
        until = time.monotonic() + 60
        while not self.over and time.monotonic() < until:
            number += 1
            for job_id in spool.submit_many([("add", [str(number), "1"])] * 5):
                self.results[job_id] = str(number + 1)
            first = spool.submit("add", [str(number), "2"], delay=0.2)
            self.results[first] = str(number + 2)
            second = spool.submit("add", [f"@{first}", "2"], key=f"key {number}")
            self.results[second] = str(number + 4)
            if number % 10 == 0:
                mark = self._place / f"{number}"
                script = f"[ -e {mark} ] && echo {number} || {{ : > {mark}; exit 1; }}"
                job_id = spool.submit("exec", ["sh", "-c", script], retries=3, backoff=0.1)
                self.results[job_id] = str(number)
                self.failing.append(spool.submit("div", ["1", "0"]))
                file = Path(spool.layout.inbox, f".n{number}")
                file.write_text(f'{{"operation": "neg", "operands": ["{number}"]}}')
                file.rename(file.with_name(f"n{number}.json"))
                self.results[f"n{number}"] = f"-{number}"

    def _fetch(self) -> None:
        until = time.monotonic() + 60
        while not self.over and time.monotonic() < until:
            for job in list(self._spool.list(State.COMPLETED))[::3]:
                self._spool.fetch(job.id)
            for _ in self._spool.retry_failed("div"):
                pass
            time.sleep(0.01)


def result_of(spool: Spool, word: str) -> str:
    """Return what a job gave, or a command wrote."""
    job = spool.find(word)
    assert job.state in (State.COMPLETED, State.RETRIEVED), job
    if job.operation != "exec":
        return job.result or ""
    number, worker = len(job.attempts), job.attempts[-1].worker
    return Path(spool.layout.output_of(job.id, number, worker, "stdout")).read_text().strip()


def ids_twice(spool: Spool) -> set[str]:
    """Return the ids that lie in more than one place."""
    ids = [path.stem for path in Path(spool.path).glob("*/*/*.json")]
    return {job_id for job_id in ids if ids.count(job_id) > 1}


def moved_meanwhile(archive: Path) -> bool:
    """Tell whether a job lies in two places of a copy."""
    with tarfile.open(archive) as members:
        names = {name for name in members.getnames() if name.endswith(".json")}
    ids = [os.path.basename(name) for name in names if not name.startswith("keys/")]
    return len(set(ids)) < len(ids)


def restored(room: Path, commands: Commands) -> tuple[Spool, dict[str, Outcome]]:
    """Restore a copy as the page says; return also the outcomes in it, before anything was done."""
    (room / "restored").mkdir(mode=0o700)
    assert shell("tar -C restored -xpf spool.tar", room) == 0
    environment = {"SPOOL_DIR": str(room / "restored")}
    assert commands.run("upgrade", env=environment).returncode == 0
    spool = Spool(room / "restored")
    ended = {job.id: job.outcome for state in State for job in spool.list(state) if job.outcome}
    commands.run("doctor", "--fix", env=environment, timeout=60)
    assert ids_twice(spool) == set()
    for reason in Path(spool.layout.corrupt).glob("*.reason"):
        why = json.loads(reason.read_text())["reason"]
        assert "the job lies in" in why or "a job that is not there" in why
    return spool, ended


@pytest.mark.slow
def test_a_spool_in_use_is_copied_and_restored(
    commands: Commands,
    spool: Spool,
    tmp_path: Path,
    start: Callable[..., Process],
    until: Callable[..., object],
) -> None:
    """All that was acknowledged before tar began ends as it should, and once."""
    copy = documented("tar")
    place = tmp_path / "marks"
    place.mkdir()
    known: list[tuple[Path, dict[str, str], list[str]]] = []
    workers = [start("work", "-q", "-j2") for _ in range(2)]
    with Users(spool, place) as users:
        for number in range(TRIES):
            before = len(users.results)
            until(lambda before=before: len(users.results) > before + 80)
            room = tmp_path / f"room{number}"
            room.mkdir()
            told, failing = dict(users.results), list(users.failing)
            assert shell(copy, room, SPOOL_DIR=spool.path) in (0, 1)
            if moved_meanwhile(room / "spool.tar"):
                known.append((room, told, failing))
            if len(known) == COPIES:
                break
    for worker in workers:
        worker.popen.terminate()
        assert worker.end().returncode == 0
    assert len(known) == COPIES, "nothing moved meanwhile"
    for room, told, failing in known:
        other, ended = restored(room, commands)
        Worker(other, until_empty=True, jobs=2).run()
        for word, result in told.items():
            assert result_of(other, word) == result
        assert {other.find(job_id).state for job_id in failing} <= {State.FAILED}
        for job_id in ended.keys() - set(users.failing):
            assert other.find(job_id).outcome == ended[job_id]
        shutil.rmtree(other.path)


def test_a_moved_spool_goes_on(jobs: Jobs, tmp_path: Path, run: Callable[..., Ran]) -> None:
    """Jobs of every state, a time, a key and a result come along with `cp -a`."""
    spool = jobs.spool
    ids = jobs.of_each_state()
    keyed = spool.submit("add", ["1", "2"], key="once")
    due = spool.find(ids["delayed"]).not_before
    assert run("pause").returncode == 0
    assert shell(documented("cp"), tmp_path, SPOOL_DIR=spool.path) == 0
    shutil.rmtree(spool.path)
    moved = Spool(tmp_path / "moved")
    environment = {"SPOOL_DIR": moved.path}
    assert run("doctor", "--fix", env=environment).returncode in (0, 1)
    for state, job_id in ids.items():
        assert moved.find(job_id).state == state
    assert moved.find(ids["delayed"]).not_before == due
    assert moved.submit("add", ["1", "2"], key="once") == keyed
    assert run("resume", env=environment).returncode == 0
    assert run("work", "--once", "-q", env=environment).returncode == 0
    assert run("fetch", keyed, env=environment).stdout == "3\n"


def test_a_copy_leaves_the_original_s_workers_alone(
    jobs: Jobs, tmp_path: Path, start: Callable[..., Process], until: Callable[..., object]
) -> None:
    """What they run is not killed from there, and in the copy no attempt is charged for it."""
    spool = jobs.spool
    go, running = tmp_path / "go", tmp_path / "running"
    script = (
        f": > {running}; n=0;"
        f"while [ ! -e {go} ] && [ $n -lt 600 ]; do sleep 0.05; n=$((n + 1)); done"
    )
    job_id = spool.submit("exec", ["sh", "-c", script])
    start("work")
    until(running.exists)
    shutil.copytree(spool.path, tmp_path / "whole")
    shutil.copytree(spool.path, tmp_path / "part")
    for lock in (tmp_path / "part" / "workers").iterdir():
        lock.unlink()
    for name in ("whole", "part"):
        copy = Spool(tmp_path / name)
        swept = copy.sweep()
        assert swept.put_back == [job_id]
        assert list(swept.workers.values()) == [
            "it works in another spool, of which this is a copy"
        ]
        assert copy.find(job_id).attempts == ()
    go.touch()
    until(lambda: spool.find(job_id).state.finished)
    assert [attempt.end for attempt in spool.find(job_id).attempts] == ["completed"]
