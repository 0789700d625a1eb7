"""``submit --from`` to a server: in groups, each of which it takes as a whole or not at all.

A group with a bad line is sent again without it and without what follows, so that what comes before
it is submitted; with ``keep_going`` the rest goes in the next group.  What is no line's fault ends
it in any case.

Each line's job has a key.  When it does not come to the end, what they begin with is told: the same
file, submitted with that, makes no second jobs.
"""

from __future__ import annotations

from spoolcalc import output
from spoolcalc.commands.feeding import LineKeys, hint_with, placed, print_ids, read_lines, split
from spoolcalc.commands.submitting import operands_of, server_at
from spoolcalc.errors import OK, USAGE, UsageError
from spoolcalc.ids import new_id
from spoolcalc.settings import load
from spoolcalc.submission import GROUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from spoolcalc.remote.spool import Remote

    Line = tuple[int, dict[str, Any]]

#: The most characters of a group, so that a request stays well below what a server takes.
LARGEST = 1_000_000


def send_from(
    url: str,
    file: str,
    *,
    keep_going: bool = False,
    as_json: bool = False,
    key: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Any,  # those of submission.prepare, which the server checks
) -> int:
    """Submit each line of ``file`` as ``feeding.submit_from`` does, to a server."""
    keys = LineKeys(new_id() if key is None else key)
    sender = _Sender(server_at(url), file, keep_going=keep_going, as_json=as_json)
    given = {**load(None).at_submit, **options}
    try:
        for read, lines in read_lines(file):
            for number, line in lines:
                try:
                    words = split(line)
                    operands = operands_of(words[0], words[1:]) if words else []
                except UsageError as error:
                    sender.send()
                    sender.bad(error, number)
                    continue
                if words:
                    options_of_line = {**given, "key": keys.of(number, line)}
                    sender.add(number, words[0], operands, options_of_line)
            sender.send()
            if on_progress is not None:
                on_progress(read, sender.done)
    except BaseException:
        sender.tell_how_to_go_on(keys.prefix)
        raise
    return sender.code


class _Sender:
    """Sends lines in groups.  ``done`` is how many jobs were submitted, ``code`` the exit code."""

    def __init__(self, spool: Remote, file: str, *, keep_going: bool, as_json: bool) -> None:
        self.done = 0
        self.code = OK
        self._spool = spool
        self._file = file
        self._keep_going = keep_going
        self._as_json = as_json
        self._group: list[Line] = []
        self._size = 0
        self._lost: list[int] = []  # the lines whose answer did not come

    def add(self, number: int, operation: str, operands: Any, options: dict[str, Any]) -> None:
        """Have one more line, and send those there are if they are many."""
        self._group.append((number, self._spool.ask_for(operation, operands, options)))
        self._size += sum(map(len, operands))
        if len(self._group) >= GROUP or self._size > LARGEST:
            self.send()

    def send(self) -> None:
        """Send what there is."""
        group, self._group, self._size = self._group, [], 0
        while group:
            try:
                self._submit(group)
            except UsageError as error:
                place: int | None = getattr(error, "number", None)
                if place is None:
                    what = f"line {group[0][0]} and what follows"
                    raise UsageError(error.message, hint_with(error, what, self.done)) from error
                before, number, group = group[: place - 1], group[place - 1][0], group[place:]
                if before:
                    self._submit(before)
                self.bad(error, number)
            else:
                return

    def bad(self, error: UsageError, number: int) -> None:
        """Tell of a bad line; it is the last one unless the others are to be submitted."""
        told = UsageError(*placed(error, self._file, number, self.done))
        if not self._keep_going:
            raise told
        output.tell_error(told)
        self.code = USAGE

    def _submit(self, lines: list[Line]) -> None:
        numbers = [number for number, _ in lines]
        try:
            ids = self._spool.submit_many([fields for _, fields in lines])
        except BaseException:
            self._lost = numbers if self._spool.unanswered else []
            raise
        self.done += len(ids)
        print_ids(ids, numbers, as_json=self._as_json)

    def tell_how_to_go_on(self, prefix: str) -> None:
        """Say how the rest can be submitted, and no job a second time, if there may be any."""
        import shlex

        if not (self.done or self._lost):
            return
        told = "spool: not all of it was submitted"
        if self._lost:
            first, last = self._lost[0], self._lost[-1]
            lines = f"line {first}" if first == last else f"lines {first} to {last}"
            told = f"spool: {lines} may have been submitted all the same"
        output.tell(
            f"{told}\n  Submit all of it again with --key {shlex.quote(prefix)}:"
            " that tells the ids of all lines and makes no second jobs."
        )
