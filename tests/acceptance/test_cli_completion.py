"""The shell's completion: commands, operations, and the ids that are in the spool now."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from spoolcalc.cli import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Jobs, Ran

    Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(run: Callable[..., Ran]) -> Complete:
    """Ask as bash does for what could stand at the end of a line."""

    def ask(line: str) -> list[str]:
        asking = {
            "_SPOOL_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        }
        ended = run(env=asking)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout.split()

    return ask


def test_commands_are_offered(complete: Complete) -> None:
    """After the command's own name come the commands."""
    assert sorted(complete("spool ")) == sorted(COMMANDS)
    assert complete("spool cl") == ["clean"]


@pytest.mark.parametrize("command", ["fetch", "status"])
def test_live_ids_are_offered(command: str, complete: Complete, jobs: Jobs) -> None:
    """Ids in every state are offered, and fewer the more of one was written."""
    ids = set(jobs.of_each_state().values())
    assert set(complete(f"spool {command} ")) == ids
    one = min(ids)
    assert complete(f"spool {command} {one[:-1]}") == [one]
    assert set(complete(f"spool {command} {one} {one[:4]}")) <= ids
    assert complete(f"spool {command} ffff") == []


def test_ids_are_offered_to_other_shells(run: Callable[..., Ran], jobs: Jobs) -> None:
    """The shells that ask in another way get the same ids."""
    job_id = jobs.completed()
    for shell in ("zsh", "fish"):
        asking = {
            "_SPOOL_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": "spool fetch ",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        ended = run(env=asking)
        assert job_id in ended.stdout
        assert (ended.returncode, ended.stderr) == (0, "")


def test_not_too_many_are_offered(complete: Complete, jobs: Jobs) -> None:
    """However many jobs there are, a screenful is offered."""
    for _ in range(80):
        jobs.pending()
    assert len(complete("spool fetch ")) == 50


def test_operations_are_offered(complete: Complete) -> None:
    """After submit come the operations."""
    assert {"add", "sub", "sqrt"} <= set(complete("spool submit "))
    assert set(complete("spool submit s")) >= {"sign", "sqrt", "sub", "sum"}


def test_without_a_spool_nothing_is_offered(complete: Complete) -> None:
    """Where there is no spool, or none that can be used, completion is silent."""
    assert complete("spool fetch ") == []


def test_options_and_states_are_offered(complete: Complete) -> None:
    """Options and their values are offered too."""
    assert complete("spool fetch --ke") == ["--keep"]
    assert complete("spool status --state com") == ["completed"]


def test_the_script_for_bash_is_sound(run: Callable[..., Ran], jobs: Jobs) -> None:
    """What the shell is told to source is a script that bash takes, and it offers ids."""
    script = run(env={"_SPOOL_COMPLETE": "source_bash"}).stdout
    assert "_SPOOL_COMPLETE=complete_bash" in script
    subprocess.run(["bash", "-n"], input=script.encode(), check=True, timeout=20)
