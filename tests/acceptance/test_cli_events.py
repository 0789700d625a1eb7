"""`spool events` and `spool metrics`, by the real command."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from spoolcalc import Spool, Worker, events, history

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from conftest import Commands, Jobs, Process, Ran


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return all samples, by their name and labels but for the spool's."""
    return {
        (sample.name, *(v for k, v in sorted(sample.labels.items()) if k != "spool")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_all_events_are_printed(run: Callable[..., Ran], jobs: Jobs) -> None:
    """Those that are still there, in order, a line of JSON each."""
    job_id = jobs.completed()
    said = run("events")
    assert (said.returncode, said.stderr) == (0, "")
    assert [line["event"] for line in lines(said.stdout)] == ["submitted", "claimed", "completed"]
    assert {line["id"] for line in lines(said.stdout)} == {job_id}


def test_events_of_one_job_and_from_a_time_on(run: Callable[..., Ran], jobs: Jobs) -> None:
    """By its id, also when it is gone; a time as such, or as how long ago."""
    first, second = jobs.retrieved(), jobs.pending()
    jobs.spool.clean()
    of_first = [line["event"] for line in lines(run("events", "--job", first).stdout)]
    assert of_first == ["submitted", "claimed", "completed", "fetched", "cleaned"]
    assert [line["id"] for line in lines(run("events", "--job", second).stdout)] == [second]
    assert len(lines(run("events", "--since", "10m").stdout)) == 6
    assert run("events", "--since", "2100-01-01T00:00Z").stdout == ""
    refused = run("events", "--since", "yesterday")
    assert refused.returncode == 2
    assert "yesterday" in refused.stderr


def test_following_begins_with_what_comes(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """What was before is left out, unless --since asks for it."""
    before = jobs.pending()
    new, old = start("events", "-f"), start("events", "-f", "--since", "1h")
    until(lambda: before in old.stdout)
    after: list[str] = []

    def is_heard() -> bool:
        after.append(jobs.pending())
        return any(job_id in new.stdout for job_id in after)

    until(is_heard)
    until(lambda: after[-1] in new.stdout)
    assert before not in new.stdout
    assert [line["id"] for line in lines(old.stdout)][:2] == [before, after[0]]
    new.signal(signal.SIGINT)
    assert new.end().returncode == 130


def test_who_follows_gets_each_line_once_while_files_are_exchanged(
    start: Callable[..., Process],
    spool: Spool,
    until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever comes meanwhile, a line is neither lost nor doubled."""
    monkeypatch.setattr(events, "LARGEST", 20_000)
    first = spool.submit("add", ["1", "1"])
    reader = start("events", "-f", "--since", "1h")
    until(lambda: first in reader.stdout)
    ids = [first]
    for _ in range(20):
        ids += spool.submit_many([("add", ["1", "1"])] * 50)
        # Held to be no slower than a whole set of files: what is removed unopened is lost to it.
        until(lambda last=ids[-1]: last in reader.stdout)
    assert history.numbers(spool.layout)[0] > 1
    assert [line["id"] for line in lines(reader.stdout)] == ids


def test_following_a_spool_of_an_earlier_version(
    start: Callable[..., Process], jobs: Jobs, until: Callable[..., Any]
) -> None:
    """It has no directory for events yet."""
    shutil.rmtree(jobs.spool.layout.events)
    reader = start("events", "-f", "--since", "1h")

    def is_heard() -> bool:
        return jobs.pending() in reader.stdout or bool(reader.stdout)

    until(is_heard)


def test_who_reads_no_more_ends_it(
    commands: Commands, jobs: Jobs, until: Callable[..., Any]
) -> None:
    """`spool events -f | head -1` ends with the next event."""
    reader, writer = os.pipe()
    process = commands.open("events", "-f", "--since", "1h", stdout=writer, stderr=writer)
    os.close(writer)
    jobs.pending()
    assert os.read(reader, 10)
    os.close(reader)

    def has_ended() -> bool:
        jobs.pending()
        return process.poll() is not None

    until(has_ended)
    assert process.returncode == 7


def test_metrics_are_what_prometheus_reads(run: Callable[..., Ran], spool: Spool) -> None:
    """What there is, what has happened and how long it took, with each operation's own figures."""
    spool.submit("div", ["1", "0"])
    spool.submit("exec", ["true"])
    spool.submit("exec", ["false"], retries=1, backoff=3600.0)
    done = spool.submit("add", ["1", "1"])
    Worker(spool, once=True).run()
    spool.fetch(done)
    spool.cancel(spool.submit("add", ["1", "1"], delay=3600.0))
    spool.submit("add", ["1", "1"])
    spool.pause()
    said = run("metrics")
    assert (said.returncode, said.stderr) == (0, "")
    found = samples(said.stdout)
    assert found["spool_jobs", "pending"] == 1
    assert found["spool_jobs", "failed"] == 2
    assert found["spool_paused",] == 1
    assert found["spool_workers",] == 0
    assert 0 < found["spool_oldest_job_age_seconds", "pending"] < 100
    assert found["spool_submitted_total", "add"] == 3
    assert found["spool_completed_total", "exec"] == 1
    assert found["spool_failed_total", "div", "error"] == 1
    assert found["spool_failed_total", "add", "cancelled"] == 1
    assert found["spool_cancelled_total", "add"] == 1
    assert found["spool_retries_total", "exec"] == 1
    assert found["spool_attempts_total", "failed", "exec"] == 1
    assert found["spool_attempt_duration_seconds_count", "exec"] == 2
    assert found["spool_attempt_duration_seconds_bucket", "+Inf", "exec"] == 2
    assert f'spool="{spool.path}"' in said.stdout


def test_counters_never_go_down(
    run: Callable[..., Ran], spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when jobs are cleaned, and not when old events are removed."""
    monkeypatch.setattr(events, "LARGEST", 2000)
    seen = 0.0
    for _ in range(3):
        ids = list(spool.submit_many([("add", ["1", "1"])] * 40))
        Worker(spool, once=True).run()
        for job_id in ids:
            spool.fetch(job_id)
        spool.clean()
        found = samples(run("metrics").stdout)
        assert found["spool_completed_total", "add"] == seen + 40
        seen = found["spool_completed_total", "add"]
    assert found["spool_cleaned_total",] == 120
    assert found["spool_jobs", "retrieved"] == 0


def test_a_textfile_is_whole_and_for_all_to_read(
    run: Callable[..., Ran], jobs: Jobs, tmp_path: Path
) -> None:
    """Whatever the umask, and also in place of an old one; nothing is left beside it."""
    jobs.pending()
    directory = tmp_path / "textfiles"
    directory.mkdir()
    for _ in range(2):
        said = run("metrics", "--textfile", str(directory / "spool.prom"), umask=0o077)
        assert said == (0, "", "")
    assert [path.name for path in directory.iterdir()] == ["spool.prom"]
    assert (directory / "spool.prom").stat().st_mode & 0o777 == 0o644
    assert samples((directory / "spool.prom").read_text())["spool_jobs", "pending"] == 1
    refused = run("metrics", "--textfile", str(tmp_path / "missing" / "spool.prom"))
    assert refused.returncode == 7
    assert "missing" in refused.stderr


def test_metrics_on_a_full_disk_are_still_told(
    run: Callable[..., Ran], jobs: Jobs, tmp_path: Path
) -> None:
    """What was counted cannot be written down, and is counted again the next time."""
    jobs.pending()
    path = Path(jobs.spool.layout.events) / "totals.json"
    path.mkdir()  # nothing can be renamed over it
    for _ in range(2):
        assert samples(run("metrics").stdout)["spool_submitted_total", "add"] == 1
