"""The operations on files, called as functions and run as jobs are."""

import gzip
import hashlib
import json
from pathlib import Path

import pytest
from spool_files import checksum, compress, largest

from spoolcalc import BadOperands, Context, OperationFailed


def test_a_checksum_reports_its_progress(tmp_path: Path) -> None:
    """The decorated function is still a function; the test says where reports go."""
    file = tmp_path / "file"
    file.write_bytes(b"x" * 1_500_000)
    told: list[tuple[float | None, str]] = []
    context = Context("a job", 1, lambda fraction, text: told.append((fraction, text)))

    assert checksum(file, context) == hashlib.sha256(b"x" * 1_500_000).hexdigest()

    assert [text for _, text in told] == [
        "1,048,576 of 1,500,000 bytes",
        "1,500,000 of 1,500,000 bytes",
    ]
    assert told[-1][0] == 1


def test_operands_are_checked_before_a_job_is_submitted() -> None:
    """As ``spool submit`` does it: texts in, a refusal out."""
    with pytest.raises(BadOperands, match=r"operand 2 of checksum \(KIND\) is none of its choices"):
        checksum.check(["/srv/disk.iso", "md5"])


def test_the_largest_files_come_first(tmp_path: Path) -> None:
    """As a worker does it: texts in, a text out."""
    for name, size in (("a", 10), ("b/c", 30), ("d", 20)):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x" * size)
    found = json.loads(largest.run([str(tmp_path), "2"]).result)
    assert [(Path(entry["file"]).name, entry["bytes"]) for entry in found] == [("c", 30), ("d", 20)]


def test_a_directory_that_is_not_there_fails_the_job(tmp_path: Path) -> None:
    """With one sentence for people."""
    with pytest.raises(OperationFailed, match="there is no directory"):
        largest(tmp_path / "missing")


def test_compressing_twice_gives_the_same(tmp_path: Path) -> None:
    """A job may be run again after its worker was killed."""
    file = tmp_path / "notes.txt"
    file.write_text("remember\n" * 1000)
    for _ in range(2):
        assert compress.run([str(file)]).result == f"{file}.gz"
        assert gzip.decompress((tmp_path / "notes.txt.gz").read_bytes()) == file.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "notes.txt.gz"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    """No half of a file, under whatever name."""
    with pytest.raises(FileNotFoundError):
        compress(tmp_path / "missing", Context())
    assert list(tmp_path.iterdir()) == []
