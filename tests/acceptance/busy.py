"""Somebody who uses a spool as hard as he can for so long: ``busy.py ROLE SPOOL SECONDS``."""

from __future__ import annotations

import itertools
import random
import sys
import time

from spoolcalc import Spool, State
from spoolcalc.errors import SpoolError

_numbers = itertools.count()


def submit(spool: Spool) -> None:
    """Submit a group of sums, and now and then a job of each other kind."""
    list(spool.submit_many([("add", ["1", str(n)]) for n in range(random.randint(1, 20))]))
    first = spool.submit("add", ["1", "2"], priority=random.randrange(10))
    needing = spool.submit("add", [f"@{first}", "2"])
    spool.submit("add", ["1", "2"], after=[(first, "any"), (needing, "ok")])
    spool.submit("add", ["1", "2"], delay=random.random())
    spool.submit("add", ["1", "2"], key=f"key {random.randrange(50)}")
    if next(_numbers) % 5 == 0:
        spool.submit("exec", ["sh", "-c", "echo said"])
        spool.submit("div", ["1", "0"], retries=2, backoff=0.1)
    if spool.counts()[State.PENDING] > 300:
        time.sleep(0.5)


def fetch(spool: Spool) -> None:
    """Fetch what is there, and clean."""
    for job in itertools.islice(spool.list(State.COMPLETED), 200):
        spool.fetch(job.id)
    spool.clean(grace=random.choice([0.0, 5.0]))


def cancel(spool: Spool) -> None:
    """Cancel something that waits, and have something else run again."""
    for state in (State.PENDING, State.DELAYED, State.BLOCKED):
        for job in itertools.islice(spool.list(state), 2):
            spool.cancel(job.id, patience=0.0)
    for job in itertools.islice(spool.list(State.FAILED), 2):
        spool.retry(job.id)
    time.sleep(0.02)


def main() -> None:
    """Do what the role says, until the time is over."""
    role, path, seconds = sys.argv[1:]
    spool, until = Spool(path), time.monotonic() + float(seconds)
    while time.monotonic() < until:
        try:
            {"submit": submit, "fetch": fetch, "cancel": cancel}[role](spool)
        except SpoolError as error:
            if error.exit_code not in (2, 3, 4):  # somebody else was quicker
                raise


if __name__ == "__main__":
    main()
