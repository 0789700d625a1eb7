"""Jobs from programs that know nothing of us: the page's recipe, in shells that know little."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conftest import Commands, Process, Ran

    from spoolcalc import Spool

PAGE = Path(__file__).parents[2] / "docs" / "format.md"
PUT, GET = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
ADD = {"operation": "add", "operands": ["12", "23"]}


def put(spool: Spool, name: str, asked: object = ADD) -> None:
    """Do what the recipe does."""
    inbox = Path(spool.layout.inbox)
    (inbox / f".{name}").write_text(json.dumps(asked))
    (inbox / f".{name}").rename(inbox / f"{name}.json")


@pytest.mark.parametrize("shell", ["dash", "busybox sh", "sh"])
def test_the_recipe_of_the_page(shell: str, spool: Spool, commands: Commands) -> None:
    """A job goes in and its result comes out, by a shell alone or by its name."""
    if shutil.which(shell.split(maxsplit=1)[0]) is None:
        pytest.skip(f"there is no {shell} here")

    def type_in(text: str) -> str:
        done = subprocess.run(
            [*shell.split(), "-eu", "-c", text],
            env={"PATH": os.environ["PATH"], "SPOOL_DIR": spool.path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert type_in(PUT) == ""
    waiting = commands.run("status", "nightly")
    assert waiting.returncode == 4
    assert "not adopted yet: nightly" in waiting.stderr
    assert commands.run("work", "--once", "-q") == (0, "", "")
    waited = commands.run("wait", "nightly")
    job_id = spool.find("nightly").id
    assert (waited.returncode, waited.stdout) == (0, f"{job_id}\tcompleted\n")
    assert json.loads(type_in(GET))["outcome"]["result"] == "35"
    assert commands.run("status", "nightly").stdout.split("\t")[:2] == [job_id, "completed"]
    assert commands.run("fetch", "nightly") == (0, "35\n", "")
    assert commands.run("status", job_id).stdout.split("\t")[1] == "retrieved"


def test_an_idle_worker_adopts_at_once(
    spool: Spool, start: Callable[..., Process], run: Callable[..., Ran], until: Callable[..., Any]
) -> None:
    """Whoever waits for a name waits for its adoption too."""
    waiting = start("fetch", "--wait", "a")
    put(spool, "a")
    worker = start("work", "-v")
    assert waiting.end() == (0, "35\n", "")
    until(lambda: "adopted" in worker.stderr)
    put(spool, "b", {**ADD, "delay": 0.2})
    assert run("fetch", "--wait", "b").stdout == "35\n"
    put(spool, "c", {"operation": "div", "operands": ["1", "0"]})
    assert run("wait", "c").stdout == f"{spool.find('c').id}\tfailed\n"


def test_a_busy_worker_adopts_too(
    spool: Spool,
    start: Callable[..., Process],
    plugin: dict[str, str],
    until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Its other thread does, so that another worker can run what has come."""
    assert start("submit", "hold", str(tmp_path), env=plugin).end().returncode == 0
    start("work", "--jobs", "1", env=plugin)
    until(lambda: spool.counts()[State.WIP])
    put(spool, "a")
    until(lambda: not os.listdir(spool.layout.inbox) and spool.counts()[State.PENDING])
    assert spool.find("a").state is State.PENDING


def test_what_cannot_be_a_job_is_said_to_who_waits(
    spool: Spool, start: Callable[..., Process], run: Callable[..., Ran]
) -> None:
    """The worker says it, and so does whoever is asked for the name."""
    put(spool, "a", {**ADD, "colour": "red"})
    worked = run("work", "--once", "-q")
    assert worked.returncode == 0
    assert "rejected a was moved to corrupt/: there is no field 'colour'" in worked.stderr
    for command in ("wait", "fetch", "status", "cancel"):
        asked = run(command, "a")
        assert (asked.returncode, asked.stdout) == (2, "")
        assert "there is no field 'colour'" in asked.stderr


def test_what_waits_is_counted(spool: Spool, run: Callable[..., Ran]) -> None:
    """Who looks at the whole spool sees that a worker is wanting; what is being written is none."""
    put(spool, "a")
    Path(spool.layout.inbox, ".b").touch()
    seen = run("status")
    assert "inbox\t1\n" in seen.stdout
    assert "1 job waits and no worker is alive" in seen.stderr
    assert json.loads(run("status", "--json").stdout)["inbox"] == 1


def test_a_command_from_the_inbox(spool: Spool, run: Callable[..., Ran], tmp_path: Path) -> None:
    """Its output is had by its name, like that of any other."""
    put(spool, "a", {"operation": "exec", "operands": ["pwd"], "cwd": str(tmp_path)})
    assert run("work", "--once", "-q").returncode == 0
    assert run("logs", "a").stdout == run("fetch", "a").stdout == f"{tmp_path}\n"


def test_nobody_adopts_and_the_wait_ends(spool: Spool, run: Callable[..., Ran]) -> None:
    """It is said that a worker is wanting."""
    put(spool, "a")
    for arguments in (["wait", "a"], ["fetch", "--wait", "a"]):
        waited = run(*arguments, "--timeout", "50ms")
        assert waited.returncode == 4
        assert "not adopted yet: a" in waited.stderr
        assert "spool work" in waited.stderr
    assert run("fetch", "a").returncode == 4
    assert run("fetch", "b").returncode == 2


def test_names_and_ids_go_together(spool: Spool, run: Callable[..., Ran]) -> None:
    """Also where they come from stdin."""
    job_id = run("submit", "add", "1", "2").stdout.strip()
    put(spool, "a")
    run("work", "--once", "-q")
    waited = run("wait", "-", job_id, input=b"a\n")
    assert sorted(line.split("\t")[0] for line in waited.stdout.splitlines()) == sorted(
        [job_id, spool.find("a").id]
    )
    assert run("fetch", "a", job_id).stdout == "35\n3\n"


def test_a_name_will_do_to_cancel_and_to_retry(spool: Spool, run: Callable[..., Ran]) -> None:
    """Like any id."""
    put(spool, "a", {**ADD, "delay": 3600})
    put(spool, "b", {"operation": "div", "operands": ["1", "0"]})
    run("work", "--once", "-q")
    assert run("cancel", "a").returncode == 0
    assert run("wait", "a").returncode == 5
    assert run("retry", "b").stdout.strip() == spool.find("b").id
    assert spool.find("b").state == "pending"
