"""Operations on files: the largest ones, checksums, compression."""

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from spoolcalc import Context, OperationFailed, operation


@operation
def largest(directory: Path, count: int = 10) -> list[dict[str, object]]:
    """Find the COUNT largest files below DIRECTORY.

    The result is a JSON list, largest first: [{"file": "/srv/a.iso", "bytes": 1234}, ...].
    """
    if not directory.is_dir():
        raise OperationFailed(f"there is no directory {directory}")
    files = [path for path in directory.rglob("*") if path.is_file()]
    sizes = sorted(((path.stat().st_size, str(path)) for path in files), reverse=True)
    return [{"file": name, "bytes": size} for size, name in sizes[: max(count, 0)]]


def pieces(file: Path, context: Context) -> Iterator[bytes]:
    """Read a file piece by piece, and report how far that has come."""
    size = file.stat().st_size
    done = 0
    with file.open("rb") as source:
        while piece := source.read(1024 * 1024):
            yield piece
            done += len(piece)
            context.progress(min(1, done / size), f"{done:,} of {size:,} bytes")


@operation
def checksum(
    file: Path, context: Context, kind: Literal["sha256", "sha512", "blake2b"] = "sha256"
) -> str:
    """Compute the checksum of FILE, in hexadecimal digits."""
    digest = hashlib.new(kind)
    for piece in pieces(file, context):
        digest.update(piece)
    return digest.hexdigest()


@operation
def compress(file: Path, context: Context) -> Path:
    """Compress FILE into FILE.gz beside it, and tell the path of that.

    FILE itself stays. A FILE.gz that is there already is replaced.
    """
    packed = file.with_name(f"{file.name}.gz")
    unfinished = file.with_name(f".{file.name}.{context.job_id}.{context.attempt}")
    try:
        with gzip.open(unfinished, "wb") as target:
            for piece in pieces(file, context):
                target.write(piece)
        unfinished.replace(packed)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return packed
