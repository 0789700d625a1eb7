"""What is set for a spool: by ``spool.toml`` in it for all its users, by the environment for one.

    timeout = "10m"
    keep_failed = "30d"
    max_pending = 10_000

A flag beats the environment (``SPOOL_TIMEOUT``), that beats the file, and that what is built in.
The ceilings are the file's alone, so that no user raises them for himself.  :func:`load` costs one
look for the file where nothing is set; :mod:`~spoolcalc.configuration` reads what is there, and
has the table of all settings.  A process keeps the settings that it found when it first needed one.
"""

from __future__ import annotations

import math
import os

from spoolcalc import reading
from spoolcalc.errors import BadSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from spoolcalc.layout import Layout

#: What a submit writes into the document, as if it had been asked for.
AT_SUBMIT = ("timeout", "retries", "backoff", "max_crashes")
#: What one process may be told by its environment, as ``SPOOL_`` and the name in capitals.
PERSONAL = (*AT_SUBMIT, "lease", "keep_retrieved", "keep_completed", "keep_failed")
#: What a submit must not exceed.
CEILINGS = ("max_document", "max_pending", "min_free")

#: The largest spool.toml, in bytes, that is read.
_LARGEST = 64 * 1024


class Settings:
    """What is set; None is what is built in, and infinity is ``none`` or ``forever``.

    ``origins`` tells of each thing that is set where it comes from.  Times are in seconds, sizes in
    bytes.
    """

    __slots__ = (*PERSONAL, *CEILINGS, "origins", "path")

    timeout: float | None
    retries: int | None
    backoff: float | None
    max_crashes: int | None
    lease: float | None
    keep_retrieved: float | None
    keep_completed: float | None
    keep_failed: float | None
    max_document: float | None
    max_pending: float | None
    min_free: float | None

    def __init__(self, path: str = "", found: Mapping[str, tuple[Any, str]] | None = None) -> None:
        self.path = path
        self.origins = {name: origin for name, (_, origin) in (found or {}).items()}
        for name in (*PERSONAL, *CEILINGS):
            setattr(self, name, found[name][0] if found and name in found else None)

    @property
    def at_submit(self) -> dict[str, Any]:
        """The options that a submit has unless it is given others."""
        if not self.origins:
            return {}
        given = {name: getattr(self, name) for name in AT_SUBMIT}
        return {name: it for name, it in given.items() if it is not None and it != math.inf}

    @property
    def has_ceilings(self) -> bool:
        """Whether a submit has anything to look at."""
        return any(name in self.origins for name in CEILINGS)


def load(layout: Layout | None, given: Mapping[str, object] | None = None) -> Settings:
    """Return what is set for a spool, None if there is none yet; ``given`` beats all.

    Raises :class:`~spoolcalc.errors.BadSettings` for a file that is not as it should be, and
    :class:`~spoolcalc.errors.UsageError` for what is wrong with the rest.
    """
    path = "" if layout is None else layout.settings
    try:
        read = reading.read(path, _LARGEST) if path else None
    except reading.Unreadable as error:
        raise BadSettings(path, None, str(error)) from error
    named = {name: os.environ.get(f"SPOOL_{name.upper()}") for name in PERSONAL}
    if read is None and not given and not any(named.values()):
        return Settings(path)
    from spoolcalc.configuration import from_environment, from_file, from_program

    found: dict[str, tuple[Any, str]] = {}
    if read is not None:
        found.update(from_file(path, *read))
    found.update(from_environment({name: text for name, text in named.items() if text}))
    found.update(from_program(given or {}))
    return Settings(path, found)
