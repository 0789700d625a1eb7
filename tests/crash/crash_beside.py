"""What lies beside the jobs and what follows from it: times, needs, keys, notes, outputs, reasons.

Each function returns what does not hold, one line for each.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from spoolcalc.document import due_of
from spoolcalc.ids import LENGTH

if TYPE_CHECKING:
    from crash_census import Census, Place

#: States of jobs that have an outcome.
ENDED = ("completed", "failed", "retrieved")


def all_places(census: Census) -> list[Place]:
    """Return every document that was found."""
    return [place for places in census.places.values() for place in places]


def too_early(census: Census) -> list[str]:
    """Nothing is runnable before its time, and what is delayed lies where its time says."""
    wrong = []
    for place in all_places(census):
        due = due_of(place.document)
        if place.state == "pending" and due is not None and due > time.time():
            wrong.append(f"runnable before its time: {place.document}")
        if place.state == "delayed" and (due is None or _due_bucket(due) != place.directory):
            wrong.append(f"delayed in {place.directory}: {place.document}")
    return wrong


def left_blocked(census: Census) -> list[str]:
    """Nobody waits for what has ended."""
    wrong = []
    for place in all_places(census):
        if place.state != "blocked":
            continue
        ends = []
        for need in place.document["after"]:
            there = census.places.get(need["id"], [])
            state = there[0].state if there else "failed"  # cleaned: it will not come back
            if state == "failed" and need["need"] == "ok":
                wrong.append(f"blocked although {need['id']} has failed: {place.document}")
            ends.append(state in ENDED)
        if all(ends):
            wrong.append(f"blocked although all it needs has ended: {place.document}")
    return wrong


def wrong_keys(root: str, census: Census) -> list[str]:
    """A key has one job, and leads to it."""
    wrong = []
    jobs = defaultdict(set)
    for place in all_places(census):
        if "key" in place.document:
            jobs[place.document["key"]].add(place.document["id"])
    for key, ids in jobs.items():
        name = hashlib.sha256(key.encode()).hexdigest()
        try:
            with open(f"{root}/keys/{name}.json", encoding="ascii") as file:
                named = json.load(file)["id"]
        except FileNotFoundError:
            named = None
        if ids != {named}:
            wrong.append(f"the key {key} leads to {named}, and its jobs are {ids}")
    return wrong


def stray_outputs(root: str, census: Census) -> list[str]:
    """What commands wrote is there as long as their job is, and no longer."""
    return [
        f"an output without a job: {name}"
        for _, _, names in os.walk(f"{root}/output")
        for name in names
        if name[:LENGTH] not in census.places
    ]


def left_notes(root: str) -> list[str]:
    """Nobody is noted to wait when all have ended."""
    return [
        f"left in {top}/: {name}" for top in ("waits", "waited") for name in _names(f"{root}/{top}")
    ]


def wrong_quarantine(root: str, wanted: int) -> list[str]:
    """So many things lie in ``corrupt/``, each with its reason beside it."""
    names = _names(f"{root}/corrupt")
    held = [name for name in names if not name.endswith(".reason")]
    wrong = [] if len(held) == wanted else [f"in the end corrupt/ holds {held}"]
    for name in held:
        try:
            with open(f"{root}/corrupt/{name}.reason", "rb") as file:
                reason = json.loads(file.read())["reason"]
        except (OSError, ValueError) as error:
            wrong.append(f"no reason beside {name}: {error}")
        else:
            wrong += [] if reason else [f"an empty reason beside {name}"]
    return wrong


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def _due_bucket(due: float) -> str:
    return f"{int(due * 1000) >> 16:08x}"
