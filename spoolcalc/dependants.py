"""Jobs that wait for others: asked for at submit, looked at again when they run.

A job with ``after`` lies in ``blocked/`` until the jobs it needs have ended, or one that it needs
to complete has failed; then whoever notices renames it to where it can be run.  That is only a
hint: the worker that takes it asks :func:`ready` for its operands, and learns there whether it can
be run at all.  So nothing needs to be certain but the documents.

The race between a submit and the end of what it needs: the submit notes whom it waits for, makes
its job, and only then looks whether they have ended; who ends a job records the outcome, and only
then looks who waits.  One of the two sees the other.
"""

from __future__ import annotations

import time
from contextlib import suppress

from spoolcalc import lookup, operations, reading, waits
from spoolcalc.document import MAX_DOCUMENT, Malformed, decode, reference
from spoolcalc.errors import (
    CorruptDocument,
    NewerFormat,
    NoSuchJob,
    Quarantined,
    StorageFailure,
)
from spoolcalc.job import Outcome, State
from spoolcalc.layout import id_of
from spoolcalc.operands import MAX_TEXT_CHARACTERS
from spoolcalc.transitions import try_to_remove_directory, unblock, wait_again

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from spoolcalc.job import Document, Job
    from spoolcalc.layout import Layout
    from spoolcalc.transitions import Claim

#: A submit that takes longer than this (seconds) from its notes to its end is taken for dead.
SUBMITTING = 60.0
#: How many blocked jobs that seem to be in order are looked at by each thorough sweep, and for how
#: long (seconds) at most: whoever sweeps has others to see to.
SAMPLE, SLICE = 100, 0.1
#: A command's output of at most this many bytes can be another job's operand.
LARGEST_OUTPUT = MAX_TEXT_CHARACTERS


def expect(layout: Layout, document: Document) -> None:
    """Note whom a job will wait for; raise NoSuchJob if one of them is not there (any more).

    And CorruptDocument if one of them cannot be read.  Noted first and looked for then, so that
    ``clean`` leaves alone what was found.
    """
    waits.expect(layout, document["id"], _needs(document))
    try:
        check_needs(layout, document)
    except (NoSuchJob, CorruptDocument):
        withdraw(layout, document)
        raise


def check_needs(layout: Layout, document: Document, coming: Container[str] = ()) -> None:
    """Raise NoSuchJob if a job to wait for is not there, nor among those that are ``coming``.

    And CorruptDocument if it cannot be read.
    """
    for needed, _ in _needs(document):
        try:
            if needed not in coming:
                lookup.find(layout, needed)
        except Quarantined:
            raise
        except NoSuchJob as error:
            raise NoSuchJob(
                f"no such job to wait for: {needed} in {layout.root}",
                "It was never submitted here, or it was cleaned. Nothing was submitted.",
            ) from error


def withdraw(layout: Layout, document: Document) -> None:
    """Take back what was noted of a job that was not submitted after all."""
    with suppress(StorageFailure):  # notes of no job, which the thorough sweep removes
        waits.forget(layout, document["id"], [needed for needed, _ in _needs(document)])


def arrived(layout: Layout, document: Document) -> None:
    """Look, now that a job lies in ``blocked/``, whether what it needs has ended meanwhile."""
    job_id = document["id"]
    ready = waits.is_ready(layout, job_id)
    for needed, _ in _needs(document):
        outcome = _outcome(layout, needed)
        if outcome is not None:
            ok = outcome.state is State.COMPLETED
            ready |= waits.met(layout, needed, job_id, ok=ok)
    if ready:
        unblock(layout, job_id)
    waits.submitted(layout, job_id)  # last: who is killed before it is found by this note


def ready(layout: Layout, document: Document) -> Sequence[str] | Outcome | None:
    """Return the operands to run a job with.

    An Outcome if it cannot be run, since one that it needs has failed, whatever the others do; None
    if it must wait on.
    """
    results: dict[str, str] = {}
    wanted = set(filter(None, map(reference, document["operands"])))
    waits_on = False
    for needed, need in _needs(document):
        job, outcome = _look(layout, needed)
        if outcome is None:
            waits_on = True
            continue
        if need != "ok":
            continue
        if outcome.state is State.FAILED:
            return Outcome.failed(_why(needed, outcome), reason="dependency")
        if job is not None and needed in wanted:
            result = _result(layout, job)
            if isinstance(result, Outcome):
                return result
            results[needed] = result
    if waits_on:
        return None
    return [results.get(reference(word) or "", word) for word in document["operands"]]


def wait_on(layout: Layout, claimed: Claim, event: str = "blocked") -> None:
    """Put a claimed job that was let go too early back among those that wait; tell of ``event``."""
    waits.expect(layout, claimed.document["id"], _needs(claimed.document))
    if wait_again(layout, claimed.path, claimed.document, event):
        arrived(layout, claimed.document)


def check_blocked(layout: Layout, now: float) -> None:
    """See to the blocked jobs of which nobody noted for whom they wait.

    A submit was killed, or a power failure took the notes.  ``now`` is the file system's clock.  Of
    the other blocked jobs some are looked at too, for ``SLICE`` seconds: a power failure may take
    single notes, and what they need may have come to lie in ``corrupt/``.
    """
    paths: dict[str, str] = {}
    for bucket in reading.directories(layout.blocked):
        path = f"{layout.blocked}/{bucket}"
        names = reading.names(path) or ()
        paths.update((job_id, f"{path}/{name}") for name in names if (job_id := id_of(name)))
        if not names:
            try_to_remove_directory(path)
    noted, stale = waits.noted(layout, now - SUBMITTING)
    lacking = {job_id for job_id in paths if job_id not in noted or job_id in stale}
    for job_id in lacking:
        document = _document(layout, job_id, paths[job_id])
        if document is not None:
            _note_again(layout, document)
    _look_at_some(layout, [(job_id, paths[job_id]) for job_id in paths.keys() - lacking])
    for job_id in stale - paths.keys():
        try:
            lookup.find(layout, job_id)
        except NoSuchJob:  # it was killed before there was a job
            waits.forget(layout, job_id, waits.needs_of(layout, job_id))
        except (CorruptDocument, NewerFormat):
            continue


def _look_at_some(layout: Layout, blocked: Sequence[tuple[str, str]]) -> None:
    """Look at some blocked jobs, given as id and path, whether they wait in vain.

    Others at each time, and others of those that one waits for, so that all have their turn.
    """
    from random import sample

    until = time.monotonic() + SLICE
    for job_id, path in sample(blocked, min(SAMPLE, len(blocked))):
        document = _document(layout, job_id, path)
        needs = [] if document is None else _needs(document)
        for needed, need in sample(needs, len(needs)):
            if time.monotonic() > until:
                return
            if document is not None and _is_in_vain(layout, job_id, needed, need):
                _note_again(layout, document)
                break


def _note_again(layout: Layout, document: Document) -> None:
    waits.expect(layout, document["id"], _needs(document))
    arrived(layout, document)


def _document(layout: Layout, job_id: str, path: str) -> Document | None:
    try:
        read = reading.read(path, MAX_DOCUMENT)
        return decode(read[0]) if read else None
    except (Malformed, reading.Unreadable):
        unblock(layout, job_id)  # which has it quarantined
    except NewerFormat:
        pass  # a newer worker will see to it
    return None


def _is_in_vain(layout: Layout, job_id: str, needed: str, need: str) -> bool:
    """Tell whether a job waits for one that has ended, or whose end would not be noticed."""
    ended = _outcome(layout, needed) is not None
    if waits.is_noted(layout, job_id, needed, need) == ended:
        return True
    return not ended and not waits.is_heard(layout, job_id, needed)


def is_needed(layout: Layout, job_id: str) -> bool:
    """Tell whether a job that has not ended waits for this one, or for its result."""
    needed = False
    for waiting in waits.waiting_for(layout, job_id):
        if waits.is_new(layout, waiting):  # asked first: else it may come between the two looks
            needed = True
            continue
        job, outcome = _look(layout, waiting)
        over = outcome is not None if job is None else job.state.finished
        if over:
            waits.forget(layout, waiting, [job_id])  # it ended, and was killed before this
        else:
            needed = True
    return needed


def _needs(document: Document) -> list[tuple[str, str]]:
    return [(need["id"], need["need"]) for need in document.get("after", ())]


def _outcome(layout: Layout, job_id: str) -> Outcome | None:
    return _look(layout, job_id)[1]


def _look(layout: Layout, job_id: str) -> tuple[Job | None, Outcome | None]:
    """Return a job, if it can be read, and its outcome, None while it may still have another.

    One of a later version is there, and a newer worker sees to it.  One that cannot be read goes to
    ``corrupt/`` once it is taken; where nobody takes it any more, it has no outcome to wait for.
    """
    try:
        job = lookup.find(layout, job_id)[0]
    except Quarantined as error:
        return None, _gone(error.message)
    except NoSuchJob:
        return None, _gone(f"job {job_id} is not there any more")
    except NewerFormat:
        return None, None
    except CorruptDocument as error:
        ended = State(layout.state_of(error.path)).finished
        told = f"job {job_id} cannot be read: {error.reason}"
        return None, _gone(told) if ended else None
    return job, job.outcome


def _gone(error: str) -> Outcome:
    return Outcome.failed(error, reason="dependency")


def _why(needed: str, outcome: Outcome) -> str:
    """Tell why; the reason at the start of a chain stays to be seen at its end."""
    error = outcome.error or ""
    if outcome.reason == "dependency" and " has failed: " in error:
        return error
    return f"job {needed}, which this one needs, has failed: {error}"


def _result(layout: Layout, job: Job) -> str | Outcome:
    """Return what a completed job gave: its result, or what a command wrote to its stdout."""
    if job.operation != operations.COMMAND:
        return job.result or ""
    path = lookup.output_of(layout, job, "stdout")
    try:
        read = reading.read(path, LARGEST_OUTPUT) if path else None
        return read[0].decode("utf-8").rstrip("\n") if read else ""
    except (reading.Unreadable, UnicodeDecodeError) as error:
        told = f"the output of job {job.id} cannot be an operand: {error}"
        return Outcome.failed(told, reason="dependency")
