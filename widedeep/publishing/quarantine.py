"""Rows that were taken out of a span, each with its reasons: immutable, named by the findings that judged them.

The table has all delivered columns and two more (`widedeep.data.bad_rows`). It holds users' rows, for as long as the contract's
`retention.quarantine_days`.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from widedeep.artifacts import Digest, FileRef, Snapshot, sha256
from widedeep.data.tables import parquet_bytes
from widedeep.publishing import layout
from widedeep.publishing.store import ObjectStore


def save_bad_rows(store: ObjectStore, snapshot: Snapshot, checks_digest: Digest, table: pa.Table) -> FileRef:
    """Store what one set of checks took out of one snapshot. Equal tables are stored once."""
    data = parquet_bytes(table)
    key = layout.bad_rows(snapshot, checks_digest, sha256(data))
    store.create(key, data)
    return FileRef(name=key, size_bytes=len(data), sha256=sha256(data))


def load_bad_rows(store: ObjectStore, file: FileRef, folder: Path) -> pa.Table:
    """The table as it was stored.

    Raises:
        IntegrityError: the file is missing or was tampered with.
    """
    path = folder / "bad_rows.parquet"
    store.download(file, path)
    return pq.ParquetFile(path).read()
