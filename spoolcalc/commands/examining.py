"""``doctor``: look at a spool, tell what is wrong, and mend it; the exit code is how bad it is."""

from __future__ import annotations

from spoolcalc import output
from spoolcalc.doctor import examine
from spoolcalc.render import doctor
from spoolcalc.render.text import json_answer


def doctor_(
    path: str, *, fix: bool = False, deep: bool = False, patience: float, as_json: bool = False
) -> int:
    """Print what is found; return 0 if all is well, 1 for warnings, 2 if it is critical."""
    examination = examine(path, deep=deep, fix=fix, patience=patience)
    if as_json:
        output.answer(json_answer(**doctor.as_object(examination)))
    elif output.on_terminal():
        output.answer(doctor.as_report(examination, output.width()))
    else:
        output.answer(doctor.as_lines(examination))
    return int(examination.verdict)
