"""What nobody else will do: give the jobs of dead workers to others.

Any number of sweepers may be at it at once, and any of them may be killed at any instruction: all
they do is renames, each with one winner, and what a dead sweeper had taken is swept itself.  There
is no lock around it, for a sweeper that was stopped would keep everybody's jobs waiting.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from spoolcalc import files, liveness, orphans, reading
from spoolcalc.dependants import check_blocked
from spoolcalc.document import again_at
from spoolcalc.endings import charge, conclude, settle
from spoolcalc.errors import NewerFormat, SpoolError, StorageFailure
from spoolcalc.execute import told
from spoolcalc.job import DEFAULT_PRIORITY, Attempt, Outcome, State, timestamp
from spoolcalc.layout import (
    CANCEL,
    RETURNED,
    TAKEN,
    beside,
    claimed_file,
    file_name,
    id_of,
    is_hand,
    owner_of,
    victim_of,
)
from spoolcalc.lease import Lease
from spoolcalc.transitions import Claim, load, put_back, quarantine, return_to_inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from spoolcalc.job import Document
    from spoolcalc.layout import Layout

#: How often a worker that leaves tries to say so; if it cannot, its jobs count as lost.
SURRENDERS = 3


class Swept:
    """What one sweep did.

    Ids of jobs put back to pending, ended as poison, and found with their outcome inside; paths of
    what was moved to ``corrupt/``; the workers that were given up, with the reason.
    """

    __slots__ = ("finished", "poisoned", "put_back", "quarantined", "workers")

    def __init__(self) -> None:
        self.put_back: list[str] = []
        self.poisoned: list[str] = []
        self.finished: list[str] = []
        self.quarantined: list[str] = []
        self.workers: dict[str, str] = {}


def sweep(layout: Layout, mine: Lease, *, thorough: bool = False) -> Swept:
    """Recover the jobs of all workers that are dead or silent.

    Cheap when there is nothing to do: a listing of ``wip/`` and one of each worker's directory.
    ``thorough`` also looks after workers that had no job.  ``mine`` is the sweeper's own lease.
    """
    swept = Swept()
    now = mine.renew()
    if now is None:
        return swept
    for entry in reading.entries(layout.wip) or ():
        directory, path = entry.name, entry.path
        if not entry.is_dir(follow_symlinks=False):
            reason = "neither a worker's directory nor a job"
            swept.quarantined += [path] * quarantine(layout, path, reason)
            continue
        owner = owner_of(directory)
        if owner is None:
            _recover(layout, mine, path, None, swept)
        elif owner != mine.worker:
            if thorough or reading.names(path) != []:
                _give_up(layout, mine, directory, owner, now, swept)
        elif directory != mine.worker:  # this sweeper took it, and was kept from finishing
            _recover(layout, mine, path, "it died", swept)
    if thorough:
        check_blocked(layout, now)
        _forget_workers(layout, mine, now)
        liveness.remove_staged(layout)
    return swept


def recover(layout: Layout, mine: Lease, directory: str) -> bool:
    """Do for one directory in ``wip/`` what a sweep does; tell whether a job was taken from it.

    For who waits for a job in it, and would else wait for somebody to look after its worker.
    """
    swept, now, owner = Swept(), mine.renew(), owner_of(directory)
    if owner is None:
        _recover(layout, mine, layout.wip_of(directory), None, swept)
    elif now is not None and owner != mine.worker:
        _give_up(layout, mine, directory, owner, now, swept)
    return bool(swept.finished or swept.put_back or swept.poisoned)


def hand_back(layout: Layout, mine: Lease) -> None:
    """Put back what a worker still holds when it leaves, uncharged.

    Commit point: the rename to ``.returned``, which needs no space on the disk.  Killed after it,
    or when the disk is full: any sweep goes on with it.
    """
    with suppress(StorageFailure):  # if it cannot be listed, it may hold something
        if not reading.names(layout.wip_of(mine.worker)):
            return
    for tries_left in reversed(range(SURRENDERS)):
        try:
            surrendered = mine.surrender()
            break
        except StorageFailure:
            if not tries_left:
                raise
    if surrendered:
        _recover(layout, mine, layout.wip_of(mine.worker) + RETURNED, None, Swept())


def hand_back_others(layout: Layout, mine: Lease, held: Container[str]) -> None:
    """Put back what a worker has claimed, uncharged, but for the jobs in ``held``, by their ids.

    Commit point of each: the rename.  For what was claimed and could not be read.  What was claimed
    from ``inbox/`` is left to the thread that has it in hand.
    """
    path = layout.wip_of(mine.worker)
    names = set(reading.names(path) or ())
    for name in names:
        if not beside(name) and (id_of(name) or "") not in held and claimed_file(name) is None:
            _hand_on(layout, mine, f"{path}/{name}", None, Swept(), names)


def _give_up(
    layout: Layout, mine: Lease, directory: str, owner: str, now: float, swept: Swept
) -> None:
    """Fence off a worker that is gone, by one rename of all it holds, and recover its jobs."""
    proof = liveness.given_up(layout, owner, now)
    if proof is None:
        return
    try:
        victim = victim_of(directory)
        taken = layout.wip_of(f"{mine.worker}{TAKEN}{victim}")
        if files.move(layout.wip_of(directory), taken):
            swept.workers[owner] = proof.reason
            reason: str | None = proof.reason
            if (proof.here or victim != owner) and not is_hand(victim):
                if liveness.lives_elsewhere(layout, victim):
                    reason = None  # it is well: this spool is a copy of the one it works in
                    swept.workers[owner] = "it works in another spool, of which this is a copy"
                else:
                    # After the fence, so that it starts nothing more that counts, and before
                    # anybody else can have its jobs: no attempt runs beside what is left of the
                    # one before.
                    orphans.kill_marked(victim)
            _recover(layout, mine, taken, reason, swept)
    finally:
        proof.close()


def _recover(layout: Layout, mine: Lease, path: str, reason: str | None, swept: Swept) -> None:
    """Hand on each job in a directory that no worker works in any more.

    ``reason`` is why its worker was given up; without one the jobs were returned, so that nobody is
    charged, and neither is anybody if a hand had them, which ran none.  Several sweepers may be at
    one returned directory: each job goes by one rename.
    """
    if is_hand(victim_of(os.path.basename(path))):
        reason = None
    names = set(reading.names(path) or ())
    for name in names:
        if not beside(name):
            _hand_on(layout, mine, f"{path}/{name}", reason, swept, names)
    for name in filter(beside, names):
        files.remove(f"{path}/{name}")
    files.remove_directory(path)


def _hand_on(
    layout: Layout, mine: Lease, path: str, reason: str | None, swept: Swept, names: set[str]
) -> None:
    try:
        _hand_on_known(layout, mine, path, reason, swept, names)
    except SpoolError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug of ours must not end each who sweeps
        why = f"a bug in spool: {told(error)}"
        swept.quarantined += [path] * quarantine(layout, path, why)


def _hand_on_known(
    layout: Layout, mine: Lease, path: str, reason: str | None, swept: Swept, names: set[str]
) -> None:
    name = os.path.basename(path)
    job_id = id_of(name)
    if job_id is None and claimed_file(name) is not None:
        return_to_inbox(layout, path)
        return
    if job_id is None:
        swept.quarantined += [path] * quarantine(layout, path, "its name is not that of a job")
        return
    status = reading.status(path)
    try:
        document = load(layout, path, name)
    except NewerFormat:
        # Its priority cannot be read: a newer worker will take it from where jobs usually lie.
        bucket = layout.pending_bucket(DEFAULT_PRIORITY, job_id)
        files.move_into(path, bucket, name, layout.directory_mode)
        return
    if document is None or status is None:
        swept.quarantined += [path] * (status is not None)
    elif document["outcome"] is not None:
        swept.finished += [job_id] * (settle(layout, path, document) is not None)
    elif job_id + CANCEL in names and owner_of(os.path.basename(os.path.dirname(path))) is not None:
        claimed = Claim(document, path, mine.worker, status.st_ctime)
        swept.finished += [job_id] * conclude(layout, claimed, Outcome.cancelled())
    elif job_id + CANCEL in names:
        swept.finished += [job_id] * _cancel_returned(layout, path, document, status.st_ctime)
    elif reason is None or _is_over(document, status):
        swept.put_back += [job_id] * (put_back(layout, path, document) is not None)
    else:
        victim = victim_of(os.path.basename(os.path.dirname(path)))
        started, now = timestamp(status.st_ctime), timestamp(time.time())
        lost = Attempt(victim, started, now, "lost", f"worker {victim} was lost: {reason}")
        went = charge(layout, mine.worker, path, document, lost)
        if went is not None:
            (swept.poisoned if went is State.FAILED else swept.put_back).append(job_id)


def _cancel_returned(layout: Layout, path: str, document: Document, since: float) -> bool:
    """End a job as cancelled that belongs to nobody; False if somebody else had it first.

    A hand takes it before, by a rename: else another sweeper, which has not seen the wish, could
    put it back between the record of its outcome and the move, and it would be in two places.  The
    wish is with the hand before the job is: if it is killed, who gives it up ends the job.
    """
    hand = Lease.take(layout, hand=True)
    try:
        own, job_id = layout.wip_of(hand.worker), document["id"]
        files.note(own, job_id + CANCEL, layout.file_mode, None)
        taken = Claim(document, f"{own}/{file_name(job_id)}", hand.worker, since)
        ended = files.move(path, taken.path) and conclude(layout, taken, Outcome.cancelled())
        files.remove(f"{own}/{job_id}{CANCEL}")
        return ended
    finally:
        hand.release()  # what it could not end goes with its directory, as any dead hand's


def _is_over(document: Document, status: os.stat_result) -> bool:
    """Tell whether a job's attempt has ended and is noted, and its owner only had to let it go."""
    again = again_at(document)
    return again is not None and files.is_dated(status, again)


def _forget_workers(layout: Layout, mine: Lease, now: float) -> None:
    """Remove what workers left behind that are gone and hold nothing any more."""
    holding = {owner_of(directory) for directory in reading.names(layout.wip) or ()}
    leftovers = reading.names(layout.tmp) or ()
    for worker in liveness.workers(layout):
        if worker == mine.worker or worker in holding:
            continue
        proof = liveness.given_up(layout, worker, now)
        if proof is None:
            continue
        try:
            for name in leftovers:
                if name.startswith(f"{worker}."):
                    files.remove(f"{layout.tmp}/{name}")
            files.remove(layout.silence_of(worker))
            files.remove(layout.lock_of(worker))
        finally:
            proof.close()
    liveness.remove_notes(layout)
