"""Which of many jobs have ended: what a wait for ten thousand of them asks again and again.

    awaited = Awaited(layout, ids)
    for job_id in awaited.look(): ...     # those that have ended since the look before
    awaited.open                           # those that have not

A look reads names only.  Where a job with an outcome lies follows from its id, so that few are
asked for one by one, and many by one listing of their bucket.  A look may miss a job that ended
while it looked; the next one finds it.  A job that is gone altogether it never finds: ask for that
by ``lookup.find``.
"""

from __future__ import annotations

from spoolcalc import reading
from spoolcalc.ids import bucket_of
from spoolcalc.job import State
from spoolcalc.layout import file_name, id_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spoolcalc.layout import Layout

#: So many jobs of a bucket are asked for one by one.
FEW = 32

_FINISHED = (State.COMPLETED, State.FAILED, State.RETRIEVED)


class Awaited:
    """The jobs of a wait that have not ended yet, as far as was looked."""

    def __init__(self, layout: Layout, ids: Iterable[str]) -> None:
        self._layout = layout
        self._buckets: dict[str, dict[str, None]] = {}
        for job_id in ids:
            self._buckets.setdefault(bucket_of(job_id), {})[job_id] = None

    @property
    def open(self) -> Iterator[str]:
        """The ids that have not ended."""
        for ids in self._buckets.values():
            yield from ids

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._buckets.get(bucket_of(str(job_id)), ())

    def look(self) -> Iterator[tuple[str, State]]:
        """Yield each job that has ended, once, and the state it was found in."""
        for ids in list(self._buckets.values()):
            for state in _FINISHED:
                for job_id in self._ended(state, ids) if ids else ():
                    self.discard(job_id)
                    yield job_id, state

    def discard(self, job_id: str) -> None:
        """Wait for this one no longer."""
        bucket = bucket_of(job_id)
        ids = self._buckets[bucket]
        del ids[job_id]
        if not ids:
            del self._buckets[bucket]

    def _ended(self, state: State, ids: dict[str, None]) -> list[str]:
        directory = self._layout.finished_bucket(state, next(iter(ids)))
        if len(ids) <= FEW:
            return [i for i in ids if reading.status(f"{directory}/{file_name(i)}") is not None]
        names = reading.names(directory) or ()
        return [job_id for name in names if (job_id := id_of(name)) in ids and job_id is not None]
