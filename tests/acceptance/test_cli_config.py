"""`spool config`, and what settings do to the commands that need them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Commands, Process, Ran

    from spoolcalc import Spool


@pytest.fixture
def settings(spool: Spool) -> Path:
    """Return the file, not made yet."""
    return Path(spool.layout.settings)


def write(path: Path, text: str) -> None:
    """Set something for all."""
    path.write_text(text)
    path.chmod(0o644)


def test_each_value_and_where_it_comes_from(run: Callable[..., Ran], settings: Path) -> None:
    """In a pipe, fields between tabs; on stderr nothing."""
    write(settings, '# ours\ntimeout = "90s"\nkeep_failed = "4w"\n')
    ended = run("config", env={"SPOOL_RETRIES": "3", "SPOOL_TIMEOUT": "1h"})
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [line.split("\t") for line in ended.stdout.splitlines()]
    assert lines == [
        ["timeout", "1h", "SPOOL_TIMEOUT"],
        ["retries", "3", "SPOOL_RETRIES"],
        ["backoff", "10s", "built in"],
        ["max_crashes", "3", "built in"],
        ["lease", "1m", "built in"],
        ["keep_retrieved", "0s", "built in"],
        ["keep_completed", "forever", "built in"],
        ["keep_failed", "28d", f"{settings}, line 3"],
        ["max_document", "16M", "built in"],
        ["max_pending", "none", "built in"],
        ["min_free", "0", "built in"],
    ]


def test_json(run: Callable[..., Ran], settings: Path) -> None:
    """Numbers in seconds and bytes; null is no limit."""
    write(settings, 'max_document = "64K"\n')
    told = json.loads(run("config", "--json").stdout)
    assert (told["schema"], told["file"]) == (1, str(settings))
    found = {entry.pop("name"): entry for entry in told["settings"]}
    line = {"value": 65536, "written": "64K", "origin": f"{settings}, line 1"}
    assert found["max_document"] == line
    assert found["timeout"] == {"value": None, "written": "none", "origin": "built in"}


def test_on_a_terminal_it_is_a_table(commands: Commands, settings: Path) -> None:
    """With a head."""
    said = commands.on_terminal("config")
    assert said.returncode == 0
    assert said.stdout.splitlines()[0].split() == ["setting", "value", "from"]


@pytest.mark.parametrize(
    "words",
    [("submit", "add", "1", "2"), ("submit", "--from", "-"), ("work", "--once"), ("clean",)],
)
def test_a_wrong_file_is_refused(
    words: tuple[str, ...], run: Callable[..., Ran], settings: Path
) -> None:
    """By the commands that need it, with line and reason, and exit code 7."""
    write(settings, 'timeout = "1m"\nretrys = 2\n')
    ended = run(*words, input=b"add 1 2\n")
    assert (ended.returncode, ended.stdout) == (7, "")
    assert ended.stderr.startswith(
        f"spool: {settings}, line 2: there is no setting 'retrys'\n  Did you mean retries? "
    )
    assert os.listdir(settings.parent / "pending") == []
    assert run("config").returncode == 7
    assert run("status").returncode == 0


def test_lines_beyond_a_ceiling(run: Callable[..., Ran], settings: Path) -> None:
    """Those before it are submitted, and the error names the first that is not."""
    write(settings, "max_pending = 3\n")
    lines = b"# a comment\n" + b"".join(b"add %d 1\n" % n for n in range(1000))
    ended = run("submit", "--from", "-", "--keep-going", input=lines)
    assert (ended.returncode, len(ended.stdout.splitlines())) == (7, 3)
    assert "standard input, line 5: refused: max_pending is 3, and 3 jobs or more" in ended.stderr
    assert "Nothing of it was submitted; 3 jobs before it were." in ended.stderr
    assert len(list((settings.parent / "pending").glob("*/*"))) == 3
    again = run("submit", "add", "1", "2")
    assert (again.returncode, again.stdout) == (7, "")
    assert f"have max_pending raised in {settings}." in again.stderr


def test_settings_are_as_if_the_option_was_given(run: Callable[..., Ran], settings: Path) -> None:
    """And the option beats them."""
    write(settings, 'timeout = "10m"\nretries = 2\n')
    one = run("submit", "add", "1", "2").stdout.strip()
    two = run("submit", "--retries", "0", "--timeout", "5s", "add", "1", "2").stdout.strip()
    told = json.loads(run("status", "--json", one, two).stdout)["jobs"]
    assert [(job["timeout"], job["retries"]) for job in told] == [(600.0, 2), (5.0, 0)]


def test_a_worker_tells_once_that_there_is_no_room(
    start: Callable[..., Process],
    run: Callable[..., Ran],
    settings: Path,
    until: Callable[..., object],
) -> None:
    """And goes on; the file waits, and becomes a job when the settings allow it."""
    write(settings, 'min_free = "1000T"\n')
    asked = '{"operation": "neg", "operands": ["1"]}'
    (settings.parent / "inbox" / "mine.json").write_text(asked)
    worker = start("work")
    until(lambda: "min_free" in worker.stderr)
    assert run("status", "mine").returncode == 4
    worker.popen.terminate()
    assert worker.end().stderr.count("min_free is") == 1
    write(settings, "")
    assert run("work", "--once", "-q").returncode == 0
    assert run("fetch", "mine").stdout == "-1\n"
