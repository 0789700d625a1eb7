"""A small file system is filled to its last block while workers and submitters are at it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from spoolcalc import Spool, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Commands, Process

    from spoolcalc import Job

pytestmark = pytest.mark.system

#: How long (seconds) the file system is full.
FULL = 6.0
#: How long (seconds) all of it may take, whatever happens.
DEADLINE = 100.0


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 20 MB."""
    point = tmp_path / "disk"
    point.mkdir()
    if request.param == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(point)]
    else:
        image = tmp_path / "image"
        with image.open("wb") as file:
            file.truncate(20 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
        mount = ["mount", "-o", "loop", str(image), str(point)]
    subprocess.run(mount, check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)


class Submitters:
    """Two who submit again and again, one job at a time and many, and keep the ids they got."""

    def __init__(self, commands: Commands) -> None:
        self.ids: dict[str, int] = {}
        self.refused = 0
        self.strange: list[object] = []
        self._commands = commands
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._submit, args=(n,)) for n in (1, 40)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @staticmethod
    def _line(number: int) -> str:
        """Return a job that gives ``number``: now and then a command, which writes to the disk."""
        if number % 20 == 0:
            return f"exec sh -c 'echo {number}; echo told >&2'\n"
        return f"add {number - 1} 1\n"

    def _submit(self, together: int) -> None:
        number = together
        until = time.monotonic() + DEADLINE
        while not self._over.is_set() and time.monotonic() < until:
            lines = "".join(self._line(number + n) for n in range(together)).encode()
            ended = self._commands.run("submit", "--from", "-", input=lines, timeout=60)
            for n, job_id in enumerate(ended.stdout.split()):
                self.ids[job_id] = number + n
            if ended.returncode == 7:
                self.refused += 1
                if "Free space" not in ended.stderr:
                    self.strange.append(ended)
            elif ended.returncode:
                self.strange.append(ended)
            number += together


def fill(path: Path, until: float) -> None:
    """Take every block there is, and each that becomes free, until then."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while time.monotonic() < until:
            for size in (1 << 20, 4096, 1):
                with suppress(OSError):
                    while os.write(descriptor, b"x" * size) == size:
                        if time.monotonic() > until:
                            break
            with suppress(OSError):
                os.fsync(descriptor)
            time.sleep(0.02)
    finally:
        os.close(descriptor)


def output_of(spool: Spool, job: Job) -> str:
    """Return what a command wrote."""
    [worker] = (attempt.worker for attempt in job.attempts)
    return Path(spool.layout.output_of(job.id, 1, worker, "stdout")).read_text().strip()


def test_every_printed_id_completes(
    disk: Path, tmp_path: Path, start: Callable[..., Process], until: Callable[..., object]
) -> None:
    """Nothing is torn, no worker dies, no attempt is charged, and all go on by themselves."""
    from conftest import Commands

    home = tmp_path / "elsewhere"
    home.mkdir()
    commands = Commands(home, disk / "spool")
    environment = {"SPOOL_DIR": str(commands.spool)}
    spool = Spool(commands.spool, create=True)
    workers = [start("work", "-q", env=environment) for _ in range(2)]
    with Submitters(commands) as submitters:
        until(lambda: len(submitters.ids) > 100)
        spool.pause("so that there is something to do when it is full")
        until(lambda: spool.counts()[State.PENDING] > 300)
        filler = threading.Thread(target=fill, args=(disk / "filler", time.monotonic() + FULL))
        filler.start()
        until(lambda: submitters.refused > 1)
        spool.resume()
        filler.join()
        refused, before = submitters.refused, len(submitters.ids)
        (disk / "filler").unlink()
        until(lambda: len(submitters.ids) > before + 100, 40)
    assert refused
    assert submitters.strange == []
    assert [worker.popen.poll() for worker in workers] == [None, None]
    assert any("No space left on device" in worker.stderr for worker in workers)
    ids = submitters.ids

    def waiting() -> int:
        counts = spool.counts()
        return sum(counts[state] for state in (State.PENDING, State.WIP, State.DELAYED))

    until(lambda: not waiting(), 60)
    for job_id, result in ids.items():
        job = spool.find(job_id)
        assert job.state is State.COMPLETED, job
        assert (job.result or output_of(spool, job)) == f"{result}", job
        assert [attempt.end for attempt in job.attempts] == ["completed"]
    assert os.listdir(spool.layout.corrupt) == []
    for path in Path(spool.path).glob("*/*/*.json"):
        json.loads(path.read_bytes())
    for worker in workers:
        worker.popen.terminate()
        assert worker.end().returncode == 0
    print(f"{len(ids)} ids, {refused} submits refused while it was full")
