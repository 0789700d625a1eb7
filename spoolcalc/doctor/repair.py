"""How what was found is put right: by the transitions that workers and sweeps use, and no others.

Nothing is deleted but leftovers that nobody reads; what is no job, or one too many, goes to
``corrupt/``.  Each function returns what a suspicion's ``mend`` is: called with a
:class:`~spoolcalc.hand.Hand`, it tells whether it did it.  Who is killed in the middle is swept
like any other hand: the job goes back, uncharged.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from spoolcalc import files, lookup, reading, transitions
from spoolcalc.dependants import wait_on
from spoolcalc.document import MAX_DOCUMENT, Malformed, decode
from spoolcalc.endings import record, settle
from spoolcalc.errors import NewerFormat, StorageFailure
from spoolcalc.job import State
from spoolcalc.layout import id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spoolcalc.hand import Hand
    from spoolcalc.job import Document
    from spoolcalc.layout import Layout

    Mend = Callable[[Hand], bool]

#: Of two documents of one job that tell the same, the one that is furthest stays.
_FURTHEST = (
    State.RETRIEVED,
    State.COMPLETED,
    State.FAILED,
    State.WIP,
    State.PENDING,
    State.DELAYED,
    State.BLOCKED,
)


def into_corrupt(layout: Layout, path: str, reason: str) -> Mend:
    """Move what is no job to where the administrator looks at it."""
    return lambda _: transitions.quarantine(layout, path, f"found by spool doctor: {reason}")


def rehome(layout: Layout, path: str, still: Callable[[], bool], *, anew: bool = False) -> Mend:
    """Take a job in hand, and put it where its document says; ``anew``: in a file of its own.

    Commit points: those of a claim and of what follows.  A job that lies in a second place too is
    left alone, until that was seen to.
    """

    def mend(hand: Hand) -> bool:
        if not still() or _lies_elsewhere(layout, path):
            return False
        bucket, name = os.path.split(path)
        state = os.path.basename(os.path.dirname(bucket))
        worker = hand.lease.worker
        taken = transitions.claim(layout, worker, bucket, name)
        if taken is None:
            return False
        document = taken.document
        if anew and not record(layout, worker, taken.path, document):
            return False
        transitions.try_to_remove_directory(bucket)
        outcome = document["outcome"]
        if state == State.RETRIEVED and outcome is not None and outcome["state"] == "completed":
            return transitions.retire(layout, taken.path, document)
        if state == State.BLOCKED and outcome is None and document.get("after"):
            wait_on(layout, taken)
            return True
        return settle(layout, taken.path, document) is not None

    return mend


def keep_one(
    layout: Layout, paths: Sequence[str], still: Callable[[], bool], held: Callable[[str], bool]
) -> Mend:
    """Keep the latest of several documents of one job; the others go to ``corrupt/``.

    One that lies with a living worker is left to it, and so are all others while it has it.
    """

    def mend(_: Hand) -> bool:
        if not still() or any(map(held, paths)):
            return False
        first, *others = sorted(paths, key=lambda path: _rank(layout, path))
        reason = f"found by spool doctor: the job lies in {first} too"
        moved = [transitions.quarantine(layout, path, reason) for path in others]
        return all(moved)

    return mend


def remove_leftover(path: str) -> Mend:
    """Remove what nobody reads, a file or a directory of ours."""

    def mend(_: Hand) -> bool:
        if os.path.isdir(path) and not os.path.islink(path):
            return files.remove_tree(path)
        return files.remove(path)

    return mend


@reading.plainly("change the mode of")
def set_mode(path: str, mode: int) -> bool:
    """Set the mode of a file or directory, never of what a link leads to; False if it is gone."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        os.chmod(f"/proc/self/fd/{descriptor}", mode)
    finally:
        os.close(descriptor)
    return True


@reading.plainly("give away")
def set_owner(path: str, owner: int, group: int) -> bool:
    """Set who a file or directory belongs to, by numbers; False if it is gone."""
    try:
        os.lchown(path, owner, group)
    except FileNotFoundError:
        return False
    return True


def _lies_elsewhere(layout: Layout, path: str) -> bool:
    job_id = id_of(os.path.basename(path))
    places = lookup.places(layout, job_id or "")
    return any(other != path and reading.status(other) is not None for _, other, _ in places)


def _rank(layout: Layout, path: str) -> tuple[bool, bool, int, bool, int, int, str]:
    """Return what sorts the document to keep first.

    It can be read, lies in its right place, and is the latest: started over later than the others,
    or else with an outcome, or else with more attempts; or it has at least come furthest.
    """
    try:
        read = reading.read(path, MAX_DOCUMENT)
        document: Document | None = decode(read[0]) if read else None
    except (reading.Unreadable, Malformed, NewerFormat, StorageFailure):
        document = None
    state = State(os.path.relpath(path, layout.root).split(os.sep)[0])
    consistent = document is not None and (document["outcome"] is not None) == state.finished
    if state is State.PENDING and document is not None:
        bucket = layout.pending_bucket(document["priority"], document["id"])
        consistent = consistent and os.path.dirname(path) == bucket
    elif state.finished and document is not None:
        bucket = layout.finished_bucket(state, document["id"])
        consistent = consistent and os.path.dirname(path) == bucket
    attempts, forgiven = 0, 0
    if document is not None:
        attempts, forgiven = len(document["attempts"]), int(document.get("forgiven", 0))
    furthest = _FURTHEST.index(state)
    open_ = document is None or document["outcome"] is None
    return document is None, not consistent, -forgiven, open_, -attempts, furthest, path
