"""uvicorn's protocol with limits that it leaves to others: heads that are large or do not come.

What is refused here never gets to the application.  It is answered by a problem document, too, and
the connection is closed.  A client that reads nothing of its answer is cut off, however slowly one
may read that does.
"""

from __future__ import annotations

import fcntl
import json
import sys
import termios
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from spoolcalc.errors import UNUSABLE, USAGE
from spoolcalc.http.limits import (
    BODY_TIME,
    HEAD_TIME,
    LARGEST_HEAD,
    MOST_CLIENTS,
    READ_TIME,
    RETRY_AFTER,
)
from spoolcalc.http.problems import MEDIA_TYPE, document

if TYPE_CHECKING:
    import asyncio

#: How long (seconds) what a refused client goes on to send is thrown away.
LINGER = 2.0


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None  # runs while something waits to be read
        self._head = True  # a request is not whole up to the end of its headers
        self._size = 0
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Give the first request its time."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # who sends is told when all has left
        if len(self.connections) > MOST_CLIENTS:
            self.refuse(503, f"{MOST_CLIENTS} clients are connected, which is the most")
            return
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._calm()
        self._has_read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is a head without end."""
        if self._refused or self.transport.is_closing():
            return
        self._size = self._size + len(data) if self._head else 0
        super().data_received(data)
        self._expect_rest()
        if self._head and self._size > LARGEST_HEAD and not self._refused:
            self.refuse(431, f"the headers have more than {LARGEST_HEAD} bytes")

    def pause_writing(self) -> None:
        """Give the client its time to read."""
        super().pause_writing()
        self._has_read()
        self._unread = self.loop.call_later(READ_TIME, self._cut_off, self._left())

    def resume_writing(self) -> None:
        """Go on, now that all has left."""
        self._has_read()
        super().resume_writing()

    def on_message_begin(self) -> None:
        """Give a request its time."""
        super().on_message_begin()
        self._head = True
        self._expect()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what comes behind the body is of no use, and kept by nobody."""
        if self._head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request."""
        self._calm()
        self._head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the next request's head."""
        super().on_message_complete()
        self._calm()
        self._head = True
        self._size = 0

    def on_response_complete(self) -> None:
        """Give the rest of a request its time that was answered before it had come."""
        super().on_response_complete()
        if not self._head:
            self._expect_rest()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self.refuse(400, msg.rstrip("."))

    def refuse(self, status: int, message: str) -> None:
        """Answer, and close the connection."""
        self._calm()
        code = UNUSABLE if status == 503 else USAGE
        more = {"busy": True} if status == 503 else {}
        body = json.dumps(document(status, message, "", code, **more)).encode() + b"\n"
        head = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"content-type: {MEDIA_TYPE}",
            f"content-length: {len(body)}",
            "connection: close",
            *([f"retry-after: {RETRY_AFTER}"] if status == 503 else []),
        ]
        self._refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # it came behind a request that is being answered
            return
        self.transport.write("\r\n".join(head).encode("ascii") + b"\r\n\r\n" + body)
        # A client that is still sending would get a reset in place of the answer.
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER, self.transport.close)

    def _expect(self) -> None:
        self._calm()
        self._timer = self.loop.call_later(HEAD_TIME, self._too_late)

    def _expect_rest(self) -> None:
        """See to it that a timer runs when something has come, and nobody is at work on it."""
        at_work = self.cycle is not None and not self.cycle.response_complete
        if at_work or self._timer is not None or self._refused or self.transport.is_closing():
            return
        seconds = HEAD_TIME if self._head else BODY_TIME
        self._timer = self.loop.call_later(seconds, self._too_late)

    def _calm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        if self._refused or self.transport.is_closing():
            return
        if not self._head or (self.cycle is not None and self._size == 0):
            self.transport.close()  # it has had its answer, and has begun nothing else
        else:
            self.refuse(408, f"the headers did not come within {HEAD_TIME:g} s")

    def _has_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _cut_off(self, before: int) -> None:
        """Cut off a client that has read nothing since there were ``before`` bytes to be read."""
        left = self._left()
        if left < before:
            self._unread = self.loop.call_later(READ_TIME, self._cut_off, left)
        else:
            self.transport.abort()

    def _left(self) -> int:
        """Return how many bytes have not arrived at the client: ours, and the system's.

        The system takes more only when a good part of what it has is gone, which may be megabytes.
        """
        left: int = self.transport.get_write_buffer_size()
        with suppress(OSError):  # a system that does not tell
            connection = self.transport.get_extra_info("socket")
            told = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
            left += int.from_bytes(told, sys.byteorder)
        return left
