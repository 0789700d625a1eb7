"""Jobs from programs that are not ours: what was renamed into ``inbox/`` is adopted.

    claim      inbox/NAME.json -> wip/<worker>/inbox.<unique>.NAME.json, by a rename
    check      by the rules of submit; what breaks them goes to corrupt/, with the reason
    fill in    the job's whole document is written over what was claimed
    publish    -> pending/, delayed/ or blocked/, by a rename

Commit point: the last rename, by which the job is there and what it was made of is gone.  Killed
before it: the sweep puts the file back into ``inbox/``, as it is then, and another adopts it.  So
no crash makes two jobs of one file, or none.

NAME makes the job's key (:func:`~spoolcalc.names.key_of`): while the job is there, another file of
that name is the same job, and is removed.

A worker's two threads share an :class:`Inbox`.  What the operating system refuses is raised as
:class:`~spoolcalc.errors.StorageFailure`, and the file at hand goes back to where it was.
"""

from __future__ import annotations

import math
import os
import threading
import time

from spoolcalc import ceilings, dependants, files, keys, lookup, reading
from spoolcalc.asking import Unfit, asked, parsed
from spoolcalc.document import MAX_DOCUMENT, Malformed, decode, has_room, too_large
from spoolcalc.endings import record
from spoolcalc.errors import NewerFormat, NoSuchJob, SpoolError, StorageFailure
from spoolcalc.execute import told
from spoolcalc.layout import CLAIMED, name_of
from spoolcalc.names import key_of
from spoolcalc.settings import Settings
from spoolcalc.transitions import enter, quarantine, return_to_inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.job import Document
    from spoolcalc.layout import Layout
    from spoolcalc.lease import Lease

#: How long (seconds) one look may take: who looks has other things to see to.
SLICE = 0.2
#: Why a file cannot be adopted whose name is not one.
BAD_NAME = (
    "its name is not one: letters, digits, dots, hyphens and underscores, at most 100, "
    "a letter or a digit first, .json at the end, and not an id"
)
#: After a refusal, who was woken waits for so long (seconds): what is put back wakes, too.
PAUSE = 0.3

#: Why no file names a key.
_NO_KEY = "the file's name is its key"


class Adopted:
    """What one look found.

    ``jobs`` are names and ids of new jobs, ``again`` names of files that were a job already,
    ``rejected`` names and reasons.  ``more`` is set if there was no time for all.
    """

    __slots__ = ("again", "jobs", "more", "rejected")

    def __init__(self) -> None:
        self.jobs: list[tuple[str, str]] = []
        self.again: list[str] = []
        self.rejected: list[tuple[str, str]] = []
        self.more = False


class _Gone(Exception):
    """What was claimed is in other hands: this worker was given up."""


class Inbox:
    """The files that wait to be adopted.  ``settings`` are those of a submit."""

    def __init__(self, layout: Layout, settings: Settings | None = None) -> None:
        self._seen = 0  # how many files this process has seen to
        self._told = 0
        self._layout = layout
        self._settings = settings or Settings()
        self._lock = threading.Lock()
        self._rests_until = 0.0
        self._names: list[str] = []  # of the last listing, the next one last
        self._left: list[str] = []  # claimed, and refused to be put back
        self._came: list[Document] = []  # jobs of which it was not seen whether they wait in vain

    def adopt(self, lease: Lease, *, woken: bool = False) -> Adopted:
        """Adopt what lies in ``inbox/``, in the order of the names, for about ``SLICE`` seconds.

        When there is nothing it costs one listing.  Who was ``woken`` and does not come at his time
        is sent away for a moment after a refusal.  Raises CeilingReached if there is something, and
        no room for it: then it stays where it is.
        """
        adopted = Adopted()
        with self._lock:
            if woken and time.monotonic() < self._rests_until:
                return adopted
            try:
                self._catch_up()
                self._look(lease, adopted)
            except StorageFailure:
                self._rests_until = time.monotonic() + PAUSE
                raise
        return adopted

    def _look(self, lease: Lease, adopted: Adopted) -> None:
        until = time.monotonic() + SLICE
        if not self._names:
            self._list()
        left = math.inf
        if self._names and self._settings.has_ceilings:
            left, reached = ceilings.space(self._layout, self._settings)
            if left <= 0 and reached is not None:
                self._names.clear()
                raise reached
        while self._names and left > 0:
            left -= 1
            if self._adopt(lease, self._names.pop(), adopted):
                self._seen += 1
            elif lease.fenced():
                self._names.clear()
            if time.monotonic() > until:
                break
        adopted.more = bool(self._names)

    def news(self) -> bool:
        """Tell whether any thread has adopted something since one thread last asked this.

        What the other has adopted just now was not there to be claimed.
        """
        told, self._told = self._told, self._seen
        return self._told != told

    def _catch_up(self) -> None:
        """Do what was refused the last time."""
        while self._left:
            return_to_inbox(self._layout, self._left[-1])
            self._left.pop()
        while self._came:
            dependants.arrived(self._layout, self._came[-1])
            self._came.pop()

    def _list(self) -> None:
        listed = reading.names(self._layout.inbox)
        if listed is None and reading.status(self._layout.root) is not None:
            files.make_directory(self._layout.inbox, self._layout.directory_mode)
        self._names = sorted((n for n in listed or () if not n.startswith(".")), reverse=True)

    def _adopt(self, lease: Lease, file: str, adopted: Adopted) -> bool:
        """Adopt a file; False if another was quicker."""
        layout = self._layout
        name = name_of(file)
        if name is None:
            if not quarantine(layout, f"{layout.inbox}/{file}", BAD_NAME):
                return False
            adopted.rejected.append((file, BAD_NAME))
            return True
        claimed = f"{layout.wip_of(lease.worker)}/{CLAIMED}{os.urandom(4).hex()}.{file}"
        if not files.move(f"{layout.inbox}/{file}", claimed):
            return False
        try:
            return self._take_in(lease, claimed, name, adopted)
        except StorageFailure:
            self._left.append(claimed)
            return_to_inbox(layout, claimed)
            self._left.pop()
            raise

    def _take_in(self, lease: Lease, path: str, name: str, adopted: Adopted) -> bool:
        """Make a job of what was claimed; False if this worker was given up meanwhile."""
        layout, key = self._layout, key_of(name)
        try:
            job_id = keys.job_of(layout, key)
            document = None if job_id is not None else self._document(path, key)
            if document is not None:
                if "after" in document:
                    dependants.expect(layout, document)
                if not record(layout, lease.worker, path, document):
                    return False
                job_id = keys.publish_once(layout, document, lambda it: _publish(layout, path, it))
        except StorageFailure:
            raise
        except _Gone:
            return False
        except SpoolError as error:
            reason = f"{error.message}. {error.hint}" if error.hint else error.message
            adopted.rejected.append((name, reason))
            return quarantine(layout, path, reason)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not end each who adopts
            reason = f"a bug in spool: {told(error)}"
            adopted.rejected.append((name, reason))
            return quarantine(layout, path, reason)
        if document is None or job_id != document["id"]:
            adopted.again += [name] * (job_id is not None)
            return files.remove(path)
        adopted.jobs.append((name, document["id"]))
        if "after" in document:
            self._came.append(document)
            self._catch_up()
        return True

    def _document(self, path: str, key: str) -> Document | None:
        """Return the document of the job that a file asks for; None if the file is gone."""
        status = reading.status(path)
        if status is None:
            return None
        if os.geteuid() not in (0, status.st_uid) and not status.st_mode & 0o044:
            raise Unfit("nobody but its owner may read it")
        try:
            read = reading.read(path, MAX_DOCUMENT)
        except reading.Unreadable as error:
            raise Unfit(str(error)) from error
        if read is None:
            return None
        defaults = self._settings.at_submit
        document = self._filled_in(read[0], key) or asked(
            parsed(read[0]), defaults, key=key, no_key=_NO_KEY
        )
        ceilings.check_size(self._settings, document)
        if len(read[0]) > MAX_DOCUMENT // 4 and not has_room(document):
            raise too_large(document)
        return document

    def _filled_in(self, data: bytes, key: str) -> Document | None:
        """Return the document that an adopter wrote who came no further; None if it is none."""
        try:
            document = decode(data)
        except (Malformed, NewerFormat):
            return None
        if document.get("key") != key or document["attempts"] or document["outcome"] is not None:
            return None
        try:
            lookup.find(self._layout, document["id"])
        except NoSuchJob:
            return document
        return None  # somebody made this up


def _publish(layout: Layout, path: str, document: Document) -> None:
    if not enter(layout, path, document):
        raise _Gone
