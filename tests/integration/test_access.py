"""Whose spool it is: made private, shared on purpose, and refused otherwise."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import (
    NewerFormat,
    NoSpool,
    NotYours,
    Outcome,
    Spool,
    SpoolUnusable,
    StorageFailure,
    UsageError,
    files,
)
from spoolcalc.access import default_path, make_shared, open_spool
from spoolcalc.layout import DIRECTORIES
from spoolcalc.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Commands, Ran

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
#: Users that are in no table; ANN and BOB are in GROUP, EVE is not.
ANN, BOB, EVE = 40001, 40002, 40003
GROUP = 40100
#: What a spool of the first version had.
FIRST_DIRECTORIES = frozenset(
    ["tmp", "pending", "wip", "completed", "failed", "retrieved", "corrupt", "workers"]
)
#: Becomes the user of its first argument and runs the second, a program.  All that is imported is
#: imported before, for that user may not be allowed to read this interpreter's own files.
AS_USER = """
import importlib, os, pkgutil, sys
import difflib, encodings.ascii, encodings.idna, grp, importlib.metadata, pwd, traceback
import rich.console, rich.table, rich.text, spoolcalc
for module in pkgutil.iter_modules(spoolcalc.__path__):
    importlib.import_module("spoolcalc." + module.name)
from spoolcalc import Spool, bell, entry
bell.Bell("/dev/null").close()
user, group = map(int, sys.argv.pop(1).split(":"))
program = sys.argv.pop(1)
os.setgroups([])
os.setgid(group)
os.setuid(user)
exec(program)
"""


def mode(path: Path | str) -> int:
    """Return the permissions of what lies at ``path``."""
    return stat.S_IMODE(os.lstat(path).st_mode)


def modes(path: Path) -> tuple[set[int], set[int]]:
    """Return the permissions of all directories in a tree, and of all files."""
    found = [path, *path.rglob("*")]
    directories = {mode(one) for one in found if one.is_dir()}
    return directories, {mode(one) for one in found if not one.is_dir()}


def snapshot(path: Path) -> list[tuple[object, ...]]:
    """Return all of a tree that a change would change."""
    entries = [(one, os.lstat(one)) for one in (path, *sorted(path.rglob("*")))]
    return [(str(p), s.st_mode, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns) for p, s in entries]


@contextmanager
def life(spool: Spool) -> Iterator[None]:
    """Let a spool have all kinds of files: jobs in each state, a worker, and rubbish."""
    job_id, failing, _ = (spool.submit("add", ["12", "23"]) for _ in range(3))
    os.mkdir(f"{spool.layout.pending}/rubbish", 0o700)
    os.chmod(f"{spool.layout.pending}/rubbish", spool.layout.directory_mode)
    with spool.register() as lease:
        for outcome in (Outcome.completed("35"), Outcome.failed("no")):
            claimed = spool.claim(lease)
            assert claimed is not None
            assert spool.finish(claimed, outcome)
        assert spool.claim(lease) is not None
        spool.sweep(lease)
        spool.fetch(job_id)
        assert spool.find(failing).error == "no"
        yield


@pytest.fixture
def umask() -> Iterator[Callable[[int], None]]:
    """Set the umask for the length of a test."""
    before = os.umask(0o022)
    yield lambda mask: (os.umask(mask), None)[1]
    os.umask(before)


@pytest.fixture
def public() -> Iterator[Path]:
    """Make a directory that every user can go through."""
    path = Path(tempfile.mkdtemp(prefix="spool-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def as_user(commands: Commands, public: Path) -> Callable[..., Ran]:
    """Run the command, or a program, as another user, on the spool ``public/spool``."""

    def run(
        user: int,
        *arguments: str,
        group: int = GROUP,
        program: str = "entry.main()",
        spool: Path | None = None,
        **options: object,
    ) -> Ran:
        commands.environment["SPOOL_DIR"] = str(spool or public / "spool")
        commands.environment["HOME"] = str(public)
        command = (sys.executable, "-c", AS_USER, f"{user}:{group}", program)
        return commands.run(*arguments, command=command, cwd=public, **options)  # type: ignore[arg-type] # as given

    return run


# --- private --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o027, 0o077])
def test_a_spool_is_private(mask: int, tmp_path: Path, umask: Callable[[int], None]) -> None:
    """Directories are 0700 and files 0600, whatever the umask, and so are parents made for it."""
    umask(mask)
    spool = Spool(tmp_path / "a" / "b" / "spool", create=True)
    with life(spool):
        assert modes(tmp_path / "a") == ({0o700}, {0o600})


def test_the_command_makes_it_private(run: Callable[..., Ran], commands: Commands) -> None:
    """Submit and work make a private spool even where the umask takes nothing away."""
    assert run("submit", "add", "12", "23", umask=0).returncode == 0
    assert run("work", "--once", umask=0).returncode == 0
    assert modes(commands.spool) == ({0o700}, {0o600})


def test_submit_and_work_make_it_and_the_others_do_not(
    run: Callable[..., Ran], commands: Commands
) -> None:
    """Where there is no spool the others say so, say what to do, and make nothing."""
    for words in (["status"], ["status", "x"], ["fetch", "x"], ["clean"]):
        ended = run(*words)
        assert ended.returncode == 7
        assert f"no spool at {commands.spool}" in ended.stderr
        assert "spool submit" in ended.stderr
        assert not commands.spool.exists()


def test_many_make_it_at_once(commands: Commands) -> None:
    """Submitters that find no spool at the same time end up in one, with nothing lost."""
    submitters = [commands.open("submit", "neg", str(n), stdout=subprocess.PIPE) for n in range(8)]
    ids = {submitter.communicate(timeout=20)[0].decode().strip() for submitter in submitters}
    assert [submitter.returncode for submitter in submitters] == [0] * 8
    spool = Spool(commands.spool)
    assert {int(spool.find(job_id).operands[0]) for job_id in ids} == set(range(8))
    assert os.listdir(spool.layout.tmp) == []


def test_a_spool_half_made_is_made_whole(tmp_path: Path) -> None:
    """Whoever made it may have been killed at any step; the next one goes on from there."""
    for done in range(len(DIRECTORIES) + 1):
        path = tmp_path / str(done)
        path.mkdir(0o700)
        for name in DIRECTORIES[:done]:
            (path / name).mkdir(0o700)
        with pytest.raises(NoSpool):
            open_spool(str(path))
        with life(Spool(path, create=True)):
            assert modes(path) == ({0o700}, {0o600})


@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
def test_a_spool_of_an_earlier_version_gets_what_it_lacks(
    shared: bool, tmp_path: Path, umask: Callable[[int], None]
) -> None:
    """It had fewer directories; one is made when it is needed, and as open as the others."""
    umask(0o077)
    path = tmp_path / "spool"
    layout = (
        make_shared(str(path), str(os.getegid())) if shared else open_spool(str(path), create=True)
    )
    for name in set(DIRECTORIES) - FIRST_DIRECTORIES:
        (path / name).rmdir()
    spool = Spool(path)
    with life(spool):
        assert spool.overview().counts == spool.counts()
        spool.clean()
    with exclusive(layout, "test"):
        assert mode(layout.locks) == layout.directory_mode
    Path(f"{layout.tmp}/one").touch()
    bucket = layout.delayed_bucket(0.0)
    assert files.move_into(f"{layout.tmp}/one", bucket, "one", layout.directory_mode)
    assert {mode(layout.delayed), mode(bucket)} == {layout.directory_mode}


def test_an_empty_directory_of_mine_will_do(tmp_path: Path) -> None:
    """What others may read already stays so at the top, but nothing inside can be read by them."""
    tmp_path.chmod(0o755)
    with life(Spool(tmp_path, create=True)):
        assert mode(tmp_path) == 0o755
        for name in DIRECTORIES:
            assert modes(tmp_path / name)[0] == {0o700}
            assert modes(tmp_path / name)[1] <= {0o600}


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o770, 0o777, 0o1777, 0o2770])
def test_a_spool_that_others_may_write_to_is_refused(bits: int, tmp_path: Path) -> None:
    """It is refused, with the command that makes it private; after that it can be used."""
    path = tmp_path / "spool"
    Spool(path, create=True)
    path.chmod(bits)
    for create in (True, False):
        with pytest.raises(NotYours) as refused:
            open_spool(str(path), create=create)
    subprocess.run(["sh", "-c", refused.value.hint.removeprefix("Run: ")], check=True, timeout=20)
    assert open_spool(str(path)).root == str(path)


def test_an_empty_directory_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    """No spool is made where others could plant something first."""
    tmp_path.chmod(0o777)
    with pytest.raises(NotYours):
        open_spool(str(tmp_path), create=True)
    assert os.listdir(tmp_path) == []


@needs_root
def test_a_spool_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Even root does not use it, for its owner could not use it any more."""
    path = tmp_path / "spool"
    Spool(path, create=True)
    os.chown(path, ANN, -1)
    before = snapshot(path)
    for create in (True, False):
        with pytest.raises(NotYours, match=str(ANN)):
            open_spool(str(path), create=create)
    assert snapshot(path) == before


@needs_root
def test_an_empty_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """No spool is made in it."""
    path = tmp_path / "spool"
    path.mkdir(0o700)
    os.chown(path, ANN, -1)
    with pytest.raises(NotYours):
        open_spool(str(path), create=True)
    assert os.listdir(path) == []


@needs_root
def test_a_private_spool_is_closed_to_others(public: Path, as_user: Callable[..., Ran]) -> None:
    """Another user gets a clear error for each command, and changes nothing."""
    assert as_user(ANN, "submit", "add", "1", "2", spool=public / "spool").returncode == 7
    public.chmod(0o777)
    job_id = as_user(ANN, "submit", "add", "1", "2").stdout.strip()
    public.chmod(0o755)
    before = snapshot(public)
    for words in (["submit", "add", "1", "2"], ["status"], ["fetch", job_id], ["work", "--once"]):
        ended = as_user(BOB, *words)
        assert (ended.returncode, ended.stdout) == (7, "")
        assert "Traceback" not in ended.stderr
    assert snapshot(public) == before


# --- shared ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_shared_spool(mask: int, tmp_path: Path, umask: Callable[[int], None]) -> None:
    """Directories are 2770 and files 0660, of that group, whatever the umask."""
    umask(mask)
    path = tmp_path / "spool"
    group = GROUP if os.geteuid() == 0 else os.getgid()
    make_shared(str(path), str(group))
    with life(Spool(path)):
        assert modes(path) == ({0o2770}, {0o660})
        assert {os.lstat(one).st_gid for one in (path, *path.rglob("*"))} == {group}


@needs_root
def test_all_members_use_a_shared_spool(public: Path, as_user: Callable[..., Ran]) -> None:
    """What one submits another runs, a third fetches and anybody cleans; strangers cannot."""
    public.chmod(0o777)
    assert as_user(ANN, "init", "--group", str(GROUP)) == (0, f"{public}/spool\n", "")
    public.chmod(0o755)
    job_id = as_user(ANN, "submit", "add", "12", "23").stdout.strip()
    assert as_user(BOB, "work", "--once", "-q") == (0, "", "")
    assert as_user(BOB, "fetch", job_id) == (0, "35\n", "")
    assert as_user(ANN, "clean").stdout.startswith("removed 1 job ")
    job_id = as_user(BOB, "submit", "add", "1", "1").stdout.strip()
    assert as_user(ANN, "work", "--once", "-q") == (0, "", "")
    for words in (["submit", "add", "1", "2"], ["status"], ["fetch", job_id], ["work", "--once"]):
        ended = as_user(EVE, *words, group=EVE)
        assert (ended.returncode, ended.stdout) == (7, "")
        assert "ermission" in ended.stderr
    assert as_user(BOB, "fetch", job_id) == (0, "2\n", "")
    assert {os.lstat(one).st_gid for one in (public / "spool").rglob("*")} == {GROUP}


@needs_root
def test_members_submit_by_a_file(public: Path, as_user: Callable[..., Ran]) -> None:
    """Whoever adopts it must be able to read it; strangers can put none there."""
    inbox = Path(make_shared(str(public / "spool"), str(GROUP)).inbox)
    program = (
        "import json\n"
        "name, mode = sys.argv[1:]\n"
        "path = os.environ['SPOOL_DIR'] + '/inbox/'\n"
        "with open(path + '.' + name, 'w') as file:\n"
        "    json.dump({'operation': 'add', 'operands': ['12', '23']}, file)\n"
        "os.chmod(path + '.' + name, int(mode, 8))\n"
        "os.rename(path + '.' + name, path + name + '.json')\n"
    )
    for name, mode in (("open", "640"), ("closed", "600")):
        assert as_user(ANN, name, mode, program=program).returncode == 0
    assert as_user(EVE, "strange", "640", program=program, group=EVE).returncode == 1
    assert sorted(os.listdir(inbox)) == ["closed.json", "open.json"]
    worked = as_user(BOB, "work", "--once", "-q")
    assert worked.returncode == 0
    assert "closed was moved to corrupt/: nobody but its owner may read it" in worked.stderr
    assert as_user(ANN, "fetch", "open") == (0, "35\n", "")
    assert as_user(ANN, "again", "600", program=program).returncode == 0
    assert as_user(ANN, "work", "--once", "-q") == (0, "", "")
    assert as_user(BOB, "fetch", "again") == (0, "35\n", "")
    assert {os.lstat(one).st_gid for one in (public / "spool").rglob("*")} == {GROUP}


@needs_root
def test_a_dead_members_job_goes_to_another(public: Path, as_user: Callable[..., Ran]) -> None:
    """The lock of a worker of another user proves its death as one's own does."""
    os.chmod(make_shared(str(public / "spool"), str(GROUP)).root, 0o2770)
    job_id = as_user(ANN, "submit", "add", "12", "23").stdout.strip()
    dies = (
        "spool = Spool(os.environ['SPOOL_DIR'])\n"
        "with spool.register() as lease:\n"
        "    assert spool.claim(lease) is not None\n"
        "    os._exit(9)\n"
    )
    assert as_user(ANN, program=dies).returncode == 9
    assert os.listdir(Spool(public / "spool").layout.wip) != []
    ended = as_user(BOB, "work", "--once")
    assert ended.returncode == 0
    assert "it died" in ended.stderr
    job = Spool(public / "spool").find(job_id)
    assert [attempt.end for attempt in job.attempts] == ["lost", "completed"]
    assert os.listdir(Spool(public / "spool").layout.workers) == []


def test_a_shared_spool_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    """Shared with a group is not shared with all."""
    path = tmp_path / "spool"
    make_shared(str(path), str(os.getgid()))
    path.chmod(0o2777)
    with pytest.raises(NotYours, match="everybody") as refused:
        open_spool(str(path))
    subprocess.run(["sh", "-c", refused.value.hint.removeprefix("Run: ")], check=True, timeout=20)
    assert open_spool(str(path)).directory_mode == 0o2770


@pytest.mark.parametrize("group", ["no-such-group", "", "-1", "9" * 20, "a\nb"])
def test_a_group_that_does_not_exist(
    group: str, run: Callable[..., Ran], commands: Commands
) -> None:
    """It is a usage error, and no spool is made, least of all one that is not shared."""
    ended = run("init", f"--group={group}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr
    assert not commands.spool.exists()


def test_what_is_there_is_not_shared(tmp_path: Path) -> None:
    """Neither a spool nor a directory with something in it nor a file is given to a group."""
    private, full, file = tmp_path / "private", tmp_path / "full", tmp_path / "file"
    Spool(private, create=True)
    full.mkdir(0o755)
    (full / "thesis.tex").touch()
    file.touch(0o600)
    before = snapshot(tmp_path)
    group = GROUP if os.geteuid() == 0 else os.getgid()
    for path in (private, full, file):
        with pytest.raises((UsageError, SpoolUnusable)):
            make_shared(str(path), str(group))
    assert snapshot(tmp_path) == before


@needs_root
def test_a_group_that_one_is_not_in(public: Path, as_user: Callable[..., Ran]) -> None:
    """The system refuses it, and init leaves nothing that would be in the way afterwards."""
    public.chmod(0o777)
    ended = as_user(EVE, "init", "--group", str(GROUP), group=EVE)
    assert (ended.returncode, ended.stdout) == (7, "")
    assert "not in the group" in ended.stderr
    assert as_user(EVE, "submit", "add", "1", "2", group=EVE).returncode == 0


# --- where it is ----------------------------------------------------------------------------------


def test_the_default_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """SPOOL_DIR comes first, then the user's state directory, unless that is relative."""
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("SPOOL_DIR", "here/spool")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_path() == "here/spool"
    monkeypatch.setenv("SPOOL_DIR", "")
    assert default_path() == "/state/spool"
    monkeypatch.delenv("SPOOL_DIR")
    assert default_path() == "/state/spool"
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert default_path() == "/home/ann/.local/state/spool"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_path() == "/home/ann/.local/state/spool"


def test_the_option_comes_before_the_environment(
    run: Callable[..., Ran], commands: Commands, tmp_path: Path
) -> None:
    """--spool may stand before or after the command, and the nearer one counts."""
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert run("--spool", one, "init").stdout == f"{one}\n"
    assert run("--spool", one, "init", "--spool", two).stdout == f"{two}\n"
    assert run("init", env={"SPOOL_DIR": None}).stdout == f"{commands.home}/.local/state/spool\n"
    assert not commands.spool.exists()
    assert run("--spool", "", "init").returncode == 2


def test_a_relative_path(run: Callable[..., Ran], tmp_path: Path) -> None:
    """It is taken from the directory one is in, and told as an absolute one."""
    job_id = run("submit", "add", "1", "2", env={"SPOOL_DIR": "a/../spool"}, cwd=tmp_path)
    assert job_id.returncode == 0
    told = run("status", "--json", "--spool", "spool", cwd=tmp_path).stdout
    assert f'"spool": "{tmp_path}/spool"' in told


def test_a_relative_path_in_a_directory_that_is_gone(
    run: Callable[..., Ran], commands: Commands, tmp_path: Path
) -> None:
    """It is a clear error that no spool can be there."""
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = ("sh", "-c", 'rmdir ../gone; exec "$@"', "sh", *commands.command)
    ended = run("submit", "add", "1", "2", command=shell, env={"SPOOL_DIR": "spool"}, cwd=gone)
    assert ended.returncode == 7, ended
    assert "a bug" not in ended.stderr


@needs_root
def test_a_user_without_a_home(public: Path, as_user: Callable[..., Ran]) -> None:
    """No spool is made in a directory called ~, nor anywhere else."""
    public.chmod(0o777)
    nothing = {"SPOOL_DIR": None, "HOME": None, "XDG_STATE_HOME": None}
    ended = as_user(ANN, "submit", "add", "1", "2", env=nothing)
    assert ended.returncode in (2, 7), ended
    assert "SPOOL_DIR" in ended.stderr
    assert os.listdir(public) == []


def test_a_link_to_a_spool(tmp_path: Path) -> None:
    """A spool may be reached by a link; a link that leads in a circle is a clear error."""
    Spool(tmp_path / "real", create=True)
    (tmp_path / "link").symlink_to("real")
    assert Spool(tmp_path / "link").path == str(tmp_path / "real")
    (tmp_path / "circle").symlink_to("circle")
    for create in (True, False):
        with pytest.raises(SpoolUnusable):
            Spool(tmp_path / "circle", create=create)


def test_what_is_no_spool(tmp_path: Path) -> None:
    """A file, a directory with other things in it and an impossible path are clear errors."""
    file, full, bare = tmp_path / "file", tmp_path / "full", tmp_path / "bare"
    file.write_text("mine")
    full.mkdir(0o700)
    (full / "thesis.tex").write_text("mine")
    bare.mkdir(0o700)
    before = snapshot(tmp_path)
    for create in (True, False):
        for path in (file, full, file / "spool"):
            with pytest.raises(SpoolUnusable):
                Spool(path, create=create)
        with pytest.raises(StorageFailure):
            Spool(tmp_path / ("x" * 300), create=create)
        for nonsense in ("", "a\0b"):
            with pytest.raises(UsageError):
                Spool(nonsense, create=create)
    with pytest.raises(NoSpool):
        Spool(bare)
    assert snapshot(tmp_path) == before


@needs_root
def test_where_nothing_can_be_written(public: Path, as_user: Callable[..., Ran]) -> None:
    """A directory that is read-only to a user gives a clear error; reading a spool there works."""
    ended = as_user(ANN, "submit", "add", "1", "2")
    assert (ended.returncode, ended.stdout) == (7, "")
    assert "ermission" in ended.stderr
    assert os.listdir(public) == []
    public.chmod(0o777)
    job_id = as_user(ANN, "submit", "add", "12", "23").stdout.strip()
    fetched = as_user(ANN, "submit", "add", "1", "2").stdout.strip()
    assert as_user(ANN, "work", "--once", "-q").returncode == 0
    assert as_user(ANN, "fetch", fetched).returncode == 0
    for path in (public / "spool", *(public / "spool").rglob("*")):
        path.chmod(mode(path) & ~0o222)
    assert as_user(ANN, "fetch", job_id).returncode == 7
    before = snapshot(public)
    status = (public / "spool/bell").stat()
    rung = status.st_atime_ns, status.st_mtime_ns
    assert "completed\t1" in as_user(ANN, "status").stdout
    assert as_user(ANN, "status", job_id).returncode == 0
    assert as_user(ANN, "fetch", "--keep", job_id) == (0, "35\n", "")
    for words in (["submit", "add", "1", "2"], ["work", "--once"], ["clean"]):
        ended = as_user(ANN, *words)
        assert (ended.returncode, ended.stdout) == (7, "")
        assert "ermission" in ended.stderr
    os.utime(public / "spool/bell", ns=rung)  # clean reads the clock by it
    assert snapshot(public) == before


# --- its format -----------------------------------------------------------------------------------


def test_a_newer_format_is_refused_and_untouched(run: Callable[..., Ran], spool: Spool) -> None:
    """Every command refuses it, says why and what to do, and changes nothing."""
    with life(spool):
        pass
    Path(spool.layout.format).write_text('{"format": 2, "shared": "maybe"}\n')
    before = snapshot(Path(spool.path))
    for words in ("submit add 1 2", "status", "work --once", "clean", "init", "init --group 0"):
        ended = run(*words.split())
        assert ended.returncode in ((7, 2) if "group" in words else (7,)), ended
        assert ended.stdout == ""
    with pytest.raises(NewerFormat, match="newer spoolcalc"):
        open_spool(spool.path, create=True)
    assert snapshot(Path(spool.path)) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"format": "1"}',
        b'{"format": true}',
        b'{"format": 0}',
        b'{"format": 1.0}',
        b"\xff",
        b'{"format": 1}' + b" " * 5000,
        pytest.param(b"[" * 4000, id="nested"),
        pytest.param(b'{"format": ' + b"1" * 4050 + b"}", id="digits"),
    ],
)
def test_a_format_that_cannot_be_read(content: bytes, tmp_path: Path) -> None:
    """What names no format is not operated on, and not repaired either."""
    path = tmp_path / "spool"
    Spool(path, create=True)
    (path / "format.json").write_bytes(content)
    before = snapshot(path)
    for create in (True, False):
        with pytest.raises(SpoolUnusable):
            Spool(path, create=create)
    assert snapshot(path) == before


@pytest.mark.parametrize("kind", ["directory", "symlink", "FIFO"])
def test_a_format_that_is_no_file(kind: str, tmp_path: Path) -> None:
    """It is not followed, and nobody waits for it."""
    path = tmp_path / "spool"
    layout = Spool(path, create=True).layout
    (tmp_path / "format.json").write_text('{"format": 1}')
    os.unlink(layout.format)
    {
        "directory": lambda: os.mkdir(layout.format),
        "symlink": lambda: os.symlink(tmp_path / "format.json", layout.format),
        "FIFO": lambda: os.mkfifo(layout.format),
    }[kind]()
    for create in (True, False):
        with pytest.raises(SpoolUnusable):
            Spool(path, create=create)
