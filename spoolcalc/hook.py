"""One hook: a program in ``hooks/`` that workers may run, or may not.

Who can place a hook decides what workers run.  So ``hooks/`` and the file must belong to the owner
of the spool's directory or to root, and nobody else may be able to write to them.  In a shared
spool, in which the group can rename things, the file is run by the descriptor by which it was
looked at.
"""

from __future__ import annotations

import os
import stat

from spoolcalc import files, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.layout import Layout

#: What hooks are called.
NAMES = ("on-completed", "on-failed")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Unfit(Exception):
    """A hook that must not be run; the message says why."""


class Hook:
    """A hook that was looked at: ``path`` is what to run.  Kept open until it has ended."""

    def __init__(self, layout: Layout, name: str, descriptor: int) -> None:
        self.path = f"{layout.hooks}/{name}"
        if layout.file_mode & 0o077:
            self.path = f"/proc/{os.getpid()}/fd/{descriptor}"
        self._descriptor = descriptor

    @classmethod
    def find(cls, layout: Layout, name: str) -> Hook | None:
        """Return the hook of that name, None if there is none.  Raises :class:`Unfit`."""
        top = reading.status(layout.root)
        try:
            found = reading.plain_file_in(layout.hooks, name)
        except reading.Unreadable as error:
            raise Unfit(str(error)) from error
        if found is None or top is None:
            return None
        directory, descriptor = found
        try:
            file = os.fstat(descriptor)
            for what, status in (("hooks/", directory), ("it", file)):
                if status.st_uid not in (0, top.st_uid):
                    raise Unfit(f"{what} belongs to user {status.st_uid}, not to the spool's owner")
                if status.st_mode & _OTHERS_WRITE:
                    raise Unfit(f"others may write to {what}")
            if not file.st_mode & 0o111:
                raise Unfit("it is not executable")
        except BaseException:
            files.close([descriptor])
            raise
        return cls(layout, name, descriptor)

    def close(self) -> None:
        """Let go of it."""
        files.close([self._descriptor])
