"""spoolcalc: a job queue that needs no server, no broker and no database, only a directory.

The public names are imported on first use, so that ``import spoolcalc`` (and with it every start of
the command) costs next to nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.cleaning import (
        Cleaned as Cleaned,
    )
    from spoolcalc.context import (
        Context as Context,
    )
    from spoolcalc.declare import (
        operation as operation,
    )
    from spoolcalc.definition import (
        Answer as Answer,
    )
    from spoolcalc.definition import (
        Operation as Operation,
    )
    from spoolcalc.definition import (
        OperationFailed as OperationFailed,
    )
    from spoolcalc.errors import (
        BadJobId as BadJobId,
    )
    from spoolcalc.errors import (
        BadOperands as BadOperands,
    )
    from spoolcalc.errors import (
        BadSettings as BadSettings,
    )
    from spoolcalc.errors import (
        CeilingReached as CeilingReached,
    )
    from spoolcalc.errors import (
        CorruptDocument as CorruptDocument,
    )
    from spoolcalc.errors import (
        JobCancelled as JobCancelled,
    )
    from spoolcalc.errors import (
        JobFailed as JobFailed,
    )
    from spoolcalc.errors import (
        NewerFormat as NewerFormat,
    )
    from spoolcalc.errors import (
        NoSpool as NoSpool,
    )
    from spoolcalc.errors import (
        NoSuchJob as NoSuchJob,
    )
    from spoolcalc.errors import (
        NotAdopted as NotAdopted,
    )
    from spoolcalc.errors import (
        NotFinished as NotFinished,
    )
    from spoolcalc.errors import (
        NotYours as NotYours,
    )
    from spoolcalc.errors import (
        Quarantined as Quarantined,
    )
    from spoolcalc.errors import (
        Rejected as Rejected,
    )
    from spoolcalc.errors import (
        SpoolError as SpoolError,
    )
    from spoolcalc.errors import (
        SpoolUnusable as SpoolUnusable,
    )
    from spoolcalc.errors import (
        StorageFailure as StorageFailure,
    )
    from spoolcalc.errors import (
        UnknownOperation as UnknownOperation,
    )
    from spoolcalc.errors import (
        UsageError as UsageError,
    )
    from spoolcalc.job import (
        Attempt as Attempt,
    )
    from spoolcalc.job import (
        Job as Job,
    )
    from spoolcalc.job import (
        Outcome as Outcome,
    )
    from spoolcalc.job import (
        State as State,
    )
    from spoolcalc.lease import (
        Lease as Lease,
    )
    from spoolcalc.settings import (
        Settings as Settings,
    )
    from spoolcalc.spool import (
        Spool as Spool,
    )
    from spoolcalc.sweep import (
        Swept as Swept,
    )
    from spoolcalc.transitions import (
        Claim as Claim,
    )
    from spoolcalc.worker import (
        Worker as Worker,
    )

_HOME = {
    "cleaning": ("Cleaned",),
    "context": ("Context",),
    "declare": ("operation",),
    "definition": ("Answer", "Operation", "OperationFailed"),
    "errors": (
        "BadJobId",
        "BadOperands",
        "BadSettings",
        "CeilingReached",
        "CorruptDocument",
        "JobCancelled",
        "JobFailed",
        "NewerFormat",
        "NoSpool",
        "NoSuchJob",
        "NotAdopted",
        "NotFinished",
        "NotYours",
        "Quarantined",
        "Rejected",
        "SpoolError",
        "SpoolUnusable",
        "StorageFailure",
        "UnknownOperation",
        "UsageError",
    ),
    "job": ("Attempt", "Job", "Outcome", "State"),
    "lease": ("Lease",),
    "settings": ("Settings",),
    "spool": ("Spool",),
    "sweep": ("Swept",),
    "transitions": ("Claim",),
    "worker": ("Worker",),
}

__all__ = [  # noqa: PLE0604 - names, computed once from the table above
    "__version__",
    *sorted(name for names in _HOME.values() for name in names),
]


def __getattr__(name: str) -> object:
    for module, names in _HOME.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(f"spoolcalc.{module}"), name)
    raise AttributeError(f"module 'spoolcalc' has no attribute {name!r}")
