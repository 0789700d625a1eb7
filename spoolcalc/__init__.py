"""spoolcalc: a job queue that needs no server, no broker and no database, only a directory.

The public names are imported on first use, so that ``import spoolcalc`` (and with it every start of
the command) costs next to nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoolcalc.errors import (
        BadJobId as BadJobId,
        BadOperands as BadOperands,
        CorruptDocument as CorruptDocument,
        JobFailed as JobFailed,
        NewerFormat as NewerFormat,
        NoSpool as NoSpool,
        NoSuchJob as NoSuchJob,
        NotFinished as NotFinished,
        NotYours as NotYours,
        SpoolError as SpoolError,
        SpoolUnusable as SpoolUnusable,
        StorageFailure as StorageFailure,
        UnknownOperation as UnknownOperation,
        UsageError as UsageError,
    )
    from spoolcalc.job import (
        Attempt as Attempt,
        Job as Job,
        Outcome as Outcome,
        State as State,
    )
    from spoolcalc.lease import (
        Lease as Lease,
    )
    from spoolcalc.operations import (
        Answer as Answer,
        Operation as Operation,
        OperationFailed as OperationFailed,
    )
    from spoolcalc.spool import (
        Spool as Spool,
    )
    from spoolcalc.sweep import (
        Cleaned as Cleaned,
        Swept as Swept,
    )
    from spoolcalc.transitions import (
        Claim as Claim,
    )
    from spoolcalc.worker import (
        Worker as Worker,
    )

_HOME = {
    "errors": (
        "BadJobId",
        "BadOperands",
        "CorruptDocument",
        "JobFailed",
        "NewerFormat",
        "NoSpool",
        "NoSuchJob",
        "NotFinished",
        "NotYours",
        "SpoolError",
        "SpoolUnusable",
        "StorageFailure",
        "UnknownOperation",
        "UsageError",
    ),
    "job": ("Attempt", "Job", "Outcome", "State"),
    "lease": ("Lease",),
    "operations": ("Answer", "Operation", "OperationFailed"),
    "spool": ("Spool",),
    "sweep": ("Cleaned", "Swept"),
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
