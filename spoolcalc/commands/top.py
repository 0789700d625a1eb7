"""``top``: the spool, live, until q or ctrl-C.

Whatever ends it, the terminal is as it was before: it shows what it showed, echoes, and has its
cursor.  A signal that ends it does so after that.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import ExitStack, contextmanager, suppress

from spoolcalc import files, output
from spoolcalc.bell import Bell
from spoolcalc.errors import INTERRUPTED, OK, StorageFailure, UsageError
from spoolcalc.glance import Watch
from spoolcalc.render.top import frame
from spoolcalc.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: The longest and the shortest time (seconds) from one look to the next.
POLL, PAUSE = 1.0, 0.2
#: The size of a look that goes to no terminal.
_COLUMNS, _LINES = 80, 24
_STDIN, _STDOUT = 0, 1
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def top(path: str, *, once: bool = False) -> int:
    """Show the spool until somebody has enough of it, or ``once``."""
    spool = Spool(path)
    watch = Watch(spool.layout)
    with watch.history:
        if once:
            columns, lines = _size()
            screen = frame(watch.look(), columns, lines).plain
            output.answer("\n".join(line.rstrip() for line in screen.splitlines()[:-1]) + "\n")
            return OK
        if not output.on_terminal():
            raise UsageError(
                "top shows itself on a terminal, and stdout is none",
                "`spool top --once` prints one look, and `spool status` what programs read.",
            )
        with suppress(StorageFailure):  # of a spool that an earlier version made
            files.make_directory(spool.layout.events, spool.layout.directory_mode)
        with Bell(spool.layout.events) as bell:
            ended_by = _show(watch, bell)
    if ended_by in (None, signal.SIGINT):
        return OK if ended_by is None else INTERRUPTED
    signal.signal(ended_by, signal.SIG_DFL)
    os.kill(os.getpid(), ended_by)
    return INTERRUPTED


def _show(watch: Watch, bell: Bell) -> int | None:
    """Show it until q, which gives None, or a signal."""
    from rich.console import Console
    from rich.live import Live

    caught: list[int] = []

    def end(number: int, _: object) -> None:
        caught.append(number)
        bell.wake()

    console = Console(highlight=False, markup=False)
    with ExitStack() as stack:
        for number in _ENDING:
            stack.callback(signal.signal, number, signal.signal(number, end))
        before = signal.signal(signal.SIGWINCH, lambda *_: bell.wake())
        stack.callback(signal.signal, signal.SIGWINCH, before)
        keys = stack.enter_context(_keys(bell))
        live = stack.enter_context(
            Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False)
        )
        while not caught:
            console.size = _size()
            live.update(frame(watch.look(), *console.size), refresh=True)
            drawn = time.monotonic()
            bell.wait(POLL)
            while not caught:
                if keys and not _goes_on():
                    return None
                rest = drawn + PAUSE - time.monotonic()
                if rest <= 0:
                    break
                bell.rest(rest)
    return caught[0]


def _goes_on() -> bool:
    """Take in what was typed; False if it was a q, or if nobody can type any more."""
    # Not by O_NONBLOCK: stdout, and the shell, have the same open terminal.
    if not select.select([_STDIN], [], [], 0)[0]:
        return True
    try:
        typed = os.read(_STDIN, 256)
    except OSError:
        return False
    return typed != b"" and b"q" not in typed.lower()


@contextmanager
def _keys(bell: Bell) -> Iterator[bool]:
    """Have keys come as they are typed, unseen; False if stdin is no terminal."""
    import termios
    import tty

    if not os.isatty(_STDIN):
        yield False
        return
    before = termios.tcgetattr(_STDIN)
    try:
        tty.setcbreak(_STDIN)
        now = termios.tcgetattr(_STDIN)
        now[6][termios.VSUSP] = b"\0"  # stopped, it would leave the terminal as it is now
        termios.tcsetattr(_STDIN, termios.TCSANOW, now)
        bell.watch(_STDIN)
        yield True
    finally:
        with suppress(OSError, termios.error):  # the terminal is gone
            termios.tcsetattr(_STDIN, termios.TCSAFLUSH, before)


def _size() -> tuple[int, int]:
    try:
        columns, lines = os.get_terminal_size(_STDOUT)
    except OSError:
        return _COLUMNS, _LINES
    return columns or _COLUMNS, lines or _LINES
