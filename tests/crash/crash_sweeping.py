"""Those who died are swept, and their jobs go to others."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from crash_base import ADD, HOUR, Scenario, age, claim_all, die, silence
from crash_breaker import Breaker
from crash_census import Expected, Facts

from spoolcalc import Attempt, Lease, Outcome, Spool
from spoolcalc.document import with_attempt, with_outcome
from spoolcalc.endings import record
from spoolcalc.ids import new_id
from spoolcalc.job import timestamp

if TYPE_CHECKING:
    from crash_base import Tell


class Sweep(Scenario):
    """A worker died with two jobs running, and another one is alive with a third."""

    minimum = 60

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root, expected=Expected("completed", "35", lost=1))
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3", lost=1))
        die(root, claim_all)
        dead = frozenset(os.listdir(f"{root}/wip"))
        self.submit(root, "add", "2", "2", expected=Expected("completed", "4"))
        return Facts(self.jobs, charged=True, dead=dead)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register(claims=1)

    def act(self, tell: Tell) -> None:
        self.spool.sweep()
        assert os.path.exists(self.claims[0].path), "taken away from a living worker"
        tell("swept")


class SweepByWorker(Sweep):
    """Like the sweep of a worker, which has registered before, and goes on with what it took."""

    minimum = 40

    def arrange(self, root: str) -> None:
        self.spool = Spool(root)
        self.register()

    def act(self, tell: Tell) -> None:
        self.spool.sweep(self.mine)
        tell("swept")

    def again(self, tell: Tell) -> None:
        super().again(tell)
        assert self.mine is not None
        assert os.listdir(self.spool.layout.wip) == [self.mine.worker], "not all was handed on"


class SweepRecorded(SweepByWorker):
    """A worker died between recording an outcome and moving the job on."""

    minimum = 30

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        self.submit(root)
        die(root, _record_only)
        return Facts(self.jobs)


class SweepPoison(SweepByWorker):
    """A worker died of a job that may take no more workers down."""

    minimum = 35

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        text = "poison: 2 workers were lost while they ran it"
        self.submit(root, *ADD, expected=Expected("failed", text, 2, last=""), max_crashes=2)
        die(root, claim_all)
        Spool(root).sweep()
        die(root, claim_all)
        return Facts(self.jobs)


class SweepReturned(SweepByWorker):
    """A worker handed back all it held, and died before it was put back."""

    minimum = 28
    long = True

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        die(root, lambda spool, lease: (claim_all(spool, lease), lease.surrender()))
        return Facts(self.jobs)


class SweepHand(SweepByWorker):
    """Who had taken jobs only to do something to them died, which is held against none of them."""

    minimum = 28
    long = True

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        die(root, lambda spool, _: claim_all(spool, Lease.take(spool.layout, hand=True)))
        return Facts(self.jobs)


class SweepHalfSwept(SweepByWorker):
    """A sweeper died right after it had taken what a dead worker held."""

    long = True
    minimum = 60

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root, expected=Expected("completed", "35", lost=1))
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3", lost=1))
        die(root, claim_all)
        die(root, lambda spool, lease: spool.sweep(lease), self.breaker(root))
        [left] = [name for name in os.listdir(f"{root}/wip") if os.listdir(f"{root}/wip/{name}")]
        assert "+" in left
        return Facts(self.jobs)

    def breaker(self, root: str) -> Breaker:
        """Return what kills the first sweeper."""

        def fencing(name: str, args: tuple[Any, ...]) -> bool:
            return name == "rename" and "+" in args[1]

        return Breaker("after", when=fencing)


class SweepHalfCharged(SweepHalfSwept):
    """A sweeper died between noting a loss and putting the job back."""

    long = True

    def breaker(self, root: str) -> Breaker:
        def noting(name: str, args: tuple[Any, ...]) -> bool:
            return name == "rename" and args[0].startswith(f"{root}/tmp/") and "/wip/" in args[1]

        return Breaker("after", when=noting)


class SweepDebris(SweepByWorker):
    """A worker died with a document that cannot be read and with things that are no jobs."""

    long = True
    minimum = 50

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root, expected=Expected("completed", "35", lost=1))
        die(root, claim_all)
        [worker] = os.listdir(f"{root}/wip")
        planted = {
            f"{root}/wip/{worker}/{new_id()}.json": b'{"format": 1, "id": ',
            f"{root}/wip/{worker}/notes.txt": b"what is this",
            f"{root}/wip/stray": b"and this",
        }
        for path, data in planted.items():
            with open(path, "wb") as file:
                file.write(data)
        return Facts(self.jobs, dict.fromkeys(planted.values(), "corrupt"))


class SweepSilent(SweepByWorker):
    """A worker that holds its lock was silent for long, and somebody noted so a while ago."""

    minimum = 40

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root, expected=Expected("completed", "35", lost=1))
        die(root, claim_all)
        [self.silent] = os.listdir(f"{root}/wip")
        silence(root, self.silent)
        return Facts(self.jobs, silent=self.silent)

    def hold(self, root: str) -> ExitStack:
        held = ExitStack()
        lock = os.open(f"{root}/workers/{self.silent}.lock", os.O_RDONLY)
        held.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return held


class SweepFirstLook(SweepSilent):
    """A worker that holds its lock was silent for long, but nobody has noted so yet.

    It holds its lock in the process that sweeps, so that it ends with it.
    """

    minimum = 16

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        self.submit(root, expected=Expected("completed", "35", lost=1))
        die(root, claim_all)
        [self.silent] = os.listdir(f"{root}/wip")
        age(f"{root}/workers/{self.silent}.lock", HOUR)
        return Facts(self.jobs)

    def hold(self, root: str) -> ExitStack:
        return ExitStack()

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.held = super().hold(root)

    def act(self, tell: Tell) -> None:
        swept = self.spool.sweep(self.mine)
        assert self.silent not in swept.workers, "given up at the first look"
        tell("swept")

    def again(self, tell: Tell) -> None:
        self.act(tell)

    def leave(self) -> None:
        self.held.close()
        super().leave()


def _record_only(spool: Spool, lease: Lease) -> None:
    """Do the first half of finishing a job, and no more."""
    [claim] = claim_all(spool, lease)
    now = timestamp(time.time())
    attempt = Attempt(lease.worker, now, now, "completed")
    document = with_outcome(with_attempt(claim.document, attempt), Outcome.completed("35"), now)
    assert record(spool.layout, lease.worker, claim.path, document)


SCENARIOS: dict[str, type[Scenario]] = {
    "sweep": Sweep,
    "sweep by a worker": SweepByWorker,
    "sweep recorded": SweepRecorded,
    "sweep poison": SweepPoison,
    "sweep returned": SweepReturned,
    "sweep hand": SweepHand,
    "sweep half swept": SweepHalfSwept,
    "sweep half charged": SweepHalfCharged,
    "sweep debris": SweepDebris,
    "sweep silent": SweepSilent,
    "sweep first look": SweepFirstLook,
}
