"""``spool torture``: does a file system keep what is promised?  Tried on it, until it breaks.

    verdict = torture("/mnt/share/spool/tmp", 30.0)
    verdict.passed, verdict.broken, verdict.counts

It makes a spool of its own in a throw-away directory on that file system, and never touches
another.  ``probes`` of the doctor try what must work at all; ``races`` has several processes do the
same thing at the same instant; and in a storm (``conductor``) real workers, submitters, fetchers,
cleaners and readers (``actors``) are killed at random moments, and kill themselves at random system
calls (``trap``).  Each of them notes what it does in a file of its own (``journal``), and in the
end ``judge`` holds all of these notes and what lies in the spool against the promises.

What it cannot try: power failures, and other hosts.
"""

from spoolcalc.torture.conductor import torture
from spoolcalc.torture.verdict import Broken, Verdict

__all__ = ["Broken", "Verdict", "torture"]
