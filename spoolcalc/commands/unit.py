"""``unit``: print the units for systemd, or write them where systemd finds them."""

from __future__ import annotations

import errno
import os
import sys

from spoolcalc import access, files, output, reading, systemd
from spoolcalc.errors import OK, StorageFailure, UsageError, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: The largest unit, in bytes, that is taken for one of ours.
_LARGEST = 65_536
_SYSTEM = "/etc/systemd/system"


def unit(
    name: str | None = None,
    *,
    spool: str | None = None,
    install: bool = False,
    own: bool = False,
    user: str | None = None,
    directory: str | None = None,
) -> int:
    """Print all units, or the one of that ``name``; with ``install`` write them.

    ``own`` means the caller's own service manager in place of the system's, whose units run as
    ``user``; ``directory`` is where to write.
    """
    if own and user is not None:
        raise UsageError("--user-name is for the system's units, which --user does not make")
    if spool is None:
        spool = access.default_path() if own else systemd.SYSTEM_SPOOL
    access.check_directory(spool)
    spool = os.path.abspath(spool)
    runs_as = None if own else user or systemd.SYSTEM_USER
    exists = reading.status(spool) is not None
    made = dict(systemd.units(program=_program(), spool=spool, user=runs_as, exists=exists))
    if name is not None:
        if name not in made:
            raise UsageError(f"no such unit: {shown(name)}", f"There are {', '.join(made)}.")
        made = {name: made[name]}
    place = os.path.abspath(directory or (_own_directory() if own else _SYSTEM))
    if not install:
        output.answer("\n".join(f"# {place}/{each}\n{made[each]}" for each in made))
        return OK
    _write(place, made)
    output.answer("".join(f"{place}/{each}\n" for each in made))
    output.tell("\n".join(_next(spool, runs_as, exists=exists)))
    return OK


def _program() -> tuple[str, ...]:
    """Return how this very command is to be called."""
    called = os.path.abspath(sys.argv[0])
    if os.path.basename(called).startswith("spool") and os.access(called, os.X_OK):
        return (called,)
    return (sys.executable, "-c", "from spoolcalc.entry import main; main()")


def _own_directory() -> str:
    configuration = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(configuration):
        configuration = os.path.expanduser("~/.config")
    return f"{configuration}/systemd/user"


def _write(directory: str, made: Mapping[str, str]) -> None:
    """Write the units, each whole or not at all; what is not ours is not written over."""
    for name in made:
        path = f"{directory}/{name}"
        if not _is_ours(path):
            raise UsageError(
                f"{path} is there, and not made by this command", "Move it away, or change that."
            )
    try:
        _make(directory)
        for name, text in made.items():
            staged = f"{directory}/.{name}.{os.getpid()}"
            files.write_durably(staged, text.encode(), 0o644)
            files.move(staged, f"{directory}/{name}")
        files.sync_directory(directory)
    except StorageFailure as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            error.hint = "The system's units are root's to write; your own go with --user."
        raise


def _is_ours(path: str) -> bool:
    """Tell whether a file may be written over: made by this command, or not there."""
    try:
        read = reading.read(path, _LARGEST)
    except reading.Unreadable:  # masked: a link to /dev/null
        return False
    return read is None or read[0].startswith(systemd.MARK.encode())


def _make(directory: str) -> None:
    missing = []
    while reading.status(directory) is None:
        missing.append(directory)
        directory = os.path.dirname(directory)
    for path in reversed(missing):
        files.make_directory(path, 0o755)


def _next(spool: str, user: str | None, *, exists: bool) -> list[str]:
    """Return what is left to do, for people."""
    control = "systemctl" if user is not None else "systemctl --user"
    steps = []
    if user is not None and not _is_there(user):
        steps.append(
            f"useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {user}"
        )
    if user is not None and not exists and systemd.state_directory(spool) is None:
        import shlex

        steps.append(f"install -d -m 700 -o {user} {shlex.quote(spool)}")
    steps.append(f"{control} daemon-reload")
    if user is not None and not exists:
        steps.append(f"{control} start spool-drain.service  # makes the spool")
    lines = ["Next:", *steps, "Workers that are always there, one for each core:"]
    lines.append(f"{control} enable --now spool-work@1 spool-work@2")
    lines.append("or one that is there while there are jobs:")
    lines.append(f"{control} enable --now spool-drain.path spool-drain.timer")
    lines.append("and every day:")
    lines.append(f"{control} enable --now spool-clean.timer")
    lines.append("and, with spoolcalc[http] installed, the queue over HTTP:")
    lines.append(f"{control} enable --now spool-serve.socket")
    if user is None:
        lines += ["For all that to go on when you are not logged in:", "loginctl enable-linger"]
    return [line if line.endswith(":") else f"  {line}" for line in lines]


def _is_there(user: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
