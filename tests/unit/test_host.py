"""What kind a file system is, by mount tables as the kernel writes them."""

from __future__ import annotations

import builtins
import os
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import host

if TYPE_CHECKING:
    from pathlib import Path

#: A disk with btrfs, whose subvolumes have numbers of their own, and others below it.
TABLE = """\
22 1 0:21 /@ / rw,relatime shared:1 - btrfs /dev/sda2 rw,subvol=/@
23 22 0:22 / {place}/a\\040share rw - nfs4 server:/share rw
24 22 0:23 / {place}/a rw - tmpfs tmpfs rw
25 22 0:24 / {place}/covered rw - ext4 /dev/sdb1 rw
26 22 0:25 / {place}/covered rw - xfs /dev/sdc1 rw
27 22 {number} / /elsewhere rw - zfs pool rw
"""


@pytest.mark.parametrize(
    ("name", "number", "kind"),
    [
        ("spool", "0:99", "btrfs"),
        ("a share", "0:99", "nfs4"),
        ("a", "0:99", "tmpfs"),
        ("ab", "0:99", "btrfs"),
        ("covered", "0:99", "xfs"),
        ("a", "its own", "zfs"),
    ],
)
def test_the_kind_of_a_file_system(
    name: str, number: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the device's number, and where that is in no table, by the innermost mount point."""
    path = tmp_path / name
    path.mkdir()
    device = path.stat().st_dev
    own = f"{os.major(device)}:{os.minor(device)}"
    table = TABLE.format(place=tmp_path, number=own if number == "its own" else number)
    opened = builtins.open

    def fake(file: Any, *how: Any, **more: Any) -> Any:
        return StringIO(table) if file == "/proc/self/mountinfo" else opened(file, *how, **more)

    monkeypatch.setattr(builtins, "open", fake)
    assert host.file_system(str(path)) == kind
