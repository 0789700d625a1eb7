"""Several jobs submitted together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spoolcalc import NoSuchJob, Spool, State, StorageFailure, transitions
from spoolcalc.submission import prepare

if TYPE_CHECKING:
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

    def publish(layout: Layout, some: list[Document]) -> None:
        if len(some) > 1:
            raise StorageFailure("write", "there", OSError(28, "No space left on device"))
        real(layout, some)

    with monkeypatch.context() as patch:
        patch.setattr(transitions, "publish", publish)
        with pytest.raises(StorageFailure):
            spool.publish(documents)
    left = {job.id for job in spool.list(State.PENDING)}
    assert left == {documents[1]["id"], documents[2]["id"]}
    anew = [prepare("add", ["1", "2"]), keyed("a"), keyed("b"), prepare("add", ["1", "2"])]
    assert spool.publish(anew)[1:3] == [documents[1]["id"], documents[2]["id"]]
    assert spool.counts()[State.PENDING] == 4
