"""Whether a document is one, and lies where it says that it belongs."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from spoolcalc import reading
from spoolcalc.doctor.findings import Suspicion, found
from spoolcalc.doctor.repair import into_corrupt, rehome
from spoolcalc.document import MAX_DOCUMENT, Malformed, decode, due_of
from spoolcalc.errors import NewerFormat, StorageFailure
from spoolcalc.ids import bucket_of
from spoolcalc.job import State
from spoolcalc.layout import id_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spoolcalc.doctor.findings import Finding
    from spoolcalc.doctor.ground import Ground
    from spoolcalc.job import Document


def judge(
    ground: Ground, state: State, directory: str, path: str, *, alive: bool
) -> Iterator[Suspicion]:
    """Read one document, and yield what is wrong with it; ``alive`` if it lies with a worker."""
    layout = ground.layout
    ground.documents += 1
    still = ground.sight(path)
    try:
        read = reading.read(path, MAX_DOCUMENT)
        if read is None:
            return  # it has moved on
        document = decode(read[0])
    except (reading.Unreadable, Malformed) as error:
        mend = None if alive else into_corrupt(layout, path, str(error))
        yield Suspicion(found("torn-document", path, str(error)), still, mend)
        return
    except NewerFormat as error:
        yield Suspicion(found("newer-document", path, error.message), still)
        return
    except StorageFailure as error:
        if error.errno == errno.EACCES:
            return  # its owner or its mode is wrong, which is told
        yield Suspicion(found("torn-document", path, error.message), still)
        return
    if document["id"] != id_of(os.path.basename(path)):
        told = f"the id inside is {document['id']}"
        mend = None if alive else into_corrupt(layout, path, told)
        yield Suspicion(found("foreign-document", path, told), still, mend)
        return
    wrong = None if state is State.WIP else _misplaced(ground, state, directory, path, document)
    if wrong is not None:
        yield Suspicion(wrong, still, rehome(layout, path, still))


def _misplaced(
    ground: Ground, state: State, directory: str, path: str, document: Document
) -> Finding | None:
    outcome = document["outcome"]
    if state.finished:
        belongs = "failed" if state is State.FAILED else "completed"
        if outcome is None or outcome["state"] != belongs:
            inside = "no outcome" if outcome is None else f"the outcome {outcome['state']}"
            return found("wrong-state", path, f"in {state}/, with {inside}")
    elif outcome is not None:
        return found("wrong-state", path, f"in {state}/, with the outcome {outcome['state']}")
    due = due_of(document)
    if state is State.BLOCKED and not document.get("after"):
        return found("wrong-state", path, "in blocked/, and waits for no job")
    if state is State.DELAYED and due is None:
        return found("wrong-state", path, "in delayed/, and waits for no time")
    bucket = os.path.dirname(path)
    right = f"{ground.layout.state(state)}/{bucket_of(document['id'])}"
    if state is State.PENDING:
        right = ground.layout.pending_bucket(document["priority"], document["id"])
    elif state is State.DELAYED and due is not None:
        right = ground.layout.delayed_bucket(due)
    if bucket != right:
        told = f"in {state}/{directory}, and it belongs into {os.path.basename(right)}"
        return found("wrong-bucket", path, told)
    return None
