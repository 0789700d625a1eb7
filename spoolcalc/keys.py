"""At most one job for each key.

    keys/<sha256 of the key>.json     {"key": "backup-2026-11-24", "id": "<id>"}

The key is written, durably, before its job, and both under one lock, so that of many who submit
with one key at once a single one makes a job.  Killed between the two: the key names a job that is
not there, and whoever comes next may have it.  ``clean`` takes the key away with the job; a key
that outlives its job is worth nothing.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from hashlib import sha256

from spoolcalc import files, lookup, reading
from spoolcalc.errors import NoSuchJob, SpoolError
from spoolcalc.ids import is_id
from spoolcalc.locks import exclusive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from spoolcalc.job import Document
    from spoolcalc.layout import Layout

#: The largest key file, in bytes, that is read.
_LARGEST = 64 * 1024
#: The name of the lock.
_LOCK = "keys"


def job_of(layout: Layout, key: str) -> str | None:
    """Return the id of the key's job, None if it has none (any more)."""
    job_id = _named(layout, key)
    if job_id is None:
        return None
    try:
        lookup.find(layout, job_id)
    except NoSuchJob:
        return None
    return job_id


def publish_once(layout: Layout, document: Document, publish: Callable[[Document], object]) -> str:
    """Publish a job that has a key, unless the key has a job; return the id of the key's job."""
    key: str = document["key"]
    job_id: str = document["id"]
    with exclusive(layout, _LOCK):
        there = job_of(layout, key)
        if there is not None:
            return there
        temporary = layout.temporary("submit", f"{job_id}.{os.urandom(4).hex()}.key")
        data = (json.dumps({"key": key, "id": job_id}) + "\n").encode("ascii")
        files.write_durably(temporary, data, layout.file_mode)
        try:
            files.move_into(temporary, layout.keys, _file(key), layout.directory_mode)
            files.sync_directory(layout.keys)
            publish(document)
        except BaseException:
            with suppress(SpoolError):  # else a key without a job, which anybody may have
                files.remove(temporary)
                if job_of(layout, key) is None:  # a worker may have been quicker than the refusal
                    files.remove(f"{layout.keys}/{_file(key)}")
            raise
    return job_id


def forget(layout: Layout, key: str, job_id: str) -> None:
    """Take the key of a job away that is gone; a key that another job has by now stays."""
    if _named(layout, key) == job_id:
        with exclusive(layout, _LOCK):
            if _named(layout, key) == job_id:
                files.remove(f"{layout.keys}/{_file(key)}")


def job_in(path: str) -> str | None:
    """Return the id that a key's file names; None if it is not as we write it."""
    written = _written(path)
    name = os.path.basename(path)
    return _job(written) if written is not None and name == _file(str(written["key"])) else None


def is_stale(layout: Layout, path: str) -> bool:
    """Tell whether a key's file leads to a job that is nowhere, and nobody is about to make."""
    with exclusive(layout, _LOCK):
        return _is_stale(layout, path)


def drop_stale(layout: Layout, path: str) -> bool:
    """Remove a key's file that leads nowhere; False if it does lead somewhere by now."""
    with exclusive(layout, _LOCK):
        return _is_stale(layout, path) and files.remove(path)


def _is_stale(layout: Layout, path: str) -> bool:
    job_id = job_in(path)
    if job_id is None:
        return False
    try:
        lookup.find(layout, job_id)
    except NoSuchJob:
        return True
    except SpoolError:
        return False
    return False


def _named(layout: Layout, key: str) -> str | None:
    """Return the id that is written for a key."""
    written = _written(f"{layout.keys}/{_file(key)}")
    return _job(written) if written is not None and written["key"] == key else None


def _written(path: str) -> dict[str, object] | None:
    """Return what a key's file holds; None if it is not there, or not as we write it."""
    try:
        read = reading.read(path, _LARGEST)
        written = json.loads(read[0]) if read else None
    except (ValueError, RecursionError, reading.Unreadable):
        return None
    return written if isinstance(written, dict) and isinstance(written.get("key"), str) else None


def _job(written: dict[str, object]) -> str | None:
    job_id = written.get("id")
    return job_id if isinstance(job_id, str) and is_id(job_id) else None


def _file(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest() + ".json"
