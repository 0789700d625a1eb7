"""What a process can tell of the host it runs on: its boot, its clock, its file systems.

Locks prove a death only among processes of the same running kernel, or on a file system of one host
alone; so whoever judges others has to know which kernel this is and what kind a file system is.
"""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import suppress

#: File systems that no other host writes to, so that a lock taken here proves a death even after
#: a reboot.  Everything else is taken to be shared with others.
_LOCAL = frozenset(
    [
        "bcachefs",
        "btrfs",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "jfs",
        "overlay",
        "ramfs",
        "reiserfs",
        "tmpfs",
        "xfs",
        "zfs",
    ]
)
#: How the mount table has a space, a tab, a newline and a backslash.
_ESCAPE = re.compile(r"\\([0-7]{3})")


def elapsed() -> float:
    """Return seconds that go on while the machine is suspended."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def name() -> str:
    """Return the host's name."""
    return socket.gethostname()


def safe_name() -> str:
    """Return the host's name as it may stand in the name of a file."""
    return re.sub(r"[^A-Za-z0-9-]", "-", name())[:60] or "host"


_boot_id: str | None = None


def boot() -> str:
    """Return the name of this run of this kernel; two hosts, or two boots, never share it."""
    global _boot_id  # noqa: PLW0603 - read once: it cannot change
    if _boot_id is None:
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                _boot_id = file.read().strip()
        except OSError:
            _boot_id = f"host {name()}"
    return _boot_id


def open_files(pid: int) -> list[tuple[str, os.stat_result]]:
    """Return path and status of each file that a process here has open; none if it is not ours."""
    found = []
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):  # closed meanwhile
                link = f"/proc/{pid}/fd/{name}"
                found.append((os.readlink(link), os.stat(link)))
    return found


_local: dict[str, bool] = {}


def on_local_file_system(root: str) -> bool:
    """Tell whether no other host can write to the file system that holds ``root``."""
    if root not in _local:
        _local[root] = file_system(os.path.realpath(root)) in _LOCAL
    return _local[root]


def file_system(path: str) -> str:
    """Return the kind of the file system that holds the real ``path``, by the kernel's mount table.

    A subvolume of btrfs has a device number that the table does not have: then it is that of the
    innermost mount point above the path.
    """
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    innermost, kind = "", ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            for line in table:
                left, _, right = line.partition(" - ")
                fields = left.split()
                if fields[2] == number:
                    return right.split()[0]
                point = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[4])
                if len(point) >= len(innermost) and f"{path}/".startswith(point.rstrip("/") + "/"):
                    innermost, kind = point, right.split()[0]
    except OSError:
        pass
    return kind
