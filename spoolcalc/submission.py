"""From what somebody asks for to a job that is safe on disk.

:func:`prepare` checks and writes nothing; :func:`publish` writes and checks nothing but that the
jobs to wait for are there.  Every front submits through these two.
"""

from __future__ import annotations

from contextlib import suppress

from spoolcalc import transitions
from spoolcalc.document import new_document, reference
from spoolcalc.errors import StorageFailure, UsageError
from spoolcalc.ids import new_id
from spoolcalc.job import DEFAULT_PRIORITY, MAX_CRASHES, PRIORITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Unpack

    from spoolcalc.job import Document
    from spoolcalc.layout import Layout
    from spoolcalc.options import Options

#: How many jobs are made durable together.
GROUP = 256


def prepare(
    operation: str,
    operands: Sequence[str],
    *,
    delay: float | None = None,
    **options: Unpack[Options],
) -> Document:
    """Check a job and return its document, with a new id; nothing is written.

    Raises :class:`~spoolcalc.errors.UsageError` or one of its kinds.
    """
    from spoolcalc import operations

    priority = options.pop("priority", DEFAULT_PRIORITY)
    max_crashes = options.pop("max_crashes", MAX_CRASHES)
    if priority not in PRIORITIES:
        raise UsageError(f"not a priority: {priority}", "It goes from 0 (first) to 9 (last).")
    if max_crashes < 1:
        raise UsageError(f"not a number of crashes: {max_crashes}", "At least 1.")
    unknown = frozenset(i for i, operand in enumerate(operands) if reference(operand))
    operations.get(operation).check(operands, unknown)
    fields: dict[str, object] = {}
    if options or unknown or delay is not None or operation == operations.COMMAND:
        from spoolcalc.options import checked

        fields = checked(operation, operands, delay, options)
    job_id = new_id()
    return new_document(
        job_id, operation, operands, priority=priority, max_crashes=max_crashes, **fields
    )


def submit_many(
    layout: Layout, jobs: Iterable[tuple[str, Sequence[str]]], options: Options
) -> Iterator[str]:
    """Submit jobs in groups, and yield each id once its job is durable, in order.

    A bad one raises as :func:`prepare` does, after those before it were submitted and yielded.
    """
    group: list[Document] = []
    bad: UsageError | None = None
    for operation, operands in jobs:
        try:
            group.append(prepare(operation, operands, **options))
        except UsageError as error:
            bad = error
            break
        if len(group) >= GROUP:
            yield from publish(layout, group)
            group = []
    yield from publish(layout, group)
    if bad is not None:
        raise bad


def publish(layout: Layout, documents: Sequence[Document]) -> list[str]:
    """Make jobs durable together, and return their ids; of one with a key, its key's job's.

    Raises :class:`~spoolcalc.errors.NoSuchJob` if one that is to be waited for is not there.
    """
    if not any("key" in document for document in documents):
        return _publish(layout, documents)
    from spoolcalc.keys import publish_once

    def publish_one(document: Document) -> str:
        return _publish(layout, [document])[0]

    return [
        publish_once(layout, document, publish_one) if "key" in document else publish_one(document)
        for document in documents
    ]


def _publish(layout: Layout, documents: Sequence[Document]) -> list[str]:
    """Publish jobs, some of which may wait for others, which may end at the same time."""
    waiting = [document for document in documents if "after" in document]
    if waiting:
        _publish_waiting(layout, documents, waiting)
    elif documents:
        transitions.publish(layout, documents)
    return [str(document["id"]) for document in documents]


def _publish_waiting(
    layout: Layout, documents: Sequence[Document], waiting: Sequence[Document]
) -> None:
    from spoolcalc import dependants

    try:
        for document in waiting:
            dependants.expect(layout, document)
        transitions.publish(layout, documents)
    except BaseException:
        for document in waiting:
            dependants.withdraw(layout, document)
        raise
    for document in waiting:
        with suppress(StorageFailure):  # it is durable; what is left to do the thorough sweep does
            dependants.arrived(layout, document)
