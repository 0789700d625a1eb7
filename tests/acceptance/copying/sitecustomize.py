"""Makes every process of Python's rename files by copying and unlinking, as some file layers do.

It is on the path of those processes that are to see such a layer.  Directories are renamed as ever.
"""

import os

_rename = os.rename


def _copy_and_unlink(source: str, target: str) -> None:
    if not os.path.isfile(source) or os.path.islink(source):
        _rename(source, target)
        return
    with open(source, "rb") as old:
        status, data = os.fstat(old.fileno()), old.read()
    with open(target, "wb") as new:
        os.fchmod(new.fileno(), status.st_mode)
        new.write(data)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    try:
        os.unlink(source)
    except FileNotFoundError:
        pass  # the other one has unlinked it: both believe that they have it


os.rename = _copy_and_unlink
