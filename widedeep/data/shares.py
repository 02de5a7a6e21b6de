"""A column of values, or of lists of them, in small: counts that can be pooled with those of other spans.

- Few values are counted by name. Many are counted in buckets by hash, so that no value is left out, and the most frequent ones
  also by name, to be shown. Of the contract's users there are buckets only.
- `known` is the same sample of values in every span, those whose hashes begin with `level` zero bits: whether other spans knew a
  value can be told in small space (distinct sampling, Gibbons 2001).
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from widedeep.artifacts import Value
from widedeep.data.clusters import Clusters, Int64s, Uint64s, hashes, spread_of_shares
from widedeep.data.tables import is_list

NAMED, SHOWN, LONGEST = 50, 20, 100  # up to so many values are all named; of more so many are shown; of names that long at most
BUCKETS = 64
SAMPLED = 512  # values at most whose hashes are kept
HASH_BITS, SHOWN_BITS = 64, 40

Counts = dict[str, int]


class Shares(Value):
    """A column of values or lists of them: `total` items, among them nulls; an empty list is an item, too.

    `values` has all values if `buckets` is None. `spread` and `freedom`: see `widedeep.data.clusters`.
    """

    kind: Literal["shares"] = "shares"
    total: int
    spread: float
    freedom: float
    nulls: int
    empty: int = 0
    values: Counts
    buckets: tuple[int, ...] | None = None
    known: Counts = Field(default={})
    level: int = 0


def shares_of(column: pa.ChunkedArray, grouped: Clusters, *, personal: bool) -> Shares:
    """`personal`: no value is named, nor its hash."""
    values = pc.list_flatten(column) if is_list(column.type) else column
    names, counts = _counted(values)
    few = len(names) <= NAMED and not personal and not pc.any(pc.greater(pc.utf8_length(names), LONGEST)).as_py()
    hashed = np.empty(0, np.uint64) if few else hashes(names)
    empty = int(pc.sum(pc.equal(pc.list_value_length(column), 0)).as_py() or 0) if is_list(column.type) else 0
    nulls = values.null_count + (column.null_count if is_list(column.type) else 0)
    spread, freedom = _spread(column, grouped, names if few else None)
    level, known = (0, {}) if few or personal else _sampled(hashed, counts)
    return Shares(
        total=int(counts.sum()) + nulls + empty,
        spread=round(spread, 4),
        freedom=round(freedom, 4),
        nulls=nulls,
        empty=empty,
        values={} if personal else _named(names, counts, NAMED if few else SHOWN),
        buckets=None if few else tuple(_in_buckets(hashed, counts)),
        known=known,
        level=level,
    )


def _counted(values: pa.ChunkedArray) -> tuple[pa.StringArray, Int64s]:
    """Every value as text, with how often it occurs."""
    counted = values.drop_null().value_counts()
    counted = counted.combine_chunks() if isinstance(counted, pa.ChunkedArray) else counted
    return counted.field("values").cast(pa.string()), counted.field("counts").to_numpy()


def _named(names: pa.StringArray, counts: Int64s, most: int) -> Counts:
    """The most frequent ones; of equally frequent ones the first by name."""
    short = pc.less_equal(pc.utf8_length(names), LONGEST).to_numpy(zero_copy_only=False)
    texts, numbers = names.filter(pa.array(short)), counts[short]
    least = np.sort(numbers)[-most:][:1]
    above, tied = np.flatnonzero(numbers > least), np.flatnonzero(numbers == least)
    first = pc.bottom_k_unstable(texts.take(pa.array(tied)), most - len(above)).to_numpy()
    chosen = np.concatenate([above, tied[first]])
    return dict(sorted(zip(texts.take(pa.array(chosen)).to_pylist(), numbers[chosen].tolist(), strict=True)))


def bucket_counts(column: Shares) -> Int64s:
    """(BUCKETS,) of a column that has buckets, or that names all its values."""
    if column.buckets is not None:
        return np.array(column.buckets)
    return _in_buckets(hashes(pa.array(column.values, pa.string())), np.array([*column.values.values()], np.int64))


def _in_buckets(hashed: Uint64s, counts: Int64s) -> Int64s:
    return np.bincount(_bucket(hashed), counts, minlength=BUCKETS).astype(np.int64)


def _bucket(hashed: Uint64s) -> Int64s:
    return (hashed % np.uint64(BUCKETS)).astype(np.int64)


def _sampled(hashed: Uint64s, counts: Int64s) -> tuple[int, Counts]:
    """The sample's level, and how often its values occur, by the first digits of their hashes."""
    level = 0
    while np.count_nonzero(chosen := _zeros(hashed, level)) > SAMPLED:
        level += 1
    return level, _by_hash(hashed[chosen], counts[chosen])


def _zeros(hashed: Uint64s, level: int) -> NDArray[np.bool_]:
    return hashed >> np.uint64(HASH_BITS - level) == 0 if level else np.ones(len(hashed), bool)


def _by_hash(hashed: Uint64s, counts: Int64s) -> Counts:
    return dict(sorted(zip(short_hashes(hashed), counts.tolist(), strict=True)))


def short_hashes(hashed: Uint64s) -> list[str]:
    """Their first digits: of a million values some would share even these, which does no harm."""
    return [f"{number >> (HASH_BITS - SHOWN_BITS):010x}" for number in hashed.tolist()]


def sample_at(column: Shares, level: int) -> Mapping[str, int]:
    """The column's sample of values as a thinner one, of a level no less than its own; of named values, too."""
    if column.buckets is None:
        hashed = hashes(pa.array(column.values, pa.string()))
        chosen = _zeros(hashed, level)
        return _by_hash(hashed[chosen], np.array([*column.values.values()], np.int64)[chosen])
    return {text: count for text, count in column.known.items() if int(text, 16) >> (SHOWN_BITS - level) == 0}


def _spread(column: pa.ChunkedArray, grouped: Clusters, names: pa.StringArray | None) -> tuple[float, float]:
    """Of the named values' shares, or of the buckets'; nulls and empty lists are cells of their own."""
    values, users = _items(column, grouped)
    encoded = values.dictionary_encode()
    texts = encoded.dictionary.cast(pa.string())
    number = BUCKETS if names is None else len(names)
    cells = _bucket(hashes(texts)) if names is None else pc.index_in(texts, names).to_numpy(zero_copy_only=False)
    codes = pc.fill_null(encoded.indices, len(texts)).to_numpy(zero_copy_only=False)
    empty = np.full(len(users) - len(codes), number + 1)
    return spread_of_shares(np.concatenate([np.append(cells, number)[codes], empty]), users, grouped.count, number + 2)


def _items(column: pa.ChunkedArray, grouped: Clusters) -> tuple[pa.Array, Int64s]:
    """The sample's items, and whose they are; after them the users of empty lists, which have no item."""
    sample = column.take(pa.array(grouped.rows))
    sample = sample.combine_chunks() if isinstance(sample, pa.ChunkedArray) else sample
    if not is_list(sample.type):
        return sample, grouped.users
    owners = pc.list_parent_indices(sample).to_numpy(zero_copy_only=False)
    sizes = pc.list_value_length(sample)
    null, empty = (mask.to_numpy(zero_copy_only=False) for mask in (pc.is_null(sizes), pc.fill_null(pc.equal(sizes, 0), False)))
    items = pa.concat_arrays([sample.flatten(), pa.nulls(int(null.sum()), sample.type.value_type)])
    return items, np.concatenate([grouped.users[owners], grouped.users[null], grouped.users[empty]])
