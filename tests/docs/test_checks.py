"""docs/operations.md has every check of `spool doctor`, as the command tells it."""

from __future__ import annotations

from pathlib import Path

from spoolcalc.doctor import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_table_of_checks() -> None:
    """Name, severity, meaning, what to do, and what --fix does, in the order of the report."""
    rows = [
        f"| `{name}` | {check.severity.word} | {check.means} | {check.do} | {check.mended or '-'} |"
        for name, check in CHECKS.items()
    ]
    assert "\n".join(rows) in PAGE.read_text()
