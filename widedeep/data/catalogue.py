"""The catalogue: what can be recommended, and as what it was last seen. One row per item; an item never leaves."""

import pyarrow as pa
import pyarrow.compute as pc

from widedeep.data.contract import Contract

CATALOGUE_FILE = "catalogue.parquet"


def item_columns(contract: Contract) -> list[str]:
    """Names of the columns that describe an item, the item itself among them; empty if the contract names no item."""
    if contract.item is None:
        return []
    return sorted({contract.item} | ({contract.title} - {None}) | {n for n, c in contract.columns.items() if c.of == "item"})  # type: ignore[arg-type]


def extend_catalogue(known: pa.Table | None, rows: pa.Table, contract: Contract) -> pa.Table | None:
    """The catalogue after `rows`: a known item takes its newest description. Sorted by item. None without an item column."""
    if contract.item is None:
        return None
    fresh = _newest(rows, contract)
    if known is None:
        return fresh
    kept = known.filter(pc.invert(pc.is_in(known[contract.item], fresh[contract.item])))
    return pa.concat_tables([kept, fresh], promote_options="permissive").sort_by(contract.item).combine_chunks()


def _newest(rows: pa.Table, contract: Contract) -> pa.Table:
    assert contract.item is not None  # noqa: S101  narrows the type; the caller has looked
    ordered = rows.sort_by(contract.time).append_column("__row", pa.array(range(rows.num_rows), pa.int64()))
    last = ordered.group_by(contract.item).aggregate([("__row", "max")])["__row_max"]
    return ordered.select(item_columns(contract)).take(last).sort_by(contract.item).combine_chunks()
