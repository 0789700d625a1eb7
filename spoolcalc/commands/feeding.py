"""Many jobs from a file: ``add 12 23``, one a line, submitted in groups.

What arrives together is made durable together, and its ids are printed before more is read, so that
a slow writer's ids come as promptly as a fast one's, and memory stays bounded.  Empty lines and
lines that start with ``#`` are passed over.  Quotes are those of the shell.
"""

from __future__ import annotations

import os
import shlex

from spoolcalc import output, reading
from spoolcalc.commands.submitting import opened, operands_of, settings_of
from spoolcalc.errors import (
    OK,
    USAGE,
    CeilingReached,
    SpoolError,
    StorageFailure,
    UsageError,
    shown,
)
from spoolcalc.render.text import json_answer
from spoolcalc.spool import Spool
from spoolcalc.submission import GROUP, prepare, submit_some

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from spoolcalc.job import Document
    from spoolcalc.settings import Settings

#: Bytes that are read at once.
_CHUNK = 64 * 1024
#: The longest line, in bytes; a job cannot be larger.
LONGEST_LINE = 1024 * 1024
#: The longest beginning of the keys of many lines, in characters: a key has 200.
LONGEST_PREFIX = 160


def submit_from(
    path: str,
    file: str,
    *,
    keep_going: bool = False,
    as_json: bool = False,
    key: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Any,  # those of submission.prepare, which checks them
) -> int:
    """Submit each line of ``file`` (``-`` is stdin) and print one id a line, in order.

    A bad line ends it, or with ``keep_going`` is told and passed over, for exit code 2 at the end.
    So does a line for whose job the settings leave no room, whatever ``keep_going`` says.
    ``options`` are those of every job; ``key`` is what their keys begin with (:class:`LineKeys`).
    ``on_progress`` is told the bytes read and the jobs submitted, after each group.
    """
    keys = None if key is None else LineKeys(key)
    spool = opened(path)
    settings = settings_of(spool)
    defaults = settings.at_submit
    code = OK
    done = 0
    for read, lines in read_lines(file):
        group: list[tuple[int, Document]] = []
        bad: UsageError | None = None
        for number, line in lines:
            try:
                words = split(line)
                if words:
                    operands = operands_of(words[0], words[1:])
                    if keys is not None:
                        options["key"] = keys.of(number, line)
                    group.append(
                        (number, prepare(words[0], operands, defaults=defaults, **options))
                    )
            except UsageError as error:
                bad = UsageError(*placed(error, file, number, done + len(group)))
                if not keep_going:
                    break
                output.tell_error(bad)
                code = USAGE
        for start in range(0, len(group), GROUP):
            some = group[start : start + GROUP]
            spool = spool or Spool(path, create=True)
            _submit(spool, settings, some, file, done, as_json=as_json)
            done += len(some)
        if on_progress is not None:
            on_progress(read, done)
        if bad is not None and not keep_going:
            raise bad
    return code


class LineKeys:
    """The keys of a file's lines: ``prefix``, the line's number, and a digest of what it says.

    So the same file has the same keys, and a line that was corrected in its place one of its own:
    what is submitted is never taken for something else.  Raises UsageError for a bad ``prefix``.
    """

    def __init__(self, prefix: str) -> None:
        from hashlib import sha256

        if not (0 < len(prefix) <= LONGEST_PREFIX and prefix.isprintable()):
            raise UsageError(
                f"not the beginning of a key: {shown(prefix)}",
                f"One line of 1 to {LONGEST_PREFIX} printable characters.",
            )
        self.prefix = prefix
        self._digest = sha256

    def of(self, number: int, line: bytes) -> str:
        """Return the key of a line."""
        return f"{self.prefix}:{number}:{self._digest(line).hexdigest()[:12]}"


def size_of(file: str) -> int | None:
    """Return how many bytes there are to read, None if that cannot be known."""
    if file == "-":
        return None
    status = reading.status(os.path.realpath(file))
    return None if status is None else status.st_size or None


def read_lines(file: str) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
    """Yield the bytes read so far and the numbered lines that have come together."""
    descriptor = 0 if file == "-" else _open(file)
    number = read = 0
    rest = b""
    while True:
        try:
            data = os.read(descriptor, _CHUNK)
        except OSError as error:
            raise StorageFailure("read", file, error) from error
        read += len(data)
        *whole, rest = (rest + data).split(b"\n") if data else [rest, b""]
        rest = rest[: LONGEST_LINE + 1]  # too long to be a job; the rest of it is passed over
        yield read, list(enumerate(whole, number + 1))
        number += len(whole)
        if not data:
            break
    if descriptor:
        os.close(descriptor)


def _submit(
    spool: Spool,
    settings: Settings,
    group: Sequence[tuple[int, Document]],
    file: str,
    before: int,
    *,
    as_json: bool,
) -> None:
    """Submit numbered lines, and print their ids; ``before`` is how many jobs came before them."""
    documents = [document for _, document in group]
    ids, reached = submit_some(spool.layout, settings, documents)
    numbers = [number for number, _ in group]
    if ids:
        print_ids(ids, numbers[: len(ids)], as_json=as_json)
    if reached is not None:
        where, hint = placed(reached, file, numbers[len(ids)], before + len(ids))
        raise CeilingReached(reached.ceiling, where, hint)


def print_ids(ids: Sequence[str], numbers: Sequence[int], *, as_json: bool) -> None:
    """Print ids, one a line, with the numbers of their lines if as JSON."""
    if as_json:
        pairs = zip(ids, numbers, strict=True)
        text = "".join(json_answer(id=job_id, line=number) for job_id, number in pairs)
    else:
        text = "\n".join(ids) + "\n"
    try:
        output.answer(text)
    except StorageFailure:
        output.tell(f"spool: lines {numbers[0]} to {numbers[-1]} were submitted all the same")
        raise


def _open(file: str) -> int:
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {file}: {reason}") from error


def split(line: bytes) -> list[str]:
    """Return the words of a line; none if there is nothing to submit in it."""
    if len(line) > LONGEST_LINE:
        raise UsageError(f"longer than {LONGEST_LINE} bytes")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8 (byte {error.start})") from error
    if text.lstrip().startswith("#"):
        return []
    if not any(quote in text for quote in "'\"\\"):
        return text.split()
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"cannot be split into words: {error}") from error


def placed(error: SpoolError, file: str, number: int, before: int) -> tuple[str, str]:
    """Return what is wrong with a line, and the hint, which says what became of the others."""
    where = "standard input" if file == "-" else file
    return f"{where}, line {number}: {error.message}", hint_with(error, "it", before)


def hint_with(error: SpoolError, what: str, before: int) -> str:
    """Return an error's hint, and that nothing of ``what`` was submitted, but what came before."""
    jobs = "1 job before it was" if before == 1 else f"{before} jobs before it were"
    hint = f"{error.hint}\n  " if error.hint else ""
    return f"{hint}Nothing of {what} was submitted; {jobs}."
