"""What is known of a spool before it is broken, and what is found in it afterwards."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from spoolcalc.document import decode
from spoolcalc.job import State
from spoolcalc.layout import beside, claimed_file, id_of


@dataclass(frozen=True)
class Expected:
    """What must become of a job: its last state and its result or error."""

    state: str
    text: str
    #: Attempts that must be noted as lost in the end, when nothing else goes wrong.
    lost: int = 0
    #: How the attempts before the last one may have ended, lost ones not counted.
    tries: tuple[str, ...] = ()
    #: How the last attempt ends; empty if there is none, since it ends without having been run.
    last: str = "as its state"
    #: Whether cleaning removes it: it may be gone at any time, and must be after cleaning,
    cleaned: bool = False
    #: but not as long as another job needs it.
    needed: bool = False
    #: What may become of it as well, unless the process had said what it did.
    otherwise: Expected | None = None

    @property
    def alternatives(self) -> list[Expected]:
        """All that may become of it."""
        return [self, *(self.otherwise.alternatives if self.otherwise else [])]

    @property
    def ends(self) -> tuple[tuple[str, ...], ...]:
        """How its attempts may have ended when all is over, lost ones not counted."""
        last = self.last
        if last == "as its state":
            last = "failed" if self.state == "failed" else "completed"
        own = (last,) if last else ()
        return own, self.tries + own


@dataclass(frozen=True)
class Facts:
    """What is known of a spool before it is broken."""

    jobs: dict[str, Expected]
    #: Documents that are no jobs, and where they must be in the end: ``corrupt`` or ``pending``.
    planted: dict[bytes, str] = field(default_factory=dict)
    #: Jobs that may come to be, by operation and operands, with how many at most.
    coming: dict[tuple[str, ...], tuple[int, Expected]] = field(default_factory=dict)
    #: What becomes of the files in ``inbox/``, by their names; each is one job in the end.
    files: dict[str, Expected] = field(default_factory=dict)
    #: Whether who is killed may be charged a lost attempt of the jobs it had in hand.
    charged: bool = False
    #: Whether one attempt of each job may be lost or not: it depends on who was quicker.
    contended: bool = False
    #: Names of workers that died before, whose losses are in ``Expected.lost`` already.
    dead: frozenset[str] = frozenset()
    #: A worker that is silent but not dead; its registration may outlast its jobs' recovery, until
    #: it was looked at twice more.
    silent: str | None = None
    #: Whether the spool itself may be missing.
    creates: bool = False
    #: How old (seconds) a job of each state must be to be cleaned, if any is.
    cleaning: dict[str, float] | None = None


@dataclass(frozen=True)
class Place:
    """A document where it was found."""

    state: str
    directory: str
    path: str
    document: dict[str, Any]

    @property
    def lost(self) -> int:
        """How many attempts ended with the loss of their worker."""
        return sum(attempt["end"] == "lost" for attempt in self.document["attempts"])

    @property
    def ends(self) -> list[str]:
        """How its attempts have ended, lost ones not counted."""
        return [a["end"] for a in self.document["attempts"] if a["end"] != "lost"]

    @property
    def _is_over(self) -> bool:
        """Whether its attempt has ended, as its file's time tells."""
        due = self.document.get("due")
        if due is None:
            return False
        milliseconds = round(datetime.fromisoformat(due).timestamp() * 1000)
        return os.stat(self.path).st_mtime_ns == milliseconds * 1_000_000

    @property
    def in_hand(self) -> bool:
        """Whether a worker was at it, without having come to an end that is noted."""
        return (
            self.state == "wip"
            and "+" not in self.directory
            and not self.directory.endswith((".returned", "-hand"))
            and self.document["outcome"] is None
            and not self._is_over
            and not os.path.exists(self.path.removesuffix(".json") + ".cancel")
        )


@dataclass
class Census:
    """Everything that lies in the state directories, and what is no job yet."""

    places: dict[str, list[Place]] = field(default_factory=dict)
    strays: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def look(root: str) -> Census:
    """Read all state directories, without the package's own ways of finding jobs."""
    census = Census()
    for state in State:
        top = f"{root}/{state.value}"
        for directory, _, names in os.walk(top):
            for name in itertools.filterfalse(beside, names):
                path = f"{directory}/{name}"
                with open(path, "rb") as file:
                    data = file.read()
                _sort(census, state.value, os.path.relpath(directory, top), path, data)
    for entry in os.scandir(f"{root}/inbox"):
        with open(entry.path, "rb") as file:
            census.files[entry.path] = file.read()
    return census


def _sort(census: Census, state: str, directory: str, path: str, data: bytes) -> None:
    job_id = id_of(os.path.basename(path))
    if claimed_file(os.path.basename(path)) is not None:
        census.files[path] = data
        return
    try:
        document = decode(data)
    except Exception:  # noqa: BLE001 - whatever it is, it is no document that can be read
        document = None
    if job_id is None or document is None or document["id"] != job_id:
        census.strays[path] = data
    else:
        found = Place(state, directory, path, document)
        census.places.setdefault(job_id, []).append(found)
