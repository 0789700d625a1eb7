"""Submitting for many at once: nobody is forgotten, and what is refused to one is refused to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import NoSuchJob, State, StorageFailure
from spoolcalc.http.writer import Writer
from spoolcalc.ids import new_id
from spoolcalc.submission import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spoolcalc import Spool
    from spoolcalc.job import Document


class Quick:
    """A spool whose disk takes no time."""

    def __init__(self) -> None:
        self.groups: list[int] = []

    def publish(self, documents: Sequence[Document]) -> list[str]:
        """Say that it is done."""
        self.groups.append(len(documents))
        return [str(document["id"]) for document in documents]


def run(spool: Any, clients: int, each: int) -> list[str]:
    """Have clients submit one job after the other, and return the ids."""

    async def client(writer: Writer) -> list[str]:
        ids: list[str] = []
        for _ in range(each):
            ids += await writer.submit([prepare("add", ["1", "2"])])
        return ids

    async def all_of_them() -> list[str]:
        writer = Writer(spool)
        try:
            async with asyncio.timeout(15):
                found = await asyncio.gather(*(client(writer) for _ in range(clients)))
        finally:
            writer.close()
        return [job_id for ids in found for job_id in ids]

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("clients", [1, 2, 3, 17])
def test_nobody_is_forgotten(clients: int, groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes as the last group has just been written is written, too."""
    monkeypatch.setattr("spoolcalc.http.writer.GROUPS", groups)
    spool = Quick()
    ids = run(spool, clients, 4000 // clients)
    assert len(set(ids)) == clients * (4000 // clients) == sum(spool.groups)


def test_what_comes_together_is_written_together(spool: Spool) -> None:
    """In far fewer groups than jobs, and all of it is there."""
    groups: list[int] = []
    publish = spool.publish

    class Counting:
        def publish(self, documents: Sequence[Document]) -> Sequence[str]:
            groups.append(len(documents))
            return publish(documents)

    ids = run(Counting(), 32, 4)
    assert {job.id for job in spool.list(State.PENDING)} == set(ids)
    assert len(groups) < len(ids) / 2


def test_a_refusal_concerns_its_own(spool: Spool) -> None:
    """A job that waits for none that is there is refused alone; what the disk refuses, all are."""

    async def both() -> list[Any]:
        writer = Writer(spool)
        bad = prepare("add", ["1", "2"], after=[(new_id(), "ok")])
        try:
            return await asyncio.gather(
                *(writer.submit([prepare("add", ["1", "2"])]) for _ in range(5)),
                writer.submit([bad]),
                return_exceptions=True,
            )
        finally:
            writer.close()

    *ids, refused = asyncio.run(both())
    assert isinstance(refused, NoSuchJob)
    assert {job.id for job in spool.list(State.PENDING)} == {i for [i] in ids}


def test_what_the_disk_refuses_is_told_to_all() -> None:
    """Each gets an error of its own, of the same kind and words."""

    class Full:
        def publish(self, documents: Sequence[Document]) -> list[str]:
            raise StorageFailure("write", "/spool/tmp/x", OSError(28, "full"))

    async def several() -> list[Any]:
        writer = Writer(Full())  # type: ignore[arg-type] # all of a spool that it needs
        try:
            return await asyncio.gather(
                *(writer.submit([prepare("add", ["1", "2"])]) for _ in range(5)),
                return_exceptions=True,
            )
        finally:
            writer.close()

    errors = asyncio.run(several())
    assert {(e.exit_code, e.message) for e in errors} == {
        (7, "cannot write /spool/tmp/x: No space left on device")
    }
