"""The file system that is measured on, and what there is to say of it.

Durable figures are those of a file system, so that one of known make is best: as root, an ext4 with
a journal, in a sparse image file that is mounted for the run and removed after it, also when the
run is interrupted.  Otherwise it is that of ``TMPDIR``, and the report says what that is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of the image; it is sparse, so that only what is written takes space.
_SIZE = 3 * 1024**3
#: A million jobs, and room for the rest.
_INODES = 1_500_000


def can_mount() -> bool:
    """Tell whether a file system of our own can be made and mounted."""
    return os.geteuid() == 0 and shutil.which("mkfs.ext4") is not None


@contextmanager
def ground(*, ext4: bool) -> Iterator[Path]:
    """Yield a directory for spools, on a fresh ext4 or in ``TMPDIR``; it is gone afterwards."""
    top = Path(tempfile.mkdtemp(prefix="spoolcalc-bench-"))
    place = top / "mounted" if ext4 else top
    try:
        if ext4:
            _mount(top / "image", place)
        yield place
    finally:
        if ext4:
            _unmount(place)
        shutil.rmtree(top)


def described(path: Path) -> str:
    """Return the kind of the file system that holds ``path``, and whether it has a journal."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, _, right = line.partition(" - ")
        if left.split()[2] == number:
            kind = right.split()[0]
            return f"{kind}, {_journal(kind, number)}, {_medium(number)}"
    return "unknown"


def _journal(kind: str, number: str) -> str:
    if kind not in ("ext3", "ext4"):
        return "no ext4 to compare with"
    journals = Path("/proc/fs/jbd2")
    if not journals.is_dir():
        return "journal unknown"
    name = Path(f"/sys/dev/block/{number}").resolve().name
    has_one = any(entry.name.startswith(f"{name}-") for entry in journals.iterdir())
    return "with a journal" if has_one else "without a journal"


def _medium(number: str) -> str:
    name = Path(f"/sys/dev/block/{number}").resolve().name
    return "in an image file" if name.startswith("loop") else f"on {name}"


def _mount(image: Path, place: Path) -> None:
    with image.open("wb") as file:
        file.truncate(_SIZE)
    # All of it is set up now: what the kernel would do later, it would do while we measure.
    lazy = "lazy_itable_init=0,lazy_journal_init=0"
    make = ["mkfs.ext4", "-q", "-F", "-N", str(_INODES), "-E", lazy, str(image)]
    subprocess.run(make, check=True)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)


def _unmount(place: Path) -> None:
    """Unmount it; after an interruption the last process may take a while to be gone."""
    until = time.monotonic() + 10
    while os.path.ismount(place):
        lazily = ["--lazy"] if time.monotonic() > until else []
        if subprocess.run(
            ["umount", *lazily, str(place)], capture_output=True, check=False
        ).returncode:
            time.sleep(0.1)
