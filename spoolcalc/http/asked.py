"""What stands in a request's query: known names, each once, and values of the right kind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from spoolcalc.errors import UsageError, shown
from spoolcalc.http.limits import LONGEST_WAIT

if TYPE_CHECKING:
    from starlette.requests import Request

_SECONDS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,6}", re.ASCII)


class Query:
    """The query of a request, which may have no other names than ``known``."""

    def __init__(self, request: Request, *known: str) -> None:
        text = request.scope["query_string"].decode("latin-1")
        try:
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=64)
        except ValueError:
            raise UsageError("the query is not UTF-8, or has too many parts") from None
        self._values: dict[str, str] = dict(pairs)
        if len(self._values) < len(pairs):
            raise UsageError("the query has a name twice")
        for name in self._values:
            if name not in known:
                there = f"There are {', '.join(known)}." if known else "There is none."
                raise UsageError(f"no such parameter: {shown(name)}", there)

    def text(self, name: str) -> str | None:
        """Return a value as it is, None if it is not given."""
        return self._values.get(name)

    def wait(self, name: str = "wait", most: float = LONGEST_WAIT) -> float:
        """Return seconds, 0 if they are not given."""
        text = self._values.get(name, "0")
        if not _SECONDS.fullmatch(text) or float(text) > most:
            raise UsageError(f"{name} cannot be {shown(text)}", f"Seconds, from 0 to {most:g}.")
        return float(text)

    def whole(self, name: str, default: int, most: int) -> int:
        """Return a number from 1 to ``most``."""
        text = self._values.get(name, str(default))
        if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= most:
            raise UsageError(f"{name} cannot be {shown(text)}", f"A number, from 1 to {most}.")
        return int(text)

    def truth(self, name: str) -> bool:
        """Return whether something is asked for."""
        text = self._values.get(name, "false")
        if text not in ("true", "false"):
            raise UsageError(f"{name} cannot be {shown(text)}", "true or false.")
        return text == "true"

    def choice(self, name: str, values: tuple[str, ...]) -> str | None:
        """Return one of ``values``, None if it is not given."""
        text = self._values.get(name)
        if text is not None and text not in values:
            raise UsageError(f"{name} cannot be {shown(text)}", f"One of {', '.join(values)}.")
        return text
