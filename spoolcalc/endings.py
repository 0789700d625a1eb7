"""How a job's attempt ends: with an outcome, with another try, or with the loss of its worker.

    finish     an outcome, or, of a failure that is to be retried, a time for the next attempt
    conclude   an outcome without an attempt: cancelled, or what it needed has failed
    crashed    the process that ran it died, and its worker did not
    charge     its worker was lost
    blame      a bug of ours was met with it

Each first records the document in the directory of its owner (the fence, and the commit point), and
then moves the job on by what the document says, so that whoever finds a job half-way can go on.
Jobs that wait for this one are let go between the two: they find its outcome inside.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from contextlib import suppress

from spoolcalc import events, files, reading, waits
from spoolcalc.document import (
    MAX_DOCUMENT,
    ROOM,
    again_at,
    crashes,
    encode,
    failures,
    has_room,
    with_attempt,
    with_due,
    with_outcome,
)
from spoolcalc.errors import StorageFailure
from spoolcalc.execute import told
from spoolcalc.job import (
    DEFAULT_BACKOFF,
    JITTER,
    LONGEST_BACKOFF,
    Attempt,
    Outcome,
    State,
    timestamp,
)
from spoolcalc.layout import CANCEL, SUFFIX, file_name
from spoolcalc.transitions import put_back, quarantine, try_to_remove, unblock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    from spoolcalc.job import Document
    from spoolcalc.layout import Layout
    from spoolcalc.transitions import Claim

    #: Where the job went; None: it was given to another worker meanwhile; or what was refused.
    Answer = State | None | StorageFailure
    T = TypeVar("T")

#: Failures after which a job that has retries left is tried again.
_RETRIED = frozenset(["error", "timeout"])

_FULL = "the job's document has no room for more attempts"
#: Any result of so many characters has room in a document, whatever they are.
SHORT = ROOM // 16

_serial = itertools.count()


def finish(layout: Layout, claimed: Claim, outcome: Outcome) -> State | None:
    """Record an outcome and move the job on; return where it went.

    ``delayed`` if it failed and is to be tried again; ``failed`` all the same if somebody wishes
    that it be cancelled.  None if it was given to another worker meanwhile.  It may be called again
    after a StorageFailure.
    """
    return _alone(finish_together(layout, [(claimed, outcome)]))


def finish_together(layout: Layout, finished: Sequence[tuple[Claim, Outcome]]) -> list[Answer]:
    """Record outcomes and move the jobs on, sharing the waits for the disk; answer for each job.

    The answer is as that of :func:`finish`, and a refusal is that job's alone: the others go on,
    and only those that were refused are to be tried again.  Commit point of each job: as in
    :func:`record_together`.
    """
    now = time.time()
    due = [
        (claimed.worker, claimed.path, _ended(claimed, outcome, now))
        for claimed, outcome in finished
    ]
    recorded = record_together(layout, due)
    moving = [number for number, answer in enumerate(recorded) if answer is True]
    moved = settle_together(
        layout,
        [due[number][1:] for number in moving],
        [finished[number][0].seconds for number in moving],
    )
    answers: list[Answer] = [
        answer if isinstance(answer, StorageFailure) else None for answer in recorded
    ]
    for number, answer in zip(moving, moved, strict=True):
        answers[number] = answer
    return answers


def kept(document: Document, outcome: Outcome) -> Outcome:
    """Return the outcome as it can be recorded: a failure if its result has no room."""
    if outcome.result is None or len(outcome.result) <= SHORT:
        return outcome
    room = MAX_DOCUMENT - ROOM // 2 - len(encode(document))
    size = len(encode({"result": outcome.result}))
    if size <= room:
        return outcome
    return Outcome.failed(
        f"the result takes {size:,} bytes in the job's document, and {max(0, room):,} are left"
    )


def conclude(layout: Layout, claimed: Claim, outcome: Outcome) -> bool:
    """End a job that was not run; False if it was given to another meanwhile.

    Commit point and crash windows: those of :func:`finish`.
    """
    document = with_outcome(claimed.document, outcome, timestamp(time.time()))
    if not record(layout, claimed.worker, claimed.path, document):
        return False
    settle(layout, claimed.path, document)
    return True


def crashed(layout: Layout, claimed: Claim, error: str) -> State | None:
    """Charge a job with the death of the process that ran it; return where it went, or None.

    Counted with the losses of workers, and it ends in the same way after too many.
    """
    now = timestamp(time.time())
    attempt = Attempt(claimed.worker, timestamp(claimed.started), now, "crashed", error)
    document = _charged(claimed.document, attempt)
    if document["outcome"] is None:
        document = _again(claimed.path, document, now, now)
    if not record(layout, claimed.worker, claimed.path, document):
        return None
    return settle(layout, claimed.path, document)


def blame(layout: Layout, claimed: Claim, error: Exception) -> None:
    """Charge a job with a bug of ours that was met with it, as if it had crashed.

    So it ends as poison in the end, instead of ending each worker that takes it.  If not even that
    can be recorded, it goes to ``corrupt/``.
    """
    what = f"a bug in spool: {told(error)}"
    try:
        crashed(layout, claimed, what)
    except StorageFailure:
        raise
    except Exception:  # noqa: BLE001 - the same bug, perhaps
        quarantine(layout, claimed.path, what)


def _ended(claimed: Claim, outcome: Outcome, now: float) -> Document:
    """Return a job's document after an attempt: with its outcome, or with a time to try again."""
    outcome = kept(claimed.document, outcome)
    end = "completed" if outcome.state is State.COMPLETED else "failed"
    ended = timestamp(now)
    attempt = Attempt(claimed.worker, timestamp(claimed.started), ended, end, outcome.error)
    document = with_attempt(claimed.document, attempt)
    failed = failures(document)
    if outcome.reason in _RETRIED and failed <= document.get("retries", 0):
        if has_room(document):
            due = timestamp(now + _backoff(document, failed))
            return _again(claimed.path, document, due, ended)
        code, cut = outcome.exit_code, outcome.cut
        error = f"{_FULL}, so that it is not tried again: {outcome.error}"
        outcome = Outcome.failed(error, reason=outcome.reason or "error", exit_code=code, cut=cut)
    return with_outcome(document, outcome, ended)


def _again(path: str, document: Document, due: str, ended: str) -> Document:
    """Return a document with a time to try again; ended as cancelled if somebody wishes that.

    One that could not be ended while it ran would else go on with its next attempt.
    """
    with suppress(StorageFailure):  # who cancels, and still waits, cancels it where it goes
        if reading.status(path.removesuffix(SUFFIX) + CANCEL) is not None:
            return with_outcome(document, Outcome.cancelled(), ended)
    return with_due(document, due)


def _backoff(document: Document, failed: int) -> float:
    """Return how long (seconds) a job waits after its so many-th failure.

    Doubled each time up to a ceiling; spread, so that what failed together does not come together.
    """
    import random

    wait = min(
        document.get("backoff", DEFAULT_BACKOFF) * 2.0 ** min(failed - 1, 60), LONGEST_BACKOFF
    )
    return float(wait * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret


def record(layout: Layout, owner: str, path: str, document: Document) -> bool:
    """Replace the document at ``path``, in a directory of ``owner``'s own; False if fenced off."""
    return _alone(record_together(layout, [(owner, path, document)]))


def record_together(
    layout: Layout, due: Sequence[tuple[str, str, Document]]
) -> list[bool | StorageFailure]:
    """Replace documents, each given as owner, path and document; answer for each.

    Commit point of each: the rename over its path.  Killed before it: a leftover in ``tmp/``, and
    the attempt counts as lost.  Killed after it: the outcome is inside, and the sweep settles it.
    A document that nobody could read any more is not written: the job goes to ``corrupt/``.
    An owner that was given up finds its directory renamed away, so that nothing it writes can reach
    the job any more: the answer is False.  Data is synced before the rename: a power failure leaves
    the old document or the new one.

    A document without an outcome that has a ``due`` tells of an attempt that has ended.  Its file's
    time is that ``due``, so that who finds it before it was moved on does not take its owner's
    death for the loss of one more attempt.
    """
    answers: list[bool | StorageFailure] = []
    written: list[tuple[int, int, str]] = []  # which, its descriptor, where
    try:
        for number, (owner, path, document) in enumerate(due):
            temporary = layout.temporary(owner, f"{document['id']}.{next(_serial)}")
            try:
                data = encode(document)
                if len(data) > MAX_DOCUMENT:  # somebody else's, who left no room
                    quarantine(layout, path, f"{_FULL}, and none for its outcome")
                    answers.append(False)
                    continue
                descriptor = files.write(temporary, data, layout.file_mode)
            except StorageFailure as error:
                answers.append(error)
            else:
                answers.append(False)
                written.append((number, descriptor, temporary))
        files.hasten([descriptor for _, descriptor, _ in written])
        for number, descriptor, temporary in written:
            answers[number] = _replace(*due[number][1:], descriptor, temporary)
    finally:
        files.close(descriptor for _, descriptor, _ in written)
    return answers


def _replace(
    path: str, document: Document, descriptor: int, temporary: str
) -> bool | StorageFailure:
    """Sync what was written, and put it where the old document lies."""
    try:
        again = again_at(document)
        if again is not None:
            files.date(temporary, again)
        files.sync([descriptor], [temporary])
        # A path that is gone must not come back: the rename alone would make it again.
        if reading.status(path) is not None:
            if files.move(temporary, path):
                return True
            if reading.status(path) is not None:  # it is not the job that is gone
                gone = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
                return StorageFailure("record", temporary, gone)
    except StorageFailure as error:
        try_to_remove(temporary)
        return error
    try_to_remove(temporary)
    return False


def settle(layout: Layout, path: str, document: Document) -> State | None:
    """Move a job on by what its document says; return where it went, None if it is gone."""
    return _alone(settle_together(layout, [(path, document)]))


def settle_together(
    layout: Layout,
    due: Sequence[tuple[str, Document]],
    seconds: Sequence[float | None] = (),
) -> list[Answer]:
    """Move jobs on by what their documents say, given as path and document; answer for each.

    ``seconds`` is how long each was run for, where that is known better than to its document.
    Commit point of each: the rename.  Killed before it: the sweep does it.  If the name cannot be
    synced, a power failure may take the job back to ``wip/``, outcome inside, and the sweep settles
    it.
    """
    answers: list[Answer] = []
    buckets: dict[str, None] = {}
    for path, document in due:
        try:
            answers.append(_move_on(layout, path, document, buckets))
        except StorageFailure as error:
            answers.append(error)
    if buckets:  # rung first: who waits looks while the names are synced
        files.ring(layout.done, layout.file_mode)
    for bucket in buckets:
        with suppress(StorageFailure):  # see above: nothing is lost by it
            files.sync_directory(bucket)
    events.tell(
        layout,
        [
            events.ended(document, went, os.path.basename(os.path.dirname(path)), took)
            for (path, document), went, took in itertools.zip_longest(due, answers, seconds)
            if isinstance(went, State)
        ],
    )
    return answers


def _move_on(
    layout: Layout, path: str, document: Document, buckets: dict[str, None]
) -> State | None:
    if document["outcome"] is None:
        return put_back(layout, path, document, None)
    state = State(document["outcome"]["state"])
    let_go(layout, document)
    bucket = layout.finished_bucket(state, document["id"])
    if not files.move_into(path, bucket, file_name(document["id"]), layout.directory_mode):
        return None
    buckets[bucket] = None
    return state


def let_go(layout: Layout, document: Document) -> None:
    """Let the jobs go that wait for one whose outcome is recorded, and for nothing else.

    Done before it moves on, so that who is killed here leaves a job that the sweep settles, this
    included.  It may be done twice.
    """
    job_id = document["id"]
    ok = document["outcome"]["state"] == State.COMPLETED
    for waiting in waits.waiting_for(layout, job_id):
        if waits.met(layout, job_id, waiting, ok=ok):
            unblock(layout, waiting)
    if "after" in document:
        waits.forget(layout, job_id, [need["id"] for need in document["after"]])


def _alone(answers: Sequence[T | StorageFailure]) -> T:
    """Return the answer for the one job there was, or raise its refusal."""
    [answer] = answers
    if isinstance(answer, StorageFailure):
        raise answer
    return answer


def charge(
    layout: Layout, owner: str, path: str, document: Document, lost: Attempt
) -> State | None:
    """Note a lost attempt in a job of ``owner``'s own, then put it back or end it as poison.

    Two commit points: the note, then the move.  Killed between them: the next sweeper finds this
    worker's loss noted already and does not charge it twice.
    """
    noted = any(a["worker"] == lost.worker and a["end"] == "lost" for a in document["attempts"])
    if not noted:
        document = _charged(document, lost)
        if not record(layout, owner, path, document):
            return None
    return settle(layout, path, document)


def _charged(document: Document, attempt: Attempt) -> Document:
    """Return a document with a crash noted, ended as poison if it was one too many."""
    document = with_attempt(document, attempt)
    taken = crashes(document)
    if taken < document["max_crashes"] and has_room(document):
        return document
    how = f"{taken} workers were lost while they ran it"
    if attempt.end == "crashed":
        how = f"{taken} of its attempts crashed; the last one: {attempt.error}"
    poison = Outcome.failed(f"poison: {how}", reason="poison")
    return with_outcome(document, poison, attempt.ended)
