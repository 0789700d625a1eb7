"""Hostile ids, operands, documents and names: a clear error or quarantine, and life goes on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from spoolcalc import State
from spoolcalc.document import encode, new_document
from spoolcalc.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conftest import Commands, Jobs, Process, Ran

    from spoolcalc import Spool

GOOD = "01a20f20-b358-75fa-ab79-9c641df4b44f"
#: What no command may ever say.
SHAMEFUL = ("Traceback", "a bug in spool")


def clear(ended: Ran, *codes: int) -> Ran:
    """Check that a command ended in one of the documented ways, with a short message."""
    assert ended.returncode in codes, ended
    for words in SHAMEFUL:
        assert words not in ended.stderr, ended.stderr
    assert len(ended.stderr) < 2000
    assert ended.stderr.replace("\n", "").isprintable(), ended.stderr
    return ended


def all_is_well(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Check that a worker does, and others see, the jobs that are all right."""
    ids = [jobs.pending("add", str(n), "1", priority=n) for n in (0, 5, 9)]
    clear(run("work", "--once"), 0)
    assert [jobs.spool.find(job_id).result for job_id in ids] == ["1", "6", "10"]
    clear(run("status"), 0)
    assert clear(run("fetch", *ids), 0).stdout == "1\n6\n10\n"
    clear(run("clean"), 0)


# --- ids ------------------------------------------------------------------------------------------

IDS = {
    "path": "../../etc/passwd",
    "absolute": "/etc/passwd",
    "empty": "",
    "blank": " ",
    "long": "0" * 10_000,
    "newline": f"{GOOD}\n",
    "newline inside": GOOD[:18] + "\n" + GOOD[19:],
    "version 4": GOOD[:14] + "4" + GOOD[15:],
    "wrong variant": GOOD[:19] + "0" + GOOD[20:],
    "uppercase": GOOD.upper(),
    "braces": f"{{{GOOD}}}",
    "no hyphens": GOOD.replace("-", ""),
    "hyphens elsewhere": "01a20f-20b358-75fa-ab79-9c641df4b44f",
    "fullwidth": GOOD.replace("1", "\N{FULLWIDTH DIGIT ONE}"),
    "suffix": f"{GOOD}.json",
    "escape": "\x1b[2J",
    "not UTF-8": "\udcff" * 36,
    "glob": "*",
}


@pytest.mark.parametrize("name", IDS)
def test_a_hostile_id_is_refused(name: str, run: Callable[..., Ran], spool: Spool) -> None:
    """It is a usage error, with a short message."""
    ended = clear(run("fetch", IDS[name]), 2)
    assert ended.stdout == ""
    assert "not a job id" in ended.stderr


def test_hostile_ids_beside_a_good_one(run: Callable[..., Ran], jobs: Jobs) -> None:
    """The good one is served, and each of the others is told."""
    good = jobs.completed("35")
    for command in ("status", "fetch"):
        ended = run(command, *IDS.values(), good)
        assert ended.returncode == 2
        assert ended.stderr.count("not a job id") == len(IDS)
        assert "35" in ended.stdout
        assert ended.stdout.count("\n") == 1
    clear(run("status", "--json", IDS["path"]), 2)


def test_two_thousand_ids(run: Callable[..., Ran], jobs: Jobs) -> None:
    """As many ids as a command line takes are served, and each unknown one is told."""
    good = jobs.completed("35")
    ended = run("fetch", *[new_id() for _ in range(2000)], good)
    assert (ended.returncode, ended.stdout) == (3, "35\n")
    assert ended.stderr.count("no such job") == 2000


# --- operands -------------------------------------------------------------------------------------

OPERANDS = {
    "huge exponent": "1e999999999",
    "tiny exponent": "1e-999999999",
    "exponent of many digits": "1e" + "9" * 1000,
    "not a number": "NaN",
    "signalling": "sNaN123",
    "infinite": "-Infinity",
    "fullwidth": "\N{FULLWIDTH DIGIT ONE}\N{FULLWIDTH DIGIT TWO}",
    "arabic": "\N{ARABIC-INDIC DIGIT ONE}",
    "underscore": "1_000",
    "comma": "1,000",
    "space": " 1",
    "newline": "1\n",
    "hexadecimal": "0x10",
    "shell": "$(touch x)",
    "backquotes": "`touch x`",
    "two signs": "--1",
    "only a point": ".",
    "only an exponent": "e5",
    "empty": "",
    "escape": "\x1b[2J",
    "not UTF-8": "\udcff",
    "100 kB": "9" * 100_000,
}


@pytest.mark.parametrize("name", OPERANDS)
def test_a_hostile_operand_is_refused(
    name: str, run: Callable[..., Ran], commands: Commands
) -> None:
    """It is named in a short message, nothing is made, and nothing of it is executed."""
    ended = clear(run("submit", "add", "1", OPERANDS[name]), 2)
    assert "operand 2" in ended.stderr or name == "two signs"
    assert ended.stdout == ""
    assert not commands.spool.exists()
    assert list(commands.home.iterdir()) == []


@pytest.mark.parametrize(
    "operation",
    [
        "",
        "ADD",
        "../add",
        "add\n",
        "\x1b[2J",
        pytest.param("a" * 100_000, id="100 kB"),
        "\N{FULLWIDTH LATIN SMALL LETTER A}dd",
    ],
)
def test_a_hostile_operation_is_refused(
    operation: str, run: Callable[..., Ran], commands: Commands
) -> None:
    """It is an unknown operation, and the message is short."""
    assert clear(run("submit", operation, "1", "2"), 2).stdout == ""
    assert not commands.spool.exists()


@pytest.mark.parametrize(
    "line",
    {
        "1 MB of digits": b"add " + b"9" * 1_000_000 + b" 1",
        "1 MB in many operands": b"sum" + b" 1" * 500_000,
        "NUL in an operand": b"add 1\x002 3",
        "NUL in the operation": b"add\x00 1 2",
        "NUL alone": b"\x00",
        "not UTF-8": b"add \xff\xfe 2",
        "escape": b"\x1b[2J 1 2",
        "open quote": b"add '1 2",
        "byte order mark": b"\xef\xbb\xbfadd 1 2",
        "line separator": "add 1\u20282 3".encode(),
    }.values(),
)
def test_a_hostile_line_is_refused(line: bytes, run: Callable[..., Ran], jobs: Jobs) -> None:
    """It is named by its number in a short message, and the lines around it are submitted."""
    text = b"add 1 2\n" + line + b"\nadd 3 4\n"
    ended = clear(run("submit", "--keep-going", "--from", "-", input=text), 2)
    assert ended.stderr.count("line 2") == 1
    submitted = [job.operands for job in jobs.spool.list(State.PENDING)]
    assert submitted == [("1", "2"), ("3", "4")]


def test_the_largest_job_goes_through(run: Callable[..., Ran], jobs: Jobs) -> None:
    """What the limits allow is submitted, run, shown and fetched."""
    line = " ".join(["sum", *["9" * 10_000] * 99])
    ended = run("submit", "--from", "-", input=line.encode())
    job_id = clear(ended, 0).stdout.strip()
    clear(run("work", "--once", "-q"), 0)
    total = "98" + "9" * 9_998 + "01"
    assert run("fetch", "--keep", job_id).stdout == total + "\n"
    clear(run("status", "--json", job_id), 0)


# --- documents ------------------------------------------------------------------------------------


def valid(job_id: str, **changes: object) -> bytes:
    """Return the document of a job, fields changed; one that is changed to None is left out."""
    document = {**new_document(job_id, "add", ["12", "23"]), **changes}
    return encode({name: value for name, value in document.items() if value is not ...})


class Plant(NamedTuple):
    """What is put where a job's document should be, and what the reason has to say."""

    put: Callable[[Path, str], object]
    says: str


def nested(path: Path, job_id: str) -> None:
    """Write JSON that is nested deeper than any stack."""
    path.write_bytes(b"[" * 1_000_000)


def sparse(path: Path, job_id: str) -> None:
    """Make a file of a gigabyte, none of it on disk."""
    path.touch()
    os.truncate(path, 1 << 30)


def full_directory(path: Path, job_id: str) -> None:
    """Make a directory with something in it."""
    path.mkdir()
    (path / "inside").touch()


def with_socket(path: Path, job_id: str) -> None:
    """Make a socket; its path may be longer than a socket's address."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def writes(make: Callable[[str], bytes]) -> Callable[[Path, str], object]:
    """Return what writes a file of what ``make`` gives for the job's id."""
    return lambda path, job_id: path.write_bytes(make(job_id))


PLANTS = {
    "empty": Plant(lambda path, _: path.touch(), "empty"),
    "torn": Plant(writes(lambda i: valid(i)[:50]), "not JSON"),
    "1 GB": Plant(sparse, "1073741824 bytes"),
    "not JSON": Plant(writes(lambda _: b"hello\n"), "not JSON"),
    "not UTF-8": Plant(writes(lambda _: b"\xff\xfe"), "not UTF-8"),
    "NULs": Plant(writes(lambda _: bytes(400)), "not JSON"),
    "nested": Plant(nested, "not JSON"),
    "nested operands": Plant(
        writes(lambda i: valid(i, operands="@").replace(b'"@"', b"[" * 90_000)), "not JSON"
    ),
    "number of many digits": Plant(
        writes(lambda i: valid(i, priority="@").replace(b'"@"', b"1" * 5000)), "not JSON"
    ),
    "list": Plant(writes(lambda _: b"[]"), "not a JSON object"),
    "null": Plant(writes(lambda _: b"null"), "not a JSON object"),
    "directory": Plant(lambda path, _: path.mkdir(), "a directory"),
    "full directory": Plant(full_directory, "a directory"),
    "symlink": Plant(lambda path, _: path.symlink_to("/etc/passwd"), "symbolic link"),
    "symlink to nothing": Plant(lambda path, _: path.symlink_to("nothing"), "symbolic link"),
    "symlink to itself": Plant(lambda path, _: path.symlink_to(path), "symbolic link"),
    "FIFO": Plant(lambda path, _: os.mkfifo(path), "no plain file"),
    "socket": Plant(with_socket, "socket"),
    "another's id": Plant(writes(lambda _: valid(GOOD)), "id"),
    "no format": Plant(writes(lambda i: valid(i, format=...)), "'format'"),
    "format 0": Plant(writes(lambda i: valid(i, format=0)), "'format'"),
    "format true": Plant(writes(lambda i: valid(i, format=True)), "'format'"),
    "no id": Plant(writes(lambda i: valid(i, id=...)), "'id'"),
    "id of a path": Plant(writes(lambda i: valid(i, id="../../x")), "'id'"),
    "operation null": Plant(writes(lambda i: valid(i, operation=None)), "'operation'"),
    "operands of numbers": Plant(writes(lambda i: valid(i, operands=[1, 2])), "'operands'"),
    "operands null": Plant(writes(lambda i: valid(i, operands=None)), "'operands'"),
    "priority 11": Plant(writes(lambda i: valid(i, priority=11)), "'priority'"),
    "no crashes": Plant(writes(lambda i: valid(i, max_crashes=0)), "'max_crashes'"),
    "attempts null": Plant(writes(lambda i: valid(i, attempts=None)), "'attempts'"),
    "attempts of nothing": Plant(writes(lambda i: valid(i, attempts=[{}])), "'attempts'"),
    "outcome unknown": Plant(writes(lambda i: valid(i, outcome={"state": "wip"})), "'outcome'"),
    "outcome of a list": Plant(
        writes(lambda i: valid(i, outcome={"state": ["completed"], "finished": "x"})), "'outcome'"
    ),
    "outcome without result": Plant(
        writes(lambda i: valid(i, outcome={"state": "completed", "finished": "x"})), "'outcome'"
    ),
}


def planted(jobs: Jobs, where: str, plant: Callable[[Path, str], object]) -> tuple[str, Path]:
    """Put something into a state's directory under the name of a new job."""
    job_id = new_id()
    layout = jobs.spool.layout
    directory = {
        "pending": layout.pending_bucket(5, job_id),
        "wip": layout.wip_of("some.1.ghost"),
        **{
            s: layout.finished_bucket(State(s), job_id)
            for s in ("completed", "failed", "retrieved")
        },
    }[where]
    Path(directory).mkdir(exist_ok=True)
    path = Path(directory, f"{job_id}.json")
    plant(path, job_id)
    return job_id, path


def quarantined(jobs: Jobs, job_id: str) -> tuple[Path, str]:
    """Return what lies in corrupt/ of a job, and the reason beside it."""
    [path] = [
        path
        for path in Path(jobs.spool.layout.corrupt).iterdir()
        if path.name.startswith(job_id) and path.suffix != ".reason"
    ]
    told = json.loads(Path(f"{path}.reason").read_bytes())
    assert set(told) == {"reason", "from", "moved"}
    return path, told["reason"]


def test_hostile_documents_waiting_are_quarantined(run: Callable[..., Ran], jobs: Jobs) -> None:
    """A worker moves each, as it is, to corrupt/ with the reason, and does what is all right."""
    put = {
        (where, name): (*planted(jobs, where, plant.put), plant)
        for where in ("pending", "wip")
        for name, plant in PLANTS.items()
    }
    kinds = {key: path.lstat().st_mode for key, (_, path, _) in put.items()}
    ids = [jobs.pending("add", str(n), "1", priority=n) for n in (0, 5, 9)]
    ended = run("work", "--once")
    assert ended.returncode == 0, ended.stderr
    assert [jobs.spool.find(job_id).result for job_id in ids] == ["1", "6", "10"]
    wrong = {}
    for key, (job_id, path, plant) in put.items():
        moved, reason = quarantined(jobs, job_id)
        if plant.says not in reason or moved.lstat().st_mode != kinds[key] or os.path.lexists(path):
            wrong[key] = reason
    assert wrong == {}
    assert len(os.listdir(jobs.spool.layout.corrupt)) == 2 * len(put)
    assert os.listdir(jobs.spool.layout.pending) == []
    assert os.listdir(jobs.spool.layout.wip) == []
    clear(run("status"), 0)


@pytest.mark.parametrize("where", ["pending", "wip", "completed", "failed", "retrieved"])
def test_asking_for_hostile_documents_is_an_error(
    where: str, run: Callable[..., Ran], jobs: Jobs
) -> None:
    """Each is said to be none, nothing is moved, and the jobs beside them are served."""
    put = {
        name: (*planted(jobs, where, plant.put), plant)
        for name, plant in PLANTS.items()
        if name != "another's id"
    }
    good = jobs.completed("35")
    asked = [job_id for job_id, _, _ in put.values()]
    for command in ("status", "fetch"):
        ended = run(command, *asked, good)
        assert ended.returncode == 7
        assert ended.stdout.count("\n") == 1, ended.stdout
        assert "35" in ended.stdout
        said = ended.stderr.split("spool: ")[1:]
        told = dict(zip(put, said, strict=True))
        wrong = {
            name: told[name]
            for name, (job_id, _, plant) in put.items()
            if job_id not in told[name] or plant.says not in told[name]
        }
        assert wrong == {}
        assert not any(words in ended.stderr for words in SHAMEFUL)
    assert all(os.path.lexists(path) for _, path, _ in put.values())
    ended = clear(run("status", "--state", where), 0)
    assert ended.stdout.count("\n") == (where == "retrieved")
    clear(run("status"), 0)


@pytest.mark.parametrize("where", ["pending", "completed"])
def test_a_document_under_anothers_name_is_not_served(
    where: str, run: Callable[..., Ran], jobs: Jobs
) -> None:
    """Who asks for a job is never given another's."""
    job_id, path = planted(jobs, where, PLANTS["another's id"].put)
    for command in ("status", "fetch"):
        assert clear(run(command, job_id), 7).stdout == ""
    assert path.exists()


@pytest.mark.parametrize(
    ("where", "outcome"),
    [
        ("completed", None),
        ("failed", None),
        ("completed", {"state": "failed", "finished": "x", "error": "no"}),
        ("failed", {"state": "completed", "finished": "x", "result": "35"}),
    ],
)
def test_an_outcome_that_does_not_fit_its_place(
    where: str, outcome: object, run: Callable[..., Ran], jobs: Jobs
) -> None:
    """A finished job without the outcome that its directory promises is not served as one."""
    plant = writes(lambda job_id: valid(job_id, outcome=outcome))
    job_id, path = planted(jobs, where, plant)
    assert clear(run("fetch", job_id), 7).stdout == ""
    assert path.exists()


def test_documents_of_a_newer_format_are_left(run: Callable[..., Ran], jobs: Jobs) -> None:
    """They are not touched but left to a newer version, and other jobs are done meanwhile."""
    content = b'{"format": 2, "job": "of the future"}'
    put = {
        where: planted(jobs, where, writes(lambda _: content))
        for where in ("pending", "wip", "completed", "failed")
    }
    all_is_well(run, jobs)
    clear(run("clean", "--completed-older-than", "1d", "--failed-older-than", "1d"), 0)
    for where, (job_id, lay) in put.items():
        # The worker in wip/ is dead: its job goes back to where any worker finds it.
        back = Path(jobs.spool.layout.pending_bucket(5, job_id), lay.name)
        path = back if where == "wip" else lay
        assert path.read_bytes() == content
        for command in ("status", "fetch"):
            ended = clear(run(command, job_id), 7)
            assert "format 2" in ended.stderr
            assert "Upgrade" in ended.stderr
    assert os.listdir(jobs.spool.layout.corrupt) == []


def test_a_newer_document_does_not_make_a_worker_spin(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """A worker looks at it once, not all the time."""
    planted(jobs, "pending", writes(lambda _: b'{"format": 2}'))
    worker = start("work", "--poll", "10s")
    done = jobs.pending(priority=9)
    until(lambda: jobs.state(done) is State.COMPLETED)
    before = processor_time(worker.pid)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.popen.wait(1)
    assert processor_time(worker.pid) - before < 0.1


def processor_time(pid: int) -> float:
    """Return the seconds that a process has been on a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- foreign names --------------------------------------------------------------------------------

NAMES = {
    "ordinary": [
        "notes.txt",
        GOOD,
        f".{GOOD}.json.swp",
        f"{GOOD}.json.json",
        ".hidden",
        "a-01a20f20",
        "5-01A20F20",
        "Leerzeichen und \N{SNOWMAN}",
    ],
    "unprintable": ["a\nb", "\x1b[2J", "\udcff\udcfe", "\u202e"],
    "long": ["x" * 255],
    "long and wide": ["\N{SNOWMAN}" * 85],
}
LINKED = {"wip": "some.1.ghost", "completed": GOOD[:8], "failed": GOOD[:8], "retrieved": GOOD[:8]}


@pytest.mark.parametrize("kind", NAMES)
def test_foreign_names_among_the_waiting_are_quarantined(
    kind: str, run: Callable[..., Ran], jobs: Jobs
) -> None:
    """In pending/ and its buckets they go to corrupt/ with a reason, and the jobs are done."""
    bucket = jobs.path(jobs.pending()).parent
    for directory in (bucket, bucket.parent):
        for number, name in enumerate(NAMES[kind]):
            path = directory / name
            if number % 3 == 0:
                path.write_text("mine")
            elif number % 3 == 1:
                full_directory(path, "")
            else:
                path.symlink_to("/etc")
    all_is_well(run, jobs)
    kept = os.listdir(jobs.spool.layout.corrupt)
    assert len([name for name in kept if not name.endswith(".reason")]) == 2 * len(NAMES[kind])
    assert len(kept) == 4 * len(NAMES[kind])
    assert os.listdir(jobs.spool.layout.pending) == []


@pytest.mark.parametrize("kind", NAMES)
def test_foreign_names_elsewhere_disturb_nothing(
    kind: str, run: Callable[..., Ran], jobs: Jobs
) -> None:
    """In the other directories they are passed over or quarantined, and never lost."""
    root = Path(jobs.spool.path)
    places = [root / name for name in ("completed", "failed", "wip", "workers", "tmp", "corrupt")]
    for place in [*places, jobs.path(jobs.completed()).parent]:
        for name in NAMES[kind]:
            (place / name).write_text("mine")
    all_is_well(run, jobs)
    kept = [path for path in root.rglob("*") if path.is_file() and path.read_bytes() == b"mine"]
    assert len(kept) == 7 * len(NAMES[kind])


@pytest.mark.parametrize("kind", ["empty", "nested", "directory", "symlink", "FIFO", "long name"])
def test_a_foreign_lock_disturbs_nothing(
    kind: str, run: Callable[..., Ran], jobs: Jobs, tmp_path: Path
) -> None:
    """What is not the lock of a living worker is none, whatever it is, and leads nowhere."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    put: dict[str, Callable[[Path], object]] = {
        "empty": lambda path: path.touch(),
        "long name": lambda path: path.with_name(f"{'x' * 250}.lock").touch(),
        "nested": lambda path: path.write_bytes(b"[" * 60_000),
        "directory": lambda path: path.mkdir(),
        "symlink": lambda path: path.symlink_to(outside),
        "FIFO": os.mkfifo,
    }
    for name in ("some.1.ghost.lock", ".lock", "x\ny.lock"):
        with suppress(FileExistsError):
            put[kind](Path(jobs.spool.layout.workers) / name)
    assert "workers\t0" in clear(run("status"), 0).stdout
    all_is_well(run, jobs)
    assert outside.read_text() == "mine"


@pytest.mark.parametrize("kind", ["outside", "itself"])
@pytest.mark.parametrize("where", LINKED)
def test_a_link_to_a_directory_leads_nowhere(
    where: str, kind: str, run: Callable[..., Ran], jobs: Jobs, tmp_path: Path
) -> None:
    """Where a worker's directory or a bucket should be, it is not followed out of the spool."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "thesis.tex").write_text("mine")
    (outside / f"{GOOD}.json").write_bytes(valid(GOOD))
    path = Path(jobs.spool.path, where, LINKED[where])
    path.symlink_to(outside if kind == "outside" else path)
    all_is_well(run, jobs)
    clear(run("clean", "--completed-older-than", "0s", "--failed-older-than", "0s"), 0)
    assert sorted(os.listdir(outside)) == sorted(["thesis.tex", f"{GOOD}.json"])


@pytest.mark.parametrize("kind", ["missing", "a file"])
@pytest.mark.parametrize("name", ["pending", "completed", "wip", "workers", "corrupt", "tmp"])
def test_a_spool_with_a_part_missing(
    name: str, kind: str, run: Callable[..., Ran], jobs: Jobs
) -> None:
    """Where a directory of the spool is none, each command works or says what is wrong."""
    path = Path(jobs.spool.path) / name
    path.rmdir()
    if kind == "a file":
        path.touch()
    for words in (["submit", "add", "1", "2"], ["work", "--once"], ["status"]):
        clear(run(*words), 0, 7)
    assert path.is_file() or kind == "missing"
