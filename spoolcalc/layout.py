"""Every path and name in a spool.  Computes only; touches nothing.

    SPOOL/format.json  tmp/  blocked/<bucket>/<id>.json  delayed/<due bucket>/<id>.json
          pending/<priority>-<bucket>/<id>.json  wip/<worker>/<id>.json
          completed/<bucket>/  failed/<bucket>/  retrieved/<bucket>/<id>.json
          corrupt/  workers/<worker>.lock  bell  done  paused  spool.toml  keys/<hash>.json
          waits/<id>/  waited/<id>/  output/<bucket>/  inbox/<name>.json  locks/
          events/<number>.jsonl  hooks/<name>

``docs/format.md`` is the contract.  Three names carry a fact:

- a worker named ``…-hand`` is somebody who takes a job in hand for a moment, and runs none;
- ``wip/<worker>+<victim>`` belongs to the sweeper ``<worker>``, which is giving up ``<victim>``;
- ``wip/<worker>.returned`` was handed back whole by its own worker: no attempt is charged.
"""

from __future__ import annotations

import os
import re

from spoolcalc.ids import LENGTH, bucket_of, is_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.job import State

SUFFIX = ".json"
#: What lies beside a claimed job, after its id: how far it is, and the wish that it be cancelled.
PROGRESS, CANCEL = ".progress", ".cancel"
RETURNED = ".returned"
#: What lies beside a worker's lock: that it was silent once, and what it can run.
SILENT, KNOWS = ".silent", ".knows"
#: How the name of a file of events ends, after its number.
EVENTS = ".jsonl"
TAKEN = "+"
HAND = "-hand"
#: What the name of a file from ``inbox/`` begins with while a worker has it.
CLAIMED = "inbox."
#: Who owns a directory in ``tmp/`` in which something is only tried.
TRIAL = "trial"
#: Who else than workers writes in ``tmp/``, by the beginning of a name.
OWNERS = frozenset({"submit", "pause", "init", "events", TRIAL})
DIRECTORIES = (
    "tmp",
    "blocked",
    "delayed",
    "pending",
    "wip",
    "completed",
    "failed",
    "retrieved",
    "corrupt",
    "workers",
    "waits",
    "waited",
    "keys",
    "locks",
    "inbox",
    "output",
    "events",
)
#: Everything that a spool's top directory holds.
NAMES = frozenset({*DIRECTORIES, "format.json", "bell", "done", "paused", "spool.toml", "hooks"})

#: A host's name, made safe, a process id and eight random digits.
_WORKER = re.compile(rf"[A-Za-z0-9-]{{1,60}}\.[0-9]{{1,10}}\.[0-9a-f]{{8}}(?:{HAND})?")
_INBOX = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})\.json")
_CLAIMED = re.compile(rf"{re.escape(CLAIMED)}[0-9a-f]{{8}}\.(.+)", re.DOTALL)
_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdef")


class Layout:
    """The paths of one spool, and the modes of what is made in it.

    ``shared`` spools are for a group: files are 0660 and directories 2770 in place of 0600, 0700.
    """

    __slots__ = (
        "bell",
        "blocked",
        "corrupt",
        "delayed",
        "directory_mode",
        "done",
        "events",
        "file_mode",
        "format",
        "hooks",
        "inbox",
        "keys",
        "locks",
        "output",
        "paused",
        "pending",
        "root",
        "settings",
        "tmp",
        "waited",
        "waits",
        "wip",
        "workers",
    )

    def __init__(self, root: str, *, shared: bool = False) -> None:
        self.root = root = os.path.abspath(root)
        self.format = f"{root}/format.json"
        self.tmp = f"{root}/tmp"
        self.blocked = f"{root}/blocked"
        self.delayed = f"{root}/delayed"
        self.pending = f"{root}/pending"
        self.wip = f"{root}/wip"
        self.corrupt = f"{root}/corrupt"
        self.workers = f"{root}/workers"
        self.waits = f"{root}/waits"
        self.waited = f"{root}/waited"
        self.keys = f"{root}/keys"
        self.locks = f"{root}/locks"
        self.inbox = f"{root}/inbox"
        self.output = f"{root}/output"
        self.events = f"{root}/events"
        self.hooks = f"{root}/hooks"
        self.paused = f"{root}/paused"
        self.settings = f"{root}/spool.toml"
        self.bell = f"{root}/bell"
        self.done = f"{root}/done"
        self.file_mode = 0o660 if shared else 0o600
        self.directory_mode = 0o2770 if shared else 0o700

    def state(self, state: State) -> str:
        """Return a state's directory."""
        return f"{self.root}/{state.value}"

    def state_of(self, path: str) -> str:
        """Return in which of the top directories ``path`` lies: of a job, its state."""
        return path[len(self.root) + 1 :].partition("/")[0]

    def events_file(self, number: int) -> str:
        """Return where the so many-th part of the events is kept."""
        return f"{self.events}/{number:08d}{EVENTS}"

    def pending_bucket(self, priority: int, job_id: str) -> str:
        """Return the directory in which a runnable job lies."""
        return f"{self.pending}/{priority}-{bucket_of(job_id)}"

    def blocked_bucket(self, job_id: str) -> str:
        """Return the directory in which a job lies that waits for others."""
        return f"{self.blocked}/{bucket_of(job_id)}"

    def delayed_bucket(self, due: float) -> str:
        """Return the directory of jobs that may not run before ``due`` (seconds since the epoch).

        It is named like the bucket of an id that was made at that time.
        """
        return f"{self.delayed}/{int(due * 1000) >> 16:08x}"

    def output_of(self, job_id: str, attempt: int, worker: str, stream: str) -> str:
        """Return where ``stream`` (stdout or stderr) of an attempt, counted from 1, is kept."""
        return f"{self.output}/{bucket_of(job_id)}/{job_id}.{attempt}.{worker}.{stream}"

    def finished_bucket(self, state: State, job_id: str) -> str:
        """Return the directory in which a job with an outcome lies."""
        return f"{self.root}/{state.value}/{bucket_of(job_id)}"

    def wip_of(self, worker: str) -> str:
        """Return the directory of a worker's claimed jobs."""
        return f"{self.wip}/{worker}"

    def lock_of(self, worker: str) -> str:
        """Return the file whose lock a worker holds for its whole life."""
        return f"{self.workers}/{worker}.lock"

    def silence_of(self, worker: str) -> str:
        """Return the note that a worker was found silent once."""
        return f"{self.workers}/{worker}{SILENT}"

    def knowledge_of(self, worker: str) -> str:
        """Return the note of the operations that a worker can run."""
        return f"{self.workers}/{worker}{KNOWS}"

    def temporary(self, owner: str, name: str) -> str:
        """Return where ``owner`` (a worker, or one of ``OWNERS``) writes before it publishes."""
        return f"{self.tmp}/{owner}.{name}"


def file_name(job_id: str) -> str:
    """Return the name of a job's document."""
    return job_id + SUFFIX


def beside(name: str) -> bool:
    """Tell whether ``name`` in a worker's directory tells of a job and is none."""
    return name.endswith((PROGRESS, CANCEL)) and is_id(name.rpartition(".")[0])


def id_of(name: str) -> str | None:
    """Return the id of a document's name, or None if it is not one."""
    job_id = name[:LENGTH]
    return job_id if name[LENGTH:] == SUFFIX and is_id(job_id) else None


def events_number(name: str) -> int | None:
    """Return which part of the events a file in ``events/`` is, by its name; None if it is none."""
    number = name.removesuffix(EVENTS)
    right = number != name and len(number) == 8 and _DIGITS.issuperset(number)
    return int(number) if right else None


def due_from(bucket: str) -> float:
    """Return when the first job of a bucket in ``delayed/`` may be due, in seconds."""
    return (int(bucket, 16) << 16) / 1000


def is_pending_bucket(name: str) -> bool:
    """Tell whether ``name`` is that of a bucket in ``pending/``."""
    return len(name) == 10 and name[0] in "0123456789" and name[1] == "-" and is_bucket(name[2:])


def is_bucket(name: str) -> bool:
    """Tell whether ``name`` is that of a bucket of finished jobs."""
    return len(name) == 8 and _HEX.issuperset(name)


def is_worker(name: str) -> bool:
    """Tell whether ``name`` is one that a worker may have."""
    return _WORKER.fullmatch(name) is not None


def is_hand(worker: str) -> bool:
    """Tell whether a worker runs no jobs, so that its death is charged to none."""
    return worker.endswith(HAND)


def owner_of(directory: str) -> str | None:
    """Return the worker that a directory in ``wip/`` belongs to.

    None if it was handed back, or if its name is not one that we give.
    """
    owner = directory.partition(TAKEN)[0]
    return owner if is_worker(owner) and not directory.endswith(RETURNED) else None


def victim_of(directory: str) -> str:
    """Return the worker that had claimed what lies in a directory in ``wip/``."""
    return directory.removesuffix(RETURNED).rpartition(TAKEN)[2]


def name_of(file: str) -> str | None:
    """Return the name that a file in ``inbox/`` gives to its job; None if it may not have it."""
    found = _INBOX.fullmatch(file)
    return None if found is None or is_id(found[1]) else found[1]


def claimed_file(name: str) -> str | None:
    """Return what a file in a worker's directory was called in ``inbox/``; None if it is a job."""
    found = _CLAIMED.fullmatch(name)
    return None if found is None or name_of(found[1]) is None else found[1]
