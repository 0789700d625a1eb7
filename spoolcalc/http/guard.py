"""Who may ask, and how much: every request passes here before anything else looks at it.

- ``Host`` must be a name of this server, so that a foreign name that was made to point here
  (DNS rebinding) is refused; ``Origin`` and ``Sec-Fetch-Site`` must be this server's, so that no
  other site's page can submit or fetch.
- Where a token is asked for, all but the page itself and the health checks need it.
- The path must mean one thing: no encoded slash, no NUL, no ``.`` and ``..``.
- Bodies are JSON, and bounded in size and in time.

What is refused is answered by a problem document, and leaves nothing in the spool.  What is cut off
at the end of the server is not refused if it may have been done: that is another answer, 504.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from spoolcalc.http import limits
from spoolcalc.http.problems import Refused, refusal

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: What every answer has.
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]
_NO_CONTENT = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NO_STORE = (b"cache-control", b"no-store")
#: What needs no token: what is no secret, and what those ask who watch over servers.
_OPEN = frozenset(["/", "/docs", "/openapi.json", "/healthz", "/readyz"])
_ASSETS = "/static/"
#: Where a link on another site may lead: pages, that show nothing by themselves.
_PAGES = frozenset(["/", "/docs"])


class Policy:
    """``hosts`` are the names of this server; ``token`` is what clients must know, None: nothing.

    An address in figures is always a name of this server: it cannot be made to point elsewhere.
    """

    __slots__ = ("_digest", "_hosts")

    def __init__(self, hosts: Collection[str], token: bytes | None = None) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._digest = None if token is None else sha256(token).digest()

    def knows_host(self, host: str) -> bool:
        """Tell whether ``host``, which may have a port, is this server."""
        name, colon, port = host.rpartition(":")
        if not colon or host.endswith("]"):
            name = host
        elif not port.isascii() or not port.isdecimal():
            return False
        name = name.removeprefix("[").removesuffix("]").lower()
        return name in self._hosts or _is_address(name)

    def admits(self, authorization: bytes | None) -> bool:
        """Tell whether the header has the token, in a time that tells nothing of it."""
        if self._digest is None:
            return True
        scheme, _, given = (authorization or b"").partition(b" ")
        same = hmac.compare_digest(sha256(given.strip()).digest(), self._digest)
        return scheme.lower() == b"bearer" and same


class Guard:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app = app
        self._policy = policy
        self._held = _Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        bounded = _Body(receive, self._held)
        try:
            headers = _headers(scope)
            self._check(scope, headers)
            length = _length(headers)
            if length > limits.LARGEST_BODY:
                await bounded.swallow(length)
        except Refused as refused:
            await refusal(refused)(scope, receive, answer)
        else:
            has_body = length > 0 or b"transfer-encoding" in headers
            try:
                await self._app(scope, bounded if has_body else receive, answer)
            except asyncio.CancelledError:  # the time that it had to end is over
                if answer.begun:
                    raise
                begun = scope["method"] not in ("GET", "HEAD") and (bounded.whole or not has_body)
                await refusal(_cut_off(begun=begun))(scope, receive, answer)
        finally:
            bounded.let_go()

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        _check_path(scope)
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._policy.knows_host(host):
            raise Refused(421, f"this server is not {host[:80]!r}", "--allow-host adds a name.")
        _check_origin(scope, headers, host)
        path: str = scope["path"]
        if (
            path not in _OPEN
            and not path.startswith(_ASSETS)
            and not self._policy.admits(headers.get(b"authorization"))
        ):
            raise Refused(
                401,
                "a token is needed, and this is not it"
                if b"authorization" in headers
                else "a token is needed",
                "Send it as: Authorization: Bearer TOKEN",
                {"www-authenticate": 'Bearer realm="spool"'},
            )
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if scope["method"] not in ("GET", "HEAD") and kind not in (b"", b"application/json"):
            raise Refused(415, "a body must be application/json")


class _Held:
    """``size`` is how many bytes of bodies are held for requests that have not been answered."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class _Body:
    """A request's body as it comes: no larger and no slower than it may be.

    ``whole``: all of it has come.
    """

    __slots__ = ("_all", "_held", "_receive", "_size", "_until", "whole")

    def __init__(self, receive: Receive, bodies: _Held) -> None:
        self._receive = receive
        self._all = bodies
        self._held = 0
        self._size = 0
        self._until: float | None = None
        self.whole = False

    async def __call__(self) -> Message:
        message = await self._next()
        if self._size > limits.LARGEST_BODY:
            while message.get("more_body") and self._size < limits.PATIENCE_BYTES:
                message = await self._next()
            raise _too_large()
        self._hold(len(message.get("body", b"")))
        if self._all.size > limits.LARGEST_BODIES and self._size > limits.SMALL_BODY:
            self.let_go()
            while message.get("more_body") and self._size < limits.PATIENCE_BYTES:
                message = await self._next()
            raise Refused(
                503,
                f"all bodies together have more than {limits.LARGEST_BODIES} bytes",
                headers={"connection": "close"},
            )
        return message

    def let_go(self) -> None:
        """Hold nothing of it any more."""
        self._hold(-self._held)

    def _hold(self, size: int) -> None:
        self._held += size
        self._all.size += size

    async def swallow(self, length: int) -> None:
        """Read a body that is too large, as far as that is bearable, and refuse it."""
        while length < limits.PATIENCE_BYTES:
            message = await self._next()
            if not message.get("more_body"):
                break
        raise _too_large()

    async def _next(self) -> Message:
        """Return the next message; none is waited for once the body has come."""
        if not self.whole and self._until is None:
            self._until = asyncio.get_running_loop().time() + limits.BODY_TIME
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise Refused(
                408,
                f"the body did not come within {limits.BODY_TIME:g} s",
                headers={"connection": "close"},
            ) from None
        self._size += len(message.get("body", b""))
        if message["type"] == "http.request" and not message.get("more_body"):
            self.whole, self._until = True, None  # what follows is the client's leaving
        return message


def _cut_off(*, begun: bool) -> Refused:
    """Return the answer to a request for which the end of the server leaves no time.

    Of one that is ``begun``, a thread may be at it, which ends after the answer.
    """
    if begun:
        return Refused(
            504,
            "the server ended in the middle of it: it may have been done all the same",
            "A submit that is sent again with the same Idempotency-Key makes no second job.",
        )
    return Refused(503, "the server ends", "Ask again: another may be there.")


def _too_large() -> Refused:
    return Refused(
        413,
        f"the body has more than {limits.LARGEST_BODY} bytes",
        "Split the work into several requests.",
        {"connection": "close"},
    )


class _Answer:
    """A ``send`` that adds what every answer has.  ``begun``: some of it has been sent."""

    __slots__ = ("_send", "begun")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = message.setdefault("headers", [])
            names = {name for name, _ in headers}
            headers.extend(_ALWAYS)
            headers.extend(h for h in (_NO_CONTENT, _NO_STORE) if h[0] not in names)
        await self._send(message)


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by name; those that decide here may not come twice."""
    size = 0
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        size += len(name) + len(value) + 4  # the colon, the space, the end of the line
        if name in found and name in (b"host", b"authorization", b"content-length", b"origin"):
            raise Refused(400, f"the header {name.decode('latin-1')} comes twice")
        found[name] = value
    if size > limits.LARGEST_HEAD:
        raise Refused(
            431,
            f"the headers have more than {limits.LARGEST_HEAD} bytes",
            headers={"connection": "close"},
        )
    return found


def _length(headers: dict[bytes, bytes]) -> int:
    text = headers.get(b"content-length", b"0")
    return int(text) if text.isdigit() and len(text) < 20 else 0


def _check_path(scope: Scope) -> None:
    raw: bytes = scope["raw_path"]
    if len(raw) + len(scope["query_string"]) > limits.LONGEST_URL:
        raise Refused(
            414,
            f"the path has more than {limits.LONGEST_URL} bytes",
            "POST /api/v1/jobs takes operands in its body.",
        )
    if b"%" not in raw and b"/." not in raw:
        return
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "the path is not UTF-8") from None
    if b"%2f" in raw.lower() or "\0" in text:
        raise Refused(
            400,
            "the path has an encoded slash or NUL in it",
            "POST /api/v1/jobs takes any operand in its body.",
        )
    if not {".", ".."}.isdisjoint(text.split("/")):
        raise Refused(400, "the path has . or .. in it")


def _check_origin(scope: Scope, headers: dict[bytes, bytes], host: str) -> None:
    origin = headers.get(b"origin")
    if origin is not None:
        _, _, name = origin.decode("latin-1").partition("://")
        if name.lower() != host.lower():
            raise Refused(403, "a page of another site may not ask this server")
    if headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
        followed = headers.get(b"sec-fetch-mode") == b"navigate" and scope["method"] == "GET"
        if not followed or scope["path"] not in _PAGES:
            raise Refused(403, "a page of another site may not ask this server")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
