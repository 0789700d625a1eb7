"""Making a spool, and deciding whether one may be used.

A spool is refused when it is not there, when its format is newer, when it belongs to somebody else
or when others may write to it, unless it was made for a group on purpose (``spool init --group``).
"""

from __future__ import annotations

import json
import os
import stat

from spoolcalc import files, reading
from spoolcalc.document import FORMAT
from spoolcalc.errors import NewerFormat, NoSpool, NotYours, SpoolUnusable, UsageError, shown
from spoolcalc.layout import DIRECTORIES, NAMES, Layout

#: The largest format.json, in bytes, that is read.
_LARGEST = 4096
_LARGEST_GROUP = 2**32 - 2


def default_path() -> str:
    """Return the spool to use when none is named: ``SPOOL_URL``, ``SPOOL_DIR``, or the user's own.

    ``SPOOL_URL`` is a server's, for those commands that can ask one; UsageError if it is no URL.
    """
    url = os.environ.get("SPOOL_URL")
    if url:
        return checked_url(url)
    named = os.environ.get("SPOOL_DIR")
    if named:
        return named
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # the XDG specification: a relative one is to be ignored
        state = os.path.expanduser("~/.local/state")
    if state.startswith("~"):
        raise UsageError("there is no home directory", "Name a spool by --spool or SPOOL_DIR.")
    return f"{state}/spool"


def open_spool(path: str, *, create: bool = False) -> Layout:
    """Return the layout of the spool at ``path``; make it first if there is none and ``create``.

    Raises :class:`~spoolcalc.errors.SpoolUnusable` or one of its kinds.
    """
    layout = _layout(path)
    top = reading.status(layout.root)
    if top is not None and stat.S_ISLNK(top.st_mode):
        layout = Layout(os.path.realpath(layout.root))
        top = reading.status(layout.root)
    if top is None:
        if not create:
            raise NoSpool(
                f"there is no spool at {layout.root}",
                "`spool submit` and `spool work` make one; --spool or SPOOL_DIR name another.",
            )
        _make_top(layout)
        top = reading.status(layout.root)
    if top is None or not stat.S_ISDIR(top.st_mode):
        raise NoSpool(f"{layout.root} is not a directory")
    written = _read_format(layout)
    if written is None:
        if not create:
            raise NoSpool(f"{layout.root} is not a spool: it has no format.json")
        _check_owner(layout, top, shared=False)
        _fill(layout, {"format": FORMAT})
        written = {}
    shared = written.get("shared") is True
    _check_owner(layout, top, shared=shared)
    return Layout(layout.root, shared=shared)


def is_url(path: str) -> bool:
    """Tell whether a spool is named by the URL of a server."""
    return path[:8].lower().startswith(("http://", "https://", "unix:"))


def checked_url(url: str) -> str:
    """Return what is meant to be a server's URL; raise UsageError if it would be taken for a path.

    A spool would be made there.
    """
    if not is_url(url):
        raise UsageError(
            f"not the URL of a server: {shown(url)}",
            "Like http://localhost:8080, or unix:/run/spool.sock. --spool and SPOOL_DIR name a "
            "directory.",
        )
    return url


def check_directory(path: str) -> None:
    """Raise UsageError if a spool's path cannot be that of a directory: it is a server's URL."""
    if is_url(path):
        raise UsageError(
            f"{path} is the URL of a server, and this needs the directory",
            "submit, status, fetch, wait, cancel and retry can ask a server. "
            "--spool PATH names a directory all the same.",
        )
    if not path or "\0" in path:
        raise UsageError(f"not a path: {path!r}")


def _layout(path: str, *, shared: bool = False) -> Layout:
    check_directory(path)
    try:
        return Layout(path, shared=shared)
    except FileNotFoundError as error:
        raise NoSpool("the current directory is gone", "Change to one that is there.") from error


def make_shared(path: str, group: str) -> Layout:
    """Make a new spool that all members of ``group`` may use.

    Raises :class:`~spoolcalc.errors.UsageError` if there is no such group, or a spool already.
    """
    import grp

    try:
        number = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        number = _LARGEST_GROUP + 1
    if number > _LARGEST_GROUP:
        raise UsageError(f"no such group: {shown(group)}", "`getent group` lists them.")
    if os.geteuid() != 0 and number not in (os.getegid(), *os.getgroups()):
        raise NotYours(f"you are not in the group {shown(group)}", "`id` lists your groups.")
    layout = _layout(path, shared=True)
    if reading.status(layout.format) is not None:
        raise UsageError(f"there is a spool at {layout.root} already", "Choose another path.")
    top = reading.status(layout.root)
    if top is None:
        _make_top(layout)
    elif not stat.S_ISDIR(top.st_mode):
        raise NoSpool(f"{layout.root} is not a directory")
    _refuse_strangers(layout)
    files.give_to_group(layout.root, number, layout.directory_mode)
    _fill(layout, {"format": FORMAT, "shared": True})
    return layout


def upgrade(path: str) -> tuple[Layout, list[str]]:
    """Bring the spool at ``path`` up to what this version makes; return also what was missing.

    There has been one format so far, and earlier versions of it had fewer directories.  Others may
    be at work in the spool, for nothing that is there is changed, and killed half-way it may be
    done again.  Raises as :func:`open_spool` does, before anything is done to a newer spool.
    """
    layout = open_spool(path)
    directories = [
        name
        for name in DIRECTORIES
        if files.make_directory(f"{layout.root}/{name}", layout.directory_mode)
    ]
    bells = [name for name in ("bell", "done") if reading.status(f"{layout.root}/{name}") is None]
    for name in bells:
        files.ring(f"{layout.root}/{name}", layout.file_mode)
    files.sync_directory(layout.root)
    return layout, [*directories, *bells]


def _make_top(layout: Layout) -> None:
    parent = os.path.dirname(layout.root)
    missing = []
    while reading.status(parent) is None:
        missing.append(parent)
        parent = os.path.dirname(parent)
    for path in reversed(missing):
        files.make_directory(path, 0o700)
    files.make_directory(layout.root, layout.directory_mode)
    for path in (os.path.dirname(layout.root), *(os.path.dirname(path) for path in missing)):
        files.sync_directory(path)


def _fill(layout: Layout, written: dict[str, object]) -> None:
    """Make what a spool consists of.  Commit point: ``format.json``, which comes last.

    Killed before it: the next one goes on from there.  Two at once: both find the other's work.
    """
    _refuse_strangers(layout)
    for name in DIRECTORIES:
        files.make_directory(f"{layout.root}/{name}", layout.directory_mode)
    files.ring(layout.bell, layout.file_mode)
    files.ring(layout.done, layout.file_mode)
    temporary = layout.temporary("init", os.urandom(8).hex())
    data = (json.dumps(written) + "\n").encode("ascii")
    files.write_durably(temporary, data, layout.file_mode)
    files.move(temporary, layout.format)
    files.sync_directory(layout.root)


def _refuse_strangers(layout: Layout) -> None:
    """Raise SpoolUnusable if a directory holds what no spool holds: it is something else."""
    strange = sorted(set(reading.names(layout.root) or ()) - NAMES)
    if strange:
        raise SpoolUnusable(
            f"{layout.root} is not a spool, and not empty: it holds {shown(strange[0])}",
            "Choose an empty directory, or one that does not exist yet.",
        )


def _read_format(layout: Layout) -> dict[str, object] | None:
    try:
        read = reading.read(layout.format, _LARGEST)
        if read is None:
            return None
        written = json.loads(read[0])
    except (ValueError, RecursionError, reading.Unreadable) as error:
        raise SpoolUnusable(f"{layout.format} cannot be read: {error}") from error
    version = written.get("format") if isinstance(written, dict) else None
    if type(version) is not int or version < 1:
        raise SpoolUnusable(f"{layout.format} names no format")
    if version > FORMAT:
        raise NewerFormat(
            f"{layout.root} has format {version}, and this version knows formats up to {FORMAT}",
            "Install a newer spoolcalc. Nothing was touched.",
        )
    return dict(written)


def _check_owner(layout: Layout, top: os.stat_result, *, shared: bool) -> None:
    if shared:
        if top.st_mode & stat.S_IWOTH:
            raise NotYours(f"everybody may write to {layout.root}", f"Run: chmod o-w {layout.root}")
        return
    if top.st_uid != os.geteuid():
        raise NotYours(
            f"{layout.root} belongs to user {top.st_uid}, and you are {os.geteuid()}",
            "Work as its owner, or make a shared one: spool --spool PATH init --group NAME",
        )
    if top.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise NotYours(
            f"others may write to {layout.root} (mode {stat.S_IMODE(top.st_mode):04o})",
            f"Run: chmod go-w {layout.root}",
        )
