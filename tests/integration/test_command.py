"""Commands under their guardian: real ones, which fail, flood, fork and are killed."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import orphans
from spoolcalc.command import Command, CommandEnd
from spoolcalc.nursery import Nursery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Until = Callable[..., Any]

#: What takes longer than this (seconds) hangs.
HANGS = 30.0
#: Leaves processes in its group, in other sessions, and as orphans of orphans; 5 of them.
LEAVING = "sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &);"
#: A worker that starts a command and waits.
WORKER = """
import os, sys
from spoolcalc.command import Command
from spoolcalc.nursery import Nursery

place, name, script = sys.argv[1:]
command = Command(
    ["sh", "-c", script], cwd=place, env=dict(os.environ),
    stdout=place + "/out", stderr=place + "/err",
)
with command.start(Nursery(name)) as running:
    running.wait()
"""
#: Writes 200 MB, each block another, and says the sum of what it wrote.
FLOOD = """
import hashlib, sys
digest = hashlib.sha256()
for number in range(200_000_000 // 40_000):
    block = number.to_bytes(8, "big") * 5_000
    digest.update(block)
    sys.stdout.buffer.write(block)
sys.stderr.write(digest.hexdigest())
"""
#: Runs FLOOD as a worker does, and says how much memory that took, in KiB.
MEASURED = """
import os, resource, sys
from spoolcalc.command import Command
from spoolcalc.nursery import Nursery

place, script = sys.argv[1:]
nursery = Nursery()
end = Command(
    [sys.executable, "-c", script], cwd=place, env=dict(os.environ),
    stdout=place + "/out", stderr=place + "/err",
).start(nursery).wait()
assert end.exit_code == 0 and not end.cut, end.exit_code
nursery.close()
with open("/proc/self/status") as status:
    print(*[line.split()[1] for line in status if line.startswith("VmHWM")])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
#: Runs a command whose output may not become larger than 100,000 bytes.
LIMITED = """
import os, resource, sys
from spoolcalc.command import Command
from spoolcalc.nursery import Nursery

place, script = sys.argv[1:]
nursery = Nursery()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
end = Command(
    ["sh", "-c", script], cwd=place, env=dict(os.environ),
    stdout=place + "/out", stderr=place + "/err",
).start(nursery).wait()
nursery.close()
print(end.lost.errno, end.lost.exit_code, end.lost.message)
"""


class Runner:
    """Starts commands of one test, each with its own output."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.worker = f"host.{os.getpid()}.{os.urandom(4).hex()}"
        self.nursery = Nursery(self.worker)
        self._count = 0
        self.running: list[Any] = []

    def start(self, *argv: str, **options: Any) -> Any:
        """Start a command."""
        self._count += 1
        given = {
            "cwd": str(self.place),
            "env": {**os.environ, "SPOOL_JOB_ID": f"{self.worker}.{self._count}"},
            "stdout": str(self.out),
            "stderr": str(self.err),
            **options,
        }
        running = Command(argv, **given).start(self.nursery)
        self.running.append(running)
        return running

    def run(self, *argv: str, **options: Any) -> CommandEnd:
        """Run a command to its end."""
        end: CommandEnd | None = self.start(*argv, **options).wait(HANGS)
        assert end is not None
        return end

    @property
    def out(self) -> Path:
        return self.place / f"{self._count}.out"

    @property
    def err(self) -> Path:
        return self.place / f"{self._count}.err"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """Run commands; those that are still there after the test are killed."""
    made = Runner(tmp_path)
    yield made
    for running in made.running:
        running.close()
    made.nursery.close()


def marked(worker: str) -> list[int]:
    """Return the living processes of a worker, guardians not counted."""
    mark = f"{orphans.MARK}={worker}".encode()
    return [
        pid
        for pid in orphans._processes()
        if mark in (orphans._environment(pid) or ()) and pid != os.getpid()
    ]


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


@pytest.fixture
def environment() -> dict[str, str]:
    """Return an environment in which the package is found."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_output_and_exit_code(runner: Runner) -> None:
    """Each stream in its own file, only for the owner; the exit code as it is."""
    end = runner.run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (end.exit_code, end.error, end.cut, end.left, end.killed) == (7, None, False, 0, False)
    assert runner.out.read_bytes() == b"out\n"
    assert runner.err.read_bytes() == b"err\n"
    assert runner.out.stat().st_mode & 0o777 == 0o600
    assert runner.run("true").exit_code == 0


def test_output_appears_while_it_runs(runner: Runner, until: Until) -> None:
    """Who waits for a long command can look at it."""
    running = runner.start("sh", "-c", "echo begun; sleep 1000")
    until(lambda: runner.out.read_bytes() == b"begun\n")
    assert running.poll() is None


def test_what_it_is_given(runner: Runner, tmp_path: Path) -> None:
    """Its directory, its whole environment, its mark, and its input."""
    (tmp_path / "input").write_bytes(b"\0\xff from a file")
    (tmp_path / "place").mkdir()
    end = runner.run(
        "sh",
        "-c",
        "pwd; env | sort; cat",
        cwd=str(tmp_path / "place"),
        env={"PATH": os.environ["PATH"], "ONE": "1\u20ac"},
        stdin=str(tmp_path / "input"),
    )
    assert end.exit_code == 0
    out = runner.out.read_bytes()
    assert out.startswith(os.fsencode(tmp_path / "place") + b"\nONE=1\xe2\x82\xac\nPATH=")
    assert out.endswith(f"SPOOL_WORKER={runner.worker}\n".encode() + b"\0\xff from a file")
    assert b"SPOOL_GUARDIAN" not in out


def test_it_has_no_input_and_no_terminal_and_no_strange_descriptors(runner: Runner) -> None:
    """It is a session of its own, signals mean what they usually do, and stdin is empty."""
    assert runner.run("cat").exit_code == 0
    assert runner.out.read_bytes() == b""
    runner.run(
        "sh", "-c", "ls /proc/self/fd; grep SigIgn /proc/self/status; ps -o sid= -p $$; echo $$"
    )
    *descriptors, ignored, session, pid = runner.out.read_text().split("\n")[:-1]
    assert descriptors == ["0", "1", "2", "3"]  # the last is of ls itself
    assert int(ignored.split()[1], 16) == 0
    assert session.strip() == pid


@pytest.mark.parametrize(
    ("argv", "options", "said"),
    [
        (["no-such-command"], {}, "no such command: no-such-command"),
        (["./not-there"], {}, "it cannot be executed: ./not-there: No such file or directory"),
        (["/"], {}, "it cannot be executed: /: Permission denied"),
        (["true", "\0"], {}, "it cannot be executed: true: embedded null byte"),
        (
            ["true"],
            {"cwd": "/not/there"},
            "its working directory cannot be entered: /not/there: No such file or directory",
        ),
        (
            ["cat"],
            {"stdin": "/not/there"},
            "its input cannot be opened: /not/there: No such file or directory",
        ),
    ],
)
def test_what_cannot_be_started_says_why(
    runner: Runner, argv: list[str], options: dict[str, str], said: str
) -> None:
    """One line for people, and no exit code."""
    end = runner.run(*argv, **options)
    assert end.error == said
    assert end.exit_code is None
    assert end.lost is None


def test_death_by_a_signal(runner: Runner) -> None:
    """The exit code is that which a shell gives: 128 and the signal's number."""
    end = runner.run("sh", "-c", "kill -SEGV $$")
    assert end.exit_code == 128 + signal.SIGSEGV
    assert not end.killed


def test_it_ends_with_its_first_process(runner: Runner, tmp_path: Path, until: Until) -> None:
    """Whatever that left behind is killed, and counted, however it tried to get away."""
    os.mkfifo(tmp_path / "go")
    running = runner.start("sh", "-c", f"{LEAVING} read line < go; exit 3")
    until(lambda: len(marked(runner.worker)) == 6)
    (tmp_path / "go").write_text("go\n")
    end = running.wait(HANGS)
    assert end.exit_code == 3
    assert end.left == 5
    assert marked(runner.worker) == []


def test_more_output_than_is_kept(runner: Runner) -> None:
    """It is cut at the bound, and the command does not notice."""
    script = "head -c 3000000 /dev/zero; echo end >&2; exit 4"
    end = runner.run("sh", "-c", script, max_output=100_001)
    assert (end.exit_code, end.cut) == (4, True)
    assert runner.out.stat().st_size == 100_001
    assert runner.err.read_bytes() == b"end\n"


@pytest.mark.parametrize(("size", "cut"), [(1000, False), (1001, True)])
def test_the_bound_itself_is_kept(runner: Runner, size: int, cut: bool) -> None:
    """Only what is more than that is thrown away."""
    end = runner.run("head", "-c", str(size), "/dev/zero", max_output=1000)
    assert end.cut is cut
    assert runner.out.stat().st_size == 1000


def test_output_is_identical_and_memory_does_not_grow_with_it(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """200 MB, byte by byte; 80 MB are the worker's limit, and the guardian takes less than half."""
    done = subprocess.run(
        python(MEASURED, str(tmp_path), FLOOD),
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    with (tmp_path / "out").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == (tmp_path / "err").read_text()
    own, others = map(int, done.stdout.split())
    assert own < 80 * 1024
    assert others < 40 * 1024


def test_kill_gives_it_time_and_then_none(runner: Runner, until: Until) -> None:
    """SIGTERM to all of its group; who tidies up is let, who ignores it is killed."""
    running = runner.start("sh", "-c", "trap 'echo tidy; exit 9' TERM; echo on; sleep 1000 & wait")
    until(lambda: runner.out.read_bytes() == b"on\n")
    running.kill(10)
    end = running.wait(HANGS)
    assert (end.exit_code, end.killed) == (9, True)
    assert runner.out.read_bytes() == b"on\ntidy\n"
    running = runner.start("sh", "-c", f"trap '' TERM; {LEAVING} echo on; sleep 1000; sleep 1000")
    until(lambda: runner.out.read_bytes() == b"on\n")
    began = time.monotonic()
    running.kill(0.3)
    end = running.wait(HANGS)
    assert (end.exit_code, end.killed) == (128 + signal.SIGKILL, True)
    assert 0.3 <= time.monotonic() - began < 3
    assert marked(runner.worker) == []


def test_the_shorter_grace_counts(runner: Runner, until: Until) -> None:
    """Asked again, more urgently, it hurries; asked after the end, it harms nobody."""
    running = runner.start("sh", "-c", "trap '' TERM; echo on; while :; do sleep 1; done")
    until(lambda: runner.out.read_bytes() == b"on\n")
    running.kill(1000)
    running.kill(0)
    assert running.wait(5).exit_code == 128 + signal.SIGKILL
    running.kill(0)


def test_a_kill_before_it_has_begun_is_not_lost(runner: Runner) -> None:
    """However early it comes."""
    for _ in range(5):
        running = runner.start("sleep", "1000")
        running.kill(0)
        assert running.wait(5).killed


def test_a_stopped_command_can_be_killed(runner: Runner, until: Until) -> None:
    """It is continued, so that it can tidy up."""
    running = runner.start("sh", "-c", "trap 'exit 9' TERM; echo on; kill -STOP $$; sleep 1000")
    until(lambda: runner.out.read_bytes() == b"on\n")
    running.kill(10)
    assert running.wait(5).exit_code == 9


def test_it_waits_for_an_input_that_nobody_writes_and_can_be_killed(
    runner: Runner, tmp_path: Path
) -> None:
    """A FIFO blocks the command alone."""
    os.mkfifo(tmp_path / "fifo")
    running = runner.start("cat", stdin=str(tmp_path / "fifo"))
    assert running.wait(0.5) is None
    running.kill(5)
    assert running.wait(3).exit_code == 128 + signal.SIGTERM


def unmarked_below(name: str) -> list[int]:
    """Return the children of marked processes that have no mark themselves."""
    carrying = marked(name)
    return [child for pid in carrying for child in children_of(pid) if child not in carrying]


def test_nothing_is_left_when_the_worker_is_killed(
    tmp_path: Path, environment: dict[str, str], until: Until
) -> None:
    """SIGKILL to the worker: its command, the guardian, and all that went away, within 2 s."""
    name = f"host.{os.getpid()}.{os.urandom(4).hex()}"
    with subprocess.Popen(
        python(WORKER, str(tmp_path), name, f"{LEAVING} env -i sleep 1000 & echo on; sleep 1000"),
        env=environment,
    ) as worker:
        try:
            # The shell, what it started, one that has no mark; above it the guardian, the nursery.
            until(lambda: len(marked(name)) >= 6 and unmarked_below(name))
            nameless = unmarked_below(name)
        finally:
            worker.kill()
    until(lambda: not marked(name) and not guardians(name), 2)
    assert len(nameless) == 1
    assert not os.path.exists(f"/proc/{nameless[0]}")


def test_a_worker_that_is_killed_is_noticed_though_its_sockets_live_on(
    tmp_path: Path, environment: dict[str, str], until: Until
) -> None:
    """Somebody whom it had forked may hold them; nothing of its command is left all the same."""
    name = f"host.{os.getpid()}.{os.urandom(4).hex()}"
    forks = WORKER.replace("    running.wait()", "    if os.fork(): running.wait()\n    os.pause()")
    forks = forks.replace("os.pause", "__import__('signal').pause")
    with subprocess.Popen(
        python(forks, str(tmp_path), name, "sleep 1000"),
        env=environment,
        start_new_session=True,
    ) as worker:
        until(lambda: marked(name) and children_of(worker.pid))
        worker.kill()
        worker.wait()
        until(lambda: not marked(name) and not guardians(name), 2)
        os.killpg(worker.pid, signal.SIGKILL)


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has ended
            found += [int(child) for child in path.read_text().split()]
    return found


def guardians(worker: str) -> list[int]:
    """Return the guardians of a worker's commands, its nursery included."""
    return [p for p in orphans._processes() if mark_of(orphans.GUARD, worker, p)]


def mark_of(name: str, value: str, pid: int) -> bool:
    """Tell whether a process carries a mark."""
    return f"{name}={value}".encode() in (orphans._environment(pid) or ())


def guardian_of(runner: Runner) -> int:
    """Return the guardian of the newest command."""
    nursery = runner.nursery._process
    assert nursery is not None
    return max(children_of(nursery.pid))


def test_a_killed_guardian_takes_the_command_with_it(runner: Runner, until: Until) -> None:
    """The kernel kills the first process, and the rest is found by its mark."""
    running = runner.start("sh", "-c", f"{LEAVING} echo on; sleep 1000")
    until(lambda: runner.out.read_bytes() == b"on\n")
    os.kill(guardian_of(runner), signal.SIGKILL)
    end = running.wait(2)
    assert end.vanished
    assert end.exit_code is None
    assert marked(runner.worker) == []


def test_another_command_of_the_worker_is_not_touched_by_that(runner: Runner, until: Until) -> None:
    """Each is told from the others by its job."""
    other = runner.start("sleep", "1000")
    running = runner.start("sh", "-c", "echo on; sleep 1000")
    until(lambda: runner.out.read_bytes() == b"on\n")
    os.kill(guardian_of(runner), signal.SIGKILL)
    assert running.wait(2).vanished
    assert other.poll() is None


def test_closing_it_ends_it(runner: Runner, until: Until) -> None:
    """A command that nobody wants any more does not go on."""
    with runner.start("sh", "-c", f"{LEAVING} echo on; sleep 1000"):
        until(lambda: runner.out.read_bytes() == b"on\n")
    assert marked(runner.worker) == []


def test_what_the_disk_refuses_is_not_the_commands_fault(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """It is killed at once, and the end says what could not be written and why."""
    began = time.monotonic()
    done = subprocess.run(
        python(LIMITED, str(tmp_path), "head -c 1000000 /dev/zero; sleep 1000"),
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert time.monotonic() - began < HANGS
    said = f"{errno.EFBIG} 7 cannot write {tmp_path}/out: File too large\n"
    assert done.stdout == said
    assert (tmp_path / "out").stat().st_size == 100_000


def test_output_goes_into_a_new_file_and_nowhere_else(runner: Runner, tmp_path: Path) -> None:
    """Neither through a link nor into what lies there already."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "link", tmp_path):
        with pytest.raises(Exception, match="cannot write"):
            runner.start("true", stdout=str(path))
    assert not (tmp_path / "elsewhere").exists()


def test_a_killed_nursery_is_replaced_and_its_guardians_go_on(
    runner: Runner, tmp_path: Path, until: Until
) -> None:
    """Guardians need it only to be born."""
    os.mkfifo(tmp_path / "go")
    running = runner.start("sh", "-c", "echo on; read line < go; exit 4")
    until(lambda: runner.out.read_bytes() == b"on\n")
    nursery = runner.nursery._process
    assert nursery is not None
    nursery.kill()
    os.waitid(os.P_PID, nursery.pid, os.WEXITED | os.WNOWAIT)
    assert runner.run("true").exit_code == 0
    (tmp_path / "go").write_text("go\n")
    assert running.wait(HANGS).exit_code == 4


def test_a_command_whose_guardian_was_never_born_did_not_run(runner: Runner) -> None:
    """That is the environment's failure, and nobody is charged with it."""
    assert runner.run("true").exit_code == 0
    nursery = runner.nursery._process
    assert nursery is not None
    os.kill(nursery.pid, signal.SIGSTOP)
    running = runner.start("touch", "it-ran")
    nursery.kill()
    end = running.wait(HANGS)
    assert end.lost is not None
    assert not end.vanished
    assert not (runner.place / "it-ran").exists()
