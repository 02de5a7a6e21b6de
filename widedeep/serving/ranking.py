"""Who would like what: the catalogue's items for one user, ranked by the champion.

K candidate items. A request is the user's columns, the context's columns and one candidate's columns per row, put together as the
contract's `of` says, and scored by the same code that trained (`widedeep.model.scoring`).

All items of the catalogue are candidates, those that the user has rated or bought before among them: leaving some out is the
caller's business, who knows whether a second time makes sense.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from widedeep.artifacts import Manifest
from widedeep.data.catalogue import CATALOGUE_FILE, item_columns
from widedeep.data.conform import TYPES
from widedeep.data.contract import Contract
from widedeep.errors import UsageError
from widedeep.model.bundle import READER_FILES, load_bundle
from widedeep.model.scoring import score_rows
from widedeep.publishing import releases, snapshots
from widedeep.publishing.renewals import load_renewals
from widedeep.publishing.store import ObjectStore


@dataclass(frozen=True)
class RankedItem:
    item: str
    title: str | None
    score: float


@dataclass(frozen=True)
class Ranking:
    """`known` is False for a user with no row in any span that the release knows: only the items' own columns speak then."""

    release_id: str
    user: str
    known: bool
    items: tuple[RankedItem, ...]


def rank(store: ObjectStore, contract: Contract, manifest: Manifest, user: str, top: int, folder: Path) -> Ranking:
    """The `top` items of the release's catalogue for a user, best first; ties in order of item.

    Raises:
        UsageError: the contract names no item column, or named none when the release was trained: there is nothing to rank.
    """
    if contract.item is None:
        raise UsageError(f"contract {contract.name}: names no item column, so there is nothing to rank. Add 'item: <column>'.")
    if CATALOGUE_FILE not in {file.name for file in manifest.files}:
        raise UsageError(
            f"{manifest.release_id}: has no catalogue, since the contract named no item column when it was trained. "
            "Run the next span: its release has one."
        )
    releases.download(store, manifest, folder, {*READER_FILES, CATALOGUE_FILE})
    catalogue = pq.read_table(folder / CATALOGUE_FILE)
    last_seen = last_row(store, contract, manifest, user, folder)
    scores = score_rows(load_bundle(folder, optimizer=False), requests(catalogue, last_seen, user, contract), contract)
    best = np.argsort(-scores, kind="stable")[:top]
    return Ranking(
        manifest.release_id, user, last_seen is not None, tuple(_item(catalogue, i, scores[i], contract) for i in best)
    )


def last_row(store: ObjectStore, contract: Contract, manifest: Manifest, user: str, folder: Path) -> pa.Table | None:
    """The user's newest row in the spans that the release knows, newest span first; (1, columns) or None.

    Whole snapshots are read: a held-out row tells what the user is like as well as a learnt one, and no label is used. Each span
    back to the user's newest is downloaded; for an unknown user all of them.
    """
    renewals = load_renewals(store)
    for span, version in sorted({(p.span, p.version) for p in (*manifest.inherited, *manifest.lineage.learnt)}, reverse=True):
        rows = snapshots.load_rows(store, renewals.current(snapshots.version(store, span, version)), folder)
        theirs = rows.filter(pc.equal(rows[contract.user].cast(pa.string()), user))
        if theirs.num_rows:
            return theirs.sort_by(contract.time).slice(theirs.num_rows - 1)
    return None


def requests(catalogue: pa.Table, last_seen: pa.Table | None, user: str, contract: Contract) -> pa.Table:
    """(K, columns): the user's and the context's values as last logged, repeated beside each candidate item."""
    columns = {name: catalogue[name] for name in item_columns(contract)}
    for name in contract.columns:
        if name not in columns and name != contract.label.column:
            columns[name] = _repeated(last_seen, name, TYPES[contract.columns[name].type], catalogue.num_rows)
    if last_seen is None:
        columns[contract.user] = pa.array([user] * catalogue.num_rows, pa.string())
    return pa.table(columns)


def _repeated(row: pa.Table | None, name: str, kind: pa.DataType, times: int) -> pa.Array:
    if row is None:
        return pa.nulls(times, kind)
    return row[name].combine_chunks().take(pa.array(np.zeros(times, np.int64)))


def _item(catalogue: pa.Table, i: int, score: float, contract: Contract) -> RankedItem:
    title = catalogue[contract.title][i].as_py() if contract.title else None
    return RankedItem(str(catalogue[contract.item][i].as_py()), title, float(score))
