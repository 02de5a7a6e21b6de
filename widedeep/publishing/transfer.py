"""Bytes between the store and this machine's disk: a file appears at its path whole and verified, or not at all."""

import errno
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TypeVar

from widedeep.artifacts import FileRef
from widedeep.errors import DiskFullError, IntegrityError

T = TypeVar("T")

CHUNK_BYTES = 1 << 20

RESTORE = "Restore the object from a copy; nothing was loaded."


def ahead(calls: Iterable[Callable[[], T]], threads: int) -> Iterator[T]:
    """The results in order, while `threads` calls run ahead of the one that is asked for, and no more: memory is bounded."""
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[T]] = deque()
        try:
            for call in calls:
                running.append(pool.submit(call))
                if len(running) > threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for each in running:
                each.cancel()


def file_ref(name: str, path: Path) -> FileRef:
    """Size and SHA-256 of a local file, read in pieces."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRef(name=name, size_bytes=path.stat().st_size, sha256=digest)


def measured(name: str, chunks: Iterable[bytes]) -> FileRef:
    """Size and SHA-256 of a stream."""
    digest, size_bytes = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size_bytes += len(chunk)
    return FileRef(name=name, size_bytes=size_bytes, sha256=digest.hexdigest())


Fill = Callable[[IO[bytes]], Iterable[bytes]]
"""Writes a new file, and tells all its bytes in order."""


def copied(chunks: Iterable[bytes]) -> Fill:
    """Fill a file with a stream."""

    def fill(file: IO[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            file.write(chunk)
            yield chunk

    return fill


def save(name: str, fill: Fill, path: Path) -> FileRef:
    """Fill a file beside `path`, move it there once it is whole, and tell its size and SHA-256.

    Raises:
        DiskFullError: no space. No file is left behind.
    """
    with _appearing(path) as file:
        return measured(name, fill(file))


def save_verified(url: str, ref: FileRef, fill: Fill, path: Path) -> None:
    """Fill a file beside `path`, and move it there once its size and SHA-256 are the recorded ones.

    Raises:
        IntegrityError: other bytes than recorded. No file is left behind.
        DiskFullError: no space. No file is left behind.
    """
    with _appearing(path) as file:
        got = measured(ref.name, fill(file))
        if got != ref:
            raise IntegrityError(f"{url}/{ref.name}: got {_said(got)}, wanted {_said(ref)}. {RESTORE}")


@contextmanager
def _appearing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that is at `path` once the context is left without an error, and nowhere else."""
    with full_disk_told(path), NamedTemporaryFile(dir=path.parent, prefix=".widedeep-", delete=False) as file:
        partial = Path(file.name)
        try:
            yield file
            file.close()
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def missing(url: str, ref: FileRef) -> IntegrityError:
    """What to say when a recorded object is not there."""
    return IntegrityError(f"{url}/{ref.name}: missing, wanted {_said(ref)}. {RESTORE}")


def check_taken(url: str, ours: FileRef, standing: FileRef) -> None:
    """Compare an upload with what stands under its key already.

    Raises:
        IntegrityError: they differ; the first stands.
    """
    if standing != ours:
        raise IntegrityError(
            f"{url}/{ours.name}: taken by {_said(standing)}, wanted to write {_said(ours)}. "
            "The first stands; find out which of the two was made from other inputs."
        )


@contextmanager
def full_disk_told(path: Path) -> Iterator[None]:
    """Raise DiskFullError, naming the folder, where the system says that no space is left."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFullError(
            f"disk full: no space left to write {path.name} in {path.parent}. "
            "Free some space or set TMPDIR to another disk, then run again; nothing was published."
        ) from error


def _said(ref: FileRef) -> str:
    return f"{ref.size_bytes} bytes with SHA-256 {ref.sha256[:16]}…"
