"""The catalogue of one release: ids of items lead to their columns as that release knew them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from widedeep.artifacts import Manifest
from widedeep.data.catalogue import CATALOGUE_FILE
from widedeep.data.contract import Contract
from widedeep.features.bags import Int64s
from widedeep.publishing.releases import download
from widedeep.publishing.store import ObjectStore


@dataclass(frozen=True)
class Catalogue:
    table: pa.Table
    item: str
    title: str | None

    def find(self, ids: Sequence[str | int | None]) -> Int64s:
        """(K,) row of each id, -1 where there is none."""
        return np.fromiter((self._places.get(str(each), -1) for each in ids), np.int64, len(ids))

    def titles(self, ids: Sequence[str | None]) -> list[str | None]:
        """The title of each id; None where it has none, or is not known here."""
        if self.title is None:
            return [None] * len(ids)
        found = self.find(ids)
        titles: list[str | None] = self.table[self.title].take(pa.array(found, mask=found < 0)).to_pylist()
        return titles

    @cached_property
    def _places(self) -> dict[str, int]:
        return {str(value): row for row, value in enumerate(self.table[self.item].to_pylist())}


def load_catalogue(store: ObjectStore, manifest: Manifest, contract: Contract, scratch: Path) -> Catalogue | None:
    """None: the contract names no item column, or named none when the release was trained.

    Raises:
        IntegrityError: it is missing or damaged. Nothing was loaded.
    """
    if contract.item is None or CATALOGUE_FILE not in {file.name for file in manifest.files}:
        return None
    with TemporaryDirectory(dir=scratch, prefix="widedeep-catalogue-") as folder:
        download(store, manifest, Path(folder), {CATALOGUE_FILE})
        table = pq.read_table(Path(folder, CATALOGUE_FILE))
    title = contract.title if contract.title in table.column_names else None
    catalogue = Catalogue(table, contract.item, title)
    catalogue.find([""])  # builds the index now, which the first request would have to wait for
    return catalogue
