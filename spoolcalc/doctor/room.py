"""How much room is left: space, inodes, names in one directory, and what the settings leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spoolcalc import ceilings, reading, settings
from spoolcalc.doctor.findings import Severity, Suspicion, found
from spoolcalc.errors import BadSettings, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spoolcalc.doctor.findings import Finding
    from spoolcalc.doctor.ground import Ground

#: Less than this, or than a tenth of all, is little; in bytes, and in inodes.
LITTLE_SPACE, FEW_INODES = 1 << 30, 10_000
#: Less than this, or than a fiftieth of all, is next to nothing: one document may take as much.
NO_SPACE, NO_INODES = 16 << 20, 100
#: More names in one directory than this are too many.
MANY = 1_000_000


def look(ground: Ground) -> Iterator[Suspicion]:
    """Tell how much is left for whoever uses the spool."""
    root = ground.layout.root
    room = reading.room(root)
    free, size = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    yield Suspicion(
        _judged("space", root, f"{free >> 20} MiB free", free, size, LITTLE_SPACE, NO_SPACE)
    )
    if room.f_files:  # some file systems have no limit, and say 0
        left = room.f_favail
        yield Suspicion(
            _judged("inodes", root, f"{left} free", left, room.f_files, FEW_INODES, NO_INODES)
        )


def set_by_the_settings(ground: Ground) -> Iterator[Suspicion]:
    """Tell whether the settings are wrong, or leave no room for a submit."""
    try:
        found_set = settings.load(ground.layout)
    except BadSettings as error:
        yield Suspicion(found("settings", ground.layout.settings, error.message))
        return
    except UsageError:  # of this user's environment, which is nobody else's
        return
    left, reached = ceilings.space(ground.layout, found_set)
    if left <= 0 and reached is not None:
        told = reached.message.removeprefix("refused: ")
        yield Suspicion(
            found("ceiling", reached.ceiling, told),
            lambda: ceilings.space(ground.layout, found_set)[0] <= 0,
        )


def crowded(path: str, names: int) -> Suspicion | None:
    """Return a suspicion if so many names in one directory are too many."""
    if names <= MANY:
        return None
    return Suspicion(found("too-many", path, f"{names} names"))


def _judged(
    check: str, root: str, told: str, left: int, size: int, little: int, nothing: int
) -> Finding:
    if left < min(nothing, size // 50):
        return found(check, root, told, Severity.CRITICAL)
    if left < min(little, size // 10):
        return found(check, root, told, Severity.WARNING)
    return found(check, root, told, Severity.OK)
