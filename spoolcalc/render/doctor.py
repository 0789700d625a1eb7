"""An examination as a report for people, lines for pipes, JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spoolcalc.doctor import CHECKS, Severity
from spoolcalc.errors import plain
from spoolcalc.render.text import drawn, field

if TYPE_CHECKING:
    from typing import Any

    from spoolcalc.doctor import Examination, Finding

#: So many findings of one check are shown on a terminal.
SHOWN = 10


def as_object(examination: Examination) -> dict[str, Any]:
    """Return an examination as the object that JSON answers hold."""
    return {
        "spool": examination.path,
        "verdict": examination.verdict.word,
        "critical": examination.number(Severity.CRITICAL),
        "warnings": examination.number(Severity.WARNING),
        "findings": [
            {**_fields(finding), "fix": _fix(examination, finding)}
            for finding in examination.findings
        ],
        "mended": [_fields(finding) for finding in examination.mended],
        "more": examination.more,
        "jobs": examination.jobs,
        "documents": examination.documents,
        "seconds": round(examination.seconds, 3),
    }


def summary(examination: Examination) -> str:
    """Return the verdict in one sentence."""
    mended = f", {len(examination.mended)} mended" if examination.mended else ""
    return (
        f"{examination.number(Severity.CRITICAL)} critical, "
        f"{examination.number(Severity.WARNING)} warnings{mended}; {examination.jobs} jobs, "
        f"{examination.documents} documents read, {examination.seconds:.1f} s"
    )


def as_lines(examination: Examination) -> str:
    """Return the verdict as the first line, and then a line for each thing mended and found.

    The fields are severity (or ``mended``), check, path or id, what exactly, what it means, what to
    do, and of ``--fix``: ``fixable``, ``refused: ...`` or none.
    """
    rows: list[tuple[object, ...]] = [
        (examination.verdict.word, "verdict", examination.path, summary(examination), "", "", "")
    ]
    rows += [
        ("mended", *_told(finding), CHECKS[finding.check].mended, "")
        for finding in examination.mended
    ]
    for finding in examination.findings:
        means = finding.means if finding.severity else ""
        rows.append(
            (
                finding.severity.word,
                finding.check,
                finding.subject,
                finding.detail,
                means,
                finding.do,
                _fix(examination, finding),
            )
        )
    rows += [("more", check, number, "", "", "", "") for check, number in examination.more.items()]
    return "".join("\t".join(map(field, row)) + "\n" for row in rows)


def as_report(examination: Examination, width: int) -> str:
    """Return an examination as a person reads it."""
    text = f"{examination.verdict.word}: {summary(examination)}\n{plain(examination.path)}\n"
    if examination.mended:
        text += "\nmended:\n"
        for check, findings in _by_check(examination.mended).items():
            text += f"  {check}: {CHECKS[check].mended}\n" + _items(findings, examination)
    wrong = [finding for finding in examination.findings if finding.severity]
    for check, findings in _by_check(wrong).items():
        worst = max(finding.severity for finding in findings)
        text += f"\n{worst.word} {check}: {CHECKS[check].means}\n"
        text += _items(findings, examination)
        text += f"  -> {CHECKS[check].do}\n"
        if any(finding.key in examination.mendable for finding in findings):
            text += f"  -> spool doctor --fix: {CHECKS[check].mended}\n"
    return text + "\n" + _facts(examination, width)


def _facts(examination: Examination, width: int) -> str:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for finding in examination.findings:
        if not finding.severity:
            table.add_row(f"ok {finding.check}", Text(plain(finding.detail)))
    return drawn(table, width)


def _items(findings: list[Finding], examination: Examination) -> str:
    text = ""
    for finding in findings[:SHOWN]:
        why = examination.refused.get(finding.key)
        told = f" (not mended: {plain(why)})" if why else ""
        text += f"    {plain(finding.subject)}: {plain(finding.detail)}{told}\n"
    if len(findings) > SHOWN:
        text += f"    and {len(findings) - SHOWN} more; `spool doctor | cat` has all\n"
    return text


def _by_check(findings: list[Finding]) -> dict[str, list[Finding]]:
    grouped: dict[str, list[Finding]] = {}
    for finding in findings:
        grouped.setdefault(finding.check, []).append(finding)
    return grouped


def _fields(finding: Finding) -> dict[str, str]:
    return {
        "severity": finding.severity.word,
        "check": finding.check,
        "subject": finding.subject,
        "detail": finding.detail,
        "means": finding.means if finding.severity else "",
        "do": finding.do,
    }


def _told(finding: Finding) -> tuple[str, str, str, str]:
    return finding.check, finding.subject, finding.detail, finding.means


def _fix(examination: Examination, finding: Finding) -> str | None:
    if finding.key in examination.refused:
        return f"refused: {examination.refused[finding.key]}"
    return "fixable" if finding.severity and finding.key in examination.mendable else None
