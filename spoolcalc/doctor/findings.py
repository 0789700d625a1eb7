"""What an examination can find, and the table of all its checks.

A :class:`Finding` is what people and programs get to see.  A :class:`Suspicion` is one that was
seen once: on a spool in use most of what looks wrong is a job on its way, so that each suspicion
knows how to look again (``still``), and how to be mended, if it can be (``mend``).

``docs/operations.md`` shows :data:`CHECKS`; a test holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from spoolcalc.hand import Hand


class Severity(IntEnum):
    """How bad it is; the worst one is the exit code."""

    OK = 0  #: nothing to do: a fact
    WARNING = 1  #: jobs may wait longer than they should, or somebody should have a look
    CRITICAL = 2  #: jobs are not run, or may be lost

    @property
    def word(self) -> str:
        """The word for it in answers."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Check:
    """A thing that is looked at: how bad it usually is, what it means, and what to do.

    ``mended`` says what ``--fix`` does; it is empty where it cannot do anything.
    """

    severity: Severity
    means: str
    do: str
    mended: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: by which check, of which path or job, and what exactly."""

    check: str
    severity: Severity
    subject: str
    detail: str

    @property
    def means(self) -> str:
        """What it means."""
        return CHECKS[self.check].means

    @property
    def do(self) -> str:
        """What to do about it; nothing, if all is well."""
        return CHECKS[self.check].do if self.severity else ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes two looks speak of the same thing."""
        return self.check, self.subject


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A finding that was seen once.

    ``still`` looks again; without it, what was seen does not pass by itself.  ``mend`` tries to put
    it right, by the hand it is given, and tells whether it did.
    """

    finding: Finding
    still: Callable[[], bool] | None = None
    mend: Callable[[Hand], bool] | None = None


def found(check: str, subject: str, detail: str, severity: Severity | None = None) -> Finding:
    """Return a finding of a check, as bad as the check says unless told otherwise."""
    usual = CHECKS[check].severity
    return Finding(check, usual if severity is None else severity, subject, detail)


_OK, _WARNING, _CRITICAL = Severity

#: All checks by name, in the order in which they are told and mended.
CHECKS: dict[str, Check] = {
    "spool": Check(
        _CRITICAL,
        "The directory cannot be used as a spool.",
        "Do what the message says.",
        "A lost format.json of a private spool is written again.",
    ),
    "settings": Check(
        _CRITICAL,
        "spool.toml is wrong: nothing is submitted, run or cleaned.",
        "Correct what the message names, or remove the file.",
    ),
    "file-system": Check(
        _WARNING,
        "The file system is not known to keep what a spool relies on.",
        "Run `spool torture` on it before you rely on it.",
    ),
    "rename": Check(
        _CRITICAL,
        "Renaming does not work as it must: jobs cannot be claimed safely.",
        "Move the spool to another file system.",
    ),
    "link": Check(
        _CRITICAL,
        "Hard links do not work as they must: jobs cannot be submitted.",
        "Move the spool to another file system.",
    ),
    "flock": Check(
        _CRITICAL,
        "Locks do not exclude: a living worker may be taken for dead.",
        "Mount with working locks, or move the spool to another file system.",
    ),
    "fsync": Check(
        _CRITICAL,
        "Files or directories cannot be synced: a power failure may lose jobs.",
        "Move the spool to another file system.",
    ),
    "inotify": Check(
        _WARNING,
        "Nobody is woken by changes here: workers and waits look by themselves, every 2 s.",
        "Raise fs.inotify.max_user_instances if the kernel has run out of them.",
    ),
    "times": Check(
        _WARNING,
        "Files do not keep the times they are given: a lost attempt may be charged twice.",
        "Use a file system that keeps times to the millisecond.",
    ),
    "clock": Check(
        _WARNING,
        "The file system's clock and this host's differ: delays and leases are told by both.",
        "Synchronise the clocks (NTP) of this host and of the file server.",
    ),
    "future-job": Check(
        _WARNING,
        "Jobs were submitted by a clock that is ahead, or this clock was set back.",
        "Look at the clocks; the jobs run, but later than those submitted after them.",
    ),
    "space": Check(
        _WARNING,
        "Little space is left: when it is used up, submits are refused and outcomes wait.",
        "Free space on that file system, or have `spool clean` run.",
    ),
    "inodes": Check(
        _WARNING,
        "Few inodes are left: each job needs one.",
        "Remove small files from that file system, or have `spool clean` run.",
    ),
    "ceiling": Check(
        _WARNING,
        "A ceiling that spool.toml sets is reached: submits are refused.",
        "Have more workers run, free space, or raise the ceiling.",
    ),
    "too-many": Check(
        _WARNING,
        "So many names lie in one directory that it is slow, and may become full.",
        "Fetch and clean what is finished, or give `spool clean` a retention.",
    ),
    "missing-directory": Check(
        _CRITICAL,
        "A directory that the spool needs is gone.",
        "Find out who removed it: what lay in it is gone too.",
        "It is made again, empty.",
    ),
    "wrong-kind": Check(
        _CRITICAL,
        "Something of the spool is no directory or no plain file, as it must be, or a link.",
        "Replace it by hand while no worker runs.",
    ),
    "stranger": Check(
        _WARNING,
        "It is no part of a spool, and no job.",
        "Find out who put it there, and move it away.",
        "In a place where jobs lie it goes to corrupt/.",
    ),
    "symlink": Check(
        _CRITICAL,
        "A link lies where a job should be: it is not followed.",
        "Put the job's own file there.",
        "The link goes to corrupt/; what it leads to is not touched.",
    ),
    "torn-document": Check(
        _CRITICAL,
        "A job's document is empty, torn, or damaged: the job cannot be run or read.",
        "Restore the file from a backup, or submit the job again.",
        "It goes to corrupt/, with the reason.",
    ),
    "foreign-document": Check(
        _CRITICAL,
        "The document is that of another job than the file's name says.",
        "Find out who wrote it; if it is a job of yours, rename it by the id inside.",
        "It goes to corrupt/, with the reason.",
    ),
    "newer-document": Check(
        _WARNING,
        "A newer version wrote it; this one leaves it alone.",
        "Upgrade spoolcalc here.",
    ),
    "double": Check(
        _CRITICAL,
        "A job lies in two places at once: it may be run again, or overwritten.",
        "Find out who copied it (a restored backup?).",
        "The latest one stays, the others go to corrupt/.",
    ),
    "orphan": Check(
        _WARNING,
        "Jobs lie with a worker that is dead, and nobody has given them to others.",
        "Start a worker: it does so first.",
        "They go back, as by a worker's sweep.",
    ),
    "silent-worker": Check(
        _WARNING,
        "A worker has shown no sign of life for longer than its lease: stopped, or hung.",
        "Look at that process or host; if another worker runs, it takes its jobs over.",
    ),
    "dead-worker": Check(
        _WARNING,
        "A worker died, and what it left was not removed: no other one was there to do so.",
        "Look at why it died.",
        "It is removed, as by a worker's sweep.",
    ),
    "wrong-state": Check(
        _CRITICAL,
        "The document says that the job belongs into another state.",
        "Find out who moved it.",
        "It is moved to where its document says.",
    ),
    "wrong-bucket": Check(
        _CRITICAL,
        "The job lies where nobody looks for it, or out of its turn.",
        "Find out who moved it.",
        "It is moved to where its id and its document say.",
    ),
    "hard-link": Check(
        _WARNING,
        "A job's file has another name elsewhere: who writes to that changes the job.",
        "Find the other name: find DIRECTORY -samefile PATH.",
        "The job gets a file of its own.",
    ),
    "wrong-owner": Check(
        _WARNING,
        "It belongs to somebody else: workers may not be able to read or move it.",
        "As root, give it back: chown -h OWNER PATH (in a shared spool, chgrp).",
        "It is given back, if you are root and the spool is shared or root's own.",
    ),
    "wrong-mode": Check(
        _WARNING,
        "Its mode keeps workers from it, or lets others change it.",
        "chmod it as the rest of the spool is.",
        "It gets the mode that we give.",
    ),
    "tmp-leftover": Check(
        _WARNING,
        "What was being written when its process was killed; nobody reads it.",
        "`spool clean` removes it when it is a day old.",
        "It is removed.",
    ),
    "lone-output": Check(
        _WARNING,
        "What a command wrote, and its job is not there.",
        "Look whether you need it.",
        "It goes to corrupt/.",
    ),
    "blocked": Check(
        _WARNING,
        "Nobody has noted what a blocked job waits for, or it waits in vain.",
        "Start a worker: it sees to it.",
        "It is noted anew, as by a worker's sweep.",
    ),
    "stale-index": Check(
        _WARNING,
        "It is noted that a job waits which has ended or is gone: what it needed is not cleaned.",
        "Start a worker: it removes what a killed submit left.",
        "The note is removed.",
    ),
    "stale-key": Check(
        _WARNING,
        "A key leads to no job; the next submit with it makes one.",
        "Nothing, unless there are many.",
        "It is removed; one that cannot be read goes to corrupt/.",
    ),
    "inbox-bad": Check(
        _WARNING,
        "A file in inbox/ cannot be made a job.",
        "Write it anew; see the format.",
        "It goes to corrupt/, with the reason, as by a worker.",
    ),
    "hook": Check(
        _WARNING,
        "A file in hooks/ looks like a hook, and no worker runs it.",
        "Do what the message says: chmod, chown, or another name.",
    ),
    "workers": Check(
        _WARNING,
        "Jobs wait, and no worker is alive.",
        "Start `spool work`, and look at why the last one ended.",
    ),
    "waiting": Check(
        _WARNING,
        "A job waits for longer than it may, though workers are alive.",
        "Start more workers, or see what keeps them busy: `spool status`.",
    ),
    "unknown-operation": Check(
        _WARNING,
        "No living worker can run this operation: its jobs wait forever.",
        "Install the package where workers run; for commands in a shared spool, --allow exec.",
    ),
    "paused": Check(
        _WARNING,
        "No worker takes a job.",
        "`spool resume`, if whoever paused it is done.",
    ),
    "corrupt": Check(
        _WARNING,
        "Something was found that is no job, and kept.",
        "Read the .reason beside it, and remove both when you have seen to it.",
    ),
}
