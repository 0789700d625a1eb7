"""A spool that is well is called well, however busy it is."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc.doctor import examine

if TYPE_CHECKING:
    from conftest import Commands

    from spoolcalc import Spool

BUSY = Path(__file__).with_name("busy.py")


def keep_busy(commands: Commands, spool: Spool, seconds: float) -> list[subprocess.Popen[bytes]]:
    """Start workers and others, all of whom end by themselves."""
    work = [
        commands.open("work", "-q", "-j", "2", "--max-time", f"{seconds}s", stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    others = [
        subprocess.Popen(
            [sys.executable, BUSY, role, spool.path, str(seconds)],
            env=commands.environment,
            stderr=subprocess.PIPE,
        )
        for role in ("submit", "submit", "fetch", "cancel")
    ]
    return work + others


def told_of(commands: Commands, spool: Spool, seconds: float) -> tuple[int, set[str]]:
    """Examine a busy spool again and again; return how often, and all that was found."""
    wrong: set[str] = set()
    looks = 0
    busy = keep_busy(commands, spool, seconds)
    try:
        until = time.monotonic() + seconds - 1.0
        while time.monotonic() < until and all(process.poll() is None for process in busy):
            seen = examine(spool.path, deep=looks % 2 == 0, fix=looks % 3 == 0)
            looks += 1
            wrong |= {
                f"{finding.check} {finding.subject} {finding.detail}"
                for finding in (*seen.findings, *seen.mended)
                if finding.severity
            }
    finally:
        for process in busy:
            _, errors = process.communicate(timeout=60)
            if process.returncode:
                wrong.add(errors.decode())
    return looks, wrong


def test_a_busy_spool_is_called_well(commands: Commands, spool: Spool) -> None:
    """While jobs of all kinds come, run, fail, wait, are fetched, cancelled and cleaned."""
    looks, wrong = told_of(commands, spool, 4.0)
    assert wrong == set()
    assert looks >= 1


@pytest.mark.slow
def test_a_busy_spool_is_called_well_again_and_again(commands: Commands, spool: Spool) -> None:
    """And still after a while."""
    looks, wrong = told_of(commands, spool, 25.0)
    assert wrong == set()
    assert looks >= 5
