"""Every way a job changes its state.  One rename (or link) each, and it is the commit point.

    submit    (none)    -> pending             publish
    claim     pending   -> wip                 claim
    finish    wip       -> completed, failed   record, then settle
    return    wip       -> pending             put_back
    fetch     completed -> retrieved           retire
    clean     retrieved -> (none)              forget
    reject    anywhere  -> corrupt             quarantine

What each crash leaves is said beside it, and ``docs/guarantees.md`` collects it.  To lose a race is
answered (``False`` or ``None``), not raised.  Callers hold a :class:`~spoolcalc.layout.Layout`;
what the operating system refuses comes up as :class:`~spoolcalc.errors.StorageFailure`.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from contextlib import suppress

from spoolcalc import files, reading
from spoolcalc.document import (
    MAX_DOCUMENT,
    Malformed,
    crashes,
    decode,
    encode,
    with_attempt,
    with_outcome,
)
from spoolcalc.errors import NewerFormat, StorageFailure
from spoolcalc.job import Attempt, Job, Outcome, State, timestamp
from spoolcalc.layout import file_name, id_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spoolcalc.job import Document
    from spoolcalc.layout import Layout

_serial = itertools.count()


class Claim:
    """A job in the hands of a worker: what to run, and the path by which it may finish it.

    ``started`` is when it was taken, in seconds since the epoch by the worker's clock.
    """

    __slots__ = ("document", "path", "started", "worker")

    def __init__(self, document: Document, path: str, worker: str, started: float) -> None:
        self.document = document
        self.path = path
        self.worker = worker
        self.started = started

    @property
    def job(self) -> Job:
        """The job as it was claimed."""
        return Job(self.document, State.WIP, worker=self.worker, updated=self.started)


def publish(layout: Layout, documents: Sequence[Document]) -> None:
    """Submit jobs together: when this returns, all of them are durable.

    Commit point of each job: its ``link`` into ``pending/``.
    Killed before it: a leftover in ``tmp/``, which nobody reads.  Killed after it: the job is there
    and will be run, though its id was not printed.  When anything fails, what was published of the
    group is taken back, unless a worker has already claimed it.
    """
    descriptors: list[int] = []
    written: list[str] = []
    published: list[str] = []
    buckets: dict[str, None] = {}
    try:
        for document in documents:
            path = layout.temporary("submit", document["id"])
            descriptors.append(files.write(path, encode(document), layout.file_mode))
            written.append(path)
        files.sync(descriptors, written)
        for path, document in zip(written, documents, strict=True):
            bucket = layout.pending_bucket(document["priority"], document["id"])
            name = file_name(document["id"])
            files.publish(path, bucket, name, layout.directory_mode)
            published.append(f"{bucket}/{name}")
            buckets[bucket] = None
        # Rung as soon as there is something to claim: workers wake while the names are synced.
        files.ring(layout.bell, layout.file_mode)
        for bucket in buckets:
            files.sync_directory(bucket)
    except BaseException:
        for path in (*published, *written):
            _try_to_remove(path)
        for bucket in buckets:
            _try_to_remove_directory(bucket)
        raise
    finally:
        files.close(descriptors)


def claim(layout: Layout, worker: str, bucket: str, name: str) -> Claim | None:
    """Take one job out of ``pending/``; None if another took it, or if it is no job.

    Commit point: the rename.  It has one winner.  Killed after it: the job lies in the directory of
    a dead worker, and the next sweep gives it to another.  A power failure may put it back into
    ``pending/``: then it is simply claimed again.
    """
    path = f"{layout.wip_of(worker)}/{name}"
    if not files.move(f"{bucket}/{name}", path):
        return None
    started = time.time()
    try:
        document = load(layout, path, name)
    except (NewerFormat, StorageFailure):
        # Not the job's fault: back it goes, for a newer worker or a better moment.
        files.move_into(path, bucket, name, layout.directory_mode)
        raise
    return None if document is None else Claim(document, path, worker, started)


def load(layout: Layout, path: str, name: str) -> Document | None:
    """Read the document of a job that the caller owns; None if it is gone or was quarantined.

    Raises :class:`~spoolcalc.errors.NewerFormat` for one that a later version wrote.
    """
    try:
        found = reading.read(path, MAX_DOCUMENT)
        if found is None:
            return None
        document = decode(found[0])
        if document["id"] != id_of(name):
            raise Malformed("the file's name is not the id inside it")
    except (reading.Unreadable, Malformed) as error:
        quarantine(layout, path, str(error))
        return None
    return document


def finish(layout: Layout, claimed: Claim, outcome: Outcome) -> bool:
    """Record an outcome and move the job on; False if the job was given to another meanwhile.

    It may be called again after a StorageFailure.
    """
    return _alone(finish_together(layout, [(claimed, outcome)]))


def finish_together(
    layout: Layout, finished: Sequence[tuple[Claim, Outcome]]
) -> list[bool | StorageFailure]:
    """Record outcomes and move the jobs on, sharing the waits for the disk; answer for each job.

    The answer is as that of :func:`finish`, and a refusal is that job's alone: the others go on,
    and only those that were refused are to be tried again.  Commit point of each job: as in
    :func:`record_together`.
    """
    now = timestamp(time.time())
    due = []
    for claimed, outcome in finished:
        end = "completed" if outcome.state is State.COMPLETED else "failed"
        attempt = Attempt(claimed.worker, timestamp(claimed.started), now, end, outcome.error)
        document = with_outcome(with_attempt(claimed.document, attempt), outcome, now)
        due.append((claimed.worker, claimed.path, document))
    answers = record_together(layout, due)
    recorded = [number for number, answer in enumerate(answers) if answer is True]
    settled = settle_together(layout, [due[number][1:] for number in recorded])
    for number, answer in zip(recorded, settled, strict=True):
        if isinstance(answer, StorageFailure):
            answers[number] = answer
    return answers


def record(layout: Layout, owner: str, path: str, document: Document) -> bool:
    """Replace the document at ``path``, in a directory of ``owner``'s own; False if fenced off."""
    return _alone(record_together(layout, [(owner, path, document)]))


def record_together(
    layout: Layout, due: Sequence[tuple[str, str, Document]]
) -> list[bool | StorageFailure]:
    """Replace documents, each given as owner, path and document; answer for each.

    Commit point of each: the rename over its path.  Killed before it: a leftover in ``tmp/``, and
    the attempt counts as lost.  Killed after it: the outcome is inside, and the sweep settles it.
    An owner that was given up finds its directory renamed away, so that nothing it writes can reach
    the job any more: the answer is False.  Data is synced before the rename: a power failure leaves
    the old document or the new one.
    """
    answers: list[bool | StorageFailure] = []
    written: list[tuple[int, int, str]] = []  # which, its descriptor, where
    try:
        for number, (owner, _, document) in enumerate(due):
            temporary = layout.temporary(owner, f"{document['id']}.{next(_serial)}")
            try:
                descriptor = files.write(temporary, encode(document), layout.file_mode)
            except StorageFailure as error:
                answers.append(error)
            else:
                answers.append(False)
                written.append((number, descriptor, temporary))
        files.hasten([descriptor for _, descriptor, _ in written])
        for number, descriptor, temporary in written:
            answers[number] = _replace(due[number][1], descriptor, temporary)
    finally:
        files.close(descriptor for _, descriptor, _ in written)
    return answers


def _replace(path: str, descriptor: int, temporary: str) -> bool | StorageFailure:
    """Sync what was written, and put it where the old document lies."""
    try:
        files.sync([descriptor], [temporary])
        # A path that is gone must not come back: the rename alone would make it again.
        if reading.status(path) is not None and files.move(temporary, path):
            return True
    except StorageFailure as error:
        _try_to_remove(temporary)
        return error
    _try_to_remove(temporary)
    return False


def settle(layout: Layout, path: str, document: Document) -> bool:
    """Move a job that has its outcome inside to ``completed/`` or ``failed/``; False if gone."""
    return _alone(settle_together(layout, [(path, document)]))


def settle_together(
    layout: Layout, due: Sequence[tuple[str, Document]]
) -> list[bool | StorageFailure]:
    """Move jobs that have their outcome inside on, given as path and document; answer for each.

    Commit point of each: the rename.  Killed before it: the sweep does it.  If the name cannot be
    synced, a power failure may take the job back to ``wip/``, outcome inside, and the sweep settles
    it.
    """
    answers: list[bool | StorageFailure] = []
    buckets: dict[str, None] = {}
    for path, document in due:
        bucket = layout.finished_bucket(State(document["outcome"]["state"]), document["id"])
        name = file_name(document["id"])
        try:
            moved = files.move_into(path, bucket, name, layout.directory_mode)
        except StorageFailure as error:
            answers.append(error)
        else:
            answers.append(moved)
            if moved:
                buckets[bucket] = None
    if buckets:  # rung first: who waits looks while the names are synced
        files.ring(layout.done, layout.file_mode)
    for bucket in buckets:
        with suppress(StorageFailure):  # see above: nothing is lost by it
            files.sync_directory(bucket)
    return answers


def _alone(answers: Sequence[bool | StorageFailure]) -> bool:
    """Return the answer for the one job there was, or raise its refusal."""
    [answer] = answers
    if isinstance(answer, StorageFailure):
        raise answer
    return answer


def put_back(layout: Layout, path: str, document: Document) -> bool:
    """Make a claimed job runnable again, as its document now says; False if it is gone.

    Commit point: the rename.  Killed before it: the sweep does it.
    """
    bucket = layout.pending_bucket(document["priority"], document["id"])
    if not files.move_into(path, bucket, file_name(document["id"]), layout.directory_mode):
        return False
    files.ring(layout.bell, layout.file_mode)
    return True


def charge(layout: Layout, owner: str, path: str, document: Document, lost: Attempt) -> bool:
    """Note a lost attempt in a job of ``owner``'s own, then put it back or end it as poison.

    Two commit points: the note, then the move.  Killed between them: the next sweeper finds this
    worker's loss noted already and does not charge it twice.
    """
    noted = any(a["worker"] == lost.worker and a["end"] == "lost" for a in document["attempts"])
    if not noted:
        document = with_attempt(document, lost)
        taken = crashes(document)
        if taken >= document["max_crashes"]:
            poison = Outcome.failed(
                f"poison: {taken} workers were lost while they ran it", reason="poison"
            )
            document = with_outcome(document, poison, lost.ended)
        if not record(layout, owner, path, document):
            return False
    if document["outcome"] is not None:
        return settle(layout, path, document)
    return put_back(layout, path, document)


def retire(layout: Layout, path: str, job_id: str) -> bool:
    """Move a fetched job to ``retrieved/``; False if somebody else did.

    Commit point: the rename.  Killed before it: the result was given, and will be given again.
    """
    files.touch(path)
    bucket = layout.finished_bucket(State.RETRIEVED, job_id)
    return files.move_into(path, bucket, file_name(job_id), layout.directory_mode)


def forget(path: str) -> bool:
    """Remove a job for good; False if somebody else did."""
    return files.remove(path)


def quarantine(layout: Layout, path: str, reason: str) -> bool:
    """Move what cannot be read to ``corrupt/``, its reason beside it; False if it is gone.

    Commit point: the rename.  Killed before it: a reason that speaks of no file.
    """
    name = os.path.basename(path)
    kept = os.fsdecode(os.fsencode(name)[:180])  # a name has at most 255 bytes
    target = f"{layout.corrupt}/{kept}.{os.urandom(4).hex()}"
    told = {"reason": reason, "from": path, "moved": timestamp(time.time())}
    data = (json.dumps(told) + "\n").encode("ascii")
    files.write_durably(f"{target}.reason", data, layout.file_mode)
    if files.move(path, target):
        return True
    _try_to_remove(f"{target}.reason")
    return False


def _try_to_remove(path: str) -> None:
    with suppress(StorageFailure):  # a leftover that nobody reads, which is swept
        files.remove(path)


def _try_to_remove_directory(path: str) -> None:
    with suppress(StorageFailure):  # an empty bucket, which the next worker removes
        files.remove_directory(path)
