"""Makes every process of Python's rename files in two steps, as some file layers do.

It is on the path of those processes that are to see such a layer.  ``LAYER`` says in which steps:
to ``copy`` and unlink, or to ``link`` and unlink, by which it stays the same file.  Directories are
renamed as ever.
"""

import os
from contextlib import suppress

_rename = os.rename


def _move(source: str, target: str) -> None:
    if not os.path.isfile(source) or os.path.islink(source):
        _rename(source, target)
    elif os.environ.get("LAYER") == "link":
        try:
            os.link(source, target)
        except FileExistsError:
            os.unlink(target)
            os.link(source, target)
        _unlink(source)
    else:
        with open(source, "rb") as old:
            status, data = os.fstat(old.fileno()), old.read()
        with open(target, "wb") as new:
            os.fchmod(new.fileno(), status.st_mode)
            new.write(data)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        _unlink(source)


def _unlink(source: str) -> None:
    with suppress(FileNotFoundError):  # if somebody else was at it, both believe that they have it
        os.unlink(source)


os.rename = _move  # type: ignore[assignment] # we give it two paths, and nothing else
