"""The units for systemd: workers, a worker that is started by jobs, cleaning, and the server.

:func:`units` computes their texts and touches nothing; a setting's reason stands beside it in the
unit, and so does the reason for each thing that is left open to jobs.  There are two kinds:

- for the system, as a user of their own who can write nowhere but to the spool;
- for a user's own service manager, where jobs may do what that user may.  (Most of the sandbox
  needs rights that a user's service manager does not have.)

Who edits what was written loses it at the next ``spool unit --install``; drop-ins
(``systemctl edit``) are there for that, and the first line of each unit says so.
"""

from __future__ import annotations

import re

from spoolcalc.errors import UsageError, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = (
    "spool-work@.service",
    "spool-drain.path",
    "spool-drain.service",
    "spool-drain.timer",
    "spool-clean.service",
    "spool-clean.timer",
    "spool-serve.socket",
    "spool-serve.service",
)
#: How a unit of ours begins.
MARK = "# Made by `spool unit`"
#: The spool of the system's units, and who runs them, if nobody says otherwise.  The service
#: manager makes the directory around the spool, so that the spool has the mode it was made with.
SYSTEM_SPOOL = "/var/lib/spoolcalc/spool"
SYSTEM_USER = "spool"

_STATE = re.compile(r"/var/lib/((?!\.)[A-Za-z0-9_.-]+(?:/(?!\.)[A-Za-z0-9_.-]+)*)/[^/]+", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,30}", re.ASCII)

_HEAD = """\
{mark}; the next one writes over it. To change it: {edit} {name}
"""

_WORK = """\
# Workers, any number of them: {control} enable --now spool-work@1 spool-work@2
[Unit]
Description=Spool worker %i on {description}
RequiresMountsFor={mounts}
# It never gives up: what the disk refuses today it may take tomorrow.
StartLimitIntervalSec=0

[Service]
ExecStart={program} work --drain-time 10m
Restart=always
RestartSec=1s
# A request that is wrong does not get right by being made again.
RestartPreventExitStatus=2
{worker}{service}
[Install]
WantedBy={target}
"""

_DRAIN_PATH = """\
# Starts a worker when there is a job: {control} enable --now spool-drain.path spool-drain.timer
[Unit]
Description=Jobs in {description}

[Path]
# Looked at again whenever the worker has ended, so that no job comes too late for one worker and
# too early for the next. pending/ is empty exactly when nothing can be run, inbox/ when nothing is
# to be made a job.
DirectoryNotEmpty={pending}
DirectoryNotEmpty={inbox}
# The worker stays until that is so, and starts again slowly if it fails: this cannot spin.
TriggerLimitIntervalSec=0

[Install]
WantedBy={path_target}
"""

_DRAIN = """\
# The worker that spool-drain.path and spool-drain.timer start, and that ends when it is done.
[Unit]
Description=Spool worker on {description}, until it is drained
RequiresMountsFor={mounts}
# As many jobs as come, one after the other, are no reason to stop.
StartLimitIntervalSec=0

[Service]
ExecStart={program} work --until-empty --drain-time 10m
# A failed worker waits here. The path unit would start it again at once, and again.
Restart=on-failure
RestartSec=10s
{worker}{service}"""

_DRAIN_TIMER = """\
# Jobs whose time has come, and those of a worker that was killed, are not in pending/, where the
# path unit would see them. The worker that this starts stays if a job is due within the minute.
[Unit]
Description=Delayed jobs in {description}

[Timer]
OnCalendar=minutely
AccuracySec=1s

[Install]
WantedBy=timers.target
"""

_CLEAN = """\
# Removes what was fetched so long ago as keep_retrieved in the spool's spool.toml says, a week if
# it says nothing; and what keep_completed and keep_failed say.
[Unit]
Description=Clean the spool {description}
RequiresMountsFor={mounts}
# Before the first job there is nothing to clean.
ConditionPathExists={format}

[Service]
Type=oneshot
ExecStart={program} clean --grace-unless-set 7d
Nice=10
IOSchedulingClass=idle
{service}"""

_CLEAN_TIMER = """\
# {control} enable --now spool-clean.timer
[Unit]
Description=Clean the spool {description} every day

[Timer]
OnCalendar=daily
RandomizedDelaySec=1h
# Not left out because the machine was off.
Persistent=true

[Install]
WantedBy=timers.target
"""

_SERVE_SOCKET = """\
# The queue over HTTP, for this machine: {control} enable --now spool-serve.socket
# systemd listens, and starts the server for the first who asks. Another address, or a Unix socket,
# goes into a drop-in, after an empty ListenStream=; an address that others can reach needs a token:
# a drop-in for spool-serve.service, with --token-file behind what ExecStart= has.
[Unit]
Description=HTTP for the spool {description}

[Socket]
ListenStream=127.0.0.1:8080

[Install]
WantedBy=sockets.target
"""

_SERVE = """\
# The server. It gets its socket from spool-serve.socket; who asks while it is started again waits.
[Unit]
Description=HTTP server of the spool {description}
Requires=spool-serve.socket
After=spool-serve.socket
RequiresMountsFor={mounts}

[Service]
ExecStart={program} serve
Type=notify
Restart=on-failure
RestartSec=1s
# A request that is wrong, or an extra that is not installed, does not get right by itself.
RestartPreventExitStatus=2
# Requests in flight have ten seconds to end.
TimeoutStopSec=20s
WatchdogSec=60s
{service}"""

_TEXTS = dict(
    zip(
        NAMES,
        (
            *(_WORK, _DRAIN_PATH, _DRAIN, _DRAIN_TIMER, _CLEAN, _CLEAN_TIMER),
            *(_SERVE_SOCKET, _SERVE),
        ),
        strict=True,
    )
)

#: What workers have in common.
_WORKER = """\
# It says when it has registered, what it is at, and that it gets on.
Type=notify
# Jobs that had to be broken off at a stop were given back.
SuccessExitStatus=130
# SIGTERM is for the worker, which lets the jobs at hand finish; what they leave running is killed
# with the rest. A second one (systemctl kill) makes it give them back at once.
KillMode=mixed
# A worker that has jobs to finish asks for more time, as long as it is well and not longer than
# --drain-time.
TimeoutStopSec=30s
# It has hung if it did not get on for so long. The jobs it holds go to another worker. It is killed
# by SIGABRT, and the traceback of each thread is in the journal.
WatchdogSec=60s
TimeoutAbortSec=10s
Environment=PYTHONFAULTHANDLER=1
# A job that took too much memory fails alone.
OOMPolicy=continue
"""

_SERVICE = """\
Environment={environment}
"""

_SANDBOX = """\
User={user}
{place}UMask=0077

# Nothing but the spool, /tmp and /var/tmp can be written to; ReadWritePaths= in a drop-in adds what
# your jobs write. /tmp and /var/tmp are its own.
ProtectSystem=strict
PrivateTmp=yes
# Read-only and not hidden: commands are run where they were submitted; the program may be there.
ProtectHome=read-only
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
NoNewPrivileges=yes
CapabilityBoundingSet=
RestrictNamespaces=yes
RestrictRealtime=yes
RemoveIPC=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
# Left open:
# - the network (PrivateNetwork=, IPAddressDeny=): jobs may need it; netlink is how names are looked
#   up and interfaces listed.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
# - PrivateUsers=: a worker must see the processes that another one on the same spool left behind,
#   to end them before it runs their job again.
# - ProcSubset=: the kernel's name of this boot, in /proc/sys, is how a worker knows that another
#   one of the same host is dead.
# - RestrictSUIDSGID=: the directories of a spool that is for a group are setgid.
# - MemoryDenyWriteExecute=: compilers at run time and foreign functions would fail in jobs.
"""


def units(
    *,
    program: Sequence[str],
    spool: str,
    user: str | None,
    exists: bool = False,
) -> Mapping[str, str]:
    """Return the text of each unit, by its name.

    ``program`` is how the command is called, ``spool`` where the spool is, both absolute; ``user``
    who runs the system's units, None for a user's own; ``exists`` whether the spool is there.
    Raises UsageError for what cannot be written into a unit.
    """
    for path in (spool, *program):
        _check(path)
    if user is not None and not _USER.fullmatch(user):
        raise UsageError(f"not the name of a user: {shown(user)}", "Like: spool")
    control = "systemctl" if user is not None else "systemctl --user"
    values = {
        "control": control,
        "description": _raw(spool),
        "format": _raw(f"{spool}/format.json"),
        "mounts": _word(spool),
        "path_target": "paths.target" if user is not None else "default.target",
        "pending": _raw(f"{spool}/pending"),
        "inbox": _raw(f"{spool}/inbox"),
        "program": " ".join([_word(program[0]), *map(_argument, program[1:])]),
        "target": "multi-user.target" if user is not None else "default.target",
        "worker": _WORKER,
        "service": _SERVICE.format(environment=_word(f"SPOOL_DIR={spool}")),
    }
    if user is not None:
        values["service"] += _SANDBOX.format(user=user, place=_place(spool, exists=exists))
    return {
        name: _HEAD.format(mark=MARK, edit=f"{control} edit", name=name) + text.format(**values)
        for name, text in _TEXTS.items()
    }


def state_directory(spool: str) -> str | None:
    """Return the directory below /var/lib that the service manager makes; None if it makes none.

    It is the one that the spool is in: it would set the mode of the spool itself at each start.
    """
    found = _STATE.fullmatch(spool)
    return found[1] if found else None


def _place(spool: str, *, exists: bool) -> str:
    """Return the setting that makes the spool writable.

    A directory that the service manager makes it also gives to the unit's user, with all that is in
    it; a spool that is there may be meant for a group.
    """
    state = None if exists else state_directory(spool)
    if state is None:
        return f"ReadWritePaths={_word(spool)}\n"
    return f"StateDirectory={state}\n"


def _check(path: str) -> None:
    if not path.isprintable():
        raise UsageError(
            f"systemd cannot have {shown(path)} in a unit", "Choose a path of printable characters."
        )


def _raw(text: str) -> str:
    """Return text that is a whole value; only specifiers are known there."""
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """Return text that is one word of a value, quoted if it has to be."""
    if re.fullmatch(r"[A-Za-z0-9_./@:+,=-]+", text, re.ASCII):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_raw(escaped)}"'


def _argument(text: str) -> str:
    """Return a word of a command line, where variables are known too."""
    return _word(text).replace("$", "$$")
