"""Every way a job changes its state.  One rename (or link) each, and it is the commit point.

    submit    (none)    -> pending, delayed, blocked   publish
    adopt     inbox     -> pending, delayed, blocked   enter, or return_to_inbox
    promote   delayed   -> pending                     promote
    unblock   blocked   -> pending, delayed            unblock
    claim     any       -> wip                         claim
    finish    wip       -> completed, failed           (endings: record, then settle)
    return    wip       -> pending, delayed            put_back
    wait      wip       -> blocked                     wait_again
    fetch     completed -> retrieved                   retire
    clean     retrieved -> (none)                      forget
    reject    anywhere  -> corrupt                     quarantine

What each crash leaves is said beside it, and ``docs/guarantees.md`` collects it.  To lose a race is
answered (``False`` or ``None``), not raised.  Callers hold a :class:`~spoolcalc.layout.Layout`;
what the operating system refuses comes up as :class:`~spoolcalc.errors.StorageFailure`.
Each is told (:mod:`~spoolcalc.events`) once it is done.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from contextlib import suppress

from spoolcalc import events, files, reading
from spoolcalc.document import (
    MAX_DOCUMENT,
    ROOM,
    Malformed,
    decode,
    due_of,
    encode,
    too_large,
)
from spoolcalc.errors import NewerFormat, StorageFailure
from spoolcalc.job import Job, State, timestamp
from spoolcalc.layout import claimed_file, file_name, id_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spoolcalc.job import Document
    from spoolcalc.layout import Layout

_serial = itertools.count()


class Claim:
    """A job in the hands of a worker: what to run, and the path by which it may finish it.

    ``started`` is when it was taken, in seconds since the epoch by the worker's clock; ``seconds``
    how long it was run for, once that is known.
    """

    __slots__ = ("document", "path", "seconds", "started", "worker")

    def __init__(self, document: Document, path: str, worker: str, started: float) -> None:
        self.document = document
        self.path = path
        self.worker = worker
        self.started = started
        self.seconds: float | None = None

    @property
    def job(self) -> Job:
        """The job as it was claimed."""
        return Job(self.document, State.WIP, worker=self.worker, updated=self.started)


def publish(layout: Layout, documents: Sequence[Document]) -> Sequence[str]:
    """Submit jobs together; return the ids of those that are not durable yet: mostly none.

    They were taken so quickly that their bucket had gone before its names could be synced.  They
    are durable once the names are synced where they lie by now (``submission.make_durable``).

    Commit point of each job: its ``link`` into ``pending/``.
    Killed before it: a leftover in ``tmp/``, which nobody reads.  Killed after it: the job is there
    and will be run, though its id was not printed.  When anything fails, what was published of the
    group is taken back, unless a worker has already claimed it.  Raises UsageError for a document
    that leaves no room for an outcome.
    """
    descriptors: list[int] = []
    written: list[str] = []
    published: list[str] = []
    buckets: dict[str, None] = {}
    try:
        for document in documents:
            path = layout.temporary("submit", document["id"])
            data = encode(document)
            if len(data) > MAX_DOCUMENT - ROOM:
                raise too_large(document)
            descriptors.append(files.write(path, data, layout.file_mode))
            written.append(path)
        files.sync(descriptors, written)
        for path, document in zip(written, documents, strict=True):
            bucket, due = _first_place(layout, document)
            name = file_name(document["id"])
            if due is not None:
                files.date(path, due)
            files.publish(path, bucket, name, layout.directory_mode)
            published.append(f"{bucket}/{name}")
            buckets[bucket] = None
        # Rung as soon as there is something to claim: workers wake while the names are synced.
        files.ring(layout.bell, layout.file_mode)
        gone = {bucket for bucket in buckets if not files.sync_directory(bucket)}
    except BaseException:
        for path in (*published, *written):
            try_to_remove(path)
        for bucket in buckets:
            try_to_remove_directory(bucket)
        raise
    finally:
        files.close(descriptors)
    told = zip(documents, map(layout.state_of, published), strict=True)
    events.tell(layout, [events.submitted(document, None, to) for document, to in told])
    if not gone:
        return ()
    placed = zip(documents, published, strict=True)
    return [document["id"] for document, path in placed if os.path.dirname(path) in gone]


def enter(layout: Layout, path: str, document: Document) -> bool:
    """Submit a job whose document lies at ``path``, in a worker's own directory; False if gone.

    Commit point: the rename.  Killed before it: the sweep puts the file back into ``inbox/``.  If
    the name cannot be synced, a power failure may do no more than that.
    """
    bucket, due = _first_place(layout, document)
    if due is not None:
        files.date(path, due)
    if not files.move_into(path, bucket, file_name(document["id"]), layout.directory_mode):
        return False
    files.ring(layout.bell, layout.file_mode)
    with suppress(StorageFailure):  # see above: nothing is lost by it
        files.sync_directory(bucket)
    events.tell(layout, [events.submitted(document, "inbox", layout.state_of(bucket))])
    return True


def return_to_inbox(layout: Layout, path: str) -> bool:
    """Put back what was claimed from ``inbox/`` and is no job yet; False if it is gone.

    Commit point: the rename.  It costs nothing: whoever adopts it next starts anew.
    """
    file = claimed_file(os.path.basename(path))
    if file is None or reading.status(f"{layout.inbox}/{file}") is not None:
        return quarantine(layout, path, "another of its name came before it was adopted")
    return files.move_into(path, layout.inbox, file, layout.directory_mode)


def claim(layout: Layout, worker: str, bucket: str, name: str) -> Claim | None:
    """Take one job out of the directory ``bucket``; None if another took it, or if it is no job.

    Commit point: the rename.  It has one winner.  Killed after it: the job lies in the directory of
    a dead worker, and the next sweep gives it to another.  A power failure may put it back into
    ``pending/``: then it is simply claimed again.  Of a job that was tried before, the attempt
    begins with the second step, which sets its file's time (see :func:`endings.record_together`).
    """
    path = f"{layout.wip_of(worker)}/{name}"
    if not files.move(f"{bucket}/{name}", path):
        return None
    started = time.time()
    try:
        document = load(layout, path, name)
        if document is not None and "due" in document:
            files.touch(path)  # its time stands for an attempt that has ended: this one begins
    except (NewerFormat, StorageFailure):
        # Not the job's fault: back it goes, for a newer worker or a better moment.
        files.move_into(path, bucket, name, layout.directory_mode)
        raise
    if document is None:
        return None
    events.hold(layout, events.claimed(document, layout.state_of(bucket), worker, started))
    return Claim(document, path, worker, started)


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


def put_back(
    layout: Layout, path: str, document: Document, event: str | None = "returned"
) -> State | None:
    """Let a job go that its owner has not ended, to where its document now says; None if gone.

    Commit point: the rename.  Killed before it: the sweep does it.  ``event`` is what it is told
    as, None if the caller tells it.
    """
    bucket, due = _place(layout, document)
    if due is not None:
        files.date(path, due)
    if not files.move_into(path, bucket, file_name(document["id"]), layout.directory_mode):
        return None
    files.ring(layout.bell, layout.file_mode)
    went = State.PENDING if due is None else State.DELAYED
    if event is not None:
        events.tell(layout, [events.moved(event, document, layout.state_of(path), went)])
    return went


def wait_again(layout: Layout, path: str, document: Document, event: str = "blocked") -> bool:
    """Put a claimed job back among those that wait for others; False if it is gone.

    Commit point: the rename.  Killed before it: the sweep gives the job to another worker.
    """
    bucket = layout.blocked_bucket(document["id"])
    if not files.move_into(path, bucket, file_name(document["id"]), layout.directory_mode):
        return False
    events.tell(layout, [events.moved(event, document, "wip", "blocked")])
    return True


def promote(layout: Layout, path: str) -> bool:
    """Make a job runnable whose time has come; False if it has not, or if the job is gone.

    Commit point: the rename.  It has one winner, and killed before it, nothing has happened.
    """
    document = _load_known(layout, path)
    if document is None:
        return False
    bucket, due = _place(layout, document)
    if due is not None:
        files.date(path, due)  # its file's time was not that in the document
        return False
    if not files.move_into(path, bucket, file_name(document["id"]), layout.directory_mode):
        return False
    files.ring(layout.bell, layout.file_mode)
    events.tell(layout, [events.moved("promoted", document, "delayed", "pending")])
    return True


def unblock(layout: Layout, job_id: str) -> bool:
    """Let a job go that waits for others no longer; False if it is not in ``blocked/``.

    Commit point: the rename.  It has one winner.  Killed before it: whoever ends the last of the
    jobs it needed is itself swept, and this is done again; or the thorough sweep sees to it.
    """
    path = f"{layout.blocked_bucket(job_id)}/{file_name(job_id)}"
    document = _load_known(layout, path)
    if document is None or not put_back(layout, path, document, "unblocked"):
        return False
    try_to_remove_directory(os.path.dirname(path))
    return True


def _load_known(layout: Layout, path: str) -> Document | None:
    """Read the document of a job that waits; None if a later version wrote it, which sees to it."""
    try:
        return load(layout, path, os.path.basename(path))
    except NewerFormat:
        return None


def _first_place(layout: Layout, document: Document) -> tuple[str, float | None]:
    """Return the directory into which a job is submitted, and when it is due if that is later."""
    if document.get("after"):
        return layout.blocked_bucket(document["id"]), None
    return _place(layout, document)


def _place(layout: Layout, document: Document) -> tuple[str, float | None]:
    """Return the directory of a job that waits for no other, and when it is due, if later."""
    due = due_of(document)
    if due is not None and due > time.time():
        return layout.delayed_bucket(due), due
    return layout.pending_bucket(document["priority"], document["id"]), None


def retire(layout: Layout, path: str, document: Document) -> bool:
    """Move a fetched job to ``retrieved/``; False if somebody else did.

    Commit point: the rename.  Killed before it: the result was given, and will be given again.
    """
    files.touch(path)
    bucket = layout.finished_bucket(State.RETRIEVED, document["id"])
    if not files.move_into(path, bucket, file_name(document["id"]), layout.directory_mode):
        return False
    events.tell(layout, [events.moved("fetched", document, layout.state_of(path), "retrieved")])
    return True


def forget(layout: Layout, path: str) -> bool:
    """Remove a job for good; False if somebody else did."""
    if not files.remove(path):
        return False
    job_id = id_of(os.path.basename(path)) or ""
    events.hold(layout, events.gone("cleaned", job_id, layout.state_of(path), None))
    return True


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
        was, job_id = layout.state_of(path), id_of(name) or name
        events.tell(layout, [events.gone("rejected", job_id, was, "corrupt", error=reason)])
        return True
    try_to_remove(f"{target}.reason")
    return False


def try_to_remove(path: str) -> None:
    """Remove a file of our own that is not needed any more."""
    with suppress(StorageFailure):  # a leftover that nobody reads, which is swept
        files.remove(path)


def try_to_remove_directory(path: str) -> None:
    """Remove a bucket if it is empty."""
    with suppress(StorageFailure):  # an empty bucket, which the next worker removes
        files.remove_directory(path)
