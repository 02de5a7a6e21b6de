"""What is served: three days' releases of the paper's architecture on Criteo-shaped rows, in a store in memory, and a request.

K candidates of one request: the first half of the columns is the user's, the other half an item's.
"""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.delta import published
from benchmarks.engine import criteo
from benchmarks.engine.contract import contract as shaped
from benchmarks.engine.contract import training
from widedeep.artifacts import Manifest
from widedeep.data.contract import Contract
from widedeep.features.encoding import EncodedBatch
from widedeep.model.bundle import Bundle
from widedeep.publishing.memory import MemoryStore

CANDIDATES, FIRST, DAYS = 200, date(2026, 1, 1), 3
USERS = (*criteo.CATEGORIES[:13], *criteo.NUMBERS[:6])
SHARED = frozenset(USERS)
ITEMS = (*criteo.CATEGORIES[13:], *criteo.NUMBERS[6:])


def contract() -> Contract:
    base = shaped()
    whose = dict.fromkeys(USERS, "user") | dict.fromkeys(ITEMS, "item")
    columns = {name: column.model_copy(update={"of": whose.get(name, "context")}) for name, column in base.columns.items()}
    return base.model_copy(update={"columns": columns, "training": training("float32", 4096)})


def releases(history: int, folder: Path) -> tuple[MemoryStore, list[Manifest]]:
    """A release of `history` rows, and two of days of a twentieth, each with a delta; files are in folders of their numbers."""
    store = MemoryStore()
    return store, published(store, contract(), _days(history), folder)


def _days(history: int) -> Iterator[tuple[date, pa.Table]]:
    day = history // 20
    rows = criteo.rows(history + DAYS * day, 0)
    yield FIRST, rows.slice(0, history)
    for number in range(1, DAYS):
        yield FIRST + timedelta(days=number), rows.slice(history + number * day, day)


def candidates() -> pa.Table:
    """(K, columns): one user's columns, repeated, beside those of K items."""
    rows = criteo.rows(CANDIDATES, 1)
    first = pa.array(np.zeros(CANDIDATES, np.int64))
    return pa.table({name: rows[name].take(first) if name in USERS else rows[name] for name in (*USERS, *ITEMS)})


def request() -> bytes:
    """The same as a client asks for it."""
    rows = candidates()
    body = {"user": rows.select(USERS).slice(0, 1).to_pylist()[0], "items": rows.select(ITEMS).to_pylist()}
    return json.dumps(body).encode()


def arrays(bundle: Bundle, encoded: EncodedBatch) -> dict[str, np.ndarray]:
    """Weights and inputs for `peers/stock.py`."""
    weights = {name: tensor.numpy() for name, tensor in bundle.weights.items()}
    values, crosses = weights.pop("wide.values"), weights.pop("wide.crosses")
    lengths = np.diff(encoded.wide.offsets)
    padded = np.full((len(encoded), lengths.max()), len(values) + len(crosses), np.int64)
    padded[np.arange(lengths.max()) < lengths[:, None]] = encoded.wide.flat
    tables = {"wide_table": np.concatenate([values, crosses, np.zeros(1, np.float32)])}
    return weights | tables | {"rows": encoded.rows.astype(np.int64), "dense": encoded.dense, "wide": padded}
