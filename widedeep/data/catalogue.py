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
    """The catalogue after `rows`: each item as its newest row describes it, whichever part or release that row came with.

    The event's time is kept beside the description, to compare with. Equally new: `rows` win. Sorted by item. None without an
    item column.
    """
    if contract.item is None:
        return None
    columns = sorted({*item_columns(contract), contract.time})
    tables = [rows.select(columns)]
    if known is not None and contract.item in known.column_names:
        tables.insert(0, known)
    seen = pa.concat_tables(tables, promote_options="permissive")
    oldest_first = pc.sort_indices(seen, [(contract.time, "ascending", "at_start")])
    seen = seen.take(oldest_first).append_column("__row", pa.array(range(seen.num_rows), pa.int64()))
    newest = seen.group_by(contract.item).aggregate([("__row", "max")])["__row_max"]
    return seen.select(columns).take(newest).sort_by(contract.item).combine_chunks()
