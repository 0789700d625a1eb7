"""Jobs are submitted and claimed, and spools made."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from crash_base import ADD, SUM, Scenario
from crash_census import Expected, Facts

from spoolcalc import Spool
from spoolcalc.ids import new_id

if TYPE_CHECKING:
    from crash_base import Tell


class SubmitOne(Scenario):
    minimum = 11

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        return Facts(self.jobs, coming={ADD: (1, SUM)})

    def act(self, tell: Tell) -> None:
        tell(f"submitted {self.spool.submit(ADD[0], ADD[1:])}")


class SubmitBesideAnother(SubmitOne):
    minimum = 9

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        self.submit(root, "add", "5", "5", expected=Expected("completed", "10"))
        return Facts(self.jobs, coming={ADD: (1, SUM)})


class SubmitThree(Scenario):
    minimum = 24
    long = True

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        return Facts(
            self.jobs,
            coming={("add", str(n), "1"): (1, Expected("completed", str(n + 1))) for n in range(3)},
        )

    def act(self, tell: Tell) -> None:
        for job_id in self.spool.submit_many([("add", [str(n), "1"]) for n in range(3)]):
            tell(f"submitted {job_id}")


class ClaimOne(Scenario):
    """Two jobs wait, and an empty bucket is in the way."""

    minimum = 8

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        os.mkdir(f"{root}/pending/1-00000000", 0o700)
        return Facts(self.jobs, charged=True)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register()

    def act(self, tell: Tell) -> None:
        assert self.mine is not None
        claim = self.spool.claim(self.mine)
        assert claim is not None, "there was a job to claim"
        self.claims.append(claim)
        tell(f"claimed {claim.job.id}")

    def again(self, tell: Tell) -> None:
        assert self.mine is not None
        held = os.listdir(self.spool.layout.wip_of(self.mine.worker))
        assert len(held) == len(self.claims), "refused, and yet a job was taken"
        super().again(tell)


class ClaimPastGarbage(ClaimOne):
    """The first in line is a document that cannot be read, and beside it lies a stray file."""

    minimum = 24

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        bucket = Spool(root).layout.pending_bucket(0, new_id())
        os.mkdir(bucket, 0o700)
        planted = {
            f"{bucket}/{new_id()}.json": b'{"format": 1, "id": ',
            f"{bucket}/notes.txt": b"what is this",
            f"{root}/pending/stray": b"and this",
        }
        for path, data in planted.items():
            with open(path, "wb") as file:
                file.write(data)
        return Facts(self.jobs, dict.fromkeys(planted.values(), "corrupt"), charged=True)


class ClaimPastNewer(ClaimOne):
    """The first in line was written by a later version: it must stay where it is."""

    minimum = 14

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        job_id = new_id()
        bucket = Spool(root).layout.pending_bucket(5, job_id)
        newer = b'{"format": 2, "id": "%s"}' % job_id.encode()
        with suppress(FileExistsError):
            os.mkdir(bucket, 0o700)
        with open(f"{bucket}/{job_id}.json", "wb") as file:
            file.write(newer)
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        return Facts(self.jobs, {newer: "pending"}, charged=True)

    def act(self, tell: Tell) -> None:
        while len(self.claims) < 2:
            super().act(tell)

    def again(self, tell: Tell) -> None:
        self.act(tell)  # where putting it back was refused, the one it cannot read stays with it


class Register(Scenario):
    minimum = 10

    def act(self, tell: Tell) -> None:
        with self.spool.register():
            pass


class FirstOpening(Scenario):
    """Neither the spool nor the directory it is to be made in exist."""

    minimum = 25

    def prepare(self, root: str) -> Facts:
        return Facts({}, creates=True)

    def arrange(self, root: str) -> None:
        self.root = root

    def act(self, tell: Tell) -> None:
        Spool(self.root, create=True)
        tell("opened")


SCENARIOS: dict[str, type[Scenario]] = {
    "submit one": SubmitOne,
    "submit beside another": SubmitBesideAnother,
    "submit three": SubmitThree,
    "claim": ClaimOne,
    "claim past garbage": ClaimPastGarbage,
    "claim past a newer format": ClaimPastNewer,
    "register": Register,
    "first opening": FirstOpening,
}
