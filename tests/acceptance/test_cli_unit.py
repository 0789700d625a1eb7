"""``spool unit``: what it prints, and what it writes."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from spoolcalc import files
from spoolcalc.commands.unit import unit
from spoolcalc.errors import StorageFailure
from spoolcalc.systemd import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Commands, Jobs, Ran


def test_all_units_are_printed_with_where_they_belong(run: Callable[..., Ran]) -> None:
    """Nothing is written."""
    ran = run("unit")
    assert ran.returncode == 0
    assert ran.stderr == ""
    places = [line for line in ran.stdout.splitlines() if line.startswith("# /")]
    assert places == [f"# /etc/systemd/system/{name}" for name in NAMES]
    assert "Environment=SPOOL_DIR=/var/lib/spoolcalc/spool\n" in ran.stdout


def test_one_unit_is_printed_alone(run: Callable[..., Ran]) -> None:
    """For the spool and the user that are named, before or after the command's name."""
    for arguments in (("--spool", "/srv/a", "unit"), ("unit", "--spool", "/srv/a")):
        ran = run(*arguments, "spool-clean.service", "--user-name", "eve")
        assert ran.stdout.count("[Unit]") == 1
        assert "User=eve\n" in ran.stdout
        assert "ConditionPathExists=/srv/a/format.json\n" in ran.stdout


def test_a_user_s_own_units_are_for_the_usual_spool(
    run: Callable[..., Ran], commands: Commands
) -> None:
    """And go where that user's service manager looks."""
    ran = run("unit", "--user")
    assert f"# {commands.home}/.config/systemd/user/spool-work@.service\n" in ran.stdout
    assert f"Environment=SPOOL_DIR={commands.spool}\n" in ran.stdout
    elsewhere = run("unit", "--user", env={"XDG_CONFIG_HOME": "/x"})
    assert "# /x/systemd/user/spool-work@.service\n" in elsewhere.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("spool-work.service",), "no such unit: 'spool-work.service'"),
        (("--user", "--user-name", "eve"), "--user-name is for the system's units"),
        (("--user-name", "a b"), "not the name of a user: 'a b'"),
        (("--spool", "/a\nb"), "systemd cannot have '/a\\nb' in a unit"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: tuple[str, ...], told: str, run: Callable[..., Ran], tmp_path: Path
) -> None:
    """And nothing is written."""
    ran = run("unit", "--install", "--directory", str(tmp_path / "units"), *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert told in ran.stderr
    assert not (tmp_path / "units").exists()


def test_a_server_s_url_is_no_spool_for_a_unit(run: Callable[..., Ran]) -> None:
    """It is refused, and not taken for a path."""
    ended = run("unit", "--user", env={"SPOOL_URL": "http://localhost:1"})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "is the URL of a server, and this needs the directory" in ended.stderr


def test_they_are_written_and_what_is_next_is_told(run: Callable[..., Ran], tmp_path: Path) -> None:
    """The paths on stdout, the rest for people; a second time is as good as the first."""
    place = tmp_path / "a" / "units"
    for _ in range(2):
        ran = run("unit", "--install", "--directory", str(place), "--spool", str(tmp_path / "x"))
        assert ran.returncode == 0
        assert ran.stdout.splitlines() == [f"{place}/{name}" for name in NAMES]
        assert "systemctl daemon-reload" in ran.stderr
        assert "systemctl enable --now spool-work@1" in ran.stderr
        assert f"install -d -m 700 -o spool {tmp_path}/x" in ran.stderr
        assert "systemctl start spool-drain.service" in ran.stderr
        assert sorted(os.listdir(place)) == sorted(NAMES)
    printed = run("unit", "spool-drain.path", "--spool", str(tmp_path / "x")).stdout
    written = (place / "spool-drain.path").read_text()
    assert printed.partition("\n")[2] == written
    assert (place / "spool-drain.path").stat().st_mode & 0o777 == 0o644


def test_a_spool_that_is_there_need_not_be_made(
    run: Callable[..., Ran], commands: Commands, jobs: Jobs, tmp_path: Path
) -> None:
    """And so it is not told how."""
    ran = run(
        "unit", "--install", "--directory", str(tmp_path / "units"), "--spool", jobs.spool.path
    )
    assert "install -d" not in ran.stderr
    assert "start spool-drain" not in ran.stderr


def test_a_user_s_own_go_where_that_user_s_manager_looks(
    run: Callable[..., Ran], commands: Commands
) -> None:
    """The directory is made."""
    ran = run("unit", "--install", "--user", "spool-drain.timer")
    assert ran.returncode == 0
    assert (commands.home / ".config/systemd/user/spool-drain.timer").exists()
    assert "systemctl --user daemon-reload" in ran.stderr
    assert "loginctl enable-linger" in ran.stderr


@pytest.mark.parametrize("masked", [True, False])
def test_what_is_not_ours_is_not_written_over(
    masked: bool, run: Callable[..., Ran], tmp_path: Path
) -> None:
    """Neither somebody's own unit of that name, nor one that is masked; and no other is written."""
    theirs = tmp_path / "spool-drain.path"
    if masked:
        theirs.symlink_to(os.devnull)
    else:
        theirs.write_text("[Path]\n")
    ran = run("unit", "--install", "--directory", str(tmp_path))
    assert ran.returncode == 2
    assert f"{theirs} is there, and not made by this command" in ran.stderr
    assert not (tmp_path / "spool-work@.service").exists()
    assert theirs.is_symlink() == masked


def test_who_may_not_write_is_told_of_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root, or for oneself."""

    def refuse(path: str, *_: object) -> None:
        raise StorageFailure("write", path, PermissionError(errno.EACCES, "no"))

    monkeypatch.setattr(files, "write_durably", refuse)
    with pytest.raises(StorageFailure) as caught:
        unit(install=True, directory=str(tmp_path))
    assert caught.value.hint.endswith("your own go with --user.")
