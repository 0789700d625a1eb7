"""``spool doctor``: what is wrong with a spool, what it means, what to do, and doing it.

    examination = examine("/var/spool/calc", fix=True)
    examination.findings, examination.mended, examination.verdict

It may look at a spool in use at any time.  What looks wrong at the first look is looked at again,
twice, and only what has not changed meanwhile is told.

``findings`` has the table of all checks; ``ground`` is what the checks stand on.  Each other module
is a family of checks: ``probes`` (the file system), ``room``, ``modes`` (owners, modes, links),
``census`` and ``documents`` (the jobs), ``leftovers``, ``workers``, ``index`` (notes, keys, inbox).
``repair`` puts right, by the transitions that everybody uses, and ``examination`` does it all.
"""

from spoolcalc.doctor.examination import Examination, examine
from spoolcalc.doctor.findings import CHECKS, Finding, Severity

__all__ = ["CHECKS", "Examination", "Finding", "Severity", "examine"]
