"""What a span is as a whole, in plain numbers: the aggregates that validation holds against the contract's limits.

A fact that can't be told (the label rate of no rows) is left out, never guessed.
"""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from widedeep.data.conform import TYPES
from widedeep.data.contract import Contract
from widedeep.data.drift import Profile, drifts, profile_columns
from widedeep.data.tables import distinct_rows


def type_name(kind: pa.DataType) -> str:
    """A column's type in the contract's words where it has one."""
    return next((name for name, known in TYPES.items() if known == kind), str(kind))


def sound_columns(table: pa.Table, contract: Contract) -> list[str]:
    """The contract's columns that are there and have their type: only of these can values be checked."""
    return [
        n
        for n, spec in contract.columns.items()
        if n in table.column_names and type_name(table.schema.field(n).type) == spec.type
    ]


def label_rate(table: pa.Table, contract: Contract) -> float | None:
    """Share of positive labels among those that are there; None without any."""
    name, limit = contract.label.column, contract.label.at_least
    if name not in sound_columns(table, contract) or table[name].null_count == table.num_rows:
        return None
    positive = pc.greater_equal(table[name], limit) if limit is not None else pc.not_equal(table[name].cast(pa.float64()), 0.0)
    return float(pc.mean(positive).as_py())


def duplicate_share(table: pa.Table) -> float:
    """Share of rows that equal an earlier one in every column."""
    return 1 - distinct_rows(table) / table.num_rows if table.num_rows else 0.0


def profile_of(table: pa.Table, contract: Contract, span: date) -> Profile:
    """The span's profile: what a later span's drift is measured against."""
    sound = table.select(sound_columns(table, contract))
    rate = label_rate(table, contract)
    return Profile(span=span, rows=table.num_rows, label_rate=rate, columns=profile_columns(sound, contract))


def null_share(table: pa.Table, name: str) -> float:
    return table[name].null_count / table.num_rows if table.num_rows else 0.0


def drift_of(table: pa.Table, contract: Contract, baseline: Profile | None) -> dict[str, float]:
    """Effect sizes of the watched columns that have their type; none without a baseline."""
    return drifts(table.select(sound_columns(table, contract)), contract, baseline) if baseline else {}


def bad_items(table: pa.Table, name: str, allowed: tuple[str, ...] | None) -> np.ndarray:
    """(B,) how many items of each row's list are null, or not allowed."""
    lists = table[name].combine_chunks()
    bad = pc.is_null(lists.flatten())
    if allowed is not None:
        bad = pc.or_(bad, pc.invert(pc.is_in(lists.flatten(), pa.array(allowed))))
    owners = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    return np.bincount(owners[bad.to_numpy(zero_copy_only=False)], minlength=table.num_rows)


def example_item(table: pa.Table, name: str, allowed: tuple[str, ...]) -> str | None:
    """One item that is not allowed, to show."""
    items = pc.list_flatten(table[name])
    bad = items.filter(pc.invert(pc.is_in(items, pa.array([*allowed, None], pa.string()))))
    return bad[0].as_py() if len(bad) else None
