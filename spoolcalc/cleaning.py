"""Removing what was fetched, and whatever the user's own retention names.

A job that another one waits for stays, whatever its age.  With a job go its key and what its
command wrote; the document goes after its outputs, so that who is killed in between has only
removed of a job that was to be removed anyway.
"""

from __future__ import annotations

import math
import os
import stat
import time

from spoolcalc import events, files, keys, reading
from spoolcalc.dependants import is_needed
from spoolcalc.document import MAX_DOCUMENT, Malformed, decode
from spoolcalc.errors import NewerFormat
from spoolcalc.ids import LENGTH
from spoolcalc.job import State
from spoolcalc.layout import TRIAL, id_of, is_bucket
from spoolcalc.transitions import forget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.layout import Layout

#: Leftovers in ``tmp/`` are removed when they are this old (seconds): a day.
TMP_AGE = 86_400.0


class Cleaned:
    """What one cleaning removed: jobs by state, leftovers in ``tmp/``, and the jobs' bytes."""

    __slots__ = ("bytes", "completed", "failed", "leftovers", "retrieved")

    def __init__(self) -> None:
        self.retrieved = 0
        self.completed = 0
        self.failed = 0
        self.leftovers = 0
        self.bytes = 0


def clean(
    layout: Layout,
    grace: float = 0.0,
    completed_older_than: float | None = None,
    failed_older_than: float | None = None,
    *,
    dry_run: bool = False,
) -> Cleaned:
    """Remove retrieved jobs, old leftovers of ``tmp/``, and what the user's own retention names.

    ``grace`` is how long ago (seconds) a job must have been retrieved; the others, how long ago it
    must have finished; infinity is never.  Without them nothing that was not retrieved is removed.
    Buckets that have drained go in any case.
    ``dry_run`` only counts.  Ages are told by the file system's clock.
    """
    cleaned = Cleaned()
    now = _file_system_now(layout)
    ages = {
        State.RETRIEVED: grace,
        State.COMPLETED: completed_older_than,
        State.FAILED: failed_older_than,
    }
    for state, age in ages.items():
        removed = 0
        for bucket in filter(is_bucket, reading.directories(layout.state(state))):
            path = f"{layout.state(state)}/{bucket}"
            if age is not None and age < math.inf:
                removed += _clean_bucket(layout, path, now - age, cleaned, dry_run=dry_run)
            elif not dry_run:
                files.remove_directory(path)  # its jobs were fetched, or run again
        setattr(cleaned, state.value, removed)
    for name in reading.names(layout.tmp) or ():
        path = f"{layout.tmp}/{name}"
        status = reading.status(path)
        # A job for later has its time as its file's; when it was given that, the kernel keeps.
        if status is not None and now - min(status.st_mtime, status.st_ctime) >= TMP_AGE:
            if not stat.S_ISDIR(status.st_mode):
                cleaned.leftovers += dry_run or files.remove(path)
            elif name.startswith(f"{TRIAL}."):
                cleaned.leftovers += dry_run or files.remove_tree(path)
    return cleaned


def _clean_bucket(
    layout: Layout, path: str, before: float, cleaned: Cleaned, *, dry_run: bool
) -> int:
    removed = 0
    names = reading.names(path) or ()
    keyed = bool(names and reading.count(layout.keys, 1))
    outputs = _outputs(layout, os.path.basename(path)) if names else {}
    for name in names:
        document = f"{path}/{name}"
        status = reading.status(document)
        job_id = id_of(name)
        if job_id is None or status is None or status.st_mtime > before:
            continue
        if not stat.S_ISREG(status.st_mode) or is_needed(layout, job_id):
            continue
        key = _key_of(document) if keyed else None
        for output in outputs.get(job_id, ()):
            kept = reading.status(output)
            cleaned.bytes += kept.st_size if kept else 0
            if not dry_run:
                files.remove(output)
        if dry_run or forget(layout, document):
            removed += 1
            cleaned.bytes += status.st_size
            if key is not None and not dry_run:
                keys.forget(layout, key, job_id)
    events.flush()
    if not dry_run:
        files.remove_directory(path)
        if outputs:
            files.remove_directory(f"{layout.output}/{os.path.basename(path)}")
    return removed


def _outputs(layout: Layout, bucket: str) -> dict[str, list[str]]:
    """Return the paths of what commands wrote, by the id of their job."""
    outputs: dict[str, list[str]] = {}
    for name in reading.names(f"{layout.output}/{bucket}") or ():
        outputs.setdefault(name[:LENGTH], []).append(f"{layout.output}/{bucket}/{name}")
    return outputs


def _key_of(path: str) -> str | None:
    try:
        read = reading.read(path, MAX_DOCUMENT)
        return decode(read[0]).get("key") if read else None
    except (Malformed, NewerFormat, reading.Unreadable):
        return None


def _file_system_now(layout: Layout) -> float:
    """Return the time by the clock that the file system stamps its files with.

    By a touch of what is there: a new file is more than a full disk has room for.
    """
    now = files.touch(layout.bell)
    return time.time() if now is None else now
