"""``submit`` of one job; ``feeding`` does many."""

from __future__ import annotations

from spoolcalc import access, output
from spoolcalc.commands.several import beside
from spoolcalc.errors import OK, NoSpool, NoSuchJob, UsageError, shown
from spoolcalc.job import COMMAND
from spoolcalc.render import jobs
from spoolcalc.settings import load
from spoolcalc.spool import Spool
from spoolcalc.submission import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from spoolcalc.job import Document
    from spoolcalc.remote.spool import Remote
    from spoolcalc.settings import Settings


def operands_of(operation: str, words: Sequence[str]) -> Sequence[str]:
    """Return the operands in what was written behind an operation.

    All that is written behind ``exec`` is the command's, but for a lone ``--`` before it.  Raises
    :class:`~spoolcalc.errors.UsageError` for what looks like an option where the command belongs.
    """
    if operation != COMMAND or not words or not words[0].startswith("-"):
        return words
    if words[0] != "--":
        raise UsageError(
            f"{shown(words[0])} is no command",
            "Options of ours go before exec. A command of that name goes after a lone --.",
        )
    return words[1:]


def opened(path: str) -> Spool | None:
    """Return the spool at ``path``, None if there is none yet."""
    try:
        return Spool(path)
    except NoSpool:
        return None


def settings_of(spool: Spool | None) -> Settings:
    """Return what is set for a spool, or what the environment sets for one that is to be made."""
    return spool.settings if spool else load(None)


def server_at(url: str) -> Remote:
    """Return the spool of a server."""
    from spoolcalc.remote.spool import Remote

    return Remote(url)


def submit(
    path: str,
    operation: str,
    operands: Sequence[str],
    *,
    as_json: bool = False,
    wait: bool = False,
    patience: float | None = None,
    exit_code: bool = False,
    **options: Any,  # those of submission.prepare, which checks them
) -> int:
    """Submit one job and print its id, or with ``wait`` its result."""
    words = operands_of(operation, operands)
    spool: Spool | Remote
    if access.is_url(path):
        spool = server_at(path)
        defaults = load(None).at_submit
        job_id = _sent(spool, spool.ask_for(operation, words, {**defaults, **options}))
    else:
        there = opened(path)
        document = prepare(operation, words, defaults=settings_of(there).at_submit, **options)
        # Only now that it is known to be good is a spool made for it.
        spool = there or Spool(path, create=True)
        job_id = _published(spool, document)
    try:
        if wait:
            from spoolcalc.commands.fetching import fetch

            return fetch(
                path, [job_id], wait=True, timeout=patience, as_json=as_json, exit_code=exit_code
            )
        output.answer(
            jobs.all_json([spool.find(job_id)], beside(spool)) if as_json else job_id + "\n"
        )
    except BaseException:
        output.tell(f"spool: job {job_id} was submitted all the same")
        raise
    return OK


def _sent(spool: Remote, fields: dict[str, Any]) -> str:
    """Submit to a server.  When its answer does not come, say how to ask for it."""
    try:
        return spool.submit(fields)
    except BaseException:
        if spool.unanswered:
            import shlex

            output.tell(
                "spool: the job may have been submitted all the same\n"
                f"  Submit it again with --key {shlex.quote(fields['key'])}:"
                " that tells its id and makes no second one."
            )
        raise


def _published(spool: Spool, document: Document) -> str:
    """Submit to a directory.  When that is interrupted too late to undo it, say so."""
    try:
        [job_id] = spool.publish([document])
    except KeyboardInterrupt:
        try:
            job_id = spool.find(document["id"]).id
        except NoSuchJob:
            pass
        else:
            output.tell(f"spool: job {job_id} was submitted all the same")
        raise
    return job_id
