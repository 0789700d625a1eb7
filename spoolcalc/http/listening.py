"""Where the server listens, and who may therefore ask.

An address that only this machine reaches, or a Unix socket, whose mode says who may connect, needs
no token; any other does.  Sockets may also come from the service manager, open already
(``LISTEN_FDS``); they are held to the same rules.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from spoolcalc import files, reading
from spoolcalc.errors import NotYours, SpoolUnusable, StorageFailure, UsageError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where it listens if nobody says otherwise.
DEFAULT = "127.0.0.1:8080"
#: The first descriptor that the service manager hands over.
_FIRST = 3
_BACKLOG = 1024
#: The largest token file, in bytes, and the shortest token, in characters.
_LARGEST, SHORTEST_TOKEN = 4096, 16


def inherited() -> list[socket.socket]:
    """Return the sockets that the service manager has handed over; none is the usual case."""
    process, number = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not number.isdecimal():
        return []
    sockets = []
    for descriptor in range(_FIRST, _FIRST + int(number)):
        try:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - its signature
            given = socket.socket(fileno=descriptor)
        except OSError as error:
            raise UsageError(f"LISTEN_FDS: descriptor {descriptor} is no socket") from error
        if given.type != socket.SOCK_STREAM:
            raise UsageError(f"LISTEN_FDS: descriptor {descriptor} is no stream socket")
        given.setblocking(False)  # noqa: FBT003 - its signature
        sockets.append(given)
    return sockets


def open_address(address: str, *, guarded: bool) -> socket.socket:
    """Return a socket that listens at ``HOST:PORT``; where others reach it, only if ``guarded``."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"not an address: {shown(address)}", f"Write it like {DEFAULT}.")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"no such address: {shown(host)}: {error}") from error
    if not guarded and not ipaddress.ip_address(place[0]).is_loopback:
        raise unguarded(f"http://{address}")
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(place)
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        hint = ""
        if error.errno == errno.EADDRINUSE:
            hint = "Another server has it (ss -ltnp); --listen names another one."
        raise SpoolUnusable(
            f"cannot listen at {address}: {os.strerror(error.errno or 0)}", hint
        ) from error
    return opened


def open_unix(path: str) -> socket.socket:
    """Return a socket that listens at a path, which only its owner may connect to."""
    if not path or "\0" in path:
        raise UsageError(f"not a path: {shown(path)}", "--socket takes where the socket is to be.")
    there = reading.status(path)
    if there is not None:
        if not stat.S_ISSOCK(there.st_mode):
            raise UsageError(f"{path} is there, and no socket", "Name another path.")
        if _answers(path):
            raise SpoolUnusable(f"another server listens at {path}", "Name another path.")
        files.remove(path)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        opened.bind(path)
        opened.listen(_BACKLOG)
    except (OSError, ValueError) as error:
        opened.close()
        if isinstance(error, OSError) and error.errno:
            raise StorageFailure("listen at", path, error) from error
        raise UsageError(f"cannot listen at {shown(path)}: {error}") from error
    finally:
        os.umask(mask)
    return opened


def is_open_to_others(listener: socket.socket) -> bool:
    """Tell whether others may reach a socket than this machine's users, or those of its mode."""
    if listener.family == socket.AF_UNIX:
        return not _path_of(listener)  # a name that is no file has no mode
    return not ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _path_of(listener: socket.socket) -> str:
    """Return the path of a Unix socket, empty if it has none but, at most, an abstract name."""
    place = listener.getsockname()
    return "" if isinstance(place, bytes) or place.startswith("\0") else str(place)


def unguarded(name: str) -> UsageError:
    """Return the error of a place that others can reach, without a token."""
    return UsageError(
        f"others can reach {name}, and there is no token",
        "Name a file with one by --token-file, or listen at a Unix socket.",
    )


def name_of(listener: socket.socket) -> str:
    """Return what people call the place where a socket listens."""
    place = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{_path_of(listener) or ascii(place)}"
    host = f"[{place[0]}]" if ":" in place[0] else place[0]
    return f"http://{host}:{place[1]}"


def hosts(listeners: Sequence[socket.socket], allowed: Sequence[str]) -> set[str]:
    """Return the names by which the server may be called; addresses are names anyway."""
    names = {"localhost", *allowed}
    if any(map(is_open_to_others, listeners)):
        names |= {socket.gethostname(), socket.getfqdn()}
    return names


def read_token(path: str) -> bytes:
    """Return the token in a file, which only its owner may read.

    A file of somebody else's, like root's, may be there for a group to read, and for no others.
    """
    try:
        found = reading.read(os.path.realpath(path), _LARGEST)
    except reading.Unreadable as error:
        raise UsageError(f"{path} holds no token: {error}") from error
    if found is None:
        raise UsageError(f"there is no file {path}", "It has the token, in one line.")
    data, status = found
    if status.st_uid == os.geteuid():
        strangers, remedy = 0o077, "go="
    else:
        strangers, remedy = 0o027, "g-w,o="
    if status.st_mode & strangers:
        raise NotYours(f"others may read {path}, or write it", f"Run: chmod {remedy} {path}")
    token = data.strip()
    if len(token) < SHORTEST_TOKEN or not token.isascii() or b" " in token or b"\n" in token:
        raise UsageError(
            f"{path} holds no token",
            f"One line of {SHORTEST_TOKEN} or more characters of ASCII, without spaces, "
            "like that of: openssl rand -hex 32",
        )
    return token


class Place:
    """The path where a socket of ours was made.  ``leave`` removes it, once.

    It is to be left while the socket still listens: one that nobody answers is replaced by the next
    server, whose own would be removed then.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._made = _identity(path)

    def leave(self) -> None:
        """Remove the socket, unless another one is there."""
        made, self._made = self._made, None
        if made is not None and _identity(self._path) == made:
            with suppress(StorageFailure):  # the next server there removes it
                files.remove(self._path)


def _identity(path: str) -> tuple[int, int] | None:
    there = reading.status(path)
    return None if there is None else (there.st_dev, there.st_ino)


def _answers(path: str) -> bool:
    """Tell whether somebody listens at a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
