"""What is told of each transition, how it is counted, and that it never gets in a job's way."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spoolcalc import Outcome, Spool, Worker, events, files, history, totals
from spoolcalc.errors import StorageFailure
from spoolcalc.layout import Layout


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", create=True)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of events are full after a few lines."""
    monkeypatch.setattr(events, "LARGEST", 1000)


def told(spool: Spool) -> list[dict[str, Any]]:
    """Return all that was told and is still there."""
    with history.History(spool.layout) as reader:
        return [json.loads(line) for line in reader.lines()]


def ways(spool: Spool) -> list[tuple[str, str | None, str | None]]:
    """Return what happened, each with the state before and after it."""
    return [(line["event"], line["from"], line["to"]) for line in told(spool)]


def run(spool: Spool) -> None:
    Worker(spool, once=True).run()


def test_a_job_s_life_is_told(spool: Spool) -> None:
    """From its submission until it is cleaned, each step once, with who and what."""
    job_id = spool.submit("add", ["12", "23"])
    run(spool)
    spool.fetch(job_id)
    spool.clean()
    assert ways(spool) == [
        ("submitted", None, "pending"),
        ("claimed", "pending", "wip"),
        ("completed", "wip", "completed"),
        ("fetched", "completed", "retrieved"),
        ("cleaned", "retrieved", None),
    ]
    lines = told(spool)
    assert {line["id"] for line in lines} == {job_id}
    assert all(line["time"].endswith("Z") for line in lines)
    done = lines[2]
    assert (done["operation"], done["attempt"], done["end"]) == ("add", 1, "completed")
    assert done["worker"] == lines[1]["worker"]
    assert 0 < done["seconds"] < 1


def test_failures_tell_why(spool: Spool) -> None:
    """The reason, the error and a command's exit code; what is tried again is told as such."""
    spool.submit("div", ["1", "0"])
    spool.submit("exec", ["sh", "-c", "exit 3"])
    spool.submit("exec", ["false"], retries=1, backoff=3600.0)
    run(spool)
    ends = {line["event"]: line for line in told(spool) if line.get("end") == "failed"}
    assert ends["postponed"]["to"] == "delayed"
    assert ends["postponed"]["error"] == "it exited with 1"
    failed = [line for line in told(spool) if line["event"] == "failed"]
    assert [line["reason"] for line in failed] == ["error", "error"]
    assert {line.get("exit_code") for line in failed} == {None, 3}
    assert "division by zero" in {line["error"] for line in failed}


def test_waiting_cancelling_and_retrying_are_told(spool: Spool) -> None:
    """Also what ends a job that was never run."""
    first = spool.submit("div", ["1", "0"])
    second = spool.submit("add", [f"@{first}", "1"])
    third = spool.submit("add", ["1", "1"], delay=3600.0)
    run(spool)
    spool.cancel(third)
    spool.retry(second)
    by_job = {
        job_id: [
            (line["event"], line["to"], line.get("reason"))
            for line in told(spool)
            if line["id"] == job_id and line["event"] != "claimed"
        ]
        for job_id in (second, third)
    }
    assert by_job[second] == [
        ("submitted", "blocked", None),
        ("unblocked", "pending", None),
        ("failed", "failed", "dependency"),
        ("retried", "blocked", None),
        ("unblocked", "pending", None),
    ]
    assert by_job[third] == [("submitted", "delayed", None), ("failed", "failed", "cancelled")]


def test_a_lost_worker_is_told(spool: Spool) -> None:
    """Each loss, and the poison that the last one makes."""
    spool.submit("add", ["1", "1"], max_crashes=2)
    for _ in range(2):
        code = (
            "import os, sys; from spoolcalc import Spool; s = Spool(sys.argv[1]); "
            "own = s.register(); assert s.claim(own.__enter__()); os._exit(9)"
        )
        top = str(Path(events.__file__).parents[1])
        died = subprocess.run(
            [sys.executable, "-c", code, spool.path],
            env={**os.environ, "PYTHONPATH": top},
            check=False,
        )
        assert died.returncode == 9
        spool.sweep()
    assert ways(spool) == [
        ("submitted", None, "pending"),
        ("claimed", "pending", "wip"),
        ("lost", "wip", "pending"),
        ("claimed", "pending", "wip"),
        ("failed", "wip", "failed"),
    ]
    last = told(spool)[-1]
    assert (last["reason"], last["end"], last["attempt"]) == ("poison", "lost", 2)


def test_what_came_through_the_inbox_is_told(spool: Spool) -> None:
    """As a submit from there; what is no job, as rejected, with the reason."""
    inbox = Path(spool.layout.inbox)
    (inbox / "good.json").write_text('{"operation": "add", "operands": ["1", "2"]}')
    (inbox / "bad.json").write_text("{")
    run(spool)
    assert ("submitted", "inbox", "pending") in ways(spool)
    [rejected] = [line for line in told(spool) if line["event"] == "rejected"]
    assert rejected["to"] == "corrupt"
    assert "not JSON" in rejected["error"]


def test_a_group_is_told_by_one_write(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of jobs that are submitted together, and of small ones that are run together."""
    writes: list[int] = []
    real = files.append

    def append(path: str, data: bytes, mode: int, *, make: bool = False) -> Any:
        writes.append(data.count(b"\n"))
        return real(path, data, mode, make=make)

    monkeypatch.setattr(files, "append", append)
    assert len(list(spool.submit_many([("add", ["1", "1"])] * 20))) == 20
    assert writes == [20]
    run(spool)
    assert sum(writes) == 60
    assert len(writes) < 10


def test_who_claims_by_the_library_tells_at_once(spool: Spool) -> None:
    """The job may take long, and who looks on is to know."""
    spool.submit("add", ["1", "1"])
    with spool.register() as lease:
        assert spool.claim(lease) is not None
        assert ways(spool)[-1] == ("claimed", "pending", "wip")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS])
def test_what_cannot_be_told_harms_no_job(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A full disk, a missing permission: the job goes its way, and is told of later or never."""

    def refuse(path: str, data: bytes, mode: int, *, make: bool = False) -> Any:
        raise StorageFailure("write", path, OSError(number, "no"))

    with monkeypatch.context() as patched:
        patched.setattr(files, "append", refuse)
        job_id = spool.submit("add", ["1", "1"])
        run(spool)
        assert spool.fetch(job_id).result == "2"
    assert told(spool) == []
    spool.submit("add", ["1", "1"])
    assert ways(spool) == [("submitted", None, "pending")]


def test_a_spool_of_an_earlier_version_gets_its_directory(spool: Spool) -> None:
    """At the first thing to tell; and again when somebody has removed it."""
    for _ in range(2):
        shutil.rmtree(spool.layout.events)
        spool.submit("add", ["1", "1"])
        assert ways(spool) == [("submitted", None, "pending")]


def test_a_spool_that_was_removed_stays_removed(spool: Spool) -> None:
    """What is told of it does not make it again."""
    shutil.rmtree(spool.path)
    events.tell(spool.layout, ["{}\n"])
    assert not Path(spool.path).exists()


def test_what_others_have_put_there_is_left_alone(spool: Spool) -> None:
    """A link or a pipe in place of the file neither blocks nor is followed."""
    aside = Path(spool.path).parent / "aside"
    Path(spool.layout.events_file(1)).symlink_to(aside)
    spool.submit("add", ["1", "1"])
    assert not aside.exists()
    Path(spool.layout.events_file(1)).unlink()
    os.mkfifo(spool.layout.events_file(1))
    spool.submit("add", ["1", "1"])
    assert told(spool) == []


@pytest.mark.usefixtures("small")
def test_old_events_go_and_stay_counted(spool: Spool) -> None:
    """The files are few and small; the counters know everything."""
    for _ in range(100):
        spool.submit("add", ["1", "1"])
    numbers = history.numbers(spool.layout)
    assert len(numbers) == events.FILES
    assert numbers[0] > 5
    assert all(os.path.getsize(spool.layout.events_file(n)) < 1300 for n in numbers)
    assert len(told(spool)) < 40
    for _ in range(2):
        counts = totals.count(spool.layout).counts
        assert [(key.event, number) for key, number in counts.items()] == [("submitted", 100)]


@pytest.mark.usefixtures("small")
def test_a_reader_misses_nothing_while_files_come_and_go(spool: Spool) -> None:
    """Each line once, also those of files that were removed since it last looked."""
    with history.History(spool.layout) as reader:
        ids = []
        seen = []
        for number in range(120):
            ids.append(spool.submit("add", ["1", "1"]))
            if number % 7 == 0:
                seen += [json.loads(line)["id"] for line in reader.lines()]
        seen += [json.loads(line)["id"] for line in reader.lines()]
        assert len(reader.read) <= events.FILES  # it lets go of what is gone
    assert seen == ids


def test_a_line_without_an_end_is_not_given(spool: Spool) -> None:
    """It is being written, or a full disk has cut it; what stands right behind it is not lost."""
    spool.submit("add", ["1", "1"])
    path = Path(spool.layout.events_file(1))
    whole = path.read_bytes()
    with history.History(spool.layout) as reader, path.open("ab") as file:
        file.write(whole[:40])
        file.flush()
        assert list(reader.lines()) == [whole[:-1]]
        file.write(whole[40:])
        file.flush()
        assert list(reader.lines()) == [whole[:-1]]
        file.write(b"torn" + whole + whole)
        file.flush()
        assert list(reader.lines()) == [whole[:-1]] * 2
    assert totals.count(spool.layout).counts.total() == 4


def test_who_was_slow_writes_to_a_file_that_is_there(spool: Spool) -> None:
    """One whose file was removed meanwhile tells it in the newest one."""
    spool.submit("add", ["1", "1"])
    layout = spool.layout
    files.append(layout.events_file(7), b"", layout.file_mode, make=True)
    files.remove(layout.events_file(1))
    spool.submit("add", ["1", "1"])
    assert history.numbers(layout) == [7]
    assert len(told(spool)) == 1


class Died(BaseException):
    """Stands for a SIGKILL."""


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("step", ["write_durably", "move", "remove"])
@pytest.mark.parametrize("after", [False, True])
def test_who_is_killed_while_counting_counts_nothing_twice(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    """Before each step that changes something, and after it."""
    for _ in range(30):
        spool.submit("add", ["1", "1"])
    real = getattr(files, step)

    def die(*args: Any) -> None:
        if after:
            real(*args)
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(files, step, die)
        with pytest.raises(Died):
            totals.shorten(spool.layout, 2)
    assert totals.count(spool.layout).counts.total() == 30
    totals.shorten(spool.layout, 1)
    spool.submit("add", ["1", "1"])
    assert totals.count(spool.layout).counts.total() == 31


@pytest.mark.usefixtures("small")
def test_counters_that_cannot_be_written_keep_the_events(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to a bound: then the oldest go uncounted, for a full disk is worse."""

    def refuse(*_: object) -> None:
        raise StorageFailure("write", "totals", OSError(errno.ENOSPC, "no"))

    monkeypatch.setattr(files, "write_durably", refuse)
    most = 0
    for _ in range(100):
        events.tell(spool.layout, ['{"time":"' + "x" * 1200 + '"}\n'])
        most = max(most, len(history.numbers(spool.layout)))
    assert most == 4 * events.FILES


def test_counters_that_cannot_be_read_begin_anew(spool: Spool) -> None:
    """From the events that are still there."""
    spool.submit("add", ["1", "1"])
    totals.count(spool.layout)
    path = Path(spool.layout.events) / "totals.json"
    for torn in (
        b"",
        b"{",
        b"[]",
        b'{"format":1}',
        b'{"format":1,"counts":[["a"]],"durations":{}}',
        b'{"format":1,"counts":[],"durations":{},"first":1e999,"read":{}}',
        b'{"format":1,"counts":[],"durations":{},"first":0,"read":{"1":-5}}',
        b'{"format":1,"counts":[],"durations":{},"first":0,"read":{"1":1%s}}' % (b"0" * 400),
        b'{"format":1,"counts":[["a",1]],"durations":{},"first":0,"read":{}}',
        b"[" * 100_000,
    ):
        path.write_bytes(torn)
        assert totals.count(spool.layout).counts.total() == 1


def test_a_hundred_operations_are_told_apart(spool: Spool) -> None:
    """What comes after them is counted under one name: a monitoring system bears no more."""
    lines = [
        events.submitted({"operation": f"op{number}", "id": "x"}, None, "pending")
        for number in range(150)
    ]
    events.tell(spool.layout, lines)
    counts = totals.count(spool.layout).counts
    assert len({key.operation for key in counts}) == totals.OPERATIONS + 1
    assert sum(n for key, n in counts.items() if key.operation == totals.OTHER) == 50


def test_odd_values_in_documents_of_others_are_told(spool: Spool) -> None:
    """Whatever stands in a document, the line is JSON, and is counted."""
    attempt = {"worker": 'w"\n\u2028', "started": 5, "ended": "now", "end": "fa,iled"}
    outcome = {"state": "failed", "error": "é\n" * 500, "reason": ["odd"], "finished": "now"}
    document = {
        "operation": 'x","id":"y' * 50,
        "id": "i",
        "attempts": [attempt],
        "outcome": outcome,
        "exit_code": {},
    }
    events.tell(spool.layout, [events.ended(document, "failed", "w", None)])
    [line] = told(spool)
    assert line["worker"] == attempt["worker"]
    assert line["reason"] == ["odd"]
    assert len(line["operation"]) == 100
    assert totals.count(spool.layout).counts.total() == 1


def test_a_shared_spool_s_events_are_the_group_s(tmp_path: Path) -> None:
    """Whatever the umask of who begins the file."""
    layout = Layout(str(tmp_path / "shared"), shared=True)
    os.makedirs(layout.root)
    before = os.umask(0o077)
    try:
        events.tell(layout, ["{}\n"])
    finally:
        os.umask(before)
    assert os.stat(layout.events_file(1)).st_mode & 0o777 == 0o660
    assert os.stat(layout.events).st_mode & 0o7777 == 0o2770


def test_an_outcome_of_a_conclusion_has_no_attempt(spool: Spool) -> None:
    """One that ended without having been run again does not repeat its last attempt."""
    job_id = spool.submit("exec", ["false"], retries=1, backoff=3600.0)
    run(spool)
    spool.cancel(job_id)
    last = told(spool)[-1]
    assert (last["event"], last["reason"]) == ("failed", "cancelled")
    assert "end" not in last
    assert Outcome.cancelled().error == last["error"]
