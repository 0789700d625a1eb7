"""A spool behind a server, with those methods of ``Spool`` that the commands call."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from urllib.parse import quote

from spoolcalc.errors import NoSuchJob, NotFinished, SpoolError, UsageError
from spoolcalc.ids import is_id, new_id
from spoolcalc.job import COMMAND, State
from spoolcalc.layout import SUFFIX, name_of
from spoolcalc.remote.connection import Connection
from spoolcalc.remote.shapes import error_of, job_of, overview_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from spoolcalc.job import Job
    from spoolcalc.overview import Overview

#: The longest that one request waits, in seconds; a longer wait is several.
WAIT = 30.0
_API = "/api/v1"


class Remote:
    """The spool of the server at ``url``.  Errors are those that ``Spool`` raises."""

    def __init__(self, url: str) -> None:
        self._connection = Connection(url)
        self._beside: dict[str, dict[str, object]] = {}
        self._told: dict[str, Any] | None = None

    def ask_for(
        self, operation: str, operands: Sequence[str], options: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return what to send for a job; one that has no key gets one, so that it is made once."""
        fields = {"operation": operation, "operands": list(operands), **options}
        if operation == COMMAND:
            fields.setdefault("cwd", os.getcwd())
        fields.setdefault("key", new_id())
        return fields

    def submit(self, fields: Mapping[str, Any]) -> str:
        """Submit a job and return its id."""
        return self._kept(self._connection.ask("POST", f"{_API}/jobs", fields)).id

    @property
    def unanswered(self) -> bool:
        """Whether the server may have done what it was asked last, and has not said so."""
        return self._connection.unanswered

    def submit_many(self, jobs: Sequence[Mapping[str, Any]]) -> list[str]:
        """Submit jobs, all or none, and return their ids.

        An error that is one job's has its ``number``, from 1 on.
        """
        told = self._connection.ask("POST", f"{_API}/jobs", list(jobs))

        def read(told: Any) -> list[str]:
            return [job["id"] for job, _ in zip(told["jobs"], jobs, strict=True)]

        return self._connection.understood(read, told)

    def find(self, word: str) -> Job:
        """Return a job."""
        return self._kept(self._connection.ask("GET", _path(word)))

    def fetch(
        self, word: str, deliver: Callable[[Job], object] | None = None, *, keep: bool = False
    ) -> Job:
        """Return a finished job, and mark it retrieved once ``deliver`` has returned."""
        job = self.find(word)
        if not job.state.finished:
            self._connection.ask("GET", f"{_path(word)}/result?keep=true")
            job = self.find(word)  # it has just ended
        if deliver is not None:
            deliver(job)
        if job.state is State.COMPLETED and not keep:
            self._connection.ask("POST", f"{_API}/job/{job.id}/retrieved")
        return job

    def output(self, job: Job, stream: str) -> Iterator[bytes]:
        """Yield what a command wrote; nothing if there is nothing."""
        try:
            yield from self._connection.stream(f"{_API}/job/{job.id}/output/{stream}")
        except NoSuchJob:
            if job.state is not State.FAILED:
                raise

    def beside(self, job: Job) -> dict[str, object]:
        """Return what lay beside a job's document when it was last looked at."""
        return self._beside.get(job.id, {})

    @contextmanager
    def by_hand(self) -> Iterator[Remote]:
        """Be what cancels many jobs, or has them run again."""
        yield self

    def cancel(self, word: str, *, patience: float | None = None) -> Job:
        """End a job as cancelled, and return it; it may have ended otherwise before."""
        until = None if patience is None else time.monotonic() + patience
        while True:
            rest = 10.0 if until is None else max(0.0, until - time.monotonic())
            path = f"{_path(word)}?patience={min(rest, WAIT):.3f}"
            try:
                return self._kept(self._connection.ask("DELETE", path, wait=WAIT))
            except NotFinished:
                if until is None or time.monotonic() >= until:
                    raise
            except SpoolError:
                job = self.find(word)
                if job.state.finished:
                    return job  # too late, as the job tells
                raise

    def retry(self, word: str) -> Job:
        """Have a failed job run again."""
        try:
            return self._kept(self._connection.ask("POST", f"{_path(word)}/retry"))
        except UsageError:
            if not self._connection.resent:
                raise
            job = self.find(word)
            if job.state is State.FAILED:
                raise
            return job  # the first request did it, whose answer was lost

    def retry_failed(self, operation: str | None = None) -> Iterator[str]:
        """Have all failed jobs (of one operation) run again; yield the id of each."""
        for job in self.list(State.FAILED, operation=operation):
            try:
                yield self.retry(job.id).id
            except (NoSuchJob, UsageError):
                continue  # somebody else has seen to it

    def ended(self, word: str, seconds: float) -> Job:
        """Return a job as soon as it has ended, or after ``seconds`` as it is then."""
        wait = min(WAIT, max(0.0, seconds))
        path = f"{_path(word)}?wait={wait:.3f}"
        return self._kept(self._connection.ask("GET", path, wait=wait))

    def wait(
        self, ids: Sequence[str], seconds: float
    ) -> tuple[list[tuple[str, State]], list[tuple[str, SpoolError]]]:
        """Return which have ended, as soon as one has, and what is wrong with others."""
        wait = min(WAIT, max(0.0, seconds))
        path = f"{_API}/wait?wait={wait:.3f}"
        told = self._connection.ask("POST", path, {"ids": list(ids)}, wait=wait)
        return self._connection.understood(_waited, told)

    def overview(self) -> Overview:
        """Return the whole spool at one look."""
        self._told = self._connection.ask("GET", f"{_API}/status")
        return self._connection.understood(overview_of, self._told)

    @property
    def paused(self) -> dict[str, str] | None:
        """Since when it is paused and why, as the last overview said; None if it is not."""
        if self._told is None:
            self.overview()
        paused: dict[str, str] | None = (self._told or {}).get("paused")
        return paused

    def list(
        self, state: State, label: str | None = None, operation: str | None = None
    ) -> Iterator[Job]:
        """Yield the jobs in a state."""
        query = {"state": state.value, "label": label, "operation": operation, "limit": "1000"}
        given = (
            (n, v.encode("utf-8", "surrogateescape")) for n, v in query.items() if v is not None
        )
        words = "&".join(f"{name}={quote(value, safe='')}" for name, value in given)
        path: str | None = f"{_API}/jobs?{words}"
        while path is not None:
            page = self._connection.ask("GET", path)
            found, path = self._connection.understood(
                lambda told: (told["jobs"], told["next"]), page
            )
            yield from map(self._kept, found)

    def _kept(self, told: dict[str, Any]) -> Job:
        job = self._connection.understood(job_of, told)
        self._beside[job.id] = {
            name: told[name] for name in ("progress", "output") if told.get(name) is not None
        }
        return job


def _path(word: str) -> str:
    """Return the path of a job's; raise BadJobId for what can name none."""
    if not is_id(word) and name_of(word + SUFFIX) is None:
        from spoolcalc.names import unknown

        raise unknown(word)
    return f"{_API}/job/{quote(word, safe='')}"


def _waited(told: Any) -> tuple[list[tuple[str, State]], list[tuple[str, SpoolError]]]:
    ended = [(job["id"], State(job["state"])) for job in told["ended"]]
    errors = [(error["id"], error_of(error, error["status"])) for error in told["errors"]]
    return ended, errors
