"""`spool status`: the whole spool, a state, or all about some jobs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spoolcalc import Outcome, State
from spoolcalc.document import new_document
from spoolcalc.render.jobs import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conftest import Commands, Jobs, Process, Ran

UNKNOWN = "01a20f20-b358-75fa-ab79-9c641df4b44f"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
#: Would set a terminal's title, clear it, and go back to the line's start.
HOSTILE = "\x1b]0;mine\x07\x1b[2J\r\x9b1m\u202e"
#: What must not reach a terminal.
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def parsed(line: str) -> dict[str, str | None]:
    """Return the fields of a job's line, as a script would read them."""
    fields = [None if field == "-" else field for field in line.split("\t")]
    return dict(zip(FIELDS, fields, strict=True))


# --- the whole spool ------------------------------------------------------------------------------


def test_the_overview_as_lines(run: Callable[..., Ran], jobs: Jobs) -> None:
    """In a pipe each line is a name, a tab and a value; the hint goes to stderr."""
    jobs.of_each_state()
    jobs.pending()
    ended = run("status")
    told = dict(line.split("\t") for line in ended.stdout.splitlines())
    assert ended.returncode == 0
    assert 0 <= float(told.pop("oldest_pending_seconds")) < 60
    assert told == {
        "blocked": "1",
        "delayed": "1",
        "pending": "2",
        "wip": "0",
        "completed": "1",
        "failed": "1",
        "retrieved": "1",
        "corrupt": "0",
        "inbox": "0",
        "workers": "0",
        "paused": "-",
    }
    assert "4 jobs wait" in ended.stderr
    assert "spool work" in ended.stderr


def test_the_overview_of_nothing(run: Callable[..., Ran], jobs: Jobs) -> None:
    """An empty spool has no oldest job and nothing to hint at."""
    ended = run("status")
    assert (ended.returncode, ended.stderr) == (0, "")
    told = dict(line.split("\t") for line in ended.stdout.splitlines())
    assert told.pop("oldest_pending_seconds") == "-"
    assert told.pop("paused") == "-"
    assert set(told.values()) == {"0"}


def test_the_overview_as_json(run: Callable[..., Ran], jobs: Jobs) -> None:
    """One object of schema 1 has the counts, the oldest pending job's age, workers and hint."""
    jobs.of_each_state()
    (Path(jobs.spool.layout.corrupt) / "rubbish").touch()
    ended = run("status", "--json")
    told = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert told["schema"] == 1
    assert told["spool"] == jobs.spool.path
    assert told["counts"] == {
        "blocked": 1,
        "delayed": 1,
        "pending": 1,
        "wip": 0,
        "completed": 1,
        "failed": 1,
        "retrieved": 1,
    }
    assert told["corrupt"] == 1
    assert 0 <= told["oldest_pending_seconds"] < 60
    assert told["workers"] == []
    assert "3 jobs wait" in told["hint"]


def test_the_oldest_is_found_behind_more_urgent_ones(run: Callable[..., Ran], jobs: Jobs) -> None:
    """The age is that of the oldest job of any priority."""
    millisecond = f"{int((time.time() - 3600) * 1000):012x}"
    an_hour_old = f"{millisecond[:8]}-{millisecond[8:]}-7000-8000-000000000000"
    jobs.spool.publish([new_document(an_hour_old, "add", ["1", "2"], priority=9)])
    for priority in (0, 5, 9):
        jobs.pending(priority=priority)
    assert 3600 <= json.loads(run("status", "--json").stdout)["oldest_pending_seconds"] < 3660


def test_the_oldest_is_found_behind_an_empty_bucket(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Which lies there while the last job of it runs; the doctor is not misled either."""
    job_id = jobs.pending()
    empty = Path(jobs.spool.layout.pending_bucket(5, job_id)).parent / "5-00000000"
    empty.mkdir()
    assert json.loads(run("status", "--json").stdout)["oldest_pending_seconds"] is not None
    assert "the oldest job waits for" in run("doctor").stdout


def test_a_worker_is_shown_with_its_job(run: Callable[..., Ran], jobs: Jobs) -> None:
    """The overview names each living worker and what it is at, and hints at nothing."""
    job_id = jobs.pending()
    waiting = jobs.pending()
    with jobs.spool.register() as lease:
        claimed = jobs.spool.claim(lease)
        assert claimed is not None
        ended = run("status")
        told = json.loads(run("status", "--json").stdout)
    line = next(line for line in ended.stdout.splitlines() if line.startswith("worker\t"))
    assert re.fullmatch(
        f"worker\t{lease.worker}\t{socket.gethostname()}\t{os.getpid()}\t{TIME}\t{job_id}", line
    )
    assert ended.stderr == ""
    [worker] = told["workers"]
    assert (worker["worker"], worker["pid"]) == (lease.worker, os.getpid())
    assert re.fullmatch(TIME, worker["started"])
    [at] = worker["jobs"]
    assert (at["id"], at["operation"]) == (job_id, "add")
    assert re.fullmatch(TIME, at["since"])
    assert told["counts"]["wip"] == 1
    assert told["hint"] is None
    assert jobs.state(waiting) is State.PENDING


def test_what_no_living_worker_can_run_is_hinted_at(
    run: Callable[..., Ran], start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """Once it is known what they know; a job that one of them can run is no reason."""
    job_id = jobs.pending("nobody-knows-this")
    start("work")
    until(lambda: list(Path(jobs.spool.layout.workers).glob("*.knows")))
    ended = run("status")
    assert "no living worker can run 'nobody-knows-this'" in ended.stderr
    assert "install its package" in json.loads(run("status", "--json").stdout)["hint"]
    jobs.spool.cancel(job_id)
    assert run("status").stderr == ""


def test_commands_that_nobody_may_run_are_hinted_at(
    run: Callable[..., Ran],
    start: Callable[..., Process],
    commands: Commands,
    until: Callable[..., Any],
) -> None:
    """In a shared spool; a worker that ends says so itself."""
    run("init", "--group", str(os.getegid()))
    run("submit", "exec", "true")
    ended = run("work", "--once", "-v")
    assert "left 1 pending job of 'exec': --allow exec is not given" in ended.stderr
    start("work")
    until(lambda: list((commands.spool / "workers").glob("*.knows")))
    assert "`spool work --allow exec`" in run("status").stderr


def test_a_dead_worker_is_not_shown(
    run: Callable[..., Ran],
    start: Callable[..., Process],
    jobs: Jobs,
    until: Callable[..., Any],
) -> None:
    """A worker that was killed is gone from the overview at once, and the hint is back."""
    worker = start("work")
    until(lambda: jobs.spool.overview().workers)
    worker.signal(signal.SIGKILL)
    worker.popen.wait()
    jobs.pending()
    ended = run("status")
    assert "workers\t0" in ended.stdout.splitlines()
    assert "no worker is alive" in ended.stderr


def test_what_is_unreadable_is_hinted_at(run: Callable[..., Ran], jobs: Jobs) -> None:
    """When something lies in corrupt/, the overview says so and where to look."""
    (Path(jobs.spool.layout.corrupt) / "rubbish").touch()
    (Path(jobs.spool.layout.corrupt) / "rubbish.reason").touch()
    ended = run("status")
    assert "corrupt\t1" in ended.stdout.splitlines()
    assert jobs.spool.layout.corrupt in ended.stderr


# --- jobs -----------------------------------------------------------------------------------------


def test_a_job_as_a_line(run: Callable[..., Ran], jobs: Jobs) -> None:
    """In a pipe a job is one line of tab-separated fields, of which - is none."""
    ids = jobs.of_each_state()
    ended = run("status", *ids.values())
    assert (ended.returncode, ended.stderr) == (0, "")
    told = [parsed(line) for line in ended.stdout.removesuffix("\n").split("\n")]
    assert [job["id"] for job in told] == list(ids.values())
    assert [job["state"] for job in told] == list(ids)
    for job in told:
        assert (job["operation"], job["operands"]) == ("add", "12 23")
        assert re.fullmatch(TIME, str(job["submitted"]))
        assert re.fullmatch(TIME, str(job["last_updated"]))
        finished = job["state"] not in ("blocked", "delayed", "pending")
        assert job["attempts"] == str(int(finished))
        assert (job["worker"] is not None) == finished
        assert bool(job["completed_on"] and re.fullmatch(TIME, job["completed_on"])) == finished
    assert [(job["result"], job["error"]) for job in told] == [
        *[(None, None)] * 3,
        ("35", None),
        (None, "division by zero"),
        ("36", None),
    ]


def test_a_job_in_hand_names_its_worker(run: Callable[..., Ran], jobs: Jobs) -> None:
    """While a worker has a job, the job is in wip, under the worker's name."""
    job_id = jobs.pending()
    with jobs.spool.register() as lease:
        assert jobs.spool.claim(lease) is not None
        told = parsed(run("status", job_id).stdout.rstrip("\n"))
    assert (told["state"], told["worker"], told["attempts"]) == ("wip", lease.worker, "0")


def test_tabs_and_newlines_stay_inside_their_field(run: Callable[..., Ran], jobs: Jobs) -> None:
    r"""Tab, newline and backslash come as \t, \n and \\, so that lines and fields can be split."""
    job_id = jobs.completed("a\tb\nc\\d")
    ended = run("status", job_id)
    assert ended.stdout.count("\n") == 1
    assert parsed(ended.stdout.rstrip("\n"))["result"] == r"a\tb\nc\\d"


def test_a_job_as_json(run: Callable[..., Ran], jobs: Jobs) -> None:
    """One object of schema 1 holds all that is known, times in RFC 3339 and UTC."""
    job_id = jobs.failed("division by zero")
    told = json.loads(run("status", "--json", job_id).stdout)
    assert told["schema"] == 1
    [job] = told["jobs"]
    [attempt] = job["attempts"]
    assert (attempt["end"], attempt["error"]) == ("failed", "division by zero")
    assert (job["error"], job["reason"], job["result"]) == ("division by zero", "error", None)
    for moment in (job["submitted"], job["last_updated"], job["completed_on"], attempt["ended"]):
        assert re.fullmatch(TIME, moment)
    assert attempt["worker"] == job["worker"]


def test_unknown_and_malformed_ids(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Each is told on stderr, the others are shown, and the highest code is given."""
    job_id = jobs.pending()
    ended = run("status", "--json", "x", job_id, UNKNOWN)
    assert ended.returncode == 3
    assert [job["id"] for job in json.loads(ended.stdout)["jobs"]] == [job_id]
    assert UNKNOWN in ended.stderr
    assert "not a job id: 'x'" in ended.stderr


@pytest.mark.parametrize("state", State)
def test_a_state_as_lines_and_json(state: State, run: Callable[..., Ran], jobs: Jobs) -> None:
    """--state lists the jobs in one state, in order, in the same shapes as single ones."""
    with jobs.spool.register() as lease:
        if state is State.WIP:
            for _ in range(3):
                jobs.pending()
            ids = [claimed.job.id for _ in range(3) if (claimed := jobs.spool.claim(lease))]
        else:
            ids = [jobs.of_each_state()[state] for _ in range(3)]
        lines = run("status", "--state", state).stdout.splitlines()
        told = json.loads(run("status", "--json", "--state", state).stdout)
    assert [parsed(line)["id"] for line in lines] == ids
    assert {parsed(line)["state"] for line in lines} == {state}
    assert told["schema"] == 1
    assert [job["id"] for job in told["jobs"]] == ids


def test_an_empty_state(run: Callable[..., Ran], jobs: Jobs) -> None:
    """No job is no line, and an empty list in JSON."""
    assert run("status", "--state", "failed") == (0, "", "")
    assert json.loads(run("status", "--state", "failed", "--json").stdout)["jobs"] == []


def test_a_state_that_does_not_exist(run: Callable[..., Ran], jobs: Jobs) -> None:
    """It is a usage error that lists those that do; ids and a state do not go together."""
    ended = run("status", "--state", "done")
    assert ended.returncode == 2
    assert "retrieved" in ended.stderr
    assert run("status", "--state", "pending", jobs.pending()).returncode == 2


def test_a_reader_that_leaves_a_long_listing(run: Callable[..., Ran], jobs: Jobs) -> None:
    """With the reader gone, a listing ends with a clear error."""
    jobs.pending()
    reader, writer = os.pipe()
    os.close(reader)
    ended = run("status", "--state", "pending", stdout=writer)
    os.close(writer)
    assert ended.returncode == 7
    assert "standard output" in ended.stderr


# --- on a terminal --------------------------------------------------------------------------------


def test_the_overview_on_a_terminal(commands: Commands, jobs: Jobs) -> None:
    """Counts are a table, ages are in words, and the worker's job is written out."""
    job_id = jobs.pending()
    jobs.completed()
    with jobs.spool.register() as lease:
        assert jobs.spool.claim(lease) is not None
        seen = commands.on_terminal("status").stdout
    assert "\t" not in seen
    assert re.search(r"^completed +1$", seen, re.MULTILINE)
    assert "add 12 23" in seen
    assert lease.worker in seen
    assert job_id not in seen
    seen = commands.on_terminal("status").stdout
    assert re.search(r"^oldest pending: [0-9.]+ s$", seen, re.MULTILINE)
    assert "no worker is alive" in seen
    assert "hint: 1 job waits" in seen


def test_a_job_on_a_terminal(commands: Commands, jobs: Jobs) -> None:
    """A job is a sheet with a line for each field that has a value."""
    job_id = jobs.completed("35")
    seen = commands.on_terminal("status", job_id).stdout
    assert "\t" not in seen
    assert re.search(f"^id +{job_id}$", seen, re.MULTILINE)
    assert re.search(r"^operands +12 23$", seen, re.MULTILINE)
    assert re.search(r"^result +35$", seen, re.MULTILINE)
    assert re.search(rf"^completed on +{TIME}$", seen, re.MULTILINE)
    assert not re.search(r"^error", seen, re.MULTILINE)


def test_a_state_on_a_terminal(commands: Commands, jobs: Jobs) -> None:
    """A listing is a table; a long operand is cut, so that a row stays a row."""
    failed = jobs.failed("no such luck")
    seen = commands.on_terminal("status", "--state", "failed", columns=140).stdout
    [row] = [line for line in seen.splitlines() if failed in line]
    assert "no such luck" in row
    long = jobs.pending("add", "1" * 5000, "2")
    seen = commands.on_terminal("status", "--state", "pending", columns=140).stdout
    assert long in seen
    assert seen.count("1") < 200


def test_a_table_on_a_narrow_terminal_has_whole_ids_and_times(
    commands: Commands, jobs: Jobs
) -> None:
    """What jobs do and their errors are cut, so that each has one line."""
    ids = [jobs.failed(f"no such luck, {n} times, however long one tries") for n in range(3)]
    jobs.completed()
    lines = commands.on_terminal("status", "--state", "failed", columns=80).stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ids
    assert lines[1].split() == ["id", "job", "submitted", "outcome"]
    for line in lines[2:]:
        assert re.search(r" add 12 23 +\d\d-\d\d \d\d:\d\d:\d\d +no such luck", line), line
    assert max(map(len, lines)) <= 80
    jobs.spool.submit("add", ["1", "2"], label="nightly report")
    for columns in (80, 40):
        every = commands.on_terminal("status", "--operation", "add", columns=columns).stdout
        assert all(job_id in every for job_id in ids)
    assert commands.on_terminal("status", "--state", "wip").stdout.startswith("wip\nid")


def test_a_narrow_table_leaves_columns_out(commands: Commands, jobs: Jobs) -> None:
    """In order of what is missed least; no line is wider than the terminal, and no title cut."""
    jobs.spool.submit("div", ["1", "0"], label="nightly report of all")
    jobs.spool.submit("div", ["1" * 20, "0"], label="nightly report of all", retries=1, backoff=0)
    assert commands.run("work", "--once").returncode == 0

    def titles(*options: str, columns: int) -> list[str]:
        asked = ("status", "--state", "failed", *options)
        _, *lines = commands.on_terminal(*asked, columns=columns).stdout.splitlines()
        assert len(lines) == 3
        assert max(map(len, lines)) <= columns
        return lines[0].split()

    every = ["id", "label", "job", "submitted", "attempts", "outcome"]
    assert titles(columns=140) == every
    assert titles(columns=100) == every
    assert titles(columns=80) == ["id", "label", "job", "attempts", "outcome"]
    assert titles(columns=70) == ["id", "label", "job", "outcome"]
    assert titles(columns=60) == ["id", "job", "outcome"]
    alike = titles("--label", "nightly report of all", columns=80)
    assert alike == ["id", "job", "submitted", "attempts", "outcome"]


def test_a_label_has_twice_the_room_where_nothing_is_cut_for_it(
    commands: Commands, jobs: Jobs
) -> None:
    """What jobs do and what came of it go before it."""
    jobs.spool.submit("div", ["1", "0"], label="nightly report of all")
    assert commands.run("work", "--once").returncode == 0
    seen = commands.on_terminal("status", "--state", "failed", columns=90).stdout
    assert " nightly r… " in seen
    seen = commands.on_terminal("status", "--state", "failed", columns=101).stdout
    assert " nightly report of a… " in seen
    assert "division by zero" in seen


def test_the_path_is_shown_whole(commands: Commands, jobs: Jobs) -> None:
    """To be copied, however narrow the table below it is."""
    seen = commands.on_terminal("status", columns=40).stdout
    assert seen.startswith(f"{jobs.spool.path}\n")


def test_jobs_on_a_terminal_stand_apart(commands: Commands, jobs: Jobs) -> None:
    """A blank line goes between two sheets."""
    seen = commands.on_terminal("status", jobs.completed(), jobs.failed()).stdout
    first, second = seen.split("\n\n")
    assert "division by zero" in second
    assert "division by zero" not in first


def test_a_long_listing_on_a_terminal_is_cut(commands: Commands, jobs: Jobs) -> None:
    """A table has two hundred rows at most, and says how to get them all."""
    for _ in range(201):
        jobs.pending("neg", "1")
    seen = commands.on_terminal("status", "--state", "pending", columns=140).stdout
    assert seen.count(" neg 1 ") == 200
    assert "spool status --state pending" in seen


@pytest.mark.parametrize("where", ["operand", "result", "error"])
def test_a_job_cannot_command_a_terminal(where: str, commands: Commands, jobs: Jobs) -> None:
    """Nothing in a job's texts reaches the terminal as a command to it."""
    if where == "operand":
        job_id = jobs.pending("echo", HOSTILE)
    else:
        job_id = jobs.completed(HOSTILE) if where == "result" else jobs.failed(HOSTILE)
    state = jobs.state(job_id)
    for words in (["status", job_id], ["status", "--state", state], ["status"]):
        seen = commands.on_terminal(*words).stdout
        assert not OBEYED.search(seen), repr(seen)
    if where == "operand":
        with jobs.spool.register() as lease:
            assert jobs.spool.claim(lease) is not None
            seen = commands.on_terminal("status").stdout
        assert "echo" in seen
        assert not OBEYED.search(seen), repr(seen)
    if where == "error":
        seen = commands.on_terminal("fetch", job_id).stdout
        assert "failed" in seen
        assert not OBEYED.search(seen), repr(seen)


def test_a_line_has_no_control_characters(run: Callable[..., Ran], jobs: Jobs) -> None:
    """For it may be read on a terminal all the same; what was escaped can be told from the rest."""
    job_id = jobs.pending("echo", "\x1b[2J", "a\tb\nc\rd", "\\x1b", "\x7f\x9b", "é\xa0")
    fields = parsed(run("status", job_id).stdout.rstrip("\n"))
    assert fields["operands"] == r"\x1b[2J a\tb\nc\rd \\x1b \x7f\x9b é" + "\xa0"


def test_a_worker_cannot_command_a_terminal(commands: Commands, jobs: Jobs) -> None:
    """What somebody wrote into a worker's file is shown, but not obeyed, and lines stay lines."""
    with jobs.spool.register() as lease:
        path = Path(jobs.spool.layout.lock_of(lease.worker))
        told = json.loads(path.read_bytes())
        path.write_text(json.dumps({**told, "host": f"a\tb\nc{HOSTILE}", "started": HOSTILE}))
        seen = commands.on_terminal("status").stdout
        lines = commands.run("status").stdout.split("\n")
    assert lease.worker in seen
    assert not OBEYED.search(seen), repr(seen)
    [line] = [line for line in lines if line.startswith("worker\t")]
    assert line.count("\t") == 5
    assert all("\t" in line for line in lines if line)


@pytest.mark.parametrize(
    "identity",
    [
        "",
        "{",
        "[]",
        pytest.param("[" * 60_000, id="nested"),
        '{"pid": null}',
        '{"pid": "x"}',
        '{"lease": null}',
        '{"lease": NaN}',
        "\xff",
    ],
)
def test_a_worker_that_says_nonsense_of_itself(
    identity: str, run: Callable[..., Ran], jobs: Jobs
) -> None:
    """A worker's file that holds nonsense is no reason to show nothing."""
    with jobs.spool.register() as lease:
        Path(jobs.spool.layout.lock_of(lease.worker)).write_bytes(identity.encode("latin-1"))
        ended = run("status")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert f"worker\t{lease.worker}" in ended.stdout
        assert run("status", "--json").returncode == 0


def test_a_finished_job_can_come_from_a_later_clock(run: Callable[..., Ran], jobs: Jobs) -> None:
    """An id whose time lies beyond all calendars is shown like others."""
    job_id = "ffffffff-ffff-7fff-bfff-ffffffffffff"
    made = jobs.path(jobs.completed())
    bucket = Path(jobs.spool.layout.finished_bucket(State.COMPLETED, job_id))
    bucket.mkdir()
    text = made.read_text()
    (bucket / f"{job_id}.json").write_text(text.replace(made.stem, job_id))
    for words in ([job_id], ["--json", job_id], ["--state", "completed"], []):
        ended = run("status", *words)
        assert ended.returncode == 0, ended
    assert run("fetch", job_id) == (0, "35\n", "")


def test_a_finished_outcome_is_told_as_recorded(run: Callable[..., Ran], jobs: Jobs) -> None:
    """What a worker recorded, in any characters, is what status tells."""
    job_id = jobs.pending()
    with jobs.spool.register() as lease:
        claimed = jobs.spool.claim(lease)
        assert claimed is not None
        jobs.spool.finish(claimed, Outcome.completed("\N{SNOWMAN}", exact=False, precision=50))
    [job] = json.loads(run("status", "--json", job_id).stdout)["jobs"]
    assert (job["result"], job["exact"], job["precision"]) == ("\N{SNOWMAN}", False, 50)
    assert parsed(run("status", job_id).stdout.rstrip("\n"))["result"] == "\N{SNOWMAN}"
