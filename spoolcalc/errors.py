"""What can go wrong, said for people: a message, what to do about it, and an exit code.

    SpoolError                      (70)  never raised itself
    ├── UsageError                   (2)  the request is wrong; nothing was written
    │   ├── UnknownOperation
    │   ├── BadOperands
    │   ├── BadJobId
    │   └── Rejected                      a file in inbox/ that is no job
    ├── JobFailed                    (1)
    │   └── JobCancelled             (5)
    ├── NoSuchJob                    (3)
    │   └── Quarantined              (7)  it was there, and cannot be read any more
    ├── NotFinished                  (4)
    │   └── NotAdopted                    still a file in inbox/
    └── SpoolUnusable                (7)  the spool, or where the answer goes, cannot be used
        ├── NoSpool
        ├── NotYours
        ├── NewerFormat
        ├── BadSettings                   spool.toml
        ├── CeilingReached                a submit that the spool's settings do not allow
        ├── CorruptDocument
        └── StorageFailure                the operating system said no: full, forbidden, broken
            └── ExecutorRefused           so did somebody else's executor

To lose a race is not an error: the transitions answer ``None`` or ``False``.  This module imports
nothing of the package, and only what an interpreter has loaded at start.
"""

import errno
import os

OK = 0
FAILED = 1
USAGE = 2
NO_SUCH_JOB = 3
NOT_FINISHED = 4
CANCELLED = 5
UNUSABLE = 7
BUG = 70
INTERRUPTED = 130


class SpoolError(Exception):
    """Base of all errors this package raises on purpose.

    ``message`` says what happened and to what; ``hint``, which may be empty, what to do about it.
    """

    exit_code = BUG

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(SpoolError):
    """The request itself is wrong.  Nothing was written."""

    exit_code = USAGE


class UnknownOperation(UsageError):
    """No operation of that name is installed here."""


class BadOperands(UsageError):
    """Too few or too many operands, or one that the operation does not take."""


class BadJobId(UsageError):
    """The text is not a job id, so no job can have it."""


class Rejected(UsageError):
    """What lay in ``inbox/`` under that name could not be made a job."""


class JobFailed(SpoolError):
    """The job ran, and its outcome is an error."""

    exit_code = FAILED


class JobCancelled(JobFailed):
    """The job was cancelled."""

    exit_code = CANCELLED


class NoSuchJob(SpoolError):
    """The spool holds no job of that id: never submitted here, or cleaned."""

    exit_code = NO_SUCH_JOB


class Quarantined(NoSuchJob):
    """What lay in the job's place could not be read, and was moved to ``corrupt/``.

    ``path`` is where it lies now, ``reason`` says why, in one line.
    """

    exit_code = UNUSABLE

    def __init__(self, job_id: str, path: str, reason: str) -> None:
        super().__init__(
            f"job {job_id} cannot be read any more, and was moved to {path}: {plain(reason)}",
            "Nothing was deleted. Look at the file, and submit the job again.",
        )
        self.path = path
        self.reason = reason


class NotFinished(SpoolError):
    """The job has no outcome yet, or the wait for it ran out."""

    exit_code = NOT_FINISHED


class NotAdopted(NotFinished):
    """What lies in ``inbox/`` under that name is no job yet."""


class SpoolUnusable(SpoolError):
    """The spool directory cannot be worked with as it is."""

    exit_code = UNUSABLE


class NoSpool(SpoolUnusable):
    """There is no spool at that path."""


class NotYours(SpoolUnusable):
    """The directory belongs to somebody else, or others may write to it."""


class NewerFormat(SpoolUnusable):
    """Written by a newer version, whose rules this one does not know."""


class BadSettings(SpoolUnusable):
    """The spool's ``spool.toml`` is not as it should be.  ``line`` is the line, if it is one's."""

    def __init__(self, path: str, line: int | None, reason: str, hint: str = "") -> None:
        place = path if line is None else f"{path}, line {line}"
        super().__init__(f"{place}: {reason}", hint)
        self.line = line


class CeilingReached(SpoolUnusable):
    """The job was not submitted: ``ceiling`` names the setting that it would exceed."""

    def __init__(self, ceiling: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.ceiling = ceiling


class CorruptDocument(SpoolUnusable):
    """A file where a job document should be is not one.

    ``path`` is where it lies, ``reason`` says why, in one line.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path}: not a job document: {reason}",
            "Nothing was deleted. Look at the file; workers move such things to corrupt/.",
        )
        self.path = path
        self.reason = reason


def shown(text: str) -> str:
    """Return ``text`` as it may stand in a message: quoted, escaped, in ASCII, cut if long."""
    quoted = ascii(text[: _SHOWN + 1])
    if len(quoted) <= _SHOWN + 2:
        return quoted
    return f"{quoted[:_SHOWN]}...{quoted[0]} ({len(text):,} characters)"


def plain(text: str) -> str:
    """Return ``text`` in one line, with nothing in it that a terminal would obey."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


#: Characters of a text from outside that a message shows.
_SHOWN = 40

_WHAT_TO_DO = {
    errno.ENOSPC: "The disk is full. Free space on that file system; no job was lost.",
    errno.EDQUOT: "The disk quota is used up. Free space or raise the quota; no job was lost.",
    errno.EROFS: "The file system is mounted read-only. Mount it writable.",
    errno.EACCES: "Permission was denied. Check who owns the path and its mode (ls -ld).",
    errno.EPERM: "The operation is not permitted. Check who owns the path and its mode (ls -ld).",
    errno.EIO: "The device reports an input/output error. Look at the kernel's log (dmesg).",
    errno.EAGAIN: "Another process keeps it locked. Try again, or see who does (fuser -v PATH).",
    errno.EMFILE: "This process has too many open files (ulimit -n).",
    errno.ENFILE: "The system has too many open files.",
    errno.ENAMETOOLONG: "The path is too long for the file system.",
    errno.EPIPE: "Who read the output has gone.",
}


class StorageFailure(SpoolUnusable):
    """The operating system refused: disk full, no permission, input/output error.

    It is never the job's fault, so it costs the job none of its attempts.  ``errno`` is the number,
    ``path`` what it is about.
    """

    def __init__(self, action: str, path: str, error: OSError) -> None:
        number = error.errno or 0
        reason = os.strerror(number) if number else str(error)
        super().__init__(f"cannot {action} {path}: {reason}", _WHAT_TO_DO.get(number, ""))
        self.errno = number
        self.path = path


class ExecutorRefused(StorageFailure):
    """Somebody else's executor could not be made, or took no job: a scheduler is down, say.

    ``path`` is its name, and ``reason`` what it said, in one line.
    """

    def __init__(self, name: str, reason: str) -> None:
        SpoolUnusable.__init__(
            self,
            f"the executor {shown(name)} refused: {plain(reason)}",
            "See that what it needs is there and can be reached; no job was lost.",
        )
        self.errno = 0
        self.path = name
        self.reason = reason
