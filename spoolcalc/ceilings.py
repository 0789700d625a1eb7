"""What a submit must not exceed, so that it is refused before the disk is full.

    max_document    bytes of one job's document
    max_pending     while so many jobs are pending, nothing more is submitted
    min_free        while fewer bytes are free on the spool's file system, neither

Nothing here writes.  What is looked at may have changed a moment later: of several who submit at
the same time each may see room for the same job, so that a ceiling may be exceeded by as many jobs
as are submitted at once.  Where no ceiling is set, nothing is looked at.
"""

from __future__ import annotations

import math

from spoolcalc import reading
from spoolcalc.document import encode
from spoolcalc.errors import CeilingReached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spoolcalc.job import Document
    from spoolcalc.layout import Layout
    from spoolcalc.settings import Settings


def check_size(settings: Settings, document: Document) -> None:
    """Raise :class:`~spoolcalc.errors.CeilingReached` for a document that is too large."""
    most = settings.max_document
    if most is not None and (size := len(encode(document))) > most:
        raise CeilingReached(
            "max_document",
            f"refused: max_document is {most:,.0f} bytes, and the job's document has {size:,}",
            "Give it the name of a file with what is so large, or have max_document raised in "
            f"{settings.path}.",
        )


def room(
    layout: Layout, settings: Settings, documents: Sequence[Document]
) -> tuple[int, CeilingReached | None]:
    """Return how many of ``documents``, from the first on, may be submitted, and why not the next.

    A job whose key has a job already takes no room: nothing is written for it.
    """
    from spoolcalc import keys

    left, reached = space(layout, settings)
    for number, document in enumerate(documents):
        try:
            check_size(settings, document)
        except CeilingReached as error:
            return number, error
        if "key" in document and keys.job_of(layout, document["key"]) is not None:
            continue
        if left <= 0 and reached is not None:
            return number, reached
        left -= 1
    return len(documents), None


def space(layout: Layout, settings: Settings) -> tuple[float, CeilingReached | None]:
    """Return for how many more jobs there is room, and what is in the way of one more."""
    if settings.min_free:
        from spoolcalc.units import written_size

        system = reading.room(layout.root)
        free = system.f_bavail * system.f_frsize
        if free < settings.min_free:
            seen = written_size(free - free % (1 << (20 if free >= 1 << 20 else 10)))
            return 0, CeilingReached(
                "min_free",
                f"refused: min_free is {written_size(settings.min_free)}, and {seen} are free on "
                f"the file system of {layout.root}",
                f"Free space there, or have min_free lowered in {settings.path}.",
            )
    most = settings.max_pending
    if most is None or most == math.inf:
        return math.inf, None
    pending = _pending(layout, most)
    reached = CeilingReached(
        "max_pending",
        f"refused: max_pending is {most:,.0f}, and {most:,.0f} jobs or more are pending",
        f"Try again when there are fewer, or have max_pending raised in {settings.path}.",
    )
    return int(max(0, most - pending)), reached


def _pending(layout: Layout, most: float) -> int:
    """Return how many jobs are pending; from ``most`` on they are not counted any more."""
    from spoolcalc.layout import is_pending_bucket

    pending = 0
    for bucket in reading.directories(layout.pending):
        if pending >= most:
            break
        if is_pending_bucket(bucket):
            pending += reading.count(f"{layout.pending}/{bucket}", most - pending)
    return pending
