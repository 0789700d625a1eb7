"""What is set for a spool: where it is written, what beats what, and what a wrong file says."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spoolcalc import BadSettings, CeilingReached, Spool, State, UsageError, Worker
from spoolcalc.configuration import SETTINGS, entries, from_file
from spoolcalc.inbox import Inbox
from spoolcalc.settings import CEILINGS, PERSONAL, load


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment of the tests may set."""
    for name in PERSONAL:
        monkeypatch.delenv(f"SPOOL_{name.upper()}", raising=False)


def write(spool: Spool, text: str | bytes) -> Spool:
    """Set something for a spool; return the spool, opened anew."""
    path = Path(spool.layout.settings)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o644)
    return Spool(spool.path)


def put(spool: Spool, name: str, **asked: object) -> None:
    """Ask for a job as any program can."""
    told = {"operation": "add", "operands": ["1", "2"], **asked}
    Path(spool.layout.inbox, f"{name}.json").write_text(json.dumps(told))


def names(directory: str) -> list[str]:
    """Return all that lies below a directory."""
    return [name for _, _, found in os.walk(directory) for name in found]


def test_every_setting_has_its_place() -> None:
    """The table and the names agree."""
    assert set(SETTINGS) == {*PERSONAL, *CEILINGS}


def test_what_beats_what(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option beats a program's settings, these the environment, that the file, that the rest."""
    write(spool, 'timeout = "10m"\nretries = 1\nbackoff = 2\nmax_crashes = 4\n')
    monkeypatch.setenv("SPOOL_RETRIES", "2")
    monkeypatch.setenv("SPOOL_BACKOFF", "3s")
    monkeypatch.setenv("SPOOL_MAX_CRASHES", "5")
    opened = Spool(spool.path, settings={"backoff": "4s", "max_crashes": 6, "timeout": None})
    job = opened.find(opened.submit("add", ["1", "2"], max_crashes=7, retries=None))
    asked = json.loads(Path(spool.layout.pending, *names_of(spool)).read_text())
    assert (job.timeout, job.retries, job.backoff) == (600.0, 2, 4.0)
    assert asked["max_crashes"] == 7
    assert [origin for *_, origin in entries(opened.settings)][:5] == [
        f"{spool.layout.settings}, line 1",
        "SPOOL_RETRIES",
        "the program",
        "the program",
        "built in",
    ]


def names_of(spool: Spool) -> tuple[str, str]:
    """Return the bucket and the file of the one pending job."""
    [path] = Path(spool.layout.pending).glob("*/*")
    return path.parent.name, path.name


def test_no_limit_can_be_asked_for(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the environment can take away what the file sets."""
    write(spool, 'timeout = "10m"\nkeep_failed = "1d"\nmax_pending = "none"\n')
    monkeypatch.setenv("SPOOL_TIMEOUT", "none")
    monkeypatch.setenv("SPOOL_KEEP_FAILED", "forever")
    opened = Spool(spool.path)
    assert opened.find(opened.submit("add", ["1", "2"])).timeout is None
    assert opened.settings.keep_failed == math.inf


def test_where_nothing_is_set_documents_are_as_ever(spool: Spool) -> None:
    """No field more, and no module more is loaded than one."""
    spool.submit("add", ["1", "2"])
    document = json.loads(Path(spool.layout.pending, *names_of(spool)).read_text())
    assert not {"timeout", "retries", "backoff"} & set(document)
    code = (
        "import sys; from spoolcalc import Spool; "
        f"Spool({spool.path!r}).submit('add', ['1', '2']); "
        "print(sorted({'tomllib', 'spoolcalc.configuration', 'difflib'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('timeout = "1m"\n\nretrys = 3\n', 3, "no setting 'retrys'"),
        ('timeout = "1m"\nretries = "3\n', 2, ""),
        ("a = 1\na = 2\n", 2, "overwrite"),
        ('timeout = "10 minutes"\n', 1, "not a duration"),
        ("# x\ntimeout = true\n", 2, "true or false"),
        ("timeout = 0\n", 1, "timeout"),
        ("retries = 1.5\n", 1, "fraction"),
        ('retries = "many"\n', 1, "whole number"),
        ("lease = 0.1\n", 1, "lease"),
        ('min_free = "1X"\n', 1, "not a size"),
        ('max_document = "17M"\n', 1, "max_document"),
        ("[timeout]\nx = 1\n", 1, "a table"),
        ("timeout = 2026-11-25\n", 1, "date"),
        ("retries = [1]\n", 1, "a list"),
        (b"# \xff\n", 1, "UTF-8"),
        ("# x\nretries = " + "1" * 5000 + "\n", 2, "digits"),
        (b"\n" * 70_000, None, "70000 bytes"),
    ],
)
def test_a_wrong_file_is_refused(
    text: str | bytes, line: int | None, said: str, spool: Spool
) -> None:
    """With the file, the line and the reason, by all who need it, and nothing is written."""
    opened = write(spool, text)
    before = names(spool.path)
    for need in (
        lambda: opened.submit("add", ["1", "2"]),
        lambda: list(opened.submit_many([("add", ["1", "2"])])),
        opened.clean,
        lambda: Worker(opened, once=True),
    ):
        with pytest.raises(BadSettings) as caught:
            need()
        assert said in caught.value.message
        assert spool.layout.settings in caught.value.message
        assert caught.value.line == line
        assert line is None or f", line {line}: " in caught.value.message
        assert caught.value.exit_code == 7
    assert names(spool.path) == before


def test_the_nearest_name_is_offered(spool: Spool) -> None:
    """And all there are."""
    with pytest.raises(BadSettings) as caught:
        _ = write(spool, "retrys = 3\n").settings
    assert caught.value.hint.startswith("Did you mean retries? There are timeout, ")


def test_who_only_looks_does_not_need_the_file(spool: Spool) -> None:
    """A wrong one keeps nobody from seeing how things are, or from fetching."""
    job_id = spool.submit("add", ["1", "2"])
    opened = write(spool, "nonsense")
    assert opened.find(job_id).state is State.PENDING
    assert opened.counts()[State.PENDING] == 1


def test_a_link_is_not_followed(spool: Spool, tmp_path: Path) -> None:
    """It could be anybody's file."""
    (tmp_path / "other").write_text("retries = 1\n")
    Path(spool.layout.settings).symlink_to(tmp_path / "other")
    with pytest.raises(BadSettings, match="symbolic link"):
        load(spool.layout)


def test_only_the_owner_sets_anything(spool: Spool) -> None:
    """Not another user's file, and none that others may write to; root's is as good."""
    write(spool, "retries = 1\n")
    path = spool.layout.settings
    status = os.stat(path)

    def read_as(user: int, mode: int) -> float:
        fields = list(status)
        fields[0], fields[4] = mode, user
        return from_file(path, b"retries = 1\n", os.stat_result(fields))["retries"][0]

    assert read_as(os.geteuid(), 0o100644) == read_as(0, 0o100600) == 1
    for user, mode in ((os.geteuid() + 1, 0o100644), (0, 0o100664), (os.geteuid(), 0o100602)):
        with pytest.raises(BadSettings, match=r"belongs to user|others may write"):
            read_as(user, mode)


def test_the_environment_s_mistakes_are_the_user_s(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, with the variable's name; and no user raises a ceiling for himself."""
    monkeypatch.setenv("SPOOL_MAX_PENDING", "many")
    monkeypatch.setenv("SPOOL_RETRIES", "many")
    with pytest.raises(UsageError, match="SPOOL_RETRIES: not a whole number"):
        spool.submit("add", ["1", "2"])
    monkeypatch.setenv("SPOOL_RETRIES", "")
    spool.submit("add", ["1", "2"])
    with pytest.raises(UsageError, match="no setting 'patience'"):
        Spool(spool.path, settings={"patience": 1}).submit("add", ["1", "2"])


def test_a_full_queue_takes_nothing_more(spool: Spool) -> None:
    """All that were submitted before are there, nothing of the others, and room is made by work."""
    opened = write(spool, "max_pending = 3\n")
    more_and_more = opened.submit_many(("add", [str(n), "1"]) for n in range(9))
    ids = [next(more_and_more) for _ in range(3)]
    with pytest.raises(CeilingReached, match="max_pending is 3") as caught:
        next(more_and_more)
    assert caught.value.exit_code == 7
    assert sorted(n.removesuffix(".json") for n in names(spool.layout.pending)) == ids
    for more in ({}, {"delay": 60.0}, {"after": [(ids[0], "any")]}):
        with pytest.raises(CeilingReached):
            opened.submit("add", ["1", "2"], **more)
    assert names(spool.layout.tmp) == names(spool.layout.waits) == names(spool.layout.keys) == []
    Worker(opened, max_jobs=1, once=True).run()
    opened.submit("add", ["1", "2"])


def test_a_key_that_has_a_job_needs_no_room(spool: Spool) -> None:
    """Nothing is written for it."""
    opened = write(spool, "max_pending = 1\n")
    job_id = opened.submit("add", ["1", "2"], key="one")
    assert opened.submit("add", ["1", "2"], key="one") == job_id
    with pytest.raises(CeilingReached):
        opened.submit("add", ["1", "2"], key="two")
    assert len(names(spool.layout.keys)) == 1


def test_too_large_a_document_is_refused(spool: Spool) -> None:
    """By its size as it would be stored."""
    opened = write(spool, 'max_document = "1K"\n')
    with pytest.raises(CeilingReached, match=r"max_document is 1,024 bytes, and .* has 1,"):
        opened.submit("sum", ["123456789"] * 80)
    assert names(spool.layout.pending) == names(spool.layout.tmp) == []
    opened.submit("sum", ["123456789"] * 30)


def test_a_disk_that_is_nearly_full_takes_nothing_more(spool: Spool) -> None:
    """Before it is full."""
    opened = write(spool, 'min_free = "1000T"\n')
    with pytest.raises(CeilingReached, match=r"min_free is 1000T, and .* are free"):
        opened.submit("add", ["1", "2"])
    assert names(spool.layout.pending) == names(spool.layout.tmp) == []
    write(spool, "min_free = 1\n").submit("add", ["1", "2"])


def test_files_wait_in_inbox_until_there_is_room(spool: Spool) -> None:
    """It is no fault of theirs."""
    opened = write(spool, "max_pending = 2\nretries = 4\n")
    for name in ("a", "b", "c", "d"):
        put(spool, name)
    inbox = Inbox(opened.layout, opened.settings)
    with opened.register() as lease:
        adopted: list[str] = []
        while len(adopted) < 2:  # a slice of them, when the machine is slow
            adopted += [name for name, _ in inbox.adopt(lease).jobs]
        assert adopted == ["a", "b"]
        with pytest.raises(CeilingReached):
            inbox.adopt(lease)
        assert sorted(names(spool.layout.inbox)) == ["c.json", "d.json"]
    assert opened.find("a").retries == 4
    Worker(opened, once=True).run()
    assert sorted(names(spool.layout.inbox)) == []
    assert opened.counts()[State.COMPLETED] == 4
    assert names(spool.layout.corrupt) == []


def test_too_large_a_file_in_inbox_is_rejected(spool: Spool) -> None:
    """It will never fit, and who wrote it learns why."""
    opened = write(spool, "max_document = 400\n")
    put(spool, "large", operation="sum", operands=["123456789"] * 80)
    with opened.register() as lease:
        [(name, reason)] = Inbox(opened.layout, opened.settings).adopt(lease).rejected
    assert name == "large"
    assert "max_document is 400 bytes" in reason


def test_retention_is_the_spool_s(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clean removes what the settings name, and an option beats them."""
    job_id = spool.submit("add", ["1", "2"])
    Worker(spool, once=True).run()
    write(spool, 'keep_completed = "0s"\nkeep_retrieved = "1d"\n')
    monkeypatch.setenv("SPOOL_KEEP_COMPLETED", "forever")
    assert Spool(spool.path).clean().completed == 0
    monkeypatch.delenv("SPOOL_KEEP_COMPLETED")
    assert Spool(spool.path).clean(completed_older_than=60.0).completed == 0
    Spool(spool.path).fetch(job_id)
    assert Spool(spool.path).clean().retrieved == 0
    assert Spool(spool.path).clean(grace=0.0).retrieved == 1


def test_the_lease_is_read_by_the_worker(spool: Spool) -> None:
    """From the file; an argument beats it."""
    opened = write(spool, "lease = 7\n")
    for lease, expected in ((None, 7.0), (3.0, 3.0)):
        worker = Worker(opened, lease=lease)
        with worker._bell:
            assert worker._seconds == expected


def test_a_usual_limit_keeps_arithmetic_in_the_worker(spool: Spool) -> None:
    """A default for all jobs must not start a process for each sum."""
    opened = write(spool, 'timeout = "10m"\n')
    job_id = opened.submit("add", ["1", "2"])
    worker = Worker(opened, once=True)
    worker.run()
    assert opened.fetch(job_id).result == "3"
    assert worker._engine._children is None
