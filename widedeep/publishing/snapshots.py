"""The rows of a span are immutable: equal rows are the same version, other rows are a new one; none is ever overwritten.

- The Parquet file goes first, the version that names it last: who sees a version can read its rows, until they are pruned.
- Rows that were pruned come back under the name that they had. Where another pyarrow writes other bytes for equal rows, they come
  back as a new version with the same digest: what a release has learnt goes by the digest, so they count as learnt all the same.
"""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from widedeep.artifacts import FileRef, Snapshot
from widedeep.data.rows import GROUP_ROWS
from widedeep.data.tables import canonical, content_digest
from widedeep.errors import UsageError
from widedeep.publishing import layout
from widedeep.publishing.store import ObjectStore
from widedeep.publishing.transfer import file_ref, full_disk_told


def versions(store: ObjectStore, span: date) -> tuple[Snapshot, ...]:
    """All versions of a span, oldest first."""
    blobs = [(key, store.get(key)) for key in store.keys(layout.versions(span))]
    found = [Snapshot.from_bytes(blob.data, f"{store.url}/{key}") for key, blob in blobs if blob]
    return tuple(sorted(found, key=lambda s: s.version))


def version(store: ObjectStore, span: date, number: int) -> Snapshot:
    """One version of a span.

    Raises:
        UsageError: there is no such version.
    """
    key = layout.version(span, number)
    blob = store.get(key)
    if blob is None:
        raise UsageError(
            f"{store.url}: span {span} has no version {number}. Its versions are {layout.versions(span)}*; ingest it first."
        )
    return Snapshot.from_bytes(blob.data, f"{store.url}/{key}")


def save_snapshot(store: ObjectStore, span: date, table: pa.Table, scratch: Path) -> Snapshot:
    """The version of the span that holds these rows, and its file stands: one that is there already, or a new one.

    Racing writers of equal rows get the same version. If the rows were pruned, they are uploaded again.

    Raises:
        DiskFullError: no space in `scratch`. Nothing was stored.
    """
    digest = content_digest(table)
    while not (standing := _standing(store, span, digest)):
        file = _upload_rows(store, span, digest, canonical(table), scratch)
        known = versions(store, span)
        if not any((s.digest, s.file) == (digest, file) for s in known):
            snapshot = Snapshot(span=span, version=len(known) + 1, digest=digest, rows=table.num_rows, file=file)
            store.create(layout.version(span, snapshot.version), snapshot.to_bytes())
    return standing


def _standing(store: ObjectStore, span: date, digest: str) -> Snapshot | None:
    return next((s for s in versions(store, span) if s.digest == digest and rows_stand(store, s)), None)


def rows_stand(store: ObjectStore, snapshot: Snapshot) -> bool:
    """Whether the file with the rows is there; its bytes are not read."""
    return snapshot.file.name in store.keys(snapshot.file.name)


def _upload_rows(store: ObjectStore, span: date, digest: str, rows: pa.Table, scratch: Path) -> FileRef:
    path = scratch / f"{span}.rows.parquet"
    try:
        with full_disk_told(path):
            pq.write_table(rows, path, compression="zstd", row_group_size=GROUP_ROWS)
        return store.upload(layout.rows(span, digest, file_ref("", path).sha256), path)
    finally:
        path.unlink(missing_ok=True)


def load_rows(store: ObjectStore, snapshot: Snapshot, scratch: Path) -> pa.Table:
    """The rows of a snapshot.

    Raises:
        IntegrityError: the file is missing or was tampered with.
    """
    with TemporaryDirectory(dir=scratch) as folder:
        path = fetch_rows(store, snapshot, Path(folder))
        return pq.ParquetFile(path).read()  # not read_table: it would make columns of folders named like `span=1`


def fetch_rows(store: ObjectStore, snapshot: Snapshot, folder: Path) -> Path:
    """The verified file with the rows of a snapshot, in `folder`: what is too large for memory is read from there.

    Raises:
        IntegrityError: the file is missing or was tampered with.
    """
    path = folder / "rows.parquet"
    store.download(snapshot.file, path)
    return path
