"""Each fault is planted by itself, found, and mended if it can be; and all of them at once.

Afterwards every job that was there is still there; what was torn or foreign lies in ``corrupt/``,
byte by byte.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from faults import FAULTS, Faults

from spoolcalc import Spool, State, reading
from spoolcalc.doctor import CHECKS, Severity, examination, examine, room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Commands, Jobs, Process, Ran

    from spoolcalc.doctor import Examination


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing moves here while it is looked at, so that a short second look will do."""
    monkeypatch.setattr(examination, "PAUSES", (0.001, 0.001))


@pytest.fixture
def faults(spool: Spool, jobs: Jobs, tmp_path: Path) -> Iterator[Faults]:
    """Make a spool with jobs in all states, in which faults can be planted."""
    with ExitStack() as until:
        yield Faults(spool, jobs, tmp_path, until)


def checks(seen: Examination) -> set[str]:
    """Return the names of the checks that found something wrong."""
    return {finding.check for finding in seen.findings if finding.severity}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_mended(faults: Faults, name: str) -> None:
    """Found by its own check and no other, said what it means; nothing is lost by mending it."""
    fault = FAULTS[name]
    assert checks(examine(faults.spool.path)) == set()
    before = faults.acknowledged()
    fault.plant(faults)
    seen = examine(faults.spool.path, patience=faults.patience)
    wrong = {finding.check: finding for finding in seen.findings if finding.severity}
    assert fault.check in wrong
    assert set(wrong) - {fault.check} <= set(fault.also)
    found = wrong[fault.check]
    assert found.means
    assert found.do
    assert seen.verdict == max(finding.severity for finding in seen.findings)
    assert (found.key in seen.mendable) == fault.mended
    assert fault.mended <= bool(CHECKS[fault.check].mended)
    after = examine(faults.spool.path, fix=True, patience=faults.patience)
    assert not after.refused
    assert (fault.check in checks(after)) != fault.mended
    assert checks(after) <= {fault.check, *fault.also, "corrupt"}
    assert faults.lost(before) == set()


def test_all_faults_at_once(faults: Faults) -> None:
    """They do not hide each other, and mending one loses nothing of another."""
    before = faults.acknowledged()
    together = [fault for fault in FAULTS.values() if fault.together]
    for fault in together:
        fault.plant(faults)
    seen = examine(faults.spool.path)
    assert {fault.check for fault in together} <= checks(seen)
    assert seen.verdict is Severity.CRITICAL
    after = examine(faults.spool.path, fix=True)
    assert not after.refused
    left = {check for check in checks(after) if CHECKS[check].mended}
    assert left <= {fault.check for fault in together if not fault.mended} | {"corrupt"}
    assert faults.lost(before) == set()


def test_at_least_twenty_faults_are_planted() -> None:
    """And every check that can find something in a directory is tried by one."""
    assert len({fault.check for fault in FAULTS.values()}) >= 20
    elsewhere = {"file-system", "rename", "link", "flock", "fsync", "inotify", "times", "clock"}
    elsewhere |= {"space", "inodes", "too-many"}  # tried below
    elsewhere |= {"wrong-owner"} if os.geteuid() else set()
    assert {fault.check for fault in FAULTS.values()} | elsewhere == set(CHECKS)


def test_a_healthy_spool(spool: Spool, jobs: Jobs) -> None:
    """Nothing is wrong with jobs in all states, a shared lock, keys and notes."""
    jobs.of_each_state()
    spool.submit("add", ["1", "2"], key="nightly")
    seen = examine(spool.path)
    assert checks(seen) == set()
    assert seen.verdict is Severity.OK
    assert seen.jobs == seen.documents == 7
    assert os.listdir(spool.layout.tmp) == []


def test_a_shared_spool_is_healthy_too(tmp_path: Path) -> None:
    """Its modes are other ones."""
    from spoolcalc import access

    layout = access.make_shared(str(tmp_path / "team"), str(os.getegid()))
    spool = Spool(layout.root)
    first = spool.submit("add", ["1", "2"], key="k")
    spool.submit("add", [f"@{first}", "2"])
    with spool.register():
        assert checks(examine(layout.root)) == set()


@pytest.mark.parametrize(
    ("left", "verdict"), [(0.5, Severity.OK), (0.05, Severity.WARNING), (0.01, Severity.CRITICAL)]
)
def test_room_on_the_file_system(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, left: float, verdict: Severity
) -> None:
    """Space and inodes are told of before they are used up."""
    real = os.statvfs(spool.path)
    fields = list(real)
    fields[1], fields[2], fields[3], fields[4] = 4096, 5000, 5000, int(5000 * left)
    fields[5], fields[6], fields[7] = 1000, 1000, int(1000 * left)
    monkeypatch.setattr(reading, "room", lambda _: os.statvfs_result(fields))
    seen = {finding.check: finding.severity for finding in examine(spool.path).findings}
    assert seen["space"] is seen["inodes"] is verdict


def test_too_many_names(spool: Spool, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is too full is told of."""
    monkeypatch.setattr(room, "MANY", 2)
    assert checks(examine(spool.path)) == set()
    spool.publish([])
    for _ in range(6):  # a bucket may come to its end meanwhile
        jobs.pending()
    assert checks(examine(spool.path)) == {"too-many"}


class Broken(NamedTuple):
    """A file system that lacks something."""

    check: str
    door: str
    instead: Callable[..., object]


def _copied(source: str, target: str) -> None:
    if os.path.isdir(source):
        shutil.copytree(source, target)
        shutil.rmtree(source)
    else:
        shutil.copy(source, target)
        os.unlink(source)


def _forbidden(*_: object, **__: object) -> None:
    raise PermissionError(1, "Operation not permitted", "a", None, "b")


@pytest.mark.parametrize(
    "broken",
    [
        Broken("rename", "rename", _copied),
        Broken("link", "link", _forbidden),
        Broken("link", "link", shutil.copy),
        Broken("fsync", "fsync", _forbidden),
    ],
    ids=lambda broken: f"{broken.check} {getattr(broken.instead, '__name__', '')}",
)
def test_a_file_system_that_lacks_something(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, broken: Broken
) -> None:
    """What does not work as it must is critical."""
    monkeypatch.setattr(os, broken.door, broken.instead)
    seen = examine(spool.path)
    assert broken.check in checks(seen)
    assert seen.verdict is Severity.CRITICAL


def test_a_file_system_without_locks(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks that two can have at once are critical."""
    import fcntl

    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert checks(examine(spool.path)) == {"flock"}


def test_a_file_system_without_inotify(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works, but slower: a warning."""
    import inotify_simple

    def none(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(inotify_simple, "INotify", none)
    seen = examine(spool.path)
    assert checks(seen) == {"inotify"}
    assert seen.verdict is Severity.WARNING


def test_a_file_system_of_whole_seconds(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not keep the times that it is given."""
    real = os.utime

    def coarse(path: str, *, ns: tuple[int, int] | None = None) -> None:
        if ns is None:
            real(path)
        else:
            real(path, ns=(ns[0] // 10**9 * 10**9, ns[1] // 10**9 * 10**9))

    monkeypatch.setattr(os, "utime", coarse)
    assert checks(examine(spool.path)) == {"times"}


@pytest.mark.parametrize(
    ("kind", "severity"),
    [("nfs4", Severity.OK), ("fuse.sshfs", Severity.WARNING), ("vfat", Severity.CRITICAL)],
)
def test_the_kind_of_the_file_system(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, kind: str, severity: Severity
) -> None:
    """What is not known to be fit, and what is known not to be."""
    from spoolcalc import host

    monkeypatch.setattr(host, "file_system", lambda _: kind)
    monkeypatch.setattr(host, "on_local_file_system", lambda _: False)
    [found] = [f for f in examine(spool.path).findings if f.check == "file-system"]
    assert found.severity is severity
    assert kind in found.detail


@pytest.mark.parametrize(
    ("ahead", "severity"), [(-10.0, Severity.WARNING), (86_400.0, Severity.CRITICAL)]
)
def test_a_clock_that_differs(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, ahead: float, severity: Severity
) -> None:
    """The file system's clock is ahead of ours, or behind it."""
    from spoolcalc import files

    monkeypatch.setattr(files, "touch", lambda _: time.time() + ahead)
    [found] = [f for f in examine(spool.path).findings if f.check == "clock"]
    assert found.severity is severity
    assert ("ahead of" if ahead > 0 else "behind") in found.detail


def test_a_full_disk_is_told_of(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """That nothing can be tried is a finding, and the rest is looked at all the same."""
    spool.pause("moving")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", spool.layout.tmp)

    monkeypatch.setattr(os, "mkdir", full)
    seen = examine(spool.path)
    assert checks(seen) == {"spool", "paused"}


def test_no_spool_at_all(tmp_path: Path) -> None:
    """It is critical, and nothing is made."""
    seen = examine(str(tmp_path / "none"), fix=True)
    assert checks(seen) == {"spool"}
    assert list(tmp_path.iterdir()) == []


def test_a_double_of_a_living_worker_is_left_to_it(spool: Spool, jobs: Jobs) -> None:
    """What a living worker has in hand is not touched."""
    job_id = jobs.pending()
    copy = jobs.path(job_id)
    data = copy.read_bytes()
    with spool.register() as lease:
        assert spool.claim(lease)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(data)
        copy.chmod(0o600)
        seen = examine(spool.path, fix=True)
        assert checks(seen) == {"double"}
        assert spool.find(job_id).id == job_id


def test_the_operations_of_living_workers_are_known(
    spool: Spool, jobs: Jobs, until: Callable[..., object], start: Callable[..., Process]
) -> None:
    """A worker notes what it can run, and takes the note with it."""
    jobs.pending("nobody-knows-this")
    worker = start("work", "-q")
    until(lambda: list(Path(spool.layout.workers).glob("*.knows")))
    seen = examine(spool.path)
    assert checks(seen) == {"unknown-operation"}
    [found] = [finding for finding in seen.findings if finding.severity]
    assert found.detail == "nobody-knows-this: 1 pending jobs, and no worker knows it"
    worker.signal(signal.SIGTERM)
    worker.end()
    assert list(Path(spool.layout.workers).iterdir()) == []


def test_what_was_moved_meanwhile_is_not_told(
    spool: Spool, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is met twice because it moved on is one job."""
    job_id = jobs.pending()
    real = reading.scan
    moved: list[Path] = []

    def scan(path: str) -> Iterator[os.DirEntry[str]]:
        yield from real(path)
        if path == spool.layout.pending and not moved:
            bucket = Path(spool.layout.finished_bucket(State.FAILED, job_id))
            bucket.mkdir(mode=0o700)
            moved.append(jobs.path(job_id).rename(bucket / f"{job_id}.json"))

    monkeypatch.setattr(reading, "scan", scan)
    assert "double" not in checks(examine(spool.path))
    assert moved


def test_a_monitoring_system_gets_exit_codes(
    spool: Spool, run: Callable[..., Ran], jobs: Jobs
) -> None:
    """0, 1 and 2; in a pipe the verdict comes first, and JSON has it by name."""
    well = run("doctor")
    assert well.returncode == 0
    assert well.stdout.startswith(f"ok\tverdict\t{spool.path}\t0 critical, 0 warnings")
    spool.pause("moving")
    warned = run("doctor", "--json")
    assert warned.returncode == 1
    told = json.loads(warned.stdout)
    assert (told["schema"], told["verdict"], told["warnings"]) == (1, "warning", 1)
    jobs.path(jobs.pending()).write_bytes(b"")
    bad = run("doctor")
    assert bad.returncode == 2
    assert {line.count("\t") for line in bad.stdout.splitlines()} == {6}


def test_a_person_reads_what_to_do(spool: Spool, jobs: Jobs, commands: Commands) -> None:
    """What it means, what to do, and what --fix would do; then what it did."""
    jobs.path(jobs.pending()).write_bytes(b"{")
    seen = commands.on_terminal("doctor")
    assert seen.returncode == 2
    assert "critical torn-document: A job's document is empty, torn, or damaged" in seen.stdout
    assert "-> Restore the file from a backup" in seen.stdout
    assert "-> spool doctor --fix: It goes to corrupt/, with the reason." in seen.stdout
    mended = commands.on_terminal("doctor", "--fix")
    assert mended.returncode == 1  # there is something in corrupt/ now
    assert "torn-document: It goes to corrupt/" in mended.stdout
