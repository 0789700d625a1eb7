"""Who waits for whom: an index beside the documents, in names alone.

    waits/<id>/<needed>.<need>     the job <id> still waits for <needed>
    waits/<id>.new                 and is only being submitted
    waited/<needed>/<id>           <needed> is waited for by <id>

The documents hold the truth (their field ``after``); this is there so that the end of a job costs
one look for each that waits for it, however many others wait, and so that ``clean`` keeps a result
that is still needed.  It is not synced: after a power failure it may lack names, and the thorough
sweep makes them again.

Order of making: all of ``waits/<id>/`` before any ``waited/<needed>/<id>``, so that who finds the
second can rely on the first.  Each step may be done twice, by anybody, and by several at once: who
takes the last name away and removes the directory has a winner, and who finds no directory any more
takes the job for ready.  Being ready here is a hint: whoever runs the job looks at its documents.
"""

from __future__ import annotations

from spoolcalc import files, reading
from spoolcalc.errors import NoSpool
from spoolcalc.ids import is_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from spoolcalc.layout import Layout

_NEW = ".new"


def expect(layout: Layout, job_id: str, needs: Iterable[tuple[str, str]]) -> None:
    """Note that a job that is about to be submitted waits; each need is an id and ok or any.

    Raises :class:`~spoolcalc.errors.NoSpool` if the spool is gone; nothing is made in its place.
    """
    needs = list(needs)
    new = f"{job_id}{_NEW}"
    if not files.note(layout.waits, new, layout.file_mode, None):
        if reading.status(layout.format) is None:
            raise NoSpool(f"there is no spool at {layout.root} any more")
        _note(layout, layout.waits, new)
    for needed, need in needs:
        _note(layout, f"{layout.waits}/{job_id}", f"{needed}.{need}")
    for needed, _ in needs:
        _note(layout, f"{layout.waited}/{needed}", job_id)


def is_new(layout: Layout, job_id: str) -> bool:
    """Tell whether a job is only being submitted, or its submit was killed."""
    return reading.status(f"{layout.waits}/{job_id}{_NEW}") is not None


def submitted(layout: Layout, job_id: str) -> None:
    """Note that a job lies where it should."""
    files.remove(f"{layout.waits}/{job_id}{_NEW}")


def is_ready(layout: Layout, job_id: str) -> bool:
    """Tell whether a job is noted to wait for nothing any more."""
    return _is_ready(f"{layout.waits}/{job_id}")


def noted(layout: Layout, before: float) -> tuple[set[str], set[str]]:
    """Return the ids of the jobs that are noted, and of those whose submit does not come to an end.

    These were begun before that time (seconds since the epoch, by the file system's clock).
    """
    names = reading.names(layout.waits) or ()
    stale = set()
    for name in names:
        if name.endswith(_NEW):
            status = reading.status(f"{layout.waits}/{name}")
            if status is not None and status.st_mtime < before:
                stale.add(name.removesuffix(_NEW))
    return set(filter(is_id, names)), stale


def is_noted(layout: Layout, job_id: str, needed: str, need: str) -> bool:
    """Tell whether a job is noted to wait for another."""
    return reading.status(f"{layout.waits}/{job_id}/{needed}.{need}") is not None


def is_heard(layout: Layout, job_id: str, needed: str) -> bool:
    """Tell whether who ends ``needed`` will see that a job waits for it."""
    return reading.status(f"{layout.waited}/{needed}/{job_id}") is not None


def needs_of(layout: Layout, job_id: str) -> list[str]:
    """Return the ids of the jobs that one is noted to wait for."""
    names = reading.names(f"{layout.waits}/{job_id}") or ()
    return [name.partition(".")[0] for name in names]


def met(layout: Layout, needed: str, job_id: str, *, ok: bool) -> bool:
    """Note that ``needed`` has ended, ``ok`` or not; tell whether ``job_id`` is to wait no longer.

    A job that needed it to complete does not wait for the rest when it has failed.  That name stays
    until the job itself has ended: who is killed before it let the job go is followed by another.
    """
    own = f"{layout.waits}/{job_id}"
    if not ok and reading.status(f"{own}/{needed}.ok") is not None:
        return True
    files.remove(f"{own}/{needed}.any")
    files.remove(f"{own}/{needed}.ok")
    return _is_ready(own)


def waiting_for(layout: Layout, needed: str) -> list[str]:
    """Return the ids of the jobs that wait for one, or need its result and have not ended."""
    return [name for name in reading.names(f"{layout.waited}/{needed}") or () if is_id(name)]


def forget(layout: Layout, job_id: str, needed: Iterable[str]) -> None:
    """Remove what was noted of a job that has ended, in the reverse order of making.

    So who is killed half-way leaves what leads to the rest.
    """
    own = f"{layout.waits}/{job_id}"
    for other in needed:
        files.remove(f"{layout.waited}/{other}/{job_id}")
        files.remove_directory(f"{layout.waited}/{other}")
    for name in reading.names(own) or ():
        files.remove(f"{own}/{name}")
    files.remove_directory(own)
    files.remove(own + _NEW)


def _is_ready(own: str) -> bool:
    return files.remove_directory(own) or reading.status(own) is None


def _note(layout: Layout, directory: str, name: str) -> None:
    files.note(directory, name, layout.file_mode, layout.directory_mode)
