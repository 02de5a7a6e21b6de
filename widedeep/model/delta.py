"""A delta leads from one bundle to another, as readers have them, bit for bit: touched rows, vocabulary changes, layers whole.

`U` touched rows of a table, ascending; `V` rows of it before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch

from widedeep.errors import IntegrityError
from widedeep.features.bags import Int32s, Int64s
from widedeep.features.encoding import EncodedBatch
from widedeep.features.growth import Vocabularies
from widedeep.features.quantiles import Quantiles
from widedeep.features.vocabulary import Vocabulary, stacked
from widedeep.model.bundle import Bundle, Tensors
from widedeep.model.specification import Specification, is_table

BLOCK_ROWS = 1 << 16
"""Rows of a table that are compared at once: a mask over all of it would take a quarter of the table's memory."""


@dataclass(frozen=True)
class Change:
    """What became of a vocabulary: `rows` are those that are new, that another key has now, and that were given up.

    They are named by their column `row`, ascending; a row that was given up has neither feature nor key.
    """

    sizes: tuple[int, int]
    rows: pa.Table


@dataclass(frozen=True)
class Delta:
    """`weights`: layers whole, of a table the touched rows (U, …), whose numbers `ids` has (U,). `quantiles` None: the base's."""

    specification: Specification
    quantiles: Quantiles | None
    values: Change
    crosses: Change
    weights: Tensors
    ids: Tensors

    def rows_of(self, table: str) -> int:
        """How many rows a table has afterwards."""
        return (self.crosses if table.startswith("wide.crosses") else self.values).sizes[1]


def reshaped(base: Specification, target: Specification) -> list[str]:
    """The fields in which the specifications differ, but for the latest span; with any there is no delta."""
    return [n for n in Specification.model_fields if n != "learnt_until" and getattr(base, n) != getattr(target, n)]


def difference(base: Bundle, target: Bundle) -> Delta:
    """What leads from a bundle to its child, whose specification says the same (`reshaped`)."""
    names = [name for name in target.weights if is_table(name)]
    ids = {name: _touched(base.weights[name], target.weights[name]) for name in names}
    return Delta(
        target.specification,
        None if target.quantiles.to_bytes() == base.quantiles.to_bytes() else target.quantiles,
        _change(base.vocabularies.values, target.vocabularies.values),
        _change(base.vocabularies.crosses, target.vocabularies.crosses),
        dict(target.weights) | {name: target.weights[name][rows.long()] for name, rows in ids.items()},
        ids,
    )


def applied(base: Bundle, delta: Delta) -> Bundle:
    """The bundle that the delta leads to, with its vocabularies as readers have them. The base stays as it is.

    Raises:
        IntegrityError: the delta does not fit the base.
    """
    require_fit(base, delta)
    target = outline(base, delta, {name: with_room(base.weights[name], delta.rows_of(name)) for name in delta.ids})
    fill(target, delta)
    return target


def require_fit(base: Bundle, delta: Delta) -> None:
    """Raise IntegrityError unless the delta has everything that it takes to lead on from a bundle of this shape and size."""
    if problems := [*_misfits(base, delta)]:
        raise IntegrityError(f"delta: {'; '.join(problems)}. Nothing was changed; load the release in full.")


def outline(base: Bundle, delta: Delta, tables: Tensors) -> Bundle:
    """The target of a delta that fits, but for the touched rows, which `fill` writes into the given tables.

    These begin with the base's rows, and have at least the target's; the target uses them, it does not copy them.
    """
    weights = {n: tables[n][: delta.rows_of(n)] if n in delta.ids else tensor for n, tensor in delta.weights.items()}
    values, crosses = _changed(base.vocabularies.values, delta.values), _changed(base.vocabularies.crosses, delta.crosses)
    vocabularies = Vocabularies(values, crosses, delta.specification.features)
    return Bundle(delta.specification, vocabularies, delta.quantiles or base.quantiles, weights, None)


def fill(target: Bundle, delta: Delta) -> None:
    """Write the touched rows into the tables of a delta's outline, in place: until it returns, they are a mixture."""
    for name, ids in delta.ids.items():
        target.weights[name].index_copy_(0, ids.long(), delta.weights[name])


def as_read(target: Bundle, delta: Delta, rows: EncodedBatch) -> Bundle:
    """A delta's outline as it will be once it is filled, to score these rows with before anybody else can.

    Only what they read of the tables is set; the rest is memory that is asked for and never touched.
    """
    wide, first_cross = rows.wide.flat, len(target.vocabularies.values)
    crosses = wide[wide >= first_cross] - first_cross
    values = np.concatenate([wide[wide < first_cross], rows.rows.ravel(), *(bag.flat for bag in rows.bags)])
    tables = {n: _as_read(target.weights[n], delta, n, crosses if n == "wide.crosses" else values) for n in delta.ids}
    return replace(target, weights={**target.weights, **tables})


def _as_read(table: torch.Tensor, delta: Delta, name: str, rows: Int32s) -> torch.Tensor:
    wanted, ids = torch.from_numpy(np.unique(rows)).long(), delta.ids[name].long()
    sketch, touched = torch.empty_like(table), torch.isin(ids, wanted)
    sketch[wanted] = table[wanted]
    sketch[ids[touched]] = delta.weights[name][touched]
    return sketch


def same_bits(one: Bundle, other: Bundle) -> bool:
    """Whether two bundles are the same to whoever scores with them, to the last bit."""
    if one.specification != other.specification or one.weights.keys() != other.weights.keys():
        return False
    tables = [(getattr(b.vocabularies, kind).to_read() for b in (one, other)) for kind in ("values", "crosses")]
    weights = [(tensor, other.weights[name]) for name, tensor in one.weights.items()]
    return (
        one.quantiles.to_bytes() == other.quantiles.to_bytes()
        and all(a == b for a, b in tables)
        and all(torch.equal(a.view(torch.int32), b.view(torch.int32)) for a, b in weights)
    )


def with_room(table: torch.Tensor, rows: int) -> torch.Tensor:
    """A copy of a table (V, …) with room for `rows`; the rows behind the first V are not set."""
    roomy = table.new_empty((rows, *table.shape[1:]))
    roomy[: len(table)] = table
    return roomy


def _touched(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """(U,) int32: the rows of `after` that are new or differ in any bit: -0.0 is not 0.0, and NaN is NaN."""
    blocks = zip(torch.split(before, BLOCK_ROWS), torch.split(after[: len(before)], BLOCK_ROWS), strict=True)
    differs = [(a.view(torch.int32) != b.view(torch.int32)).unsqueeze(1).flatten(1).any(1) for a, b in blocks]
    new = torch.ones(len(after) - len(before), dtype=torch.bool)
    return torch.cat([*differs, new]).nonzero().squeeze(1).to(torch.int32)


def _change(before: Vocabulary, after: Vocabulary) -> Change:
    """A row that passes to another key has another generation, and one that was given up has no key."""
    given_up = before.held() & ~after.held()[: len(before)]
    kept = [np.flatnonzero(given_up), after.recycled_since(before)]
    rows = np.concatenate([np.unique(np.concatenate(kept)), np.arange(len(before), len(after))])
    entries = after.to_read().take(rows)
    return Change((len(before), len(after)), entries.add_column(0, "row", pa.array(rows, pa.int32())))


def _changed(vocabulary: Vocabulary, change: Change) -> Vocabulary:
    """As readers have it: it can't grow any more."""
    known, entries = vocabulary.to_read(), change.rows.drop_columns("row")
    source = np.arange(change.sizes[1])
    source[_ids(change)] = len(known) + np.arange(len(entries))
    whole = stacked([known, entries]).take(source).combine_chunks()
    return Vocabulary.from_tables(whole, None, known.schema.field("key").type)


def _ids(change: Change) -> Int64s:
    ids: Int64s = change.rows["row"].to_numpy().astype(np.int64)
    return ids


def _misfits(base: Bundle, delta: Delta) -> Iterable[str]:
    """What keeps the delta from being a delta on this bundle, in words."""
    own = base.vocabularies
    changes = {"values": (len(own.values), delta.values), "crosses": (len(own.crosses), delta.crosses)}
    if differing := reshaped(base.specification, delta.specification):
        yield f"its specification has another {', '.join(differing)}"
    for name, (rows, change) in changes.items():
        if rows != change.sizes[0]:
            yield f"leads on from {change.sizes[0]} {name}, the bundle has {rows}"
        if not _covers(_ids(change), *change.sizes):
            yield f"its rows of {name} are not ascending, or lack new ones"
    if delta.ids.keys() != {name for name in base.weights if is_table(name)} or delta.weights.keys() != base.weights.keys():
        yield f"has tensors {sorted(delta.weights)}, the bundle has {sorted(base.weights)}"
        return
    for name, ids in delta.ids.items():
        if delta.weights[name].shape != (len(ids), *base.weights[name].shape[1:]):
            yield f"{name} has {len(ids)} row numbers for rows of shape {tuple(delta.weights[name].shape)}"
        elif not _covers(ids.numpy(), len(base.weights[name]), delta.rows_of(name)):
            yield f"its rows of {name} are not ascending, or lack new ones"


def _covers(ids: np.ndarray, before: int, after: int) -> bool:
    """Whether these are ascending numbers of rows, and the new ones all among them."""
    if not len(ids):
        return before == after
    ascending = bool((np.diff(ids) > 0).all()) and ids[0] >= 0 and ids[-1] < after
    return ascending and int((ids >= before).sum()) == after - before
