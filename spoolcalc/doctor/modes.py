"""Who owns what is in a spool, who may change it, what kind it is, and whether hooks are run."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from spoolcalc import files, hook, reading
from spoolcalc.doctor.findings import Suspicion, found
from spoolcalc.doctor.repair import rehome, set_mode, set_owner
from spoolcalc.layout import DIRECTORIES, NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spoolcalc.doctor.findings import Finding
    from spoolcalc.doctor.ground import Ground
    from spoolcalc.layout import Layout

#: Directories that may be missing: a spool of an earlier version has none, and each is made when
#: there is something to put into it.
_NEEDED = frozenset({"tmp", "pending", "wip", "completed", "failed", "corrupt", "workers"})


def look(ground: Ground) -> Iterator[Suspicion]:
    """Look at the spool's own directories, and at what else lies beside them."""
    yield from directory(ground, ground.layout.root)
    yield from _directories(ground)
    yield from _others(ground)
    yield from _hooks(ground)


def _directories(ground: Ground) -> Iterator[Suspicion]:
    layout = ground.layout
    for name in DIRECTORIES:
        path = f"{layout.root}/{name}"
        status = reading.status(path)
        if status is None:
            if name in _NEEDED:
                yield _missing(layout, path)
        elif stat.S_ISLNK(status.st_mode):
            yield Suspicion(found("wrong-kind", path, "a symbolic link, not a directory"))
        elif not stat.S_ISDIR(status.st_mode):
            yield Suspicion(found("wrong-kind", path, "not a directory"))
        elif name != "inbox":
            yield from directory(ground, path)


def _missing(layout: Layout, path: str) -> Suspicion:
    return Suspicion(
        found("missing-directory", path, "is not there"),
        lambda: reading.status(path) is None,
        lambda _: files.make_directory(path, layout.directory_mode),
    )


def _others(ground: Ground) -> Iterator[Suspicion]:
    layout = ground.layout
    for name in sorted(reading.names(layout.root) or ()):
        path = f"{layout.root}/{name}"
        if name not in NAMES and not name.startswith(".nfs"):
            yield Suspicion(found("stranger", path, "beside the spool's own"), ground.sight(path))
        elif name in ("bell", "done", "paused"):
            status = reading.status(path)
            if status is not None and not stat.S_ISREG(status.st_mode):
                yield Suspicion(found("wrong-kind", path, "not a plain file"))


def _hooks(ground: Ground) -> Iterator[Suspicion]:
    layout = ground.layout
    for name in sorted(reading.names(layout.hooks) or ()):
        path = f"{layout.hooks}/{name}"
        try:
            if name in hook.NAMES:
                if (fit := hook.Hook.find(layout, name)) is not None:
                    fit.close()
            elif name.startswith("on-"):
                told = f"hooks are called {' and '.join(hook.NAMES)}"
                yield Suspicion(found("hook", path, told), ground.sight(path))
        except hook.Unfit as error:
            yield Suspicion(found("hook", path, str(error)), ground.sight(path))


def directory(ground: Ground, path: str) -> Iterator[Suspicion]:
    """Look at a directory's owner and mode."""
    status = reading.status(path)
    if status is not None:
        needed = 0o2070 if ground.shared else 0o700
        yield from _judged(ground, path, status, needed, ground.layout.directory_mode)


def file(ground: Ground, path: str, *, alive: bool = False) -> Iterator[Suspicion]:
    """Look at the owner, the mode and the number of names of a job's file."""
    status = reading.status(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return
    needed = 0o660 if ground.shared else 0o600
    yield from _judged(ground, path, status, needed, ground.layout.file_mode)
    if status.st_nlink > 1:
        still = ground.sight(path)
        told = f"{status.st_nlink} names"
        mend = None if alive else rehome(ground.layout, path, still, anew=True)
        yield Suspicion(found("hard-link", path, told), still, mend)


def _judged(
    ground: Ground, path: str, status: os.stat_result, needed: int, mode: int
) -> Iterator[Suspicion]:
    still = ground.sight(path)
    wrong = _wrong_owner(ground, path, status)
    if wrong is not None:
        may = os.geteuid() == 0 and (status.st_nlink == 1 or stat.S_ISDIR(status.st_mode))
        owner = status.st_uid if ground.shared else ground.owner
        group = ground.group if ground.shared else status.st_gid
        give = (lambda _: still() and set_owner(path, owner, group)) if may else None
        yield Suspicion(wrong, still, give)
    others = status.st_mode & (stat.S_IWOTH if ground.shared else stat.S_IWGRP | stat.S_IWOTH)
    if others or status.st_mode & needed != needed:
        told = f"mode {stat.S_IMODE(status.st_mode):04o}, in place of {mode:04o}"
        change = None
        if os.geteuid() in (0, status.st_uid):
            change = lambda _: still() and set_mode(path, mode)  # noqa: E731 - as the other one
        yield Suspicion(found("wrong-mode", path, told), still, change)


def _wrong_owner(ground: Ground, path: str, status: os.stat_result) -> Finding | None:
    if ground.shared and status.st_gid != ground.group:
        told = f"group {status.st_gid}, and the spool's is {ground.group}"
        return found("wrong-owner", path, told)
    if not ground.shared and status.st_uid != ground.owner:
        told = f"user {status.st_uid}, and the spool's is {ground.owner}"
        return found("wrong-owner", path, told)
    return None
