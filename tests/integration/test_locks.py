"""Being the only one at a few steps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from spoolcalc import StorageFailure, liveness, locks
from spoolcalc.locks import exclusive

if TYPE_CHECKING:
    from pathlib import Path

    from spoolcalc import Spool

HOLDER = """
import sys, time
from spoolcalc import Spool
from spoolcalc.locks import exclusive
with exclusive(Spool(sys.argv[1]).layout, "test"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_only_one_is_in_it_at_a_time(spool: Spool, tmp_path: Path) -> None:
    """What is read and written back within it loses no step of another's."""
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        for _ in range(25):
            with exclusive(spool.layout, "test"):
                counter.write_text(str(int(counter.read_text()) + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "100"


def test_other_names_do_not_wait(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name is a lock of its own; one that is held too long is told of, with its path."""
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    with exclusive(spool.layout, "one"):
        with exclusive(spool.layout, "another"):
            pass
        with (
            pytest.raises(StorageFailure, match="locks/one") as told,
            exclusive(spool.layout, "one"),
        ):
            pass
    assert "Another process" in told.value.hint
    with exclusive(spool.layout, "one"):
        pass


def test_the_death_of_the_one_lets_the_next_in(spool: Spool) -> None:
    """The kernel drops the lock of who is killed within it."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, spool.path], stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)
        with exclusive(spool.layout, "test"):
            pass


def test_a_spool_without_the_directory_gets_it(spool: Spool) -> None:
    """Earlier versions made none."""
    os.rmdir(spool.layout.locks)
    with exclusive(spool.layout, "test"):
        assert os.listdir(spool.layout.locks) == ["test"]
    assert os.stat(spool.layout.locks).st_mode & 0o777 == 0o700
    assert os.stat(f"{spool.layout.locks}/test").st_mode & 0o777 == 0o600


def test_who_only_looks_changes_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the workers of a spool that is mounted read-only can be told of."""
    with spool.register() as lease:
        path = spool.layout.lock_of(lease.worker)
        before = os.stat(path)
        flags = []
        opens = os.open

        def opened(path: str, how: int, *mode: int, dir_fd: int | None = None) -> int:
            flags.append(how)
            return opens(path, how, *mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", opened)
        assert locks.is_held(path)
        assert liveness.alive(spool.layout, lease.worker)
        lease._lock.release()
        assert locks.is_held(path) is False
        assert not liveness.alive(spool.layout, lease.worker)
        assert flags
        assert not any(how & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) for how in flags)
        assert (os.stat(path).st_mtime_ns, os.stat(path).st_ino) == (
            before.st_mtime_ns,
            before.st_ino,
        )


def test_a_lock_that_cannot_be_looked_at_is_judged_by_the_lease(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of another host is."""
    monkeypatch.setattr(liveness, "is_held", lambda path: None)
    with spool.register() as lease:
        assert liveness.alive(spool.layout, lease.worker)
        os.utime(spool.layout.lock_of(lease.worker), (1, 1))
        assert not liveness.alive(spool.layout, lease.worker)


def test_a_lock_that_is_not_there_is_not_held(tmp_path: Path) -> None:
    """And is not made."""
    assert locks.is_held(str(tmp_path / "lock")) is False
    assert locks.is_held(str(tmp_path)) is None
    assert not list(tmp_path.iterdir())
