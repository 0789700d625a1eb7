"""Runs the real command, in which one kind of system call is refused once.

    python crash_command.py ERRNO CALL TEXT ARGUMENT...

Refused is the first call to ``CALL`` with ``TEXT`` in one of its paths.
"""

from __future__ import annotations

import sys
from typing import Any

from crash_breaker import Breaker, breaking

from spoolcalc.entry import main

if __name__ == "__main__":
    name, call, text, *sys.argv[1:] = sys.argv[1:]

    def when(called: str, args: tuple[Any, ...]) -> bool:
        """Pick the call that is refused."""
        return called == call and any(text in str(argument) for argument in args)

    with breaking(Breaker(name, when=when)):
        main()
