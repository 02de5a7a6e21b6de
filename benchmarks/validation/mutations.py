"""How a good span is damaged, by a seed: its rows, or the files that they are delivered in."""

import io
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

Rng = np.random.Generator
Mutation = Callable[[pa.Table, Rng], pa.Table]
Spoiling = Callable[[pa.Table, Rng], dict[str, bytes]]

FEW = 0.004  # share of the rows: below the contract's tolerance of .01
MANY = 0.2


def put(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def some(table: pa.Table, rng: Rng, share: float) -> pa.Array:
    """(B,) True for so many rows, at least one."""
    chosen = np.zeros(table.num_rows, bool)
    chosen[rng.choice(table.num_rows, max(1, int(share * table.num_rows)), replace=False)] = True
    return pa.array(chosen)


def as_it_is(t: pa.Table, _: Rng) -> pa.Table:
    return t


def where(name: str, share: float, value: object) -> Mutation:
    """That value in some rows."""

    def spoil(t: pa.Table, rng: Rng) -> pa.Table:
        # Unlike if_else, this takes no memory for a long value in the rows that keep theirs.
        whole = t[name].combine_chunks()
        return put(t, name, pc.replace_with_mask(whole, some(t, rng, share), pa.scalar(value, whole.type)))

    return spoil


def everywhere(name: str, change: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> Mutation:
    return lambda t, _: put(t, name, change(t[name]))


def swapped(one: str, other: str) -> Mutation:
    return lambda t, _: put(put(t, one, t[other]), other, t[one])


def shuffled(name: str) -> Mutation:
    return lambda t, rng: put(t, name, t[name].take(pa.array(rng.permutation(t.num_rows))))


def moved(hours: float, share: float = 1) -> Mutation:
    """Times of so many of the rows."""

    def late(t: pa.Table, rng: Rng) -> pa.Table:
        later = pc.add(t["event_time"], pa.scalar(timedelta(hours=hours)))
        return put(t, "event_time", pc.if_else(some(t, rng, share), later, t["event_time"]))

    return late


def scaled(name: str, factor: float) -> Mutation:
    return everywhere(name, lambda c: pc.multiply(c, pa.scalar(factor, c.type)))


def repeated(times: int) -> Mutation:
    """More users of the same kind, with rows of their own."""

    def more(t: pa.Table, _: Rng) -> pa.Table:
        copies = [
            put(put(t, "row_id", pc.add(t["row_id"], i * t.num_rows)), "user_id", _suffixed(t["user_id"], i))
            for i in range(times)
        ]
        return pa.concat_tables(copies)

    return more


def _suffixed(column: pa.ChunkedArray, number: int) -> pa.ChunkedArray:
    """Another user with a name of the same form."""
    return pc.binary_join_element_wise(f"user-{number}", pc.utf8_slice_codeunits(column, 6, 13), "") if number else column


def thinned(share: float) -> Mutation:
    """The rows of some of the users."""

    def fewer(t: pa.Table, rng: Rng) -> pa.Table:
        users = pc.unique(t["user_id"])
        kept = rng.choice(len(users), max(1, int(share * len(users))), replace=False)
        return t.filter(pc.is_in(t["user_id"], users.take(pa.array(kept))))

    return fewer


def leaking(t: pa.Table, rng: Rng) -> pa.Table:
    """A feature that is known only after the label."""
    return put(t, "size_mb", pa.array(t["acquired"].to_numpy() * 300.0 + rng.normal(100, 10, t.num_rows)))


def inverted(t: pa.Table, _: Rng) -> pa.Table:
    return put(t, "acquired", pc.subtract(1, t["acquired"]))


def without_positives(share: float) -> Mutation:
    """So many acquisitions were not logged."""

    def lost(t: pa.Table, rng: Rng) -> pa.Table:
        gone = pa.array(rng.random(t.num_rows) < share)
        return put(t, "acquired", pc.if_else(gone, pa.scalar(0, pa.int64()), t["acquired"]))

    return lost


def of_another_market(t: pa.Table, _: Rng) -> pa.Table:
    return t.filter(pc.equal(t["country"], t["country"][0]))


def longer_lists(t: pa.Table, _: Rng) -> pa.Table:
    long = pa.array([["app-00001"] * 500] * 5 + [None] * (t.num_rows - 5), pa.list_(pa.string()))
    return put(t, "installed_apps", pc.coalesce(long, t["installed_apps"]))


def parquet(t: pa.Table) -> bytes:
    """With checksums, as most writers but Arrow's leave them: without, a flipped bit may be a value like any other."""
    sink = io.BytesIO()
    pq.write_table(t, sink, write_page_checksum=True)
    return sink.getvalue()


def text(t: pa.Table, delimiter: str = ",") -> bytes:
    """As CSV, which has no lists."""
    flat = t.drop_columns(["installed_apps"])
    sink = io.BytesIO()
    csv.write_csv(flat, sink, csv.WriteOptions(delimiter=delimiter))
    return sink.getvalue()


def in_latin_1(t: pa.Table, _: Rng) -> dict[str, bytes]:
    """One name that is not in UTF-8."""
    return {"rows.csv": text(t).replace(b'"games"', '"für alle"'.encode("latin-1"), 1)}


def flipped(t: pa.Table, rng: Rng) -> dict[str, bytes]:
    data = bytearray(parquet(t))
    for place in rng.integers(len(data) // 4, len(data) // 2, 8):
        data[place] ^= 0xFF
    return {"rows.parquet": bytes(data)}
