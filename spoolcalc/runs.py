"""Jobs that run beside their worker, in a child, a thread or as a command, until they have ended.

Each run is asked :meth:`Run.poll` for its :class:`End`, and can be told to end before its time.
Nothing here knows a spool's states; what an end means for a job says the caller.
"""

from __future__ import annotations

import sys
from concurrent.futures import BrokenExecutor, CancelledError

from spoolcalc.childprocess import ChildDied, ChildKilled, ChildNotStarted
from spoolcalc.children import ChildFuture
from spoolcalc.errors import StorageFailure
from spoolcalc.execute import told
from spoolcalc.job import Outcome, State, shortened
from spoolcalc.orphans import signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any

    from spoolcalc.command import CommandEnd, RunningCommand


class End:
    """How a run ended; one of these is set.

    ``outcome``: it came to its own end.  ``killed``: it was told to end; the outcome, of which the
    caller knows the reason, has only a command's ``exit_code`` and ``cut``.  ``crash``: the process
    that ran it died, in one line.  ``unknown``: the operation cannot be loaded here, in one line.
    ``refused``: the environment's failure, which is not the job's fault.
    """

    __slots__ = ("crash", "killed", "outcome", "refused", "unknown")

    def __init__(
        self,
        *,
        outcome: Outcome | None = None,
        killed: Outcome | None = None,
        crash: str | None = None,
        unknown: str | None = None,
        refused: StorageFailure | None = None,
    ) -> None:
        self.outcome = outcome
        self.killed = killed
        self.crash = crash
        self.unknown = unknown
        self.refused = refused


class Run:
    """One job that runs."""

    #: Becomes readable when it has ended, if there is such a descriptor.
    descriptor: int | None = None

    def poll(self) -> End | None:
        """Return how it ended, None while it runs."""
        raise NotImplementedError

    def kill(self, grace: float) -> bool:
        """Tell it to end, and make it ``grace`` seconds later; False if it cannot be made to."""
        raise NotImplementedError


class FutureRun(Run):
    """A job that an executor runs."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def poll(self) -> End | None:
        """Return how it ended, None while it runs."""
        if not self._future.done():
            return None
        try:
            return understood(self._future.result())
        except (ChildKilled, CancelledError):
            return End(killed=Outcome.failed(""))
        except (ChildDied, BrokenExecutor) as error:
            died = shortened(" ".join(str(error).split()))
            return End(crash=died or "the process that ran it died")
        except ChildNotStarted as error:
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else OSError(str(error))
            return End(refused=StorageFailure("start", sys.executable, cause))
        except Exception as error:  # noqa: BLE001 - an executor of somebody else's may raise anything
            return End(outcome=Outcome.failed(told(error)))

    def kill(self, grace: float) -> bool:
        """Tell it to end, and make it ``grace`` seconds later; False if it cannot be made to."""
        if isinstance(self._future, ChildFuture):
            self._future.kill(grace)
            return True
        return self._future.cancel()


class CommandRun(Run):
    """A job that is a command."""

    def __init__(self, running: RunningCommand) -> None:
        self._running = running
        self.descriptor = running.fileno()

    def poll(self) -> End | None:
        """Return how it ended, None while it runs."""
        end = self._running.poll()
        return None if end is None else _command_end(end)

    def kill(self, grace: float) -> bool:
        """Tell it to end, and make it ``grace`` seconds later."""
        self._running.kill(grace)
        return True


def understood(answer: dict[str, Any]) -> End:
    """Return the end that :func:`spoolcalc.execute.work` tells of."""
    if "unknown" in answer:
        return End(unknown=answer["unknown"])
    return End(outcome=Outcome(State(answer.pop("state")), **answer))


def _command_end(end: CommandEnd) -> End:
    if end.lost is not None:
        return End(refused=end.lost)
    if end.vanished:
        return End(crash="the guardian of its command was killed")
    code, cut = end.exit_code, end.cut or None
    if end.error is not None:
        return End(outcome=Outcome.failed(end.error))
    if end.killed:
        return End(killed=Outcome.failed("", exit_code=code, cut=cut))
    if code == 0:
        return End(outcome=Outcome.completed("", exit_code=0, cut=cut))
    how = f"it exited with {code}"
    if end.signal is not None:
        how = f"it was killed by {signal_name(end.signal)}"
    return End(outcome=Outcome.failed(how, exit_code=code, cut=cut))
