"""From what somebody asks for to a job that is safe on disk.

:func:`prepare` checks and writes nothing; :func:`publish` writes and checks nothing but that the
jobs to wait for are there.  Every front submits through these two.
"""

from __future__ import annotations

import os
from contextlib import suppress

from spoolcalc import files, lookup, transitions
from spoolcalc.document import has_room, new_document, reference, too_large
from spoolcalc.errors import (
    BadOperands,
    CorruptDocument,
    NoSuchJob,
    StorageFailure,
    UnknownOperation,
    UsageError,
    shown,
)
from spoolcalc.ids import new_id
from spoolcalc.job import DEFAULT_PRIORITY, MAX_CRASHES, MOST_CRASHES, PRIORITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any, Unpack

    from spoolcalc.errors import CeilingReached
    from spoolcalc.job import Document
    from spoolcalc.layout import Layout
    from spoolcalc.options import Options
    from spoolcalc.settings import Settings

#: How many jobs are made durable together.
GROUP = 256


def prepare(
    operation: str,
    operands: Sequence[str],
    *,
    delay: float | None = None,
    defaults: Mapping[str, Any] | None = None,
    **options: Unpack[Options],
) -> Document:
    """Check a job and return its document, with a new id; nothing is written.

    ``defaults`` are the options that it has where it is not given others.  Raises
    :class:`~spoolcalc.errors.UsageError` or one of its kinds.
    """
    from spoolcalc import operations

    if defaults:
        given = {name: value for name, value in options.items() if value is not None}
        options = {**defaults, **given}  # type: ignore[typeddict-item] # names of Options, checked
    priority = options.pop("priority", None)
    max_crashes = options.pop("max_crashes", None)
    priority = DEFAULT_PRIORITY if priority is None else priority
    max_crashes = MAX_CRASHES if max_crashes is None else max_crashes
    if not _is_whole(priority) or priority not in PRIORITIES:
        raise UsageError(f"not a priority: {priority!r}", "It goes from 0 (first) to 9 (last).")
    if not _is_whole(max_crashes) or not 1 <= max_crashes <= MOST_CRASHES:
        told = f"not a number of crashes: {max_crashes!r}"
        raise UsageError(told, f"At least 1, and at most {MOST_CRASHES}.")
    _check_kinds(operation, operands)
    unknown = frozenset(i for i, operand in enumerate(operands) if reference(operand))
    operations.get(operation).check(operands, unknown)
    fields: dict[str, object] = {}
    if options or unknown or delay is not None or operation == operations.COMMAND:
        from spoolcalc.options import checked

        fields = checked(operation, operands, delay, options)
    job_id = new_id()
    document = new_document(
        job_id, operation, operands, priority=priority, max_crashes=max_crashes, **fields
    )
    if fields and not has_room(document):  # operands alone cannot be so long
        raise too_large(document)
    return document


def _is_whole(value: object) -> bool:
    """Tell whether that is a whole number: written as JSON, 1.0 and True are something else."""
    return type(value) is int


def _check_kinds(operation: Any, operands: Any) -> None:
    """Refuse what is no name of an operation, and operands that are no list of texts."""
    if not isinstance(operation, str):
        raise UnknownOperation(f"not the name of an operation: {shown(repr(operation))}")
    if not isinstance(operands, (list, tuple)):
        raise BadOperands(
            f"the operands of {shown(operation)} are not a list: {shown(repr(operands))}",
            "Give a list of texts, like ['12', '23'].",
        )
    for operand in operands:
        if not isinstance(operand, str):
            raise BadOperands(
                f"not a text among the operands of {shown(operation)}: {shown(repr(operand))}",
                "Give it as a text: what a job computes with is what was written.",
            )


def submit(layout: Layout, settings: Settings, documents: Sequence[Document]) -> Sequence[str]:
    """Make jobs durable together, and return their ids; all of them, or none that has no key.

    Raises :class:`~spoolcalc.errors.CeilingReached` before anything is written, and as
    :func:`publish` does.
    """
    _, reached = _room(layout, settings, documents)
    if reached is not None:
        raise reached
    return publish(layout, documents)


def submit_some(
    layout: Layout, settings: Settings, documents: Sequence[Document]
) -> tuple[Sequence[str], CeilingReached | None]:
    """Make as many jobs durable as there is room for, and return their ids, in order.

    If that is not all of them, with the ceiling that is in the way of the next.
    """
    fit, reached = _room(layout, settings, documents)
    return publish(layout, documents[:fit]), reached


def _room(
    layout: Layout, settings: Settings, documents: Sequence[Document]
) -> tuple[int, CeilingReached | None]:
    """Return how many there is room for; where no ceiling is set that costs nothing."""
    if not documents or not settings.has_ceilings:
        return len(documents), None
    from spoolcalc import ceilings

    return ceilings.room(layout, settings, documents)


def submit_many(
    layout: Layout,
    settings: Settings,
    jobs: Iterable[tuple[str, Sequence[str]]],
    options: Options,
) -> Iterator[str]:
    """Submit jobs in groups, and yield each id once its job is durable, in order.

    A bad one, and one for which there is no room, raises as :func:`prepare` and :func:`submit` do,
    after those before it were submitted and yielded.
    """
    group: list[Document] = []
    bad: UsageError | None = None
    defaults = settings.at_submit
    for operation, operands in jobs:
        try:
            group.append(prepare(operation, operands, defaults=defaults, **options))
        except UsageError as error:
            bad = error
            break
        if len(group) >= GROUP:
            yield from _submit_group(layout, settings, group)
            group = []
    yield from _submit_group(layout, settings, group)
    if bad is not None:
        raise bad


def _submit_group(layout: Layout, settings: Settings, group: Sequence[Document]) -> Iterator[str]:
    ids, reached = submit_some(layout, settings, group)
    yield from ids
    if reached is not None:
        raise reached


def publish(layout: Layout, documents: Sequence[Document]) -> list[str]:
    """Make jobs durable together, and return their ids; of one with a key, its key's job's.

    Raises :class:`~spoolcalc.errors.NoSuchJob` if one that is to be waited for is not there, before
    any is made.  Those with a key are made one by one, and the others together after them: what is
    refused then may leave some that have a key, and to submit all of them again makes none twice.
    """
    keyed = [document for document in documents if "key" in document]
    if not keyed:
        return _publish(layout, documents)
    from spoolcalc.keys import publish_once

    others = [document for document in documents if "key" not in document]
    if len(documents) > 1:
        _check_needs(layout, keyed, others)
    ids = {
        document["id"]: publish_once(layout, document, lambda it: _publish(layout, [it]))
        for document in keyed
    }
    _publish(layout, others)
    return [ids.get(job_id, job_id) for job_id in (str(d["id"]) for d in documents)]


def _check_needs(layout: Layout, keyed: Sequence[Document], others: Sequence[Document]) -> None:
    """Raise NoSuchJob if one of several is to wait for what is not there when its turn comes."""
    from spoolcalc import dependants, keys

    coming: set[str] = set()
    for document in (*keyed, *others):
        if "key" not in document:
            dependants.check_needs(layout, document, coming)
        elif keys.job_of(layout, document["key"]) is None:  # else it is there, whatever it needs
            dependants.check_needs(layout, document, coming)
            coming.add(document["id"])


def _publish(layout: Layout, documents: Sequence[Document]) -> list[str]:
    """Publish jobs, some of which may wait for others, which may end at the same time."""
    waiting = [document for document in documents if "after" in document]
    if waiting:
        _publish_waiting(layout, documents, waiting)
    elif documents:
        make_durable(layout, transitions.publish(layout, documents))
    return [str(document["id"]) for document in documents]


def make_durable(layout: Layout, ids: Sequence[str]) -> None:
    """Wait until the names of jobs are on disk, wherever these lie by now.

    Of one that is nowhere any more nothing is left to wait for: it was fetched, and cleaned.
    """
    for job_id in ids:
        path = ""
        while not (path and files.sync_directory(os.path.dirname(path))):
            try:
                path = lookup.find(layout, job_id)[1]
            except CorruptDocument as error:
                path = error.path
            except NoSuchJob:
                break


def _publish_waiting(
    layout: Layout, documents: Sequence[Document], waiting: Sequence[Document]
) -> None:
    from spoolcalc import dependants

    try:
        for document in waiting:
            dependants.expect(layout, document)
        taken = transitions.publish(layout, documents)
    except BaseException:
        for document in waiting:
            dependants.withdraw(layout, document)
        raise
    make_durable(layout, taken)
    for document in waiting:
        with suppress(StorageFailure):  # it is durable; what is left to do the thorough sweep does
            dependants.arrived(layout, document)
