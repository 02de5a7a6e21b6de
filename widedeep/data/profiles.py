"""A span in small: counts of what its columns hold, so that spans can be pooled and compared; no row and no user's name.

- Few values are counted by name. Many are counted in buckets by hash, so that no value is left out, and the most frequent ones
  also by name, to be shown. Of the contract's users there are buckets only.
- `known` is the same sample of values in every span, those whose hashes begin with `level` zero bits: whether other spans knew a
  value can be told in small space (distinct sampling, Gibbons 2001).
- Numbers are kept as a cumulative distribution at their quantiles, exact where values repeat. Nulls belong to the distribution.
"""

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from widedeep.artifacts import Value
from widedeep.data.clusters import Clusters, Int64s, Uint64s, clusters, hashes, spread_of_ranks, spread_of_shares
from widedeep.data.contract import Contract
from widedeep.data.facts import positive, sound_columns
from widedeep.data.tables import is_list

NAMED, SHOWN, LONGEST = 50, 20, 100  # up to so many values are all named; of more so many are shown; of names that long at most
BUCKETS = 64
SAMPLED = 512  # values at most whose hashes are kept
HASH_BITS, SHOWN_BITS = 64, 40
POINTS = 128  # a cumulative share between two points is wrong by less than 1 / POINTS
RANK_CELLS = 16
LARGEST = 1e300  # stands for infinite, which JSON has not

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


class Ranks(Value):
    """A column of numbers, null or not. Of the values, `below[i]` are less than `points[i]` and `up_to[i]` at most that."""

    kind: Literal["ranks"] = "ranks"
    total: int
    spread: float
    nulls: int
    points: tuple[float, ...]
    below: tuple[int, ...]
    up_to: tuple[int, ...]


class Profile(Value):
    """`labelled` rows have a label, `positive` of them a positive one, whose rate has the design effect `label_spread`.

    `user_rows`: the rows of a row's user, on average over the rows; 1 if everybody has one.
    """

    format: Literal[2] = 2
    span: date
    rows: int
    users: int
    user_rows: float
    labelled: int
    positive: int
    label_spread: float
    columns: dict[str, Annotated[Shares | Ranks, Field(discriminator="kind")]]

    @cached_property
    def constant(self) -> frozenset[str]:
        """Names of the columns that have one value throughout."""
        return frozenset(
            n for n, c in self.columns.items() if c.total in (c.values.values() if isinstance(c, Shares) else c.up_to[:1])
        )


def profile_of(table: pa.Table, contract: Contract, span: date) -> Profile:
    """The profile of all watched columns that have the contract's type."""
    sound = sound_columns(table, contract)
    nobody = pa.chunked_array([pa.array(range(table.num_rows), pa.int64())])
    grouped = clusters(table[contract.user] if contract.user in sound else nobody)
    labels = positive(table, contract)
    return Profile(
        span=span,
        rows=table.num_rows,
        users=len(grouped.per_user),
        user_rows=round(float((grouped.per_user**2).sum() / max(1, table.num_rows)), 4),
        labelled=len(labels) - labels.null_count,
        positive=pc.sum(labels).as_py() or 0,
        label_spread=round(_label_spread(labels, grouped), 4),
        columns={n: _column(table[n], contract, n, grouped) for n in contract.watched if n in sound and table.num_rows},
    )


def _label_spread(labels: pa.ChunkedArray, grouped: Clusters) -> float:
    sample = labels.take(pa.array(grouped.rows)).combine_chunks()
    there = pc.is_valid(sample).to_numpy(zero_copy_only=False)
    cells = sample.drop_null().cast(pa.int64()).to_numpy()
    return spread_of_shares(cells, grouped.users[there], grouped.count, 2)[0]


def _column(column: pa.ChunkedArray, contract: Contract, name: str, grouped: Clusters) -> Shares | Ranks:
    spec = contract.columns[name]
    if spec.type in {"integer", "number"} and spec.role != "categorical":
        return _ranks(column, grouped)
    return _shares(column, grouped, personal=name == contract.user)


def _shares(column: pa.ChunkedArray, grouped: Clusters, *, personal: bool) -> Shares:
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
    short = pc.less_equal(pc.utf8_length(names), LONGEST).to_numpy(zero_copy_only=False)
    texts, numbers = names.filter(pa.array(short)), counts[short]
    largest = np.sort(numbers)[-most:].min(initial=0)
    candidates = numbers >= largest
    pairs = zip(texts.filter(pa.array(candidates)).to_pylist(), numbers[candidates].tolist(), strict=True)
    return dict(sorted(sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:most]))


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


def _zeros(hashed: Uint64s, level: int) -> np.ndarray:
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


def _ranks(column: pa.ChunkedArray, grouped: Clusters) -> Ranks:
    numbers = np.sort(_numbers(column.drop_null()))
    places = np.ceil(np.linspace(0, 1, POINTS + 1) * len(numbers)).astype(np.int64) - 1
    points = np.unique(numbers[places.clip(0)]) if len(numbers) else numbers
    return Ranks(
        total=len(column),
        spread=round(_rank_spread(column, grouped, points), 4),
        nulls=column.null_count,
        points=tuple(points.tolist()),
        below=tuple(np.searchsorted(numbers, points, "left").tolist()),
        up_to=tuple(np.searchsorted(numbers, points, "right").tolist()),
    )


def _rank_spread(column: pa.ChunkedArray, grouped: Clusters, points: np.ndarray) -> float:
    """Null counts as the lowest number."""
    sample = column.take(pa.array(grouped.rows)).combine_chunks()
    there = pc.is_valid(sample).to_numpy(zero_copy_only=False)
    cuts = points[np.linspace(0, len(points) - 1, RANK_CELLS).astype(int)] if len(points) else points
    cells = np.zeros(len(sample), np.int64)
    cells[there] = 1 + np.searchsorted(np.unique(cuts), _numbers(sample.drop_null()))
    return spread_of_ranks(cells, grouped.users, grouped.count, RANK_CELLS + 2)


def _numbers(values: pa.ChunkedArray | pa.Array) -> np.ndarray:
    floats = values.cast(pa.float64(), safe=False).to_numpy()
    return np.clip(np.nan_to_num(floats, nan=0.0, posinf=LARGEST, neginf=-LARGEST), -LARGEST, LARGEST)
