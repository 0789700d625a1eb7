"""`spool top` in a real terminal: what the screen shows at which size, and what it leaves."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import Spool, State, Worker, glance, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Commands, Jobs, Process, Ran

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    """A terminal of tmux's own server, with a shell in it."""

    def __init__(self, commands: Commands, socket: Path, columns: int, lines: int) -> None:
        self._tmux = ("tmux", "-S", str(socket), "-f", "/dev/null")
        self._environment = {**commands.environment, "PS1": "ready> ", "ENV": ""}
        words = [sys.executable, "-c", "from spoolcalc.entry import main; main()"]
        size = ("-x", str(columns), "-y", str(lines))
        # It ends by itself if the test is killed.
        self("new-session", "-d", *size, "timeout", "60", "sh")
        self.command = shlex.join(words)

    def __call__(self, *words: str) -> str:
        return subprocess.run(
            [*self._tmux, *words],
            env=self._environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=20,
        ).stdout

    def type(self, text: str) -> None:
        self("send-keys", "-l", text)

    def enter(self, text: str) -> None:
        self.type(text)
        self("send-keys", "Enter")

    def lines(self) -> list[str]:
        return self("capture-pane", "-p").split("\n")[:-1]

    def screen(self) -> str:
        return "\n".join(self.lines())

    def resize(self, columns: int, lines: int) -> None:
        self("resize-window", "-x", str(columns), "-y", str(lines))

    def asked(self, form: str) -> str:
        """Ask tmux for something about the terminal."""
        return self("display-message", "-p", form).strip()


@pytest.fixture
def terminal(commands: Commands, tmp_path: Path) -> Iterator[Callable[[int, int], Terminal]]:
    opened: list[Terminal] = []

    def open_one(columns: int, lines: int) -> Terminal:
        opened.append(Terminal(commands, tmp_path / "tmux", columns, lines))
        return opened[-1]

    yield open_one
    for one in opened:
        one("kill-server")


@pytest.fixture
def busy(
    spool: Spool, start: Callable[..., Process], plugin: dict[str, str], until: Callable[..., Any]
) -> Spool:
    """A spool with jobs in most states, and a worker that is at one and tells of it."""
    for number in range(3):
        spool.submit("add", [str(number), "1"])
    spool.submit("div", ["1", "0"])
    Worker(spool, once=True).run()
    spool.submit("add", ["1", "1"], delay=3600.0)
    running = spool.submit("exec", ["sleep", "40"])
    start("work", env=plugin)
    until(lambda: spool.find(running).state == "wip")
    view = spool.find(running)
    note = Path(spool.layout.wip_of(view.worker or "")) / f"{running}.progress"
    note.write_text(json.dumps({"fraction": 0.5, "text": "half the files", "at": ""}))
    return spool


def check_frame(lines: list[str], columns: int, height: int) -> None:
    """All that there is to see is there, in its place, and nothing is cut off or wrapped."""
    assert len(lines) == height
    assert max(map(len, lines)) <= columns
    assert re.fullmatch(r"spool .*/spool +\d\d:\d\d:\d\d", lines[0])
    assert len(lines[0]) == columns
    states = ["blocked", "delayed", "pending", "wip", "completed", "failed", "retrieved"]
    assert lines[2].split() == states
    assert dict(zip(states, lines[3].split(), strict=True)) == {
        **dict.fromkeys(states, "0"),
        "delayed": "1",
        "wip": "1",
        "completed": "3",
        "failed": "1",
    }
    assert re.match(r"submitted [\d.]+/s   completed [\d.]+/s   failed [\d.]+/s ", lines[4])
    assert "oldest pending -" in lines[4]
    workers = lines.index("WORKERS 1, 1 busy")
    assert re.search(r"\d+(\.\d)? s ████░░░░  50% ha.* exec sleep 40$", lines[workers + 1])
    failures = lines.index("LAST FAILURES")
    assert re.match(r"\d\d:\d\d:\d\d error      div \S{36}: division by zero$", lines[failures + 1])
    assert lines[-1] == "q quits"


@needs_tmux
@pytest.mark.parametrize(("columns", "height"), [(80, 24), (200, 50)])
def test_the_screen_at_its_sizes(
    busy: Spool,
    terminal: Callable[[int, int], Terminal],
    until: Callable[..., Any],
    columns: int,
    height: int,
) -> None:
    """It uses what there is, follows what happens and each change of the size, and goes with q."""
    shell = terminal(columns, height)
    until(lambda: "ready>" in shell.screen())
    shell.enter(f"echo before; {shell.command} top; echo left $?")
    until(lambda: "q quits" in shell.screen())
    check_frame(shell.lines(), columns, height)
    assert shell.asked("#{alternate_on} #{cursor_flag}") == "1 0"
    if columns >= 200:
        assert "half the files" in shell.screen()

    busy.submit("add", ["1", "1"], delay=3600.0)
    until(lambda: shell.lines()[3].split()[1] == "2")
    for other in ((120, 30), (60, 12), (columns, height)):
        shell.resize(*other)
        until(lambda size=other: shell.lines()[-1] == "q quits" and len(shell.lines()) == size[1])
        until(lambda size=other: len(shell.lines()[0]) == size[0])
    shell.type("q")
    until(lambda: "left 0" in shell.screen())
    check_restored(shell, until)


def check_restored(shell: Terminal, until: Callable[..., Any]) -> None:
    """The screen shows what it showed before, the cursor, and what is typed."""
    assert shell.asked("#{alternate_on} #{cursor_flag}") == "0 1"
    assert "before" in shell.screen()
    assert "WORKERS" not in shell.screen()
    shell.enter("stty -a | tr ' ;' '\\n\\n' | grep -x -e -echo -e -icanon -e icanon -e echo | sort")
    until(lambda: re.search(r"^echo\nicanon\nready>", shell.screen(), re.MULTILINE))


@needs_tmux
@pytest.mark.parametrize(
    ("way", "code"),
    [
        ("C-c", 130),
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 129),
        ("gone", 7),
    ],
)
def test_whatever_ends_it_the_terminal_is_as_before(
    spool: Spool,
    terminal: Callable[[int, int], Terminal],
    until: Callable[..., Any],
    way: str | signal.Signals,
    code: int,
) -> None:
    """Ctrl-C, a signal, and an error: the spool was removed under it."""
    shell = terminal(80, 24)
    until(lambda: "ready>" in shell.screen())
    shell.enter(f"echo before; {shell.command} top; echo left $?")
    until(lambda: "q quits" in shell.screen())
    if isinstance(way, signal.Signals):
        [shell_pid] = shell.asked("#{pane_pid}").split()
        [child] = _descendants(int(shell_pid), "spoolcalc.entry")
        os.kill(child, way)
    elif way == "gone":
        os.rename(spool.path, f"{spool.path}.aside")
        Path(spool.path).symlink_to(spool.path)  # looking at what is in it is refused: ELOOP
    else:
        shell("send-keys", way)
    until(lambda: re.search(r"^left \d+", shell.screen(), re.MULTILINE))
    assert f"left {code}" in shell.screen()
    check_restored(shell, until)


def _descendants(pid: int, word: str) -> list[int]:
    """Return the processes below ``pid`` that have ``word`` in their command."""
    found = []
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        if word in Path(f"/proc/{child}/cmdline").read_text():
            found.append(child)
        found += _descendants(child, word)
    return found


def test_without_a_terminal_it_says_so(run: Callable[..., Ran], spool: Spool) -> None:
    """And how to have one look all the same."""
    said = run("top")
    assert (said.returncode, said.stdout) == (2, "")
    assert "--once" in said.stderr


def test_one_look_goes_anywhere(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Plain lines of 80 columns."""
    jobs.of_each_state()
    jobs.spool.pause()
    said = run("top", "--once")
    assert (said.returncode, said.stderr) == (0, "")
    assert max(map(len, said.stdout.splitlines())) <= 80
    assert len(said.stdout.splitlines()) == 23
    assert "\x1b" not in said.stdout
    assert "PAUSED" in said.stdout
    assert "no worker is alive" in said.stdout
    assert said.stdout.splitlines()[3].split() == ["1", "1", "1", "0", "1", "1", "1"]


def test_what_does_not_fit_is_counted(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Many running jobs and many failures share the screen; nothing is told to the terminal."""
    for number in range(30):
        jobs.failed(f"no \x1b[31m{number}")
    for _ in range(40):
        jobs.pending()
    with jobs.spool.register() as lease:
        for _ in range(40):
            assert jobs.spool.claim(lease)
        said = run("top", "--once")
    lines = said.stdout.splitlines()
    assert len(lines) == 23
    assert "\x1b" not in said.stdout
    assert [line for line in lines if re.fullmatch(r"and \d+ more", line)]
    assert "no \\x1b[31m29" in lines[lines.index("LAST FAILURES") + 1]
    assert "no \\x1b[31m27" in lines[lines.index("LAST FAILURES") + 3]


def test_what_takes_long_to_find_out_is_asked_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a spool of millions of jobs costs a small part of a processor."""
    now = [1000.0]
    monkeypatch.setattr("spoolcalc.glance.time.monotonic", lambda: now[0])
    asked: list[float] = []

    def find() -> int:
        asked.append(now[0])
        now[0] += 1.0
        return len(asked)

    seldom = glance.Seldom(find)
    for _ in range(200):
        seldom()
        now[0] += 1.0
    assert len(asked) == 4


def test_a_directory_that_stands_still_is_not_listed_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One status for each of them, and what has changed is seen."""
    spool.submit("add", ["1", "1"])
    [bucket] = Path(spool.layout.pending).iterdir()
    os.utime(bucket, (1, 1))
    monkeypatch.setattr(glance, "SHARE", 1e9)
    watch = glance.Watch(spool.layout)
    with watch.history:
        assert watch.look().counts[State.PENDING] == 1
        listed: list[str] = []
        real = reading.names

        def names(path: str) -> Any:
            listed.append(path)
            return real(path)

        monkeypatch.setattr(reading, "names", names)
        monkeypatch.setattr(watch, "_oldest", lambda: None)
        assert watch.look().counts[State.PENDING] == 1
        assert str(bucket) not in listed
        spool.submit("add", ["1", "1"])
        assert watch.look().counts[State.PENDING] == 2


def test_rates_are_those_of_the_last_seconds(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was before it began is none, and what is past goes."""
    now = [1000.0]
    list(spool.submit_many([("add", ["1", "1"])] * 50))
    watch = glance.Watch(spool.layout)
    with watch.history:
        monkeypatch.setattr("spoolcalc.glance.time.monotonic", lambda: now[0])
        assert watch.look().rates["submitted"] == 0
        list(spool.submit_many([("add", ["1", "1"])] * 20))
        now[0] += 10.0
        assert watch.look().rates["submitted"] == 2.0
        now[0] += 20.0
        assert watch.look().rates["submitted"] == 0


def test_between_two_counts_what_happens_is_added(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory of a million jobs is counted seldom, and its number is right all the same."""
    monkeypatch.setattr(glance, "SHARE", 1e-9)
    list(spool.submit_many([("add", ["1", "1"])] * 5))
    watch = glance.Watch(spool.layout)
    with watch.history:
        assert watch.look().counts[State.PENDING] == 5
        list(spool.submit_many([("add", ["1", "1"])] * 20))
        Worker(spool, once=True, max_jobs=3).run()
        counts = watch.look().counts
    assert (counts[State.PENDING], counts[State.WIP], counts[State.COMPLETED]) == (22, 0, 3)
