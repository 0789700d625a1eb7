"""Several jobs submitted together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from spoolcalc import NoSuchJob, Outcome, Spool, State, StorageFailure, files, transitions
from spoolcalc.submission import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conftest import Jobs

    from spoolcalc.job import Document
    from spoolcalc.layout import Layout

UNKNOWN = "01a20f20-b358-75fa-ab79-9c641df4b44f"


def keyed(key: str, **options: object) -> Document:
    """Prepare a job that has a key."""
    return prepare("add", ["12", "23"], key=key, **options)  # type: ignore[arg-type] # as they are


def test_a_need_that_is_not_there_refuses_them_all(spool: Spool) -> None:
    """Before the first one is made, keys or not."""
    bad = prepare("add", ["1", "2"], after=[(UNKNOWN, "ok")])
    also_bad = keyed("b", after=[(UNKNOWN, "ok")])
    for documents in ([keyed("a"), keyed("b"), bad], [keyed("a"), also_bad]):
        with pytest.raises(NoSuchJob):
            spool.publish(documents)
        assert set(spool.counts().values()) == {0}


def test_their_ids_come_in_order(spool: Spool, jobs: Jobs) -> None:
    """A key's job is there already, whatever the new one would wait for; keys may be needed."""
    [first] = spool.publish([keyed("a")])
    again = keyed("a", after=[(UNKNOWN, "ok")])
    plain, new = prepare("add", ["1", "2"]), keyed("b")
    needing = prepare("neg", [f"@{new['id']}"])
    ids = spool.publish([plain, again, needing, new])
    assert ids == [plain["id"], first, needing["id"], new["id"]]
    assert jobs.state(needing["id"]) is State.BLOCKED
    assert sum(spool.counts().values()) == 4


def test_what_is_refused_in_between_can_be_submitted_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes no job twice: those without a key come last, all or none."""
    documents = [prepare("add", ["1", "2"]), keyed("a"), keyed("b"), prepare("add", ["1", "2"])]
    real = transitions.publish

    def publish(layout: Layout, some: list[Document]) -> Sequence[str]:
        if len(some) > 1:
            raise StorageFailure("write", "there", OSError(28, "No space left on device"))
        return real(layout, some)

    with monkeypatch.context() as patch:
        patch.setattr(transitions, "publish", publish)
        with pytest.raises(StorageFailure):
            spool.publish(documents)
    left = {job.id for job in spool.list(State.PENDING)}
    assert left == {documents[1]["id"], documents[2]["id"]}
    anew = [prepare("add", ["1", "2"]), keyed("a"), keyed("b"), prepare("add", ["1", "2"])]
    assert spool.publish(anew)[1:3] == [documents[1]["id"], documents[2]["id"]]
    assert spool.counts()[State.PENDING] == 4


@pytest.mark.parametrize("then", ["stays", "is finished", "is given back", "is cleaned"])
def test_a_job_that_is_taken_before_it_is_synced_is_synced_where_it_lies(
    then: str, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bell wakes a worker before that, and the bucket of the last job goes."""
    ring, sync = files.ring, files.sync_directory
    synced: list[tuple[str, bool]] = []

    with spool.register() as lease:

        def woken(path: str, mode: int) -> None:
            ring(path, mode)
            if path == spool.layout.bell and not os.listdir(spool.layout.wip_of(lease.worker)):
                monkeypatch.setattr(files, "ring", ring)
                take()

        def take() -> None:
            worker = Spool(spool.path)
            claimed = worker.claim(lease)
            assert claimed is not None
            assert worker.claim(lease) is None
            assert os.listdir(spool.layout.pending) == []
            if then == "is given back":
                assert worker.give_back(claimed)
            elif then != "stays":
                assert worker.finish(claimed, Outcome.completed("35"))
            if then == "is cleaned":
                worker.fetch(claimed.job.id)
                assert worker.clean().retrieved == 1

        def noted(path: str) -> bool:
            there = sync(path)
            synced.append((path, there))
            return there

        monkeypatch.setattr(files, "ring", woken)
        monkeypatch.setattr(files, "sync_directory", noted)
        job_id = spool.submit("add", ["12", "23"])
        where = {
            "stays": spool.layout.wip_of(lease.worker),
            "is finished": spool.layout.finished_bucket(State.COMPLETED, job_id),
            "is given back": f"{spool.layout.pending}/5-{job_id[:8]}",
            "is cleaned": "",
        }[then]
        assert (where, True) in synced or not where
        assert synced[-1][1] or then == "is cleaned"


def test_what_is_retried_is_synced_where_it_lies(
    spool: Spool, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken at once, its bucket gone: the name that a power failure must not undo is another."""
    job_id = jobs.failed()
    sync = files.sync_directory
    synced: list[str] = []
    with spool.register() as lease:

        def noted(path: str) -> bool:
            if path.startswith(spool.layout.pending) and not synced:
                worker = Spool(spool.path)
                assert worker.claim(lease)
                assert worker.claim(lease) is None
            there = sync(path)
            synced.extend([path] * there)
            return there

        monkeypatch.setattr(files, "sync_directory", noted)
        spool.retry(job_id)
        assert synced[-1] == spool.layout.wip_of(lease.worker)
