"""The process from which a worker's guardians are forked: one for all its commands.

To start a Python takes tens of milliseconds, to fork one that has loaded what it needs takes one.
A nursery is started when it is first needed, dies with its worker, and is replaced when it was
killed; its guardians do not need it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from spoolcalc import orphans
from spoolcalc.errors import StorageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: How long (seconds) it may take to leave by itself.
LEAVING = 1.0
#: Its arguments are the package's place, the channel's number and our process id.
_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); from spoolcalc.guardian import serve; "
    "serve(int(sys.argv[2]), int(sys.argv[3]))"
)


class Nursery:
    """Gives guardians for the commands of ``worker``.  For one thread, which must go on as long."""

    def __init__(self, worker: str = "") -> None:
        self.worker = worker
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def guardian(self, output: Sequence[int]) -> socket.socket:
        """Return the socket of a new guardian, which writes to the two files in ``output``.

        Raises :class:`~spoolcalc.errors.StorageFailure` if there can be none.
        """
        ours, theirs = socket.socketpair()
        try:
            for _ in range(2):
                channel = self._channel or self._start()
                try:
                    socket.send_fds(channel, [b"!"], [theirs.fileno(), *output])
                except ConnectionError:
                    self.close()  # it was killed
                else:
                    return ours
        except OSError as error:
            ours.close()
            raise StorageFailure("start", sys.executable, error) from error
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.close()
        raise StorageFailure("start", sys.executable, OSError("it ends at once"))

    def close(self) -> None:
        """End it; its guardians go on."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            try:
                self._process.wait(LEAVING)
            except subprocess.TimeoutExpired:  # it was stopped
                self._process.kill()
                self._process.wait()
            self._process = None

    def _start(self) -> socket.socket:
        self._channel, theirs = socket.socketpair()
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        env = dict(os.environ)
        if self.worker:
            env[orphans.GUARD] = self.worker
            if env.get(orphans.MARK) == self.worker:  # set for others: a guardian is no job
                del env[orphans.MARK]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [
                    sys.executable,
                    *("-I", "-S", "-c", _BOOT, root),
                    *(str(theirs.fileno()), str(os.getpid())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=env,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except BaseException:
            self.close()
            raise
        finally:
            theirs.close()
        return self._channel
