"""Everything that is ready before a measurement starts: the rows, our bundle and encoding of them, and the same for the peers.

    python -m benchmarks.engine.preparation FOLDER LEARNT HELD_OUT

Our side comes about as in every retraining: rows → grow → encode → warm start. Two bundles are made, one with the values of the
rows, one with ten times as many, so that the same batches meet tables of both sizes; the peers' tables likewise.

`V` rows of the value table.
"""

import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.engine import criteo
from benchmarks.engine.arrays import Data, Rows
from benchmarks.engine.contract import contract, save_encoded
from benchmarks.engine.settings import SEED
from widedeep.features.columns import cross_name
from widedeep.features.encoding import EncodedBatch, encode
from widedeep.features.growth import Vocabularies, grow
from widedeep.features.quantiles import Quantiles, fit
from widedeep.features.vocabulary import Vocabulary
from widedeep.model.bundle import save_bundle
from widedeep.training.warm_start import warm_start

PARQUET, ROOMY = "learnt.parquet", "roomy"


def prepare(folder: Path, learnt: int, held_out: int) -> None:
    """Write everything into `folder`; `ROOMY` in it has the tenfold vocabulary."""
    table = criteo.rows(learnt + held_out, SEED)
    train, test = table.slice(0, learnt), table.slice(learnt)
    pq.write_table(train, folder / PARQUET)
    vocabularies = grow(Vocabularies.empty(), train, contract(), date(2026, 1, 1))
    quantiles = fit(Quantiles(), train, criteo.NUMBERS, contract().model.quantiles)
    encoded = [_ours(folder, part, rows, vocabularies, quantiles) for part, rows in (("learnt", train), ("held_out", test))]
    peers = _for_peers(vocabularies, *encoded)
    peers.save(folder / "peers")
    replace(peers, sizes=tuple(10 * size for size in peers.sizes)).save(folder / ROOMY / "peers")
    strangers = _strangers(9 * len(vocabularies.values))
    # One growth, so that the strangers' rows lie between those of the values that are met.
    crowd = pa.concat_tables([train.select(strangers.column_names), strangers])
    roomy = grow(Vocabularies.empty(), crowd, contract(), date(2026, 1, 1))
    _ours(folder / ROOMY, "learnt", train, roomy, quantiles)


def _ours(folder: Path, part: str, rows: pa.Table, vocabularies: Vocabularies, quantiles: Quantiles) -> EncodedBatch:
    encoded = encode(rows, vocabularies, quantiles, contract())
    save_encoded(encoded, folder / "ours" / part)
    if part == "learnt":
        bundle, _ = warm_start(None, vocabularies, quantiles, contract(), SEED)
        save_bundle(bundle, folder / "ours")
    return encoded


def _strangers(count: int) -> pa.Table:
    """`count` values that no row has, in equal parts in all columns."""
    values = np.arange(count // len(criteo.CATEGORIES)) + max(criteo.CARDINALITIES)
    return pa.table(dict.fromkeys(criteo.CATEGORIES, values))


def _for_peers(vocabularies: Vocabularies, learnt: EncodedBatch, held_out: EncodedBatch) -> Data:
    values = _starts(vocabularies.values, list(criteo.CATEGORIES))
    crosses = _starts(vocabularies.crosses, [cross_name(sides) for sides in criteo.CROSSES])
    oov = len(criteo.CATEGORIES)
    ends = [*values[1:], len(vocabularies.values)], [*crosses[1:], len(vocabularies.crosses)]
    sizes = tuple(tuple(int(b - a + 1) for a, b in zip(s, e, strict=True)) for s, e in zip((values, crosses), ends, strict=True))
    return Data(_rows(learnt, values, crosses, oov), _rows(held_out, values, crosses, oov), *sizes)


def _starts(vocabulary: Vocabulary, names: list[str]) -> NDArray[np.int64]:
    """The first row of each feature, out-of-vocabulary rows apart: admitted in one growth, they stand one after the other."""
    known = vocabulary.rows.filter(pa.array(~vocabulary.rows["oov"].to_numpy()))
    features = known["feature"].combine_chunks().dictionary_encode()
    assert features.dictionary.to_pylist() == names
    return np.searchsorted(features.indices.to_numpy(), np.arange(len(names))) + len(vocabulary) - len(known)


def _rows(encoded: EncodedBatch, values: NDArray[np.int64], crosses: NDArray[np.int64], oov: int) -> Rows:
    ids = np.where(encoded.rows < oov, 0, encoded.rows - values + 1).astype(np.int64)
    found = np.zeros((len(encoded), len(crosses)), np.int64)
    is_cross = encoded.wide.flat >= encoded.sizes[0]
    row = encoded.wide.flat[is_cross] - encoded.sizes[0]
    which = np.searchsorted(crosses, row, side="right") - 1
    found[encoded.wide.row_of()[is_cross], which] = row - crosses[which] + 1
    # Every second column says whether a number is missing; here none is.
    return Rows(ids, found, np.ascontiguousarray(encoded.dense[:, ::2]), np.asarray(encoded.labels))


if __name__ == "__main__":
    prepare(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
