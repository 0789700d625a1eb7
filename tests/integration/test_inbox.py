"""Files that are renamed into ``inbox/`` become jobs: what is taken, refused, and counted once."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import (
    BadJobId,
    Lease,
    NotAdopted,
    Outcome,
    Rejected,
    Spool,
    State,
    StorageFailure,
    Worker,
    transitions,
)
from spoolcalc import inbox as inboxes
from spoolcalc.inbox import Adopted, Inbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: An id that no job has.
NOBODYS = "019ab2c4-5d6e-7f80-9a1b-2c3d4e5f6071"
ADD: dict[str, Any] = {"operation": "add", "operands": ["12", "23"]}


@pytest.fixture
def lease(spool: Spool) -> Iterator[Lease]:
    """Be a worker."""
    with spool.register() as taken:
        yield taken


@pytest.fixture
def inbox(spool: Spool) -> Path:
    """Return the directory."""
    return Path(spool.layout.inbox)


def put(inbox: Path, name: str, asked: object = ADD) -> None:
    """Do what any program can do."""
    data = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    (inbox / f".{name}").write_bytes(data)
    (inbox / f".{name}").rename(inbox / name)


def adopt(spool: Spool, lease: Lease) -> Adopted:
    """Look once."""
    return Inbox(spool.layout).adopt(lease)


def rejected(spool: Spool) -> list[tuple[bytes, str]]:
    """Return what lies in ``corrupt/``, each with its reason."""
    found = []
    for path in sorted(Path(spool.layout.corrupt).iterdir()):
        if path.suffix != ".reason":
            reason = json.loads(Path(f"{path}.reason").read_bytes())["reason"]
            found.append((path.read_bytes() if path.is_file() else b"", reason))
    return found


def run_all(spool: Spool, lease: Lease) -> None:
    """Run what can be run."""
    while (claim := spool.claim(lease)) is not None:
        spool.finish(claim, Outcome.completed("35"))


def test_a_file_becomes_a_job(spool: Spool, lease: Lease, inbox: Path) -> None:
    """It is found by its name and by its id, and nothing of the file is left."""
    put(inbox, "nightly.json")
    adopted = adopt(spool, lease)
    [(name, job_id)] = adopted.jobs
    assert (name, adopted.again, adopted.rejected, adopted.more) == ("nightly", [], [], False)
    assert os.listdir(inbox) == os.listdir(spool.layout.wip_of(lease.worker)) == []
    assert os.listdir(spool.layout.tmp) == []
    job = spool.find("nightly")
    assert (job.id, job.state, job.operation, job.operands) == (
        job_id,
        State.PENDING,
        "add",
        ("12", "23"),
    )
    run_all(spool, lease)
    assert spool.fetch("nightly").result == "35"
    assert spool.find(job_id).state is State.RETRIEVED


def test_all_options_are_those_of_submit(spool: Spool, lease: Lease, inbox: Path) -> None:
    """Each does what it does there."""
    first = spool.submit("add", ["1", "2"])
    put(
        inbox,
        "all.json",
        {
            "operation": "exec",
            "operands": ["true"],
            "priority": 2,
            "max_crashes": 1,
            "label": "a label",
            "timeout": 1.5,
            "retries": 3,
            "backoff": 2,
            "at": 4e9,
            "after": [[first, "any"]],
            "max_output": 1000,
            "cwd": "/",
            "env": {"A": "b"},
            "stdin": "/dev/null",
            "delay": None,
        },
    )
    assert adopt(spool, lease).rejected == []
    job = spool.find("all")
    assert job.state is State.BLOCKED
    assert (job.priority, job.label, job.timeout, job.retries) == (2, "a label", 1.5, 3)
    assert (job.backoff, job.max_output, job.not_before) == (2.0, 1000, "2096-10-02T07:06:40.000Z")
    assert job.after == ((first, "any"),)
    assert job.command == {"cwd": "/", "env": {"A": "b"}, "stdin": "/dev/null"}


def test_a_delayed_one_waits_for_its_time(spool: Spool, lease: Lease, inbox: Path) -> None:
    """It goes where submit would have put it."""
    put(inbox, "later.json", {**ADD, "delay": 3600})
    adopt(spool, lease)
    assert spool.find("later").state is State.DELAYED
    assert spool.claim(lease) is None


def test_they_come_in_the_order_of_their_names(spool: Spool, lease: Lease, inbox: Path) -> None:
    """So that who numbers them has them run in that order."""
    for name in ("b.json", "c.json", "a.json"):
        put(inbox, name)
    assert [name for name, _ in adopt(spool, lease).jobs] == ["a", "b", "c"]
    assert [job.key for job in spool.list(State.PENDING)] == ["inbox:a", "inbox:b", "inbox:c"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (b"", "not JSON"),
        (b'{"operation": "add", "oper', "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"operation": "add", "operands": ["1", "2"], "operands": []}', "a field twice"),
        ({}, "'operation' is missing"),
        ({"operation": "add"}, "'operands' is missing"),
        ({"operation": None, "operands": []}, "'operation' is missing"),
        ({"operation": "add", "operands": "1 2"}, "'operands' is not a list"),
        ({"operation": "add", "operands": [1, 2]}, "'operands' is not a list of texts"),
        ({"operation": "add", "operands": ["1", "x"]}, "'x'"),
        ({"operation": "add", "operands": ["1"]}, "add"),
        ({"operation": "no-such", "operands": []}, "no-such"),
        ({**ADD, "priority": 10}, "not a priority: 10. It goes from 0"),
        ({**ADD, "priority": True}, "'priority' is not a whole number"),
        ({**ADD, "max_crashes": 0}, "crashes"),
        ({**ADD, "timeout": "5s"}, "'timeout' is not a number"),
        (json.dumps({**ADD, "timeout": 1}).replace("1}", "1e999}").encode(), "timeout"),
        (b'{"timeout": ' + b"9" * 5000 + b"}", "not JSON"),
        ({**ADD, "label": "two\nlines"}, "not a label"),
        ({**ADD, "key": "mine"}, "the file's name is its key"),
        ({**ADD, "colour": "red"}, "there is no field 'colour'"),
        ({**ADD, "after": ["x"]}, "'after' is not a list of pairs"),
        ({**ADD, "after": [["x", "ok"]]}, "not a job id: 'x'"),
        ({**ADD, "after": [[NOBODYS, "ok"]]}, "no such job to wait for"),
        ({**ADD, "at": 1, "delay": 1}, "delay"),
        ({**ADD, "cwd": "/"}, "exec"),
        ({"operation": "exec", "operands": ["true"]}, "'cwd' is missing"),
        ({"operation": "exec", "operands": ["true"], "cwd": "here"}, "absolute"),
        ({"operation": "exec", "operands": ["true"], "cwd": "/", "env": {"A": 1}}, "A"),
    ],
)
def test_what_submit_would_refuse_is_refused(
    asked: object, reason: str, spool: Spool, lease: Lease, inbox: Path
) -> None:
    """It goes to ``corrupt/`` as it was, and its name tells why; no job comes of it."""
    put(inbox, "bad.json", asked)
    before = (inbox / "bad.json").read_bytes()
    [(name, told)] = adopt(spool, lease).rejected
    assert name == "bad"
    assert reason in told
    assert "\n" not in told
    assert rejected(spool) == [(before, told)]
    with pytest.raises(Rejected, match="bad was moved to") as error:
        spool.find("bad")
    assert "\n" not in error.value.message
    assert sum(spool.counts().values()) == 0
    put(inbox, "bad.json")
    assert [name for name, _ in adopt(spool, lease).jobs] == ["bad"], "it is written anew"
    assert spool.find("bad").state is State.PENDING


@pytest.mark.parametrize(
    "name",
    [
        "a b.json",
        "a",
        "a.txt",
        "json",
        "-a.json",
        "ä.json",
        "a\n.json",
        "a" * 101 + ".json",
        f"{NOBODYS}.json",
        "inbox.json\n",
    ],
)
def test_other_names_are_refused(name: str, spool: Spool, lease: Lease, inbox: Path) -> None:
    """What it may be called is told."""
    (inbox / name).write_text(json.dumps(ADD))
    [(told, reason)] = adopt(spool, lease).rejected
    assert told == name
    assert "letters, digits" in reason
    assert len(rejected(spool)) == 1
    assert os.listdir(inbox) == []


def test_a_name_that_starts_with_a_dot_is_somebodys_who_writes(
    spool: Spool, lease: Lease, inbox: Path
) -> None:
    """It is never looked at, however old it is."""
    (inbox / ".half.json").write_text("{")
    os.utime(inbox / ".half.json", (0, 0))
    adopted = adopt(spool, lease)
    assert (adopted.jobs, adopted.rejected) == ([], [])
    spool.clean()
    assert os.listdir(inbox) == [".half.json"]


def test_what_is_no_plain_file_is_refused(spool: Spool, lease: Lease, inbox: Path) -> None:
    """No link is followed, no FIFO waited for, nothing huge read."""
    os.mkfifo(inbox / "fifo.json")
    (inbox / "link.json").symlink_to("/etc/passwd")
    (inbox / "directory.json").mkdir()
    (inbox / "directory.json" / "in.json").write_text(json.dumps(ADD))
    with (inbox / "huge.json").open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    found = dict(adopt(spool, lease).rejected)
    assert sorted(found) == ["directory", "fifo", "huge", "link"]
    assert "symbolic link" in found["link"]
    assert "limit" in found["huge"]
    assert os.listdir(inbox) == os.listdir(spool.layout.wip_of(lease.worker)) == []


def test_text_of_any_script_is_taken(spool: Spool, lease: Lease, inbox: Path) -> None:
    """It is UTF-8, with or without escapes."""
    put(inbox, "a.json", json.dumps({**ADD, "label": "Grüße"}, ensure_ascii=False).encode())
    put(inbox, "b.json", json.dumps({**ADD, "label": "Grüße"}).encode())
    assert len(adopt(spool, lease).jobs) == 2
    assert spool.find("a").label == spool.find("b").label == "Grüße"


def test_a_second_file_of_a_name_is_the_same_job(spool: Spool, lease: Lease, inbox: Path) -> None:
    """As long as the job is there; afterwards the name makes a new one."""
    put(inbox, "nightly.json")
    [(_, first)] = adopt(spool, lease).jobs
    for act in (lambda: None, lambda: run_all(spool, lease), lambda: spool.fetch("nightly")):
        act()
        put(inbox, "nightly.json", {"operation": "mul", "operands": ["6", "7"]})
        adopted = adopt(spool, lease)
        assert (adopted.jobs, adopted.again) == ([], ["nightly"])
        assert spool.find("nightly").id == first
    assert os.listdir(inbox) == []
    spool.clean()
    with pytest.raises(BadJobId):
        spool.find("nightly")
    put(inbox, "nightly.json")
    [(_, second)] = adopt(spool, lease).jobs
    assert second != first
    assert spool.find("nightly").id == second


def test_a_name_is_told_of_before_it_is_adopted(spool: Spool, lease: Lease, inbox: Path) -> None:
    """In ``inbox/`` and in the hands of whoever adopts it."""
    put(inbox, "nightly.json")
    with pytest.raises(NotAdopted, match="nightly"):
        spool.find("nightly")
    claimed = f"{spool.layout.wip_of(lease.worker)}/inbox.0a0a0a0a.nightly.json"
    os.rename(inbox / "nightly.json", claimed)
    with pytest.raises(NotAdopted, match="nightly"):
        spool.fetch("nightly")
    with pytest.raises(BadJobId):
        spool.find("nightl")


def test_what_a_dead_worker_had_in_hand_is_adopted_by_another(
    spool: Spool, lease: Lease, inbox: Path
) -> None:
    """It goes back to where it was; and so does what a worker hands back when it leaves."""
    dead, leaving = Lease.take(spool.layout), Lease.take(spool.layout)
    for owner, name in ((dead, "a"), (leaving, "b")):
        put(inbox, f"{name}.json")
        os.rename(
            inbox / f"{name}.json",
            f"{spool.layout.wip_of(owner.worker)}/inbox.0a0a0a0a.{name}.json",
        )
    dead._lock.release()
    spool.leave(leaving)
    swept = spool.sweep(lease)
    assert swept.quarantined == []
    assert sorted(os.listdir(inbox)) == ["a.json", "b.json"]
    assert [name for name, _ in adopt(spool, lease).jobs] == ["a", "b"]


def test_one_that_comes_back_too_late_takes_nobodys_place(
    spool: Spool, lease: Lease, inbox: Path
) -> None:
    """Another of its name has come meanwhile: the older one is kept where it can be seen."""
    dead = Lease.take(spool.layout)
    (Path(spool.layout.wip_of(dead.worker)) / "inbox.0a0a0a0a.a.json").write_text("older")
    dead._lock.release()
    put(inbox, "a.json")
    spool.sweep(lease)
    [(data, reason)] = rejected(spool)
    assert data == b"older"
    assert "another of its name" in reason
    assert [name for name, _ in adopt(spool, lease).jobs] == ["a"]


def test_a_worker_that_was_given_up_adopts_nothing(spool: Spool, inbox: Path) -> None:
    """It has no place for what it would claim."""
    taken = Lease.take(spool.layout)
    os.rename(spool.layout.wip_of(taken.worker), spool.layout.wip_of("other.1.0a0a0a0a"))
    put(inbox, "a.json")
    put(inbox, "b.json")
    adopted = adopt(spool, taken)
    assert (adopted.jobs, adopted.rejected, adopted.more) == ([], [], False)
    assert sorted(os.listdir(inbox)) == ["a.json", "b.json"]
    spool.leave(taken)


def test_a_worker_given_up_while_it_adopts_makes_no_second_job(
    spool: Spool, lease: Lease, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last rename finds its path gone: the job is made by the other alone."""
    stale = Lease.take(spool.layout)
    put(inbox, "a.json")
    enter = transitions.enter

    def given_up(*arguments: Any) -> bool:
        monkeypatch.setattr(inboxes, "enter", enter)
        stale._lock.release()
        spool.sweep(lease)
        return enter(*arguments)

    monkeypatch.setattr(inboxes, "enter", given_up)
    assert adopt(spool, stale).jobs == []
    [(_, job_id)] = adopt(spool, lease).jobs
    assert [job.id for job in spool.list(State.PENDING)] == [job_id]
    assert spool.find("a").id == job_id
    assert os.listdir(inbox) == []


def test_many_adopters_make_one_job_of_each(spool: Spool, inbox: Path) -> None:
    """Whoever is quicker claims it."""
    for number in range(40):
        put(inbox, f"{number}.json")
    found: list[Adopted] = []

    def work() -> None:
        with spool.register() as taken:
            own = Inbox(spool.layout)
            while (adopted := own.adopt(taken)).more or adopted.jobs:
                found.append(adopted)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [name for adopted in found for name, _ in adopted.jobs]
    assert sorted(names) == sorted(map(str, range(40)))
    assert len(list(spool.list(State.PENDING))) == 40


def test_a_look_takes_no_longer_than_its_share(
    spool: Spool, lease: Lease, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks has a lease to renew; the rest is taken at the next look."""
    monkeypatch.setattr(inboxes, "SLICE", 0.0)
    for number in range(4):
        put(inbox, f"{number}.json")
    own = Inbox(spool.layout)
    looks = [own.adopt(lease) for _ in range(4)]
    assert sum(len(look.jobs) for look in looks) == 4
    assert (own.news(), own.news()) == (True, False)
    assert looks[0].more
    assert not looks[-1].more


def test_what_cannot_be_put_back_is_put_back_later(
    spool: Spool, lease: Lease, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that refuses all for a while leaves nothing in the hands of a living worker."""

    def refused(*arguments: Any) -> Any:
        raise StorageFailure("try", "it", OSError(5, "EIO"))

    put(inbox, "a.json")
    own = Inbox(spool.layout)
    with monkeypatch.context() as patch:
        patch.setattr(inboxes, "record", refused)
        patch.setattr(inboxes, "return_to_inbox", refused)
        for _ in range(2):
            with pytest.raises(StorageFailure):
                own.adopt(lease)
    assert os.listdir(inbox) == []
    assert [name for name, _ in own.adopt(lease).jobs] == ["a"]


@pytest.mark.parametrize("until_empty", [False, True])
def test_a_file_that_is_refused_again_and_again_keeps_no_worker_busy(
    until_empty: bool,
    spool: Spool,
    inbox: Path,
    monkeypatch: pytest.MonkeyPatch,
    until: Callable[..., Any],
) -> None:
    """What is put back wakes an idle worker, which does not try at once; jobs are run meanwhile."""
    tries = []

    def refused(*arguments: Any) -> Any:
        tries.append(time.monotonic())
        raise StorageFailure("try", "it", OSError(5, "EIO"))

    monkeypatch.setattr(inboxes, "record", refused)
    put(inbox, "a.json")
    worker = Worker(spool, until_empty=until_empty)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        until(lambda: len(tries) >= 3)
        job_id = spool.submit("add", ["1", "2"])
        until(lambda: spool.find(job_id).state is State.COMPLETED)
        until(lambda: len(tries) >= 6)
    finally:
        worker.stop()
        thread.join()
    assert tries[5] - tries[0] > 5 * inboxes.PAUSE
    assert os.listdir(inbox) == ["a.json"]


def test_a_document_with_an_id_of_another_job_is_refused(
    spool: Spool, lease: Lease, inbox: Path
) -> None:
    """Nobody takes a job's place by a file that looks as if we had filled it in."""
    job_id = spool.submit("add", ["1", "2"])
    path = Path(spool.layout.pending_bucket(5, job_id)) / f"{job_id}.json"
    document = {**json.loads(path.read_bytes()), "key": "inbox:a", "operands": ["6", "7"]}
    put(inbox, "a.json", document)
    [(name, reason)] = adopt(spool, lease).rejected
    assert (name, "there is no field" in reason) == ("a", True)
    assert spool.find(job_id).operands == ("1", "2")


def test_a_spool_without_an_inbox_gets_one(spool: Spool, lease: Lease, inbox: Path) -> None:
    """Earlier versions made none; a spool that is gone stays so."""
    inbox.rmdir()
    adopted = adopt(spool, lease)
    assert (adopted.jobs, adopted.more) == ([], False)
    put(inbox, "a.json")
    assert len(adopt(spool, lease).jobs) == 1
    root = Path(spool.path)
    root.rename(root.with_name("moved"))
    assert adopt(spool, lease).jobs == []
    assert not root.exists()
    root.with_name("moved").rename(root)
