"""One connection to a server: requests, answers, and another try when there is none.

Every request may be sent twice: those that submit have a key.  So when the connection breaks, or
the server is busy or about to end, the request is sent again, for ``PATIENCE`` seconds.
What the server says is wrong is raised as the error that the command would have met itself.

    SPOOL_TOKEN_FILE    a file with the token that the server asks for
"""

from __future__ import annotations

import json
import os
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from spoolcalc import reading
from spoolcalc.errors import SpoolUnusable, UsageError, shown
from spoolcalc.remote.shapes import error_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.client import HTTPResponse
    from typing import Any, TypeVar

    T = TypeVar("T")

#: For how long (seconds) a request is tried again, and how long it waits between two tries.
PATIENCE, PAUSE, LONGEST_PAUSE = 5.0, 0.1, 1.0
#: Seconds that a server may be silent, beside those it was asked to wait.
SILENCE = 30.0
#: Bytes that are read at once.
_CHUNK = 1 << 16
_LARGEST_TOKEN = 4096


class _Busy(Exception):
    """The server takes nothing now; another try may succeed."""


class Connection:
    """A connection that is opened when it is needed, and kept.

    ``unanswered`` tells whether the last request may have been obeyed, for all the answers tell;
    ``resent`` whether it may have been obeyed already when it was sent again, and answered.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise self._no_url() from None
        self._unix = parts.path if parts.scheme == "unix" else None
        if self._unix is None and (host is None or parts.query or parts.fragment):
            raise self._no_url()
        self._secure = parts.scheme == "https"
        self._host, self._port = host or "localhost", port
        self._prefix = "" if self._unix is not None else parts.path
        self.unanswered = self.resent = False
        self._open: HTTPConnection | None = None
        self._headers = {"Accept": "*/*", "User-Agent": "spool"}
        token = _token()
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def ask(
        self,
        method: str,
        path: str,
        content: object = None,
        *,
        wait: float = 0.0,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a request and return the JSON of its answer; raise what the server says is wrong."""
        response, body = self._try(method, path, content, wait, headers)
        try:
            told = json.loads(body)
        except ValueError:
            raise self._strange(response) from None
        if response.status >= 400 or "problem" in (response.getheader("content-type") or ""):
            raise error_of(told, response.status)
        return told

    def stream(self, path: str) -> Iterator[bytes]:
        """Yield what is at a path, in chunks; raise NoSuchJob before the first if it is not there.

        When the connection breaks in the middle, the rest is not asked for again.
        """
        response, body = self._try("GET", path, None, 0.0, None, whole=False)
        if response.status >= 400:
            try:
                raise error_of(json.loads(body), response.status)
            except ValueError:
                raise self._strange(response) from None
        try:
            while data := response.read(_CHUNK):
                yield data
        except (OSError, HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _try(
        self,
        method: str,
        path: str,
        content: object,
        wait: float,
        headers: dict[str, str] | None,
        *,
        whole: bool = True,
    ) -> tuple[HTTPResponse, bytes]:
        until = time.monotonic() + PATIENCE
        pause = PAUSE
        self.unanswered = self.resent = False
        while True:
            try:
                return self._once(method, path, content, wait, headers, whole=whole)
            except (OSError, HTTPException, _Busy) as error:
                self.close()
                self.resent = self.unanswered
                if time.monotonic() + pause > until:
                    raise self._unreachable(error) from error
            except UnicodeError:  # a host that can have no address
                raise self._no_url() from None
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _once(
        self,
        method: str,
        path: str,
        content: object,
        wait: float,
        headers: dict[str, str] | None,
        *,
        whole: bool,
    ) -> tuple[HTTPResponse, bytes]:
        connection = self._open = self._open or self._connected()
        connection.timeout = SILENCE + wait
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(connection.timeout)
        body = None if content is None else json.dumps(content).encode("ascii")
        sent = {**self._headers, **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        before, self.unanswered = self.unanswered, True
        connection.request(method, self._prefix + path, body, sent)
        response = connection.getresponse()
        if response.status == 200 and not whole:
            return response, b""
        body = response.read()
        if response.status == 503 and _is_busy(body):
            if b'"busy"' in body:  # it was refused by the server itself
                self.unanswered = before
            raise _Busy(_detail(body, "Service Unavailable"))
        # A proxy, whose server is away; or the server, which ended in the middle of it.
        if response.status in (502, 504):
            raise _Busy(_detail(body, f"{response.status} {response.reason}"))
        self.unanswered = False
        return response, body

    def _connected(self) -> HTTPConnection:
        if self._unix is not None:
            return _UnixConnection(self._unix)
        kind = HTTPSConnection if self._secure else HTTPConnection
        return kind(self._host, self._port)

    def understood(self, read: Callable[[Any], T], told: Any) -> T:
        """Return what ``read`` makes of an answer; raise SpoolUnusable if that is another's."""
        try:
            return read(told)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise SpoolUnusable(
                f"{self.url} is no spool's server, or of another version: its answer is strange",
                "SPOOL_URL and --url name the server.",
            ) from error

    def _no_url(self) -> UsageError:
        return UsageError(
            f"not the URL of a server: {shown(self.url)}",
            "Like http://localhost:8080, or unix:/run/spool.sock.",
        )

    def _unreachable(self, error: Exception) -> SpoolUnusable:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return SpoolUnusable(
            f"cannot reach {self.url}: {reason}",
            "Is `spool serve` running there? SPOOL_URL and --url name the server.",
        )

    def _strange(self, response: HTTPResponse) -> SpoolUnusable:
        return SpoolUnusable(
            f"{self.url} is no spool's server: it answers {response.status} {response.reason}",
            "SPOOL_URL and --url name the server.",
        )


class _UnixConnection(HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Connect to it."""
        import socket

        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _is_busy(body: bytes) -> bool:
    """Tell whether an answer is the server's own, or a proxy's, and not about the spool."""
    try:
        told = json.loads(body)
    except ValueError:
        return True
    return not isinstance(told, dict) or told.get("busy") is True


def _detail(body: bytes, otherwise: str) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, LookupError, TypeError):
        return otherwise


def _token() -> str | None:
    path = os.environ.get("SPOOL_TOKEN_FILE")
    if not path:
        return None
    try:
        found = reading.read(os.path.realpath(path), _LARGEST_TOKEN)
        if found is None:
            raise UsageError(f"there is no file {path}", "SPOOL_TOKEN_FILE names it.")
        token = found[0].decode("ascii").strip()
        if token.isprintable() and len(token.split()) == 1:
            return token
        reason: Exception | None = None
    except (reading.Unreadable, UnicodeDecodeError) as error:
        reason = error
    raise UsageError(
        f"{path} holds no token", "SPOOL_TOKEN_FILE names it: one line, the server's token."
    ) from reason
