"""File systems that a spool may lie on are tortured, and called well by the doctor."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Ran

pytestmark = pytest.mark.system

#: The least that mkfs.xfs makes, in MiB; the image has holes.
SIZE = 300


@pytest.fixture(params=["ext4", "xfs", "tmpfs"])
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Mount a fresh file system."""
    kind, point, image = request.param, tmp_path / "mounted", tmp_path / "image"
    point.mkdir()
    if kind == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(point)]
    else:
        with image.open("wb") as file:
            file.truncate(SIZE << 20)
        force = "-F" if kind == "ext4" else "-f"
        subprocess.run([f"mkfs.{kind}", "-q", force, str(image)], check=True)
        mount = ["mount", "-o", "loop", str(image), str(point)]
    subprocess.run(mount, check=True)
    try:
        yield kind, point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)


def test_it_keeps_what_is_promised(mounted: tuple[str, Path], run: Callable[..., Ran]) -> None:
    """Torture passes, and the doctor finds that all works."""
    kind, point = mounted
    ended = run("torture", "--seconds", "15", "--json", str(point), timeout=100.0)
    verdict = json.loads(ended.stdout)
    assert verdict["broken"] == []
    assert (ended.returncode, verdict["file_system"]) == (0, kind)
    spool = {"SPOOL_DIR": str(point / "spool")}
    assert run("submit", "add", "1", "2", env=spool).returncode == 0
    seen = run("doctor", env=spool)
    assert seen.returncode == 0, seen.stdout
