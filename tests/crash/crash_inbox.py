"""What is broken of the adoption: a file in ``inbox/`` becomes a job, or goes to ``corrupt/``."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from crash_base import SUM, Scenario, die, silence
from crash_breaker import Breaker
from crash_census import Expected, Facts
from crash_races import Race
from crash_sweeping import SweepByWorker

from spoolcalc import Lease, Spool, StorageFailure, locks
from spoolcalc.inbox import Inbox

if TYPE_CHECKING:
    from crash_base import Tell

BAD = b'{"operation": "add", "operands": ["12", '


def put(root: str, name: str, data: bytes | None = None, **asked: object) -> None:
    """Put a file into ``inbox/`` as any program may."""
    wanted = {"operation": "add", "operands": ["12", "23"], **asked}
    with open(f"{root}/inbox/.{name}", "wb") as file:
        file.write(json.dumps(wanted).encode() if data is None else data)
    os.rename(f"{root}/inbox/.{name}", f"{root}/inbox/{name}.json")


def adopt_all(spool: Spool, lease: Lease) -> None:
    """Look until nothing is left."""
    inbox = Inbox(spool.layout)
    while inbox.adopt(lease).more:
        pass


class Adopt(Scenario):
    """A file waits, and a worker looks."""

    minimum = 30

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        put(root, "nightly")
        return Facts(self.jobs, files={"nightly": SUM})

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register()
        self.inbox = Inbox(self.spool.layout)

    def act(self, tell: Tell) -> None:
        assert self.mine is not None
        self.inbox.adopt(self.mine)
        tell("adopted")


class AdoptDelayed(Adopt):
    """It is not to run before a time, which has come when it is looked for again."""

    long = True

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        put(root, "nightly", at=1.0)
        return Facts(self.jobs, files={"nightly": SUM})


class AdoptDependent(Adopt):
    """It waits for a job that has ended."""

    long = True
    minimum = 60

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        needed = next(job_id for job_id, job in self.jobs.items() if job.text == "42")
        put(root, "nightly", operands=[f"@{needed}", "1"])
        return Facts(self.jobs, files={"nightly": Expected("completed", "43")})


class AdoptAgain(Adopt):
    """It is a job already."""

    minimum = 10

    def prepare(self, root: str) -> Facts:
        spool = Spool(root, create=True)
        put(root, "nightly")
        with spool.register() as lease:
            adopt_all(spool, lease)
        put(root, "nightly", operands=["6", "7"])
        return Facts(self.jobs, files={"nightly": SUM})


class AdoptBad(Adopt):
    """One cannot be read, and one may not be called so."""

    minimum = 18

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        put(root, "bad", BAD)
        put(root, "not a name", b"{}")
        return Facts(self.jobs, planted=dict.fromkeys([BAD, b"{}"], "corrupt"))


class SweepClaimed(SweepByWorker):
    """A worker died right after it had claimed a file."""

    minimum = 25
    call = ("/inbox/", "/wip/")

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        put(root, "nightly")

        def last(name: str, args: tuple[Any, ...]) -> bool:
            return name == "rename" and all(map(str.__contains__, args, self.call))

        die(root, adopt_all, Breaker("after", when=last))
        [left] = [name for name in os.listdir(f"{root}/wip") if os.listdir(f"{root}/wip/{name}")]
        assert os.listdir(f"{root}/wip/{left}")[0].startswith("inbox.")
        return Facts(self.jobs, files={"nightly": SUM})

    def again(self, tell: Tell) -> None:
        super().again(tell)
        assert os.listdir(self.spool.layout.inbox) == ["nightly.json"], "it was not put back"


class SweepFilledIn(SweepClaimed):
    """A worker died right after it had filled a file in."""

    long = True

    call = ("/tmp/", "/wip/")


class AdoptFilledIn(Adopt):
    """What a worker had filled in was put back."""

    long = True

    def prepare(self, root: str) -> Facts:
        facts = SweepFilledIn().prepare(root)
        Spool(root).sweep()
        return facts


class AdoptWhileAdopted(Race, Adopt):
    """Another looks, too."""

    def meanwhile(self, tell: Tell) -> None:
        other = Spool(self.root)
        with other.register() as lease:
            adopt_all(other, lease)
        self.sweep_and_work(tell)


class AdoptWhileGivenUp(Race, Adopt):
    """The one who adopts is taken for dead, and another adopts."""

    def meanwhile(self, tell: Tell) -> None:
        assert self.mine is not None
        if os.path.exists(self.spool.layout.lock_of(self.mine.worker)):
            silence(self.root, self.mine.worker)
        self.sweep_and_work(tell)
        other = Spool(self.root)
        # Who stands still while it has a key in hand holds up the others: for once they give up.
        with (
            other.register() as lease,
            patch.object(locks, "PATIENCE", 0.0),
            suppress(StorageFailure),
        ):
            adopt_all(other, lease)


class AdoptWhileAnotherComes(Race, Adopt):
    """Another file of the same name comes."""

    def meanwhile(self, tell: Tell) -> None:
        put(self.root, "nightly")


SCENARIOS: dict[str, type[Scenario]] = {
    "adopt": Adopt,
    "adopt delayed": AdoptDelayed,
    "adopt dependent": AdoptDependent,
    "adopt again": AdoptAgain,
    "adopt bad": AdoptBad,
    "adopt filled in": AdoptFilledIn,
    "sweep claimed": SweepClaimed,
    "sweep filled in": SweepFilledIn,
}
RACES: dict[str, type[Race]] = {
    "adopt while adopted": AdoptWhileAdopted,
    "adopt while given up": AdoptWhileGivenUp,
    "adopt while another comes": AdoptWhileAnotherComes,
}
