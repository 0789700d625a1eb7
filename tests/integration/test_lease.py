"""Who is alive: locks, leases, and what proves what."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import Lease, Outcome, Spool, State, StorageFailure, host, locks
from spoolcalc.liveness import alive, given_up, workers

if TYPE_CHECKING:
    from spoolcalc import Claim


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Make a fresh spool."""
    return Spool(tmp_path / "spool", create=True)


def claimed_by(spool: Spool, taken: Lease) -> Claim:
    """Submit a job and have it claimed."""
    spool.submit("add", ["12", "23"])
    claim = spool.claim(taken)
    assert claim is not None
    return claim


def from_another_boot(spool: Spool, taken: Lease, **changed: object) -> None:
    """Make a worker look like one of another host."""
    path = Path(spool.layout.lock_of(taken.worker))
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "elsewhere", **changed}))


def test_a_worker_has_its_lock_before_it_has_a_place_for_jobs(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no instant is there a place that a sweeper could take for a dead worker's."""
    seen = []
    mkdir = os.mkdir

    def watching(path: str, mode: int) -> None:
        if os.path.dirname(path) == spool.layout.wip:
            seen.append(alive(spool.layout, os.path.basename(path)))
        mkdir(path, mode)

    monkeypatch.setattr("spoolcalc.files.os.mkdir", watching)
    with spool.register() as taken:
        assert seen == [True]
        assert workers(spool.layout) == [taken.worker]
    assert workers(spool.layout) == []
    assert os.listdir(spool.layout.wip) == os.listdir(spool.layout.tmp) == []


def test_a_sweeper_that_is_quicker_than_a_new_worker_does_no_harm(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is taken away before the worker had it makes it choose another name."""
    real = locks.try_lock
    tried = []

    def slow(path: str, mode: int = 0o600) -> object:
        tried.append(path)
        return None if len(tried) == 1 else real(path, mode)

    monkeypatch.setattr("spoolcalc.lease.try_lock", slow)
    with spool.register() as taken:
        assert len(set(tried)) == 2
        assert taken.worker in tried[1]


def test_the_remains_of_a_worker_that_died_while_it_registered_are_removed(spool: Spool) -> None:
    """Its lock had no name yet, or its directory was not made yet."""
    Path(spool.layout.temporary("host.1.00000000", "lock")).write_text("{}")
    Path(spool.layout.lock_of("host.2.00000000")).write_text("")
    Path(spool.layout.temporary("host.2.00000000", "some.0")).write_text("{")
    spool.sweep()
    assert os.listdir(spool.layout.tmp) == os.listdir(spool.layout.workers) == []


def test_death_is_seen_at_once_and_charged_once(spool: Spool) -> None:
    """The lock is free: that is proof."""
    taken = Lease.take(spool.layout)
    claim = claimed_by(spool, taken)
    taken._lock.release()
    swept = spool.sweep()
    assert swept.put_back == [claim.job.id]
    assert swept.workers == {taken.worker: "it died"}
    job = spool.find(claim.job.id)
    assert [(a.worker, a.end) for a in job.attempts] == [(taken.worker, "lost")]
    assert spool.sweep().workers == {}


def test_a_free_lock_of_another_host_proves_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between hosts flock may be local to each; only silence counts."""
    monkeypatch.setattr(host, "_LOCAL", frozenset())
    monkeypatch.setattr(host, "_local", {})
    taken = Lease.take(spool.layout)
    claim = claimed_by(spool, taken)
    from_another_boot(spool, taken)
    taken._lock.release()
    assert spool.sweep().workers == {}
    assert spool.find(claim.job.id).state is State.WIP
    assert spool.finish(claim, Outcome.completed("35"))


def test_silence_on_another_host_is_told_by_the_file_system_s_clock(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody has asked for it: the clock of this host may be a day ahead."""
    monkeypatch.setattr(host, "_LOCAL", frozenset())
    monkeypatch.setattr(host, "_local", {})
    with spool.register(60.0) as taken:
        from_another_boot(spool, taken)
        path = Path(spool.layout.lock_of(taken.worker))
        now = path.stat().st_mtime - 86_400.0
        os.utime(path, (now, now))
        assert not alive(spool.layout, taken.worker)
        assert alive(spool.layout, taken.worker, now + 59.0)
        assert not alive(spool.layout, taken.worker, now + 61.0)


def test_a_lock_on_a_local_file_system_outlives_a_reboot_as_proof(spool: Spool) -> None:
    """Nobody else can hold it."""
    if not host.on_local_file_system(spool.path):
        pytest.fail("the tests need a local file system")
    taken = Lease.take(spool.layout)
    claim = claimed_by(spool, taken)
    from_another_boot(spool, taken)
    taken._lock.release()
    assert spool.sweep().put_back == [claim.job.id]


def test_silence_must_last_through_a_second_look(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look leaves a note; the second, a heartbeat later, acts if nothing has changed.

    A heartbeat by the clock that stamps files, and by the one that nobody sets.
    """
    clock = [1000.0]
    monkeypatch.setattr(host, "elapsed", lambda: clock[0])
    taken = Lease.take(spool.layout, 6.0)
    claimed_by(spool, taken)
    lock = spool.layout.lock_of(taken.worker)
    now = os.stat(lock).st_mtime
    os.utime(lock, (now - 7, now - 7))
    assert given_up(spool.layout, taken.worker, now) is None
    note = spool.layout.silence_of(taken.worker)
    noted = os.stat(note).st_mtime
    clock[0] += 0.9
    assert given_up(spool.layout, taken.worker, noted + 0.9) is None
    assert given_up(spool.layout, taken.worker, noted + 86_400) is None, "it was set ahead"
    clock[0] += 0.2
    assert given_up(spool.layout, taken.worker, noted + 0.9) is None
    proof = given_up(spool.layout, taken.worker, noted + 1.1)
    assert proof is not None
    assert "silent" in proof.reason
    spool.leave(taken)
    assert os.listdir(spool.layout.workers) == []


def test_a_suspended_machine_s_worker_is_not_given_up(spool: Spool) -> None:
    """It shows a sign of life between the first look and the second."""
    taken = Lease.take(spool.layout, 6.0)
    lock = spool.layout.lock_of(taken.worker)
    now = os.stat(lock).st_mtime
    os.utime(lock, (now - 3600, now - 3600))
    assert given_up(spool.layout, taken.worker, now) is None
    os.utime(lock, (now - 10, now - 10))
    assert given_up(spool.layout, taken.worker, now + 100) is None, "another silence: look again"
    taken.renew()
    assert given_up(spool.layout, taken.worker, now) is None
    spool.leave(taken)


def test_a_clock_that_is_set_back_makes_nobody_silent(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that was touched in the future must stand still for a whole lease; then it counts."""
    clock = [1000.0]
    monkeypatch.setattr(host, "elapsed", lambda: clock[0])
    taken = Lease.take(spool.layout, 6.0)
    future = time.time() + 86_400
    os.utime(spool.layout.lock_of(taken.worker), (future, future))
    now = time.time()
    assert given_up(spool.layout, taken.worker, now) is None
    clock[0] += 5.9
    assert given_up(spool.layout, taken.worker, now + 5.9) is None
    clock[0] += 0.2
    proof = given_up(spool.layout, taken.worker, now + 6.2)
    assert proof is not None
    assert proof.reason == "it was silent since before the clock was set back"
    taken.renew()
    assert given_up(spool.layout, taken.worker, now + 6.2) is None
    spool.leave(taken)


def test_a_note_of_an_earlier_boot_is_judged_by_its_time(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another host's, too, and one that an earlier version wrote."""
    taken = Lease.take(spool.layout, 6.0)
    lock = spool.layout.lock_of(taken.worker)
    now = os.stat(lock).st_mtime
    os.utime(lock, (now - 7, now - 7))
    assert given_up(spool.layout, taken.worker, now) is None
    note = Path(spool.layout.silence_of(taken.worker))
    for told in (b" 99999999.0 another boot", b"", b" strange"):
        note.write_bytes(note.read_bytes().split(b" ")[0] + told)
        noted = note.stat().st_mtime
        assert given_up(spool.layout, taken.worker, noted + 0.9) is None
        assert given_up(spool.layout, taken.worker, noted + 1.1) is not None
    spool.leave(taken)


def test_a_given_up_worker_can_reach_nothing_any_more(spool: Spool) -> None:
    """Neither finish nor give back nor claim; and it may leave in peace."""
    taken = Lease.take(spool.layout, 6.0)
    claim = claimed_by(spool, taken)
    os.rename(spool.layout.wip_of(taken.worker), spool.layout.wip_of("other.1.0a0a0a0a"))
    assert taken.fenced()
    assert not spool.finish(claim, Outcome.completed("late"))
    assert not spool.give_back(claim)
    spool.submit("add", ["1", "1"])
    assert spool.claim(taken) is None
    assert not taken.surrender()
    spool.leave(taken)
    assert os.listdir(spool.layout.tmp) == []
    assert spool.find(claim.job.id).state is State.WIP
    assert spool.sweep().put_back == [claim.job.id]


def test_a_sweeper_that_died_half_way_is_swept_itself(spool: Spool) -> None:
    """Whoever had taken a dead worker's jobs and died leaves them to the next."""
    taken = Lease.take(spool.layout)
    claim = claimed_by(spool, taken)
    taken._lock.release()
    sweeper = Lease.take(spool.layout)
    os.rename(
        spool.layout.wip_of(taken.worker),
        spool.layout.wip_of(f"{sweeper.worker}+{taken.worker}"),
    )
    assert spool.sweep().put_back == [], "it is in the hands of a living sweeper"
    assert spool.find(claim.job.id).worker == taken.worker
    sweeper._lock.release()
    assert spool.sweep().put_back == [claim.job.id]
    attempts = spool.find(claim.job.id).attempts
    assert [(a.worker, a.end) for a in attempts] == [(taken.worker, "lost")]


def test_a_lease_that_could_not_be_renewed_is_in_doubt(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was held up claims nothing before it has shown a sign of life."""
    clock = [1000.0]
    monkeypatch.setattr(host, "elapsed", lambda: clock[0])
    taken = Lease.take(spool.layout, 6.0)
    doubts = []
    for seconds in (3.9, 0.2):
        clock[0] += seconds
        doubts.append(taken.doubtful)
    assert taken.renew() is not None
    doubts.append(taken.doubtful)
    assert doubts == [False, True, False]
    spool.leave(taken)


def test_an_identity_that_cannot_be_read_is_judged_by_its_silence(spool: Spool) -> None:
    """Nobody is taken for dead because of what its file says."""
    taken = Lease.take(spool.layout)
    claim = claimed_by(spool, taken)
    Path(spool.layout.lock_of(taken.worker)).write_text("[1, 2")
    assert spool.sweep().workers == {}
    assert spool.find(claim.job.id).state is State.WIP
    spool.leave(taken)


def test_a_worker_that_cannot_register_leaves_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk there is no room for who it is."""

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("spoolcalc.files.os.write", full)
    with pytest.raises(StorageFailure, match="No space left"):
        Lease.take(spool.layout)
    assert os.listdir(spool.layout.tmp) == os.listdir(spool.layout.workers) == []


def test_a_hand_s_death_is_charged_to_nobody(spool: Spool) -> None:
    """Who takes a job only to do something to it has not run it."""
    taken = Lease.take(spool.layout, hand=True)
    claim = claimed_by(spool, taken)
    assert spool.overview().workers == []
    taken._lock.release()
    assert spool.sweep().put_back == [claim.job.id]
    assert spool.find(claim.job.id).attempts == ()
    assert os.listdir(spool.layout.workers) == os.listdir(spool.layout.wip) == []


def test_a_hand_s_job_is_uncharged_though_its_sweeper_died(spool: Spool) -> None:
    """Whose job it was counts, and not who was about to give it on."""
    taken = Lease.take(spool.layout, hand=True)
    claim = claimed_by(spool, taken)
    sweeper = Lease.take(spool.layout)
    os.rename(
        spool.layout.wip_of(taken.worker),
        spool.layout.wip_of(f"{sweeper.worker}+{taken.worker}"),
    )
    taken._lock.release()
    sweeper._lock.release()
    assert spool.sweep().put_back == [claim.job.id]
    assert spool.find(claim.job.id).attempts == ()


def test_a_proof_says_whether_the_worker_ran_here(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes of another host, or of before the last boot, need not be looked for."""
    monkeypatch.setattr(host, "_local", {spool.path: True})
    for boot, here in ((host.boot(), True), ("elsewhere", False)):
        taken = Lease.take(spool.layout)
        from_another_boot(spool, taken, boot=boot)
        taken._lock.release()
        proof = given_up(spool.layout, taken.worker, time.time())
        assert proof is not None
        assert proof.here is here
        proof.close()
    os.unlink(spool.layout.lock_of(taken.worker))
    proof = given_up(spool.layout, taken.worker, time.time())
    assert proof is not None
    assert proof.here, "not known where it ran"
