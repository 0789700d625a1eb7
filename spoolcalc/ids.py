"""The job's id: a UUIDv7 in its canonical form (RFC 9562, section 5.7).

It is unique without coordination (62 random bits beside the time) and sorts by time of submission:
48 bits of milliseconds, then 12 bits of the millisecond's fraction, which within one process never
stand still or go back, whatever the clock does (the RFC's methods 3 and 1).  An id is made and
checked here without the ``uuid`` module, whose import alone takes as long as a whole submit may.

Pure computing; no I/O but the clock and the system's random numbers.
"""

from __future__ import annotations

import os
import re
import time

#: Characters of an id, hyphens included.
LENGTH = 36

_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_last = 0


def new_id() -> str:
    """Return a new id, greater than every id this process made before."""
    global _last  # noqa: PLW0603 - the one thing an id has to remember
    nanoseconds = time.time_ns()
    ticks = (nanoseconds // 1_000_000 << 12) + (nanoseconds % 1_000_000 << 12) // 1_000_000
    _last = ticks = max(ticks, _last + 1)
    tail = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    digits = f"{ticks >> 12:012x}7{ticks & 0xFFF:03x}{tail:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def is_id(text: str) -> bool:
    """Tell whether ``text`` is an id exactly as :func:`new_id` writes them."""
    return _ID.fullmatch(text) is not None


def bucket_of(job_id: str) -> str:
    """Return the bucket of an id: the first 32 bits of its time, 65.536 s wide, as 8 digits."""
    return job_id[:8]


def seconds_of(job_id: str) -> float:
    """Return when the id was made, in seconds since the epoch by its maker's clock."""
    return int(job_id[:8] + job_id[9:13], 16) / 1000
