"""Functions in child processes: real ones, which die, are killed and leave things behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError, Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import child_functions as functions
import pytest

from spoolcalc.child import send
from spoolcalc.childprocess import ChildDied, ChildKilled, RemoteError
from spoolcalc.children import ChildExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Until = Callable[..., Any]

#: What takes longer than this (seconds) hangs.
HANGS = 20.0
#: A worker that has a child busy in C, with another process beside it, and then waits.
WORKER = """
import sys
import child_functions
from spoolcalc.children import ChildExecutor

executor = ChildExecutor(2, worker=sys.argv[1])
executor.start(child_functions.busy_sum, (sys.argv[2],))
pid = executor.submit(child_functions.pid).result()
print(pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def executor() -> Iterator[ChildExecutor]:
    """Make an executor of two children, which are gone after the test."""
    made = ChildExecutor(2, worker=f"test.{os.getpid()}.0a1b2c3d")
    yield made
    for host in made._hosts:
        if host._at_hand is not None:
            host._at_hand.kill(0)
    made.shutdown()


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that only was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_is_an_executor_whose_child_stays_warm(executor: ChildExecutor) -> None:
    """A result comes back, and the next function runs in the same process."""
    assert isinstance(executor, Executor)
    assert executor.submit(functions.add, 1, second=2).result(HANGS) == 3
    pids = {executor.submit(functions.pid).result(HANGS) for _ in range(5)}
    assert len(pids) == 1
    assert os.getpid() not in pids


def test_children_work_side_by_side_and_never_more_than_asked_for(
    executor: ChildExecutor, tmp_path: Path, until: Until
) -> None:
    """Two busy ones occupy both children; the third waits, and can be cancelled."""
    busy = [executor.submit(functions.busy_sum, str(tmp_path / name)) for name in "ab"]
    third = executor.submit(functions.pid)
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    assert not third.running()
    third.kill(1)
    assert third.cancelled()
    with pytest.raises(CancelledError):
        third.result(HANGS)
    for future in busy:
        future.kill(0)
        with pytest.raises(ChildKilled):
            future.result(HANGS)


def test_no_process_is_started_before_there_is_something_to_run() -> None:
    """An executor that was never used has neither threads nor children."""
    executor = ChildExecutor(4)
    assert executor._hosts == []
    executor.shutdown()
    with pytest.raises(RuntimeError):
        executor.submit(functions.pid)


def test_an_exception_is_raised_as_it_is(executor: ChildExecutor) -> None:
    """What a function raises, its future raises."""
    with pytest.raises(ValueError, match="so it is"):
        executor.submit(functions.raise_value_error).result(HANGS)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (functions.raise_demanding, "Demanding: one and two"),
        (functions.raise_system_exit, "SystemExit: 3"),
        (functions.give_function, "a function, which cannot be passed on"),
    ],
)
def test_what_cannot_be_passed_on_is_told_as_a_text(
    executor: ChildExecutor, function: Callable[[], object], said: str
) -> None:
    """Unpicklable results and exceptions become a RemoteError, and the child lives on."""
    before = executor.submit(functions.pid).result(HANGS)
    with pytest.raises(RemoteError) as raised:
        executor.submit(function).result(HANGS)
    assert str(raised.value) == said
    assert executor.submit(functions.pid).result(HANGS) == before


def test_a_function_that_cannot_be_passed_on_is_refused(executor: ChildExecutor) -> None:
    """A lambda never reaches a child."""
    with pytest.raises(Exception, match="pickle"):
        executor.submit(lambda: None).result(HANGS)


@pytest.mark.parametrize(
    ("function", "arguments", "code", "said"),
    [
        (functions.die, (), -signal.SIGKILL, "its process was killed by SIGKILL"),
        (functions.exit_with, (3,), 3, "its process exited with 3"),
        (functions.exit_with, (0,), 0, "its process exited with 0"),
    ],
)
def test_a_child_that_ends_by_itself_is_told_and_replaced(
    executor: ChildExecutor,
    function: Callable[..., None],
    arguments: tuple[int, ...],
    code: int,
    said: str,
) -> None:
    """ChildDied says how, and the next function finds a living child."""
    with pytest.raises(ChildDied, match=said) as raised:
        executor.submit(function, *arguments).result(HANGS)
    assert raised.value.code == code
    assert executor.submit(functions.add, 1, 2).result(HANGS) == 3


@pytest.mark.parametrize(
    "function", [functions.busy_sum, functions.busy_power, functions.busy_pattern]
)
def test_a_call_that_is_busy_in_c_is_killed(
    executor: ChildExecutor, function: Callable[[str], object], tmp_path: Path, until: Until
) -> None:
    """No Python code runs in it any more, and yet it ends when the grace is over."""
    shown = tmp_path / "shown"
    future = executor.submit(function, str(shown))
    until(shown.exists)
    began = time.monotonic()
    future.kill(0.2)
    with pytest.raises(ChildKilled):
        future.result(HANGS)
    assert time.monotonic() - began < 2


def test_sigkill_follows_when_sigterm_is_ignored(
    executor: ChildExecutor, tmp_path: Path, until: Until
) -> None:
    """The grace is given, and no more."""
    shown = tmp_path / "shown"
    future = executor.submit(functions.ignore_sigterm, str(shown))
    until(shown.exists)
    began = time.monotonic()
    future.kill(0.3)
    with pytest.raises(ChildKilled):
        future.result(HANGS)
    assert 0.3 <= time.monotonic() - began < 3


def test_what_is_told_to_end_tidies_up(
    executor: ChildExecutor, tmp_path: Path, until: Until
) -> None:
    """Its ``finally`` is run, however often it is told; it is over as soon as that is."""
    shown = tmp_path / "shown"
    future = executor.submit(functions.tidy_up, str(shown))
    until(shown.exists)
    began = time.monotonic()
    for _ in range(3):
        future.kill(HANGS)
    with pytest.raises(ChildKilled):
        future.result(HANGS)
    assert time.monotonic() - began < HANGS / 2
    assert not shown.exists()
    assert executor.submit(functions.add, 1, second=2).result(HANGS) == 3


@pytest.mark.parametrize(("function", "grace"), [("swallow", 0.2), ("swallow_once", HANGS)])
def test_what_takes_no_notice_is_killed(
    executor: ChildExecutor, tmp_path: Path, until: Until, function: str, grace: float
) -> None:
    """What it returns instead does not count either."""
    shown = tmp_path / "shown"
    future = executor.submit(getattr(functions, function), str(shown))
    until(shown.exists)
    future.kill(grace)
    with pytest.raises(ChildKilled):
        future.result(HANGS)


def test_a_stranger_who_tells_a_child_to_end_has_killed_it(
    executor: ChildExecutor, tmp_path: Path, until: Until
) -> None:
    """It tidies up, and dies of the signal."""
    shown = tmp_path / "shown"
    future = executor.submit(functions.tidy_up, str(shown))
    until(shown.exists)
    child = executor._hosts[0]._child
    assert child is not None
    os.kill(child._process.pid, signal.SIGTERM)
    with pytest.raises(ChildDied, match="SIGTERM"):
        future.result(HANGS)
    assert not shown.exists()


def test_what_a_function_forks_ends_as_any_process(executor: ChildExecutor) -> None:
    """Only the function itself is told of a SIGTERM by an exception."""
    assert executor.submit(functions.end_a_fork).result(HANGS) == -signal.SIGTERM


def test_the_shorter_grace_counts(executor: ChildExecutor, tmp_path: Path, until: Until) -> None:
    """Asked again, more urgently, it hurries."""
    shown = tmp_path / "shown"
    future = executor.submit(functions.ignore_sigterm, str(shown))
    until(shown.exists)
    future.kill(1000)
    future.kill(0)
    with pytest.raises(ChildKilled):
        future.result(HANGS)


def test_killing_one_that_is_done_harms_nobody(executor: ChildExecutor) -> None:
    """The child, which is idle or at another function, is left alone."""
    future = executor.submit(functions.pid)
    pid = future.result(HANGS)
    future.kill(0)
    assert executor.submit(functions.pid).result(HANGS) == pid


def test_a_child_killed_by_a_stranger_is_noticed_at_once(
    executor: ChildExecutor, tmp_path: Path, until: Until
) -> None:
    """SIGKILL from outside, though a process that it started holds all its descriptors."""
    sent: list[Any] = []
    future = executor.start(functions.start_others, ("hold",), on_message=sent.append)
    until(lambda: sent)
    [host] = executor._hosts
    child = host._child
    assert child is not None
    began = time.monotonic()
    os.kill(child._process.pid, signal.SIGKILL)
    with pytest.raises(ChildDied):
        future.result(HANGS)
    assert time.monotonic() - began < 2
    assert not any(map(is_alive, sent[0]))


def test_what_a_killed_child_had_started_goes_with_it(
    executor: ChildExecutor, until: Until
) -> None:
    """Also what has gone into a session of its own."""
    sent: list[Any] = []
    future = executor.start(functions.start_others, ("hold",), on_message=sent.append)
    until(lambda: sent)
    future.kill(5)
    with pytest.raises(ChildKilled):
        future.result(HANGS)
    assert not any(map(is_alive, sent[0]))


def test_what_a_function_leaves_behind_is_gone_when_its_result_is_there(
    executor: ChildExecutor,
) -> None:
    """Processes are killed, and the child is used again."""
    before = executor.submit(functions.pid).result(HANGS)
    left = executor.submit(functions.start_others).result(HANGS)
    assert not any(map(is_alive, left))
    assert executor.submit(functions.pid).result(HANGS) == before


def test_a_child_with_a_thread_left_in_it_is_not_used_again(executor: ChildExecutor) -> None:
    """A thread cannot be killed but with its process."""
    first = executor.submit(functions.leave_thread).result(HANGS)
    assert executor.submit(functions.pid).result(HANGS) != first
    assert not is_alive(first)


def test_an_idle_child_that_died_costs_nothing(executor: ChildExecutor) -> None:
    """The next function runs in a new one."""
    pid = executor.submit(functions.pid).result(HANGS)
    os.kill(pid, signal.SIGKILL)
    assert executor.submit(functions.pid).result(HANGS) != pid


def test_messages_come_on_the_way_and_in_order(executor: ChildExecutor) -> None:
    """on_message hears them before the result is there."""
    heard: list[object] = []
    future = executor.start(functions.say, (1, "two", None), on_message=heard.append)
    assert future.result(HANGS) == "said"
    assert heard == [1, "two", None]
    assert executor.submit(functions.say, 1).result(HANGS) == "said"  # nobody listens


def test_only_a_child_can_send() -> None:
    """In any other process, a function is told so."""
    with pytest.raises(RuntimeError):
        send("anybody?")


def test_what_is_printed_disturbs_nothing(executor: ChildExecutor) -> None:
    """It goes to stderr, and stdin is empty."""
    assert executor.submit(functions.print_and_read).result(HANGS) == ""
    assert executor.submit(functions.add, 1, 2).result(HANGS) == 3


def test_results_of_any_size(executor: ChildExecutor) -> None:
    """More than a socket holds goes there and back."""
    text = "0123456789" * 1_000_000
    assert executor.submit(functions.add, text, text).result(HANGS) == text + text


def test_children_carry_their_workers_mark(executor: ChildExecutor) -> None:
    """So that they are found when their worker is dead."""
    assert executor.submit(functions.mark).result(HANGS) == executor.worker


def test_shutdown_ends_the_children_and_the_threads(executor: ChildExecutor) -> None:
    """What was submitted is done first."""
    futures = [executor.submit(functions.pid) for _ in range(4)]
    executor.shutdown()
    pids = {future.result(0) for future in futures}
    assert not any(map(is_alive, pids))
    assert not any(host.is_alive() for host in executor._hosts)


def test_no_child_outlives_its_worker(tmp_path: Path, until: Until) -> None:
    """SIGKILL to the worker: its idle child goes, and so does the one that is busy in C."""
    shown = tmp_path / "shown"
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, "test.1.0a1b2c3d", str(shown)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with worker:
        assert worker.stdout is not None
        idle = int(worker.stdout.readline())
        until(shown.exists)
        children = Path(f"/proc/{worker.pid}/task").glob("*/children")
        pids = [int(pid) for path in children for pid in path.read_text().split()]
        assert len(pids) == 2
        assert idle in pids
        worker.kill()
        until(lambda: not any(map(is_alive, pids)), 2)


def test_ctrl_c_on_the_terminal_is_the_workers_business(executor: ChildExecutor) -> None:
    """A child is in a session of its own, and ignores SIGINT."""
    pid = executor.submit(functions.pid).result(HANGS)
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGINT)
    assert executor.submit(functions.pid).result(HANGS) == pid
