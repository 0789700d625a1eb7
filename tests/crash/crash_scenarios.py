"""What is broken: each way a job changes its state, on a spool prepared for it.

A scenario makes a template spool once (``prepare``).  Each run then gets a copy of it and a child
process of its own, in which ``arrange`` takes place undisturbed, ``act`` is what may be broken at
any of its system calls, ``again`` is what a caller does after a refusal, and ``leave`` is how an
orderly process ends.  ``tell`` passes on what the process has said to the world by then.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from contextlib import ExitStack, suppress
from copy import copy
from typing import TYPE_CHECKING, Any

from crash_breaker import Breaker, breaking
from crash_promises import Expected, Facts, clean

from spoolcalc import Attempt, Claim, Lease, Outcome, Spool, State, Worker
from spoolcalc.batch import Batch
from spoolcalc.document import with_attempt, with_outcome
from spoolcalc.endings import record
from spoolcalc.execute import execute
from spoolcalc.ids import new_id
from spoolcalc.job import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from spoolcalc import Job

    Tell = Callable[[str], object]

ADD = ("add", "12", "23")
SUM = Expected("completed", "35")
HOUR, DAY = 3_600.0, 86_400.0


class Scenario:
    """The base of all; it says what most have in common."""

    #: There are at least so many system calls, else the test would prove nothing.
    minimum = 5
    #: How long the lease of whoever acts is.
    lease = 60.0

    def __init__(self) -> None:
        self.jobs: dict[str, Expected] = {}
        self.spool: Spool
        self.mine: Lease | None = None
        self.claims: list[Claim] = []

    # --- in the driver, once

    def prepare(self, root: str) -> Facts:
        """Make the template spool."""
        self.bystanders(root)
        return Facts(self.jobs)

    def submit(self, root: str, *job: str, expected: Expected = SUM, **options: Any) -> str:
        """Submit a job and note what is to become of it."""
        operation, *operands = job or ADD
        job_id = Spool(root).submit(operation, operands, **options)
        self.jobs[job_id] = expected
        return job_id

    def bystanders(self, root: str) -> None:
        """Make a spool with a job in each of the last states."""
        spool = Spool(root, create=True)
        self.submit(root, "mul", "6", "7", expected=Expected("completed", "42"))
        failure = execute("div", ["1", "0"]).error or ""
        self.submit(root, "div", "1", "0", expected=Expected("failed", failure))
        fetched = self.submit(root, "add", "1", "1", expected=Expected("retrieved", "2"))
        with spool.register() as lease:
            while (claim := spool.claim(lease)) is not None:
                spool.finish(claim, execute(claim.job.operation, claim.job.operands))
        spool.fetch(fetched)

    def hold(self, root: str) -> ExitStack:
        """Hold what must be held for as long as a copy at ``root`` is in use."""
        return ExitStack()

    def fresh(self) -> Self:
        """Return a copy for one run."""
        run = copy(self)
        run.mine, run.claims = None, []
        return run

    # --- each time, in a process of its own where it is to be killed

    def arrange(self, root: str) -> None:
        """Get ready; nothing is broken yet."""
        self.spool = Spool(root)

    def register(self, claims: int = 0) -> None:
        """Become a worker, with some jobs in hand."""
        self.mine = Lease.take(self.spool.layout, self.lease)
        for _ in range(claims):
            claim = self.spool.claim(self.mine)
            assert claim is not None
            self.claims.append(claim)

    def act(self, tell: Tell) -> None:
        """Do what is broken."""
        raise NotImplementedError

    def again(self, tell: Tell) -> None:
        """Do it once more, after it was refused."""
        self.act(tell)

    def leave(self) -> None:
        """End in good order."""
        if self.mine is not None:
            self.spool.leave(self.mine)


def die(root: str, act: Callable[[Spool, Lease], object], when: Breaker | None = None) -> None:
    """Let a worker do something and be killed: at the end, or earlier by a breaker."""
    child = os.fork()
    if child == 0:
        try:
            spool = Spool(root)
            with breaking(when or Breaker("count")):
                act(spool, Lease.take(spool.layout))
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(70)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), status
    assert os.WTERMSIG(status) == signal.SIGKILL


def claim_all(spool: Spool, lease: Lease) -> list[Claim]:
    """Claim every job there is."""
    claims = []
    while (claim := spool.claim(lease)) is not None:
        claims.append(claim)
    return claims


def age(path: str, seconds: float) -> None:
    """Let a file be so old."""
    os.utime(path, (time.time() - seconds, time.time() - seconds))


def silence(root: str, worker: str) -> None:
    """Let a worker be silent for an hour, and let somebody have noted so in that hour."""
    lock = f"{root}/workers/{worker}.lock"
    note = f"{root}/workers/{worker}.silent"
    age(lock, HOUR)
    with open(note, "w", encoding="ascii") as file:
        file.write(str(os.stat(lock).st_mtime_ns))
    age(note, HOUR)


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


class FinishCompleted(Scenario):
    minimum = 11
    job: tuple[str, ...] = ADD

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        self.submit(root, *self.job)
        return Facts(self.jobs, charged=True)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register(claims=1)

    def act(self, tell: Tell) -> None:
        job = self.claims[0].job
        if self.spool.finish(self.claims[0], execute(job.operation, job.operands)):
            tell(f"finished {job.id}")


class FinishBesideAnother(FinishCompleted):
    minimum = 9

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        return Facts(self.jobs, charged=True)


class FinishFailed(FinishCompleted):
    job = ("div", "1", "0")

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        failure = execute("div", ["1", "0"]).error or ""
        self.submit(root, *self.job, expected=Expected("failed", failure))
        return Facts(self.jobs, charged=True)


class FinishTogether(Scenario):
    """A worker records a batch of outcomes, one of which is a failure; another one is there."""

    minimum = 30
    batch: Batch

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        failure = execute("div", ["1", "0"]).error or ""
        self.submit(root)
        self.submit(root, "div", "1", "0", expected=Expected("failed", failure))
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        return Facts(self.jobs, charged=True)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register(claims=3)

    def act(self, tell: Tell) -> None:
        self.batch = Batch(self.spool, lambda job, _, __, went: self.recorded(tell, job, went))
        for claim in self.claims:
            self.batch.add(claim, execute(claim.job.operation, claim.job.operands), 0.0)
        self.batch.flush()

    def recorded(self, tell: Tell, job: Job, went: State | None) -> None:
        """Hear of a job that it was recorded."""
        assert went is not None, f"nobody else was there, and {job.id} was taken away"
        tell(f"finished {job.id}")

    def again(self, tell: Tell) -> None:
        assert len(self.batch) == 1, "one was refused, and others wait for it"
        self.batch.flush()


class FinishTogetherFirst(FinishTogether):
    """The same where no job was finished before, so that directories have to be made."""

    minimum = 36

    def bystanders(self, root: str) -> None:
        Spool(root, create=True)


class GiveBack(FinishBesideAnother):
    minimum = 2

    def act(self, tell: Tell) -> None:
        if self.spool.give_back(self.claims[0]):
            tell(f"returned {self.claims[0].job.id}")


class LeaveWithJobs(Scenario):
    minimum = 18

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        return Facts(self.jobs, charged=True)

    def arrange(self, root: str) -> None:
        super().arrange(root)
        self.register(claims=2)

    def act(self, tell: Tell) -> None:
        assert self.mine is not None
        leaving, self.mine = self.mine, None
        self.spool.leave(leaving)
        for claim in self.claims:
            tell(f"returned {claim.job.id}")

    def again(self, tell: Tell) -> None:
        self.spool.sweep()


class Fetch(Scenario):
    minimum = 15

    def arrange(self, root: str) -> None:
        super().arrange(root)
        [self.job_id] = [job.id for job in self.spool.list(State.COMPLETED)]

    def act(self, tell: Tell) -> None:
        self.spool.fetch(self.job_id, lambda job: tell(f"delivered {job.id} {job.result}"))
        tell(f"fetched {self.job_id}")


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
        self.submit(root, *ADD, expected=Expected("failed", text, lost=2), max_crashes=2)
        die(root, claim_all)
        Spool(root).sweep()
        die(root, claim_all)
        return Facts(self.jobs)


class SweepReturned(SweepByWorker):
    """A worker handed back all it held, and died before it was put back."""

    minimum = 28

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        die(root, lambda spool, lease: (claim_all(spool, lease), lease.surrender()))
        return Facts(self.jobs)


class SweepHand(SweepByWorker):
    """Who had taken jobs only to do something to them died, which is held against none of them."""

    minimum = 28

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        self.submit(root)
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        die(root, lambda spool, _: claim_all(spool, Lease.take(spool.layout, hand=True)))
        return Facts(self.jobs)


class SweepHalfSwept(SweepByWorker):
    """A sweeper died right after it had taken what a dead worker held."""

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

    def breaker(self, root: str) -> Breaker:
        def noting(name: str, args: tuple[Any, ...]) -> bool:
            return name == "rename" and args[0].startswith(f"{root}/tmp/") and "/wip/" in args[1]

        return Breaker("after", when=noting)


class SweepDebris(SweepByWorker):
    """A worker died with a document that cannot be read and with things that are no jobs."""

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


class Clean(Scenario):
    """Of each finished state an old job and a new one, and leftovers of both kinds."""

    minimum = 20
    states: tuple[str, ...] = ("retrieved", "completed", "failed")

    def prepare(self, root: str) -> Facts:
        self.bystanders(root)
        young = dict(self.jobs)
        self.bystanders(root)
        for job_id in self.jobs.keys() - young.keys():
            expected = self.jobs[job_id]
            self.jobs[job_id] = Expected(
                expected.state, expected.text, cleaned=expected.state in self.states
            )
            [path] = [
                f"{directory}/{job_id}.json"
                for directory, _, names in os.walk(root)
                if f"{job_id}.json" in names
            ]
            age(path, DAY)
        for days in (0, 2):
            path = f"{root}/tmp/submit.{new_id()}"
            with open(path, "wb"):
                age(path, days * DAY)
        self.submit(root)
        return Facts(self.jobs, cleaning=dict.fromkeys(self.states, HOUR))

    def act(self, tell: Tell) -> None:
        clean(self.spool, dict.fromkeys(self.states, HOUR))
        tell("cleaned")


class CleanRetrieved(Clean):
    """Without a retention of the user's own, only what was retrieved is removed."""

    minimum = 11
    states = ("retrieved",)


class WorkOnce(Scenario):
    """A worker recovers a dead one's job, runs two others, one of which fails, and ends."""

    minimum = 90

    def prepare(self, root: str) -> Facts:
        Spool(root, create=True)
        self.submit(root, expected=Expected("completed", "35", lost=1))
        die(root, claim_all)
        dead = frozenset(os.listdir(f"{root}/wip"))
        self.submit(root, "add", "1", "2", expected=Expected("completed", "3"))
        failure = execute("div", ["1", "0"]).error or ""
        self.submit(root, "div", "1", "0", expected=Expected("failed", failure))
        return Facts(self.jobs, charged=True, dead=dead)

    def act(self, tell: Tell) -> None:
        Worker(self.spool, once=True).run()
        tell("worked")


def _record_only(spool: Spool, lease: Lease) -> None:
    """Do the first half of finishing a job, and no more."""
    [claim] = claim_all(spool, lease)
    now = timestamp(time.time())
    attempt = Attempt(lease.worker, now, now, "completed")
    document = with_outcome(with_attempt(claim.document, attempt), Outcome.completed("35"), now)
    assert record(spool.layout, lease.worker, claim.path, document)


SCENARIOS: dict[str, type[Scenario]] = {
    "submit one": SubmitOne,
    "submit beside another": SubmitBesideAnother,
    "submit three": SubmitThree,
    "claim": ClaimOne,
    "claim past garbage": ClaimPastGarbage,
    "claim past a newer format": ClaimPastNewer,
    "finish completed": FinishCompleted,
    "finish beside another": FinishBesideAnother,
    "finish failed": FinishFailed,
    "finish together": FinishTogether,
    "finish together first": FinishTogetherFirst,
    "give back": GiveBack,
    "leave with jobs": LeaveWithJobs,
    "fetch": Fetch,
    "register": Register,
    "first opening": FirstOpening,
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
    "clean": Clean,
    "clean retrieved": CleanRetrieved,
    "work once": WorkOnce,
}
