"""`spool torture` passes a file system that is good, and finds out one that is not."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import Spool, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Commands, Jobs, Process, Ran

#: Makes renames two steps, in all processes of a command.
LAYER = Path(__file__).with_name("layer")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make an empty directory on the file system to torture."""
    place = tmp_path / "place"
    place.mkdir()
    return place


@pytest.fixture
def torture(run: Callable[..., Ran], place: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Torture that file system for so long; return the exit code and the verdict."""

    def act(seconds: float, env: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        ended = run(
            *("torture", "--seconds", str(seconds), "--json", str(place)),
            env=env,
            timeout=100.0,
        )
        assert ended.stderr == ""
        return ended.returncode, json.loads(ended.stdout)

    return act


def layered(commands: Commands, steps: str) -> dict[str, str]:
    """Return the environment in which files are renamed in two steps."""
    path = f"{LAYER}{os.pathsep}{commands.environment['PYTHONPATH']}"
    return {"PYTHONPATH": path, "LAYER": steps}


def promises(verdict: dict[str, Any]) -> set[str]:
    """Return the promises that were broken."""
    return {broken["promise"] for broken in verdict["broken"]}


def test_a_good_file_system_is_not_called_broken(torture: Callable[..., Any], place: Path) -> None:
    """In a short time little is proved, but nothing is broken, and nothing is left."""
    code, verdict = torture(1.5)
    assert verdict["broken"] == []
    assert verdict["verdict"] == ("inconclusive" if verdict["too_few"] else "passed")
    assert code == bool(verdict["too_few"])
    assert verdict["kept"] is None
    assert list(place.iterdir()) == []


@pytest.mark.slow
def test_a_good_file_system_passes(torture: Callable[..., Any], place: Path) -> None:
    """All promises are kept, and there was enough of everything."""
    code, verdict = torture(8.0)
    assert verdict["broken"] == []
    assert (code, verdict["verdict"]) == (0, "passed")
    counts = verdict["counts"]
    assert all(counts[name] for name in counts if name not in ("discarded", "given_up"))
    assert list(place.iterdir()) == []


def test_renames_in_two_steps_are_found_out(
    torture: Callable[..., Any], commands: Commands, place: Path
) -> None:
    """Even in a short time; what is left is kept as evidence, and told."""
    code, verdict = torture(2.0, env=layered(commands, "copy"))
    assert (code, verdict["verdict"]) == (2, "broken")
    assert {"rename", "P2"} <= promises(verdict)
    assert [str(path) for path in place.iterdir()] == [verdict["kept"]]
    assert list(Path(verdict["kept"], "journals").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("steps", ["copy", "link"])
def test_the_storm_and_the_races_find_them_out_each(
    torture: Callable[..., Any], commands: Commands, steps: str
) -> None:
    """Jobs are claimed by two at once, whichever way it is looked at."""
    code, verdict = torture(10.0, env=layered(commands, steps))
    assert code == 2
    told = [broken for broken in verdict["broken"] if broken["promise"] != "rename"]
    in_races = [broken for broken in told if broken["evidence"].startswith("race ")]
    assert any("have renamed the file" in broken["evidence"] for broken in in_races)
    assert promises({"broken": [broken for broken in told if broken not in in_races]})


def test_the_spool_s_own_file_system_is_the_default(
    run: Callable[..., Ran], spool: Spool, jobs: Jobs
) -> None:
    """The user's jobs are not touched, and nothing is left."""
    before = jobs.of_each_state()
    ended = run("torture", "--seconds", "1", timeout=60.0)
    assert ended.returncode in (0, 1)
    told = dict(line.split("\t", 1) for line in ended.stdout.splitlines())
    assert told["directory"] == spool.layout.tmp
    assert {jobs.state(job_id).value for job_id in before.values()} == set(before)
    assert spool.counts()[State.PENDING] == 1
    assert os.listdir(spool.layout.tmp) == []


def test_a_person_reads_the_verdict(commands: Commands, place: Path) -> None:
    """What was tried stands there in words."""
    ended = commands.on_terminal("torture", "--seconds", "1", str(place))
    assert f"{place}, " in ended.stdout
    assert "processes killed" in ended.stdout


def test_where_it_cannot_be_tried(run: Callable[..., Ran], place: Path) -> None:
    """No directory is a wrong request, and no spool is no spool."""
    nowhere = run("torture", str(place / "none"))
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    assert "not a directory" in nowhere.stderr
    assert run("torture").returncode == 7
    assert run("torture", "--seconds", "0").returncode == 2


def tortured(place: Path) -> list[str]:
    """Return the processes that speak of a place."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if str(place).encode() in Path("/proc", name, "cmdline").read_bytes():
                found.append(name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nobody_goes_on_when_it_is_ended(
    start: Callable[..., Process], place: Path, until: Callable[..., Any], number: int
) -> None:
    """Interrupted, it tidies up; killed, it takes all its processes with it."""
    process = start("torture", "--seconds", "5", str(place))
    until(lambda: list(place.glob("*/spool/wip")))
    process.signal(number)
    code = process.end().returncode
    until(lambda: not tortured(place))
    if number != signal.SIGKILL:
        assert code == 130
        assert list(place.iterdir()) == []
