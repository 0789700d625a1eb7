"""Serving several jobs: which ones, one after the other, and the exit code of them all.

An error of one does not stop the others, and the exit code is the highest.
"""

from __future__ import annotations

from spoolcalc import access, lookup, output
from spoolcalc.errors import CANCELLED, FAILED, OK, SpoolError, StorageFailure, UsageError
from spoolcalc.job import State
from spoolcalc.render import jobs
from spoolcalc.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from spoolcalc.job import Job
    from spoolcalc.remote.spool import Remote


def spool_at(path: str) -> Spool | Remote:
    """Return the spool at a path, or the one of the server at a URL."""
    if not access.is_url(path):
        return Spool(path)
    from spoolcalc.remote.spool import Remote

    return Remote(path)


def ids_from(words: Sequence[str]) -> Sequence[str]:
    """Return the ids that ``words`` name; ``-`` stands for those on stdin, one a line.

    Of a line the first field counts, so that ``status`` and ``wait`` can be piped in.
    """
    if "-" not in words:
        return words
    lines = _lines_of_stdin()
    return [i for word in words for i in (lines if word == "-" else (word,))]


def each(ids: Sequence[str], serve: Callable[[str], int]) -> int:
    """Serve each id; a lone one's error is raised, several ones' are told as they come.

    What stdout refuses is raised at once: the others' answers would have nowhere to go either.
    """
    if len(ids) == 1:
        return serve(ids[0])
    worst = OK
    for job_id in ids:
        try:
            code = serve(job_id)
        except SpoolError as error:
            if isinstance(error, StorageFailure) and error.path == output.STDOUT:
                raise
            output.tell_error(error)
            code = error.exit_code
        worst = max(worst, code)
    return worst


def code_of(job: Job, *, as_command: bool = False) -> int:
    """Return the exit code that tells how a finished job ended.

    ``as_command``: of a command that ran to its end, its own.
    """
    outcome = job.outcome
    if outcome is None:
        return OK
    if as_command and outcome.exit_code is not None:
        return outcome.exit_code
    if outcome.state is State.COMPLETED:
        return OK
    return CANCELLED if outcome.reason == "cancelled" else FAILED


def beside(spool: Spool | Remote) -> Callable[[Job], dict[str, object]]:
    """Return what looks up the things that lie beside a job's document, if it has them."""
    if isinstance(spool, Spool):
        layout = spool.layout
        return lambda job: lookup.beside(layout, job)
    return spool.beside


def answer_json(spool: Spool | Remote, found: Iterable[Job]) -> None:
    """Print what ``jobs.all_json`` would, a job at a time, as it comes."""
    look = beside(spool)
    opening, closing = jobs.all_json([], look).split("[]")
    output.answer(opening + "[")
    for number, job in enumerate(found):
        output.answer((", " if number else "") + jobs.as_item(job, **look(job)))
    output.answer("]" + closing)


def _lines_of_stdin() -> list[str]:
    import sys

    try:
        fields = [line.split(maxsplit=1) for line in sys.stdin.buffer]
        return [words[0].decode("ascii") for words in fields if words]
    except UnicodeDecodeError as error:
        raise UsageError("what stands on stdin are no job ids") from error
    except (OSError, AttributeError) as error:  # a directory; not open
        raise UsageError(f"cannot read job ids from stdin: {error}") from error
