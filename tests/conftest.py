"""What tests of the command share: a fresh spool, the real command as a process, and patience.

Everything comes as a fixture; the classes are there to be named by type checkers.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import pytest

import spoolcalc
from spoolcalc import Outcome, Spool, State, transitions
from spoolcalc.document import new_document
from spoolcalc.ids import new_id
from spoolcalc.layout import file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from spoolcalc import Claim, Lease

    T = TypeVar("T")

    #: What a process can be given as stdin, stdout or stderr.
    Stream = int | IO[Any] | None

# Whoever runs the tests may ignore these, as nohup does, and what we start would ignore them too.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(
            _number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL
        )

#: The fixtures of live servers.
pytest_plugins = ["http_server"]

#: The real command.
COMMAND = (sys.executable, "-c", "from spoolcalc.entry import main; main()")
#: What takes longer than this (seconds) hangs.
HANGS = 20.0
#: Offers the operations ``hold`` (until it is let go), ``die`` and ``boom``.
PLUGIN = Path(__file__).parent / "acceptance" / "plugin"


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run the tests: one more than cores, as they wait now and then."""
    return (os.cpu_count() or 1) + 1


class Ran(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Process:
    """A command that goes on; what it has written so far can be read."""

    def __init__(self, popen: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.popen = popen
        self._out = out
        self._err = err

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    @property
    def stdout(self) -> str:
        """What it has written to stdout so far."""
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text()

    def signal(self, *numbers: int) -> None:
        """Send it signals."""
        for number in numbers:
            self.popen.send_signal(number)

    def end(self, seconds: float = HANGS) -> Ran:
        """Wait until it has ended by itself."""
        code = self.popen.wait(seconds)
        return Ran(code, self.stdout, self.stderr)


class Commands:
    """Starts the real command on one spool, in a clean environment."""

    #: The real command, before its arguments.
    command = COMMAND

    def __init__(self, home: Path, spool: Path) -> None:
        self.home = home
        self.spool = spool
        self.environment = {
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(Path(spoolcalc.__file__).parents[1]),
            "SPOOL_DIR": str(spool),
            "TERM": "xterm",
        }

    def run(
        self,
        *arguments: str | bytes,
        command: tuple[str, ...] = COMMAND,
        env: Mapping[str, str | None] | None = None,
        input: bytes | None = None,  # noqa: A002 - as in subprocess
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.PIPE,
        stderr: Stream = subprocess.PIPE,
        cwd: Path | None = None,
        umask: int = -1,
        timeout: float = HANGS,
    ) -> Ran:
        """Run it to its end; ``env`` adds to the environment, or with None takes away."""
        given: dict[str, Any] = {"stdin": stdin} if input is None else {"input": input}
        ended = subprocess.run(
            [*command, *arguments],
            check=False,
            env=self._environment(env),
            stdout=stdout,
            stderr=stderr,
            cwd=cwd or self.home,
            umask=umask,
            timeout=timeout,
            **given,
        )
        return Ran(ended.returncode, _text(ended.stdout), _text(ended.stderr))

    def open(
        self,
        *arguments: str,
        env: Mapping[str, str | None] | None = None,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = None,
        stderr: Stream = None,
    ) -> subprocess.Popen[bytes]:
        """Start it; the caller ends it."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self._environment(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=self.home,
        )

    def on_terminal(self, *arguments: str, columns: int = 100) -> Ran:
        """Run it with stdout and stderr on a terminal; all that came there is the stdout."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (50, columns))
        process = self.open(*arguments, stdout=theirs, stderr=theirs)
        os.close(theirs)
        seen = b""
        with suppress(OSError):  # EIO: the last one on the other side has gone
            while data := os.read(ours, 65536):
                seen += data
        os.close(ours)
        return Ran(process.wait(HANGS), seen.decode().replace("\r\n", "\n"), "")

    def _environment(self, changes: Mapping[str, str | None] | None) -> dict[str, str]:
        merged: dict[str, str | None] = {**self.environment, **(changes or {})}
        return {name: value for name, value in merged.items() if value is not None}


class Attempt:
    """A command that is being run, by nobody: what it writes and how it ends is up to the test."""

    def __init__(self, spool: Spool, lease: Lease, claim: Claim) -> None:
        self.job_id = claim.job.id
        self.number = len(claim.job.attempts) + 1
        self._spool = spool
        self._lease = lease
        self._claim = claim

    def write(self, data: bytes, stream: str = "stdout") -> None:
        """Write to one of its outputs."""
        layout = self._spool.layout
        path = Path(layout.output_of(self.job_id, self.number, self._lease.worker, stream))
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as file:
            file.write(data)

    def progress(self, told: bytes) -> None:
        """Tell how far it is."""
        path = Path(self._spool.layout.wip_of(self._lease.worker)) / f"{self.job_id}.progress"
        path.write_bytes(told)

    def end(self, exit_code: int = 0, **told: Any) -> None:
        """End it."""
        if exit_code:
            outcome = Outcome.failed(f"exit code {exit_code}", exit_code=exit_code, **told)
        else:
            outcome = Outcome.completed("", exit_code=0, **told)
        assert self._spool.finish(self._claim, outcome)


class Jobs:
    """Puts jobs of each state into a spool, without a process."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool

    def path(self, job_id: str) -> Path:
        """Return where a job's document lies."""
        [path] = Path(self.spool.path).glob(f"*/*/{file_name(job_id)}")
        return path

    def state(self, job_id: str) -> State:
        """Return the state a job is in."""
        return self.spool.find(job_id).state

    def pending(self, operation: str = "add", *operands: str, priority: int = 5) -> str:
        """Submit a job of an operation that need not be known here."""
        words = operands or (("12", "23") if operation == "add" else ())
        document = new_document(new_id(), operation, words, priority=priority)
        return self.spool.publish([document])[0]

    def completed(self, result: str = "35") -> str:
        """Make a job that has a result."""
        return self._finished(Outcome.completed(result, exact=True))

    def failed(self, error: str = "division by zero", *, reason: str = "error") -> str:
        """Make a job that has failed."""
        return self._finished(Outcome.failed(error, reason=reason))

    @contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Take the next job, a command, in hand."""
        with self.spool.register() as lease:
            claim = self.spool.claim(lease)
            assert claim is not None
            yield Attempt(self.spool, lease, claim)

    def command(self, stdout: bytes, exit_code: int = 0, *, cut: bool | None = None) -> str:
        """Make a command that has ended."""
        job_id = self.spool.submit("exec", ["tool"])
        with self.attempt() as attempt:
            attempt.write(stdout)
            attempt.end(exit_code, cut=cut)
        return job_id

    def retrieved(self, result: str = "35") -> str:
        """Make a job that was fetched."""
        job_id = self.completed(result)
        self.spool.fetch(job_id)
        return job_id

    def of_each_state(self) -> dict[str, str]:
        """Make a job of each state but wip."""
        delayed = self.spool.submit("add", ["12", "23"], delay=3600.0)
        return {
            "delayed": delayed,
            "blocked": self.spool.submit("add", ["12", "23"], after=[(delayed, "any")]),
            "pending": self.pending(),
            "completed": self.completed(),
            "failed": self.failed(),
            "retrieved": self.retrieved("36"),
        }

    def _finished(self, outcome: Outcome) -> str:
        job_id = self.pending()
        layout = self.spool.layout
        with self.spool.register() as lease:
            bucket = layout.pending_bucket(5, job_id)
            claimed = transitions.claim(layout, lease.worker, bucket, file_name(job_id))
            assert claimed is not None
            assert self.spool.finish(claimed, outcome)
        return job_id


def _text(data: bytes | None) -> str:
    return "" if data is None else data.decode()


@pytest.fixture
def until() -> Callable[..., Any]:
    """Return what ``look`` gives as soon as that is true; fail after ``seconds``."""

    def wait(look: Callable[[], T], seconds: float = HANGS) -> T:
        deadline = time.monotonic() + seconds
        while not (seen := look()):
            assert time.monotonic() < deadline, "it did not come true in time"
            time.sleep(0.005)
        return seen

    return wait


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Start commands on a spool that nobody has made yet."""
    home = tmp_path / "home"
    home.mkdir()
    return Commands(home, tmp_path / "spool")


@pytest.fixture
def run(commands: Commands) -> Callable[..., Ran]:
    """Run the command to its end."""
    return commands.run


@pytest.fixture
def spool(commands: Commands) -> Spool:
    """Make a fresh spool, the one that the commands use."""
    return Spool(commands.spool, create=True)


@pytest.fixture
def jobs(spool: Spool) -> Jobs:
    """Put jobs into the spool."""
    return Jobs(spool)


@pytest.fixture
def plugin(commands: Commands) -> dict[str, str]:
    """Return the environment in which ``hold``, ``die`` and ``boom`` are known."""
    return {"PYTHONPATH": f"{PLUGIN}{os.pathsep}{commands.environment['PYTHONPATH']}"}


@pytest.fixture
def start(commands: Commands, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start commands that go on; those still running at the end of the test are killed."""
    running: list[Process] = []

    def begin(*arguments: str, env: Mapping[str, str | None] | None = None) -> Process:
        out, err = (tmp_path / f"{name}.{len(running)}" for name in ("out", "err"))
        with out.open("wb") as stdout, err.open("wb") as stderr:
            popen = commands.open(*arguments, env=env, stdout=stdout, stderr=stderr)
        running.append(Process(popen, out, err))
        return running[-1]

    yield begin
    for process in running:
        if process.popen.poll() is None:
            process.signal(signal.SIGCONT, signal.SIGKILL)
        process.popen.wait()
