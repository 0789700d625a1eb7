"""The faults that are planted in a spool, one by one or all at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from spoolcalc import Spool, State, keys
from spoolcalc.document import new_document
from spoolcalc.ids import bucket_of, new_id
from spoolcalc.layout import file_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from conftest import Jobs

HOUR = 3_600.0
#: Takes a job and dies, with all that a worker leaves.
DIES = """
import os, sys
from spoolcalc import Spool
from spoolcalc.lease import Lease
spool = Spool(sys.argv[1])
lease = Lease.take(spool.layout)
if "empty" not in sys.argv:
    assert spool.claim(lease)
if "returned" in sys.argv:
    lease.surrender()
print(lease.worker, flush=True)
os._exit(1)
"""


class Fault(NamedTuple):
    """How to plant it, which check finds it, and which others may, too."""

    plant: Callable[[Faults], None]
    check: str
    mended: bool
    also: tuple[str, ...]
    together: bool


FAULTS: dict[str, Fault] = {}


def fault(
    check: str, *, mended: bool, also: tuple[str, ...] = (), together: bool = True
) -> Callable[[Callable[[Faults], None]], Callable[[Faults], None]]:
    """Enter a function into the table of faults, under its name."""

    def enter(plant: Callable[[Faults], None]) -> Callable[[Faults], None]:
        FAULTS[plant.__name__.replace("_", " ")] = Fault(plant, check, mended, also, together)
        return plant

    return enter


class Faults:
    """A spool with jobs in all states, and what to plant faults by."""

    def __init__(self, spool: Spool, jobs: Jobs, home: Path, until: ExitStack) -> None:
        self.spool = spool
        self.patience = 900.0  #: how long a job may wait
        self.until = until  #: what is held to the end of the test
        self.jobs = jobs
        self.home = home
        self.root = Path(spool.path)
        for _ in range(2):
            jobs.of_each_state()

    def acknowledged(self) -> set[str]:
        """Return the ids of all jobs."""
        return {job.id for state in State for job in self.spool.list(state)}

    def lost(self, before: set[str]) -> set[str]:
        """Return which of these jobs are nowhere, not even in corrupt/."""
        kept = {name[:36] for name in os.listdir(self.spool.layout.corrupt)}
        there = [path.stem for path in self.root.glob("*/*/*.json")]
        assert len(there) == len(set(there)), "a job is there twice"
        return before - set(there) - kept

    def write(self, path: Path, data: bytes | str = b"", *, age: float = 0.0) -> Path:
        """Write a file as old as that."""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        path.chmod(0o600)
        os.utime(path, (time.time() - age,) * 2)
        return path

    def document(self, **options: object) -> bytes:
        """Return a job's document that was never submitted."""
        return json.dumps(new_document(new_id(), "add", ["1", "2"], **options)).encode()  # type: ignore[arg-type] # as given

    def die(self, *how: str) -> str:
        """Have a worker take a job and die; return its name."""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        ended = subprocess.run(
            [sys.executable, "-c", DIES, self.spool.path, *how],
            env=environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert ended.returncode == 1, ended.stderr
        return ended.stdout.strip()


@fault("tmp-leftover", mended=True)
def a_killed_submit(it: Faults) -> None:
    it.write(it.root / "tmp" / f"submit.{new_id()}", it.document(), age=2 * HOUR)


@fault("tmp-leftover", mended=True)
def a_dead_worker_s_outcome(it: Faults) -> None:
    it.write(it.root / "tmp" / f"gone.1.00000000.{new_id()}.3", b"{", age=HOUR)


@fault("tmp-leftover", mended=True)
def a_killed_trial(it: Faults) -> None:
    it.write(it.root / "tmp" / "trial.abc" / "inner", b"")
    os.utime(it.root / "tmp" / "trial.abc", (1, 1))


@fault("stranger", mended=False)
def a_foreign_file_in_tmp(it: Faults) -> None:
    it.write(it.root / "tmp" / "notes.txt", b"mine", age=HOUR)


@fault("orphan", mended=True)
def a_job_of_a_dead_worker(it: Faults) -> None:
    it.jobs.pending()
    it.die()


@fault("orphan", mended=True, also=("dead-worker",))
def jobs_that_were_handed_back(it: Faults) -> None:
    it.jobs.pending()
    it.die("returned")


@fault("dead-worker", mended=True)
def a_dead_worker_without_a_job(it: Faults) -> None:
    it.die("empty")


@fault("dead-worker", mended=True)
def a_note_of_silence(it: Faults) -> None:
    it.write(it.root / "workers" / "gone.1.00000000.silent", b"1", age=HOUR)


@fault("silent-worker", mended=False, together=False)
def a_worker_that_hangs(it: Faults) -> None:
    lease = it.until.enter_context(it.spool.register())
    os.utime(it.spool.layout.lock_of(lease.worker), (time.time() - HOUR,) * 2)


@fault("double", mended=True)
def a_copy_in_two_states(it: Faults) -> None:
    path = it.jobs.path(it.jobs.completed())
    document = json.loads(path.read_bytes()) | {"outcome": None, "attempts": []}
    bucket = it.root / "pending" / f"5-{path.parent.name}"
    it.write(bucket / path.name, json.dumps(document))


@fault("double", mended=True, also=("wrong-bucket",))
def a_copy_of_another_priority(it: Faults) -> None:
    path = it.jobs.path(it.jobs.pending())
    it.write(it.root / "pending" / f"0-{path.parent.name[2:]}" / path.name, path.read_bytes())


@fault("double", mended=True, also=("hard-link",))
def a_link_in_two_states(it: Faults) -> None:
    path = it.jobs.path(it.jobs.completed())
    bucket = it.root / "retrieved" / path.parent.name
    bucket.mkdir(mode=0o700, exist_ok=True)
    os.link(path, bucket / path.name)


@fault("double", mended=True, also=("wrong-bucket",))
def a_copy_in_a_wrong_bucket(it: Faults) -> None:
    path = it.jobs.path(it.jobs.failed())
    it.write(it.root / "failed" / "00000000" / path.name, path.read_bytes())


@fault("torn-document", mended=True)
def a_torn_document(it: Faults) -> None:
    path = it.jobs.path(it.jobs.completed())
    it.write(path, path.read_bytes()[:100])


@fault("torn-document", mended=True)
def an_empty_document(it: Faults) -> None:
    it.write(it.jobs.path(it.jobs.pending()))


@fault("torn-document", mended=True)
def a_document_with_a_wrong_value(it: Faults) -> None:
    path = it.jobs.path(it.jobs.pending())
    it.write(path, json.dumps(json.loads(path.read_bytes()) | {"priority": 12}))


@fault("foreign-document", mended=True)
def another_job_s_document(it: Faults) -> None:
    it.write(it.jobs.path(it.jobs.pending()), it.document())


@fault("newer-document", mended=False, also=("unknown-operation",), together=False)
def a_document_of_a_later_version(it: Faults) -> None:
    path = it.jobs.path(it.jobs.pending())
    it.write(path, json.dumps(json.loads(path.read_bytes()) | {"format": 9}))


@fault("wrong-state", mended=True)
def a_completed_job_without_an_outcome(it: Faults) -> None:
    path = it.jobs.path(it.jobs.pending())
    bucket = it.root / "completed" / bucket_of(path.stem)
    bucket.mkdir(mode=0o700, exist_ok=True)
    path.rename(bucket / path.name)


@fault("wrong-state", mended=True)
def a_pending_job_with_an_outcome(it: Faults) -> None:
    path = it.jobs.path(it.jobs.completed())
    bucket = it.root / "pending" / f"5-{path.parent.name}"
    bucket.mkdir(mode=0o700, exist_ok=True)
    path.rename(bucket / path.name)


@fault("wrong-state", mended=True)
def a_failed_job_among_the_completed(it: Faults) -> None:
    path = it.jobs.path(it.jobs.failed())
    bucket = it.root / "completed" / path.parent.name
    bucket.mkdir(mode=0o700, exist_ok=True)
    path.rename(bucket / path.name)


@fault("wrong-state", mended=True, also=("blocked",))
def a_blocked_job_that_waits_for_none(it: Faults) -> None:
    path = it.jobs.path(it.jobs.pending())
    bucket = it.root / "blocked" / path.parent.name[2:]
    bucket.mkdir(mode=0o700, exist_ok=True)
    path.rename(bucket / path.name)


@fault("wrong-bucket", mended=True)
def a_result_in_a_wrong_bucket(it: Faults) -> None:
    path = it.jobs.path(it.jobs.retrieved())
    bucket = it.root / "retrieved" / "0badcafe"
    bucket.mkdir(mode=0o700, exist_ok=True)
    path.rename(bucket / path.name)


@fault("wrong-bucket", mended=True)
def a_job_of_a_wrong_priority(it: Faults) -> None:
    path = it.jobs.path(it.jobs.pending())
    bucket = it.root / "pending" / f"9-{path.parent.name[2:]}"
    bucket.mkdir(mode=0o700, exist_ok=True)
    path.rename(bucket / path.name)


@fault("wrong-bucket", mended=True)
def a_delayed_job_in_a_later_bucket(it: Faults) -> None:
    path = it.jobs.path(it.spool.submit("add", ["1", "2"], delay=HOUR))
    bucket = it.root / "delayed" / f"{int(path.parent.name, 16) + 900:08x}"
    bucket.mkdir(mode=0o700, exist_ok=True)
    path.rename(bucket / path.name)


def a_job_of_somebody_else(it: Faults) -> None:
    os.chown(it.jobs.path(it.jobs.pending()), 4711, -1)


if os.geteuid() == 0:  # nobody else can give a file away
    fault("wrong-owner", mended=True)(a_job_of_somebody_else)


@fault("wrong-mode", mended=True)
def a_job_that_all_may_write(it: Faults) -> None:
    it.jobs.path(it.jobs.pending()).chmod(0o666)


@fault("wrong-mode", mended=True)
def a_bucket_that_all_may_write(it: Faults) -> None:
    it.jobs.path(it.jobs.completed()).parent.chmod(0o777)


@fault("wrong-mode", mended=True)
def a_job_that_nobody_may_read(it: Faults) -> None:
    it.jobs.path(it.jobs.failed()).chmod(0o000)


@fault("symlink", mended=True)
def a_link_in_place_of_a_job(it: Faults) -> None:
    path = it.jobs.path(it.jobs.pending())
    elsewhere = it.home / path.name
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


@fault("hard-link", mended=True)
def a_job_with_a_second_name(it: Faults) -> None:
    path = it.jobs.path(it.jobs.completed())
    os.link(path, it.home / path.name)


@fault("hard-link", mended=True)
def a_waiting_job_with_a_second_name(it: Faults) -> None:
    job_id = it.spool.submit("add", ["1", "2"], delay=HOUR)
    waiting = it.jobs.path(it.spool.submit("add", ["1", "2"], after=[(job_id, "any")]))
    os.link(waiting, it.home / waiting.name)


@fault("stranger", mended=True)
def a_file_in_pending(it: Faults) -> None:
    it.write(it.root / "pending" / "notes.txt", b"mine")


@fault("stranger", mended=True)
def a_file_in_a_bucket(it: Faults) -> None:
    it.write(it.jobs.path(it.jobs.completed()).with_name("notes.txt"), b"mine")


@fault("stranger", mended=True)
def a_fifo_in_a_bucket(it: Faults) -> None:
    os.mkfifo(it.jobs.path(it.jobs.completed()).with_name(file_name(new_id())))


@fault("stranger", mended=False)
def a_file_beside_the_directories(it: Faults) -> None:
    it.write(it.root / "notes.txt", b"mine")


@fault("wrong-kind", mended=False)
def a_directory_in_place_of_a_bell(it: Faults) -> None:
    (it.root / "done").unlink()
    (it.root / "done").mkdir()


@fault("missing-directory", mended=True, together=False)
def a_directory_that_is_gone(it: Faults) -> None:
    (it.root / "workers").rmdir()


@fault("missing-directory", mended=True, together=False)
def no_directory_to_write_in(it: Faults) -> None:
    (it.root / "tmp").rmdir()


@fault("spool", mended=True, together=False)
def a_lost_format(it: Faults) -> None:
    (it.root / "format.json").unlink()


@fault("spool", mended=False, together=False)
def a_torn_format(it: Faults) -> None:
    it.write(it.root / "format.json", b'{"for')


@fault("spool", mended=False, together=False)
def a_spool_that_others_may_write(it: Faults) -> None:
    it.root.chmod(0o777)


@fault("lone-output", mended=True)
def the_output_of_no_job(it: Faults) -> None:
    job_id = new_id()
    name = f"{job_id}.1.host.1.00000000.stdout"
    it.write(it.root / "output" / bucket_of(job_id) / name, b"said")


@fault("blocked", mended=True, also=("stale-index",))
def a_blocked_job_without_notes(it: Faults) -> None:
    needed = it.spool.submit("add", ["1", "2"], delay=HOUR)
    job_id = it.spool.submit("add", ["1", "2"], after=[(needed, "any")])
    for note in (it.root / "waits" / job_id).iterdir():
        note.unlink()
    (it.root / "waits" / job_id).rmdir()


@fault("stale-index", mended=True)
def a_note_of_a_job_that_has_ended(it: Faults) -> None:
    needed, ended = it.jobs.completed(), it.jobs.completed()
    it.write(it.root / "waited" / needed / ended)


@fault("stale-index", mended=True)
def a_note_of_a_job_that_never_was(it: Faults) -> None:
    it.write(it.root / "waits" / f"{new_id()}.new", age=HOUR)


@fault("stale-key", mended=True)
def a_key_of_no_job(it: Faults) -> None:
    data = json.dumps({"key": "nightly", "id": new_id()})
    it.write(Path(it.spool.layout.keys) / keys._file("nightly"), data)


@fault("stale-key", mended=True)
def a_torn_key(it: Faults) -> None:
    it.write(Path(it.spool.layout.keys) / keys._file("weekly"), b'{"ke')


@fault("inbox-bad", mended=True)
def a_file_that_asks_for_nothing(it: Faults) -> None:
    it.write(it.root / "inbox" / "nightly.json", b"[]", age=60.0)


@fault("inbox-bad", mended=True)
def a_file_with_a_bad_name(it: Faults) -> None:
    it.write(it.root / "inbox" / "-x.json", b'{"operation": "add", "operands": []}', age=60.0)


def _hook(it: Faults, name: str, mode: int) -> None:
    (it.root / "hooks").mkdir(mode=0o700, exist_ok=True)
    it.write(it.root / "hooks" / name, "#!/bin/sh\n")
    (it.root / "hooks" / name).chmod(mode)


@fault("hook", mended=False)
def a_hook_that_others_may_write(it: Faults) -> None:
    _hook(it, "on-failed", 0o777)


@fault("hook", mended=False)
def a_hook_that_cannot_be_executed(it: Faults) -> None:
    _hook(it, "on-completed", 0o600)


@fault("hook", mended=False)
def a_hook_of_another_name(it: Faults) -> None:
    _hook(it, "on-finished", 0o700)


@fault("workers", mended=False, together=False)
def nobody_works(it: Faults) -> None:
    it.jobs.pending()
    it.patience = 0.0


@fault("waiting", mended=False, together=False)
def a_job_that_waits_for_long(it: Faults) -> None:
    it.until.enter_context(it.spool.register())
    it.jobs.pending()
    it.patience = 0.0


@fault("unknown-operation", mended=False)
def an_operation_that_nobody_knows(it: Faults) -> None:
    it.jobs.pending("no-such-thing")


@fault("paused", mended=False)
def a_pause(it: Faults) -> None:
    it.spool.pause("moving the disk")


@fault("corrupt", mended=False)
def something_in_corrupt(it: Faults) -> None:
    it.write(it.root / "corrupt" / "x.00000000", b"?")


@fault("future-job", mended=False)
def a_job_from_tomorrow(it: Faults) -> None:
    tomorrow = f"{int((time.time() + 24 * HOUR) * 1000):012x}"
    job_id = f"{tomorrow[:8]}-{tomorrow[8:]}{new_id()[13:]}"
    it.spool.publish([new_document(job_id, "add", ["1", "2"])])


@fault("settings", mended=False, together=False)
def settings_that_are_wrong(it: Faults) -> None:
    it.write(it.root / "spool.toml", "retrys = 3\n")


@fault("ceiling", mended=False, together=False)
def a_ceiling_that_is_reached(it: Faults) -> None:
    it.write(it.root / "spool.toml", "max_pending = 1\n")


@fault("ceiling", mended=False, together=False)
def less_space_than_the_settings_ask_for(it: Faults) -> None:
    it.write(it.root / "spool.toml", 'min_free = "1000T"\n')
