"""What a job is called that came in through ``inbox/``: its file's name, and so its key.

It is found by that name as long as the job is there.
"""

from __future__ import annotations

from spoolcalc import keys, lookup, reading
from spoolcalc.errors import BadJobId, NotAdopted, Rejected, plain, shown
from spoolcalc.ids import is_id
from spoolcalc.layout import CLAIMED, SUFFIX, claimed_file, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.layout import Layout

#: How often all places are looked through before a name is said to be unknown.
LOOKS = 3


def key_of(name: str) -> str:
    """Return the key of the job that a file of that name in ``inbox/`` becomes."""
    return f"inbox:{name}"


def resolve(layout: Layout, word: str) -> str:
    """Return the id of the job that ``word`` stands for: an id, or a name.

    Raises :class:`~spoolcalc.errors.NotAdopted` while the file of that name is no job yet,
    :class:`~spoolcalc.errors.Rejected` if it could not be made one, and
    :class:`~spoolcalc.errors.BadJobId` if there is nothing of that name.
    """
    if is_id(word):
        return word
    if name_of(word + SUFFIX) is not None:
        for _ in range(LOOKS):
            job_id = keys.job_of(layout, key_of(word))
            if job_id is not None:
                return job_id
            if _waits(layout, word + SUFFIX):
                raise NotAdopted(
                    f"not adopted yet: {word} lies in {layout.inbox}",
                    "A worker adopts it: start one with `spool work`.",
                )
        lies = lookup.rejection(layout, lambda name: claimed_file(name) == word + SUFFIX)
        if lies is not None:
            raise Rejected(
                f"not a job: {word} was moved to {layout.corrupt}: {plain(lies[1])}",
                "Write it anew.",
            )
    raise unknown(word)


def unknown(word: str) -> BadJobId:
    """Return the error of a word that is no id, and no name of a job's."""
    return BadJobId(
        f"not a job id: {shown(word)}",
        "An id is what `spool submit` prints, like 019ab2c4-5d6e-7f80-9a1b-2c3d4e5f6071; "
        "and there is no job from inbox/ of that name.",
    )


def _waits(layout: Layout, file: str) -> bool:
    """Tell whether a file is about to be adopted."""
    if reading.status(f"{layout.inbox}/{file}") is not None:
        return True
    return any(
        claimed_file(name) == file
        for directory in reading.directories(layout.wip)
        for name in reading.names(layout.wip_of(directory)) or ()
        if name.startswith(CLAIMED)
    )
