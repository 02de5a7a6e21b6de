"""Damaged spans, each by a seeded mutation of a good one, with the level at which the checks have to catch it, said beforehand.

A level is what becomes of the span: "rows" are taken out, it is "quarantined", "held" for a person, or there is a "warning". A
fault counts as caught where the checks reach a level that is listed, with a message of that level that has all its words.
"""

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Fault:
    """`spoil` makes a table of a good one, or the delivered files of it. `words` stand in one message of that level."""

    name: str
    levels: tuple[str, ...]
    words: tuple[str, ...]
    spoil: Mutation | Spoiling


def put(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def some(table: pa.Table, rng: Rng, share: float) -> pa.Array:
    """(B,) True for so many rows, at least one."""
    chosen = np.zeros(table.num_rows, bool)
    chosen[rng.choice(table.num_rows, max(1, int(share * table.num_rows)), replace=False)] = True
    return pa.array(chosen)


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


def moved(hours: float) -> Mutation:
    return everywhere("event_time", lambda c: pc.add(c, pa.scalar(timedelta(hours=hours))))


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

    def fewer(t: pa.Table, _: Rng) -> pa.Table:
        users = pc.unique(t["user_id"])
        return t.filter(pc.is_in(t["user_id"], users[: max(1, int(share * len(users)))]))

    return fewer


def leaking(t: pa.Table, rng: Rng) -> pa.Table:
    """A feature that is known only after the label."""
    return put(t, "size_mb", pa.array(t["acquired"].to_numpy() * 300.0 + rng.normal(100, 10, t.num_rows)))


def inverted(t: pa.Table, _: Rng) -> pa.Table:
    return put(t, "acquired", pc.subtract(1, t["acquired"]))


def without_positives(t: pa.Table, rng: Rng) -> pa.Table:
    """Three of four acquisitions were not logged."""
    lost = pa.array(rng.random(t.num_rows) < 0.75)
    return put(t, "acquired", pc.if_else(lost, pa.scalar(0, pa.int64()), t["acquired"]))


def of_another_market(t: pa.Table, _: Rng) -> pa.Table:
    return t.filter(pc.equal(t["country"], t["country"][0]))


def longer_lists(t: pa.Table, _: Rng) -> pa.Table:
    long = pa.array([["app-00001"] * 500] * 5 + [None] * (t.num_rows - 5), pa.list_(pa.string()))
    return put(t, "installed_apps", pc.coalesce(long, t["installed_apps"]))


def parquet(t: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(t, sink)
    return sink.getvalue()


def text(t: pa.Table, delimiter: str = ",") -> bytes:
    """As CSV, lists as JSON text."""
    flat = t.drop_columns(["installed_apps"])
    sink = io.BytesIO()
    csv.write_csv(flat, sink, csv.WriteOptions(delimiter=delimiter))
    return sink.getvalue()


def flipped(t: pa.Table, rng: Rng) -> dict[str, bytes]:
    data = bytearray(parquet(t))
    for place in rng.integers(len(data) // 4, len(data) // 2, 8):
        data[place] ^= 0xFF
    return {"rows.parquet": bytes(data)}


TABLES: tuple[Fault, ...] = (
    Fault("nulls in the user's key, few", ("rows",), ("user_id", "null"), where("user_id", FEW, None)),
    Fault("nulls in the user's key, many", ("quarantined",), ("user_id", "null"), where("user_id", MANY, None)),
    Fault("nulls in the time, many", ("quarantined",), ("event_time", "null"), where("event_time", MANY, None)),
    Fault("nulls in the label, many", ("quarantined",), ("acquired", "null"), where("acquired", MANY, None)),
    Fault("nulls in a nullable column, far too many", ("quarantined",), ("rating", "null"), where("rating", 0.8, None)),
    Fault("nulls in a nullable column, more than ever", ("warning", "held"), ("age", "drifted"), where("age", 0.3, None)),
    Fault("a column is missing", ("quarantined",), ("developer", "missing"), lambda t, _: t.drop_columns(["developer"])),
    Fault("the label is missing", ("quarantined",), ("acquired", "missing"), lambda t, _: t.drop_columns(["acquired"])),
    Fault("a column is renamed", ("quarantined",), ("country", "missing"), lambda t, _: t.rename_columns({"country": "land"})),
    Fault("an unknown column", ("warning",), ("extra", "not in the contract"), lambda t, _: t.append_column("extra", t["age"])),
    Fault(
        "numbers became text",
        ("quarantined",),
        ("size_mb", "type"),
        everywhere("size_mb", lambda c: pc.binary_join_element_wise(c.cast(pa.string()), "MB", " ")),
    ),
    Fault(
        "an identifier became a fraction",
        ("quarantined",),
        ("app_id", "type"),
        lambda t, rng: put(t, "app_id", pa.array(rng.random(t.num_rows))),
    ),
    Fault("ages of 200, few", ("rows",), ("age", "outside"), where("age", FEW, 200)),
    Fault("ages of 200, many", ("quarantined",), ("age", "outside"), where("age", MANY, 200)),
    Fault("negative sizes", ("quarantined",), ("size_mb", "outside"), everywhere("size_mb", pc.negate)),
    Fault("infinite sizes, few", ("rows",), ("size_mb", "outside"), where("size_mb", FEW, float("inf"))),
    Fault("ratings of 0 for unknown", ("quarantined",), ("rating", "outside"), where("rating", MANY, 0.0)),
    Fault(
        "a unit change, × 1,000", ("quarantined", "held"), ("size_mb",), everywhere("size_mb", lambda c: pc.multiply(c, 1000.0))
    ),
    Fault(
        "a unit change, × 1.6", ("held", "warning"), ("size_mb", "drifted"), everywhere("size_mb", lambda c: pc.multiply(c, 1.6))
    ),
    Fault("ages in months", ("quarantined",), ("age", "outside"), everywhere("age", lambda c: pc.multiply(c, 12))),
    Fault(
        "all ages are the default",
        ("held", "warning"),
        ("age", "drifted"),
        everywhere("age", lambda c: pa.chunked_array([pa.repeat(pa.scalar(30, pa.int64()), len(c))])),
    ),
    Fault(
        "one device for all",
        ("held", "warning"),
        ("device", "drifted"),
        everywhere("device", lambda c: pa.chunked_array([pa.repeat("tablet", len(c))])),
    ),
    Fault("country and language swapped", ("held", "quarantined"), ("country",), swapped("country", "language")),
    Fault("category and developer swapped", ("held",), ("category",), swapped("category", "developer")),
    Fault("hour and slot swapped", ("quarantined", "held"), ("slot",), swapped("hour", "slot")),
    Fault("categories in capitals", ("held",), ("category", "drifted"), everywhere("category", pc.utf8_upper)),
    Fault(
        "countries with a blank",
        ("held", "quarantined"),
        ("country",),
        everywhere("country", lambda c: pc.binary_join_element_wise(c, "", " ")),
    ),
    Fault(
        "devices recoded as numbers",
        ("held",),
        ("device", "drifted"),
        everywhere("device", lambda c: c.combine_chunks().dictionary_encode().indices.cast(pa.string())),
    ),
    Fault(
        "all apps have new identifiers",
        ("held",),
        ("app_id", "drifted"),
        everywhere("app_id", lambda c: pc.replace_substring(c, "app-0", "app-9")),
    ),
    Fault(
        "half of the apps have new identifiers",
        ("held", "warning"),
        ("app_id", "drifted"),
        lambda t, rng: put(
            t, "app_id", pc.if_else(some(t, rng, 0.5), pc.replace_substring(t["app_id"], "app-0", "app-9"), t["app_id"])
        ),
    ),
    Fault(
        "users have other names",
        ("quarantined",),
        ("user_id", "match"),
        everywhere("user_id", lambda c: pc.replace_substring(c, "user-", "u")),
    ),
    Fault(
        "identifiers of users are cut short",
        ("quarantined",),
        ("user_id", "match"),
        everywhere("user_id", lambda c: pc.utf8_slice_codeunits(c, 0, 10)),
    ),
    Fault("the label is inverted", ("quarantined", "held"), ("acquired",), inverted),
    Fault("most positives are lost", ("quarantined", "held"), ("acquired",), without_positives),
    Fault(
        "only positives are logged",
        ("quarantined",),
        ("acquired", "one class"),
        lambda t, _: t.filter(pc.equal(t["acquired"], 1)),
    ),
    Fault(
        "no positives are logged",
        ("quarantined",),
        ("acquired", "one class"),
        everywhere("acquired", lambda c: pc.multiply(c, 0)),
    ),
    Fault("labels of 2, few", ("rows",), ("acquired",), where("acquired", FEW, 2)),
    Fault("the label leaks into a feature", ("held",), ("size_mb", "label alone"), leaking),
    Fault("a feature differs from what was served", ("quarantined",), ("rating", "differs"), shuffled("rating")),
    Fault("a feature differs in a few rows", ("rows",), ("rating", "differ"), where("rating", FEW, 4.25)),
    Fault("the clock is an hour fast", ("quarantined",), ("event_time", "1 h"), moved(1)),
    Fault("the time zone is 8 hours off", ("quarantined",), ("event_time", "8 h"), moved(8)),
    Fault("yesterday is delivered again", ("quarantined",), ("event_time", "outside"), moved(-24)),
    Fault(
        "times of 1970, few",
        ("rows",),
        ("event_time", "outside"),
        lambda t, rng: put(
            t, "event_time", pc.if_else(some(t, rng, FEW), pa.scalar(0, pa.int64()).cast(t["event_time"].type), t["event_time"])
        ),
    ),
    Fault("a file is delivered twice", ("quarantined",), ("rows",), lambda t, _: pa.concat_tables([t, t])),
    Fault(
        "some rows are there twice",
        ("rows", "warning"),
        ("row_id",),
        lambda t, _: pa.concat_tables([t, t.slice(0, max(1, int(FEW * t.num_rows)))]),
    ),
    Fault("one key for all rows", ("quarantined",), ("row_id",), everywhere("row_id", lambda c: pc.multiply(c, 0))),
    Fault("a tenth of the volume", ("held",), ("rows",), thinned(0.1)),
    Fault("ten times the volume", ("held",), ("rows",), repeated(10)),
    Fault("hardly any row", ("quarantined",), ("rows, wanted",), lambda t, _: t.slice(0, 12)),
    Fault("one country only", ("held",), ("country", "drifted"), of_another_market),
    Fault("one hour only", ("held",), ("hour",), lambda t, _: t.filter(pc.equal(t["hour"], 12))),
    Fault("absurdly long texts, few", ("rows",), ("developer", "longer"), where("developer", FEW, "x" * 100_000)),
    Fault("control characters, few", ("rows",), ("category", "control"), where("category", FEW, "ga\x00mes\x1b[31m")),
    Fault(
        "formulas in a text", ("warning", "rows"), ("developer", "formula"), where("developer", FEW, '=HYPERLINK("http://x","y")')
    ),
    Fault("mojibake, few", ("rows",), ("category", "encoding"), where("category", FEW, "spiele fÃ¼r alle")),
    Fault(
        "null items in lists, few",
        ("rows",),
        ("installed_apps", "null"),
        lambda t, rng: put(
            t,
            "installed_apps",
            pc.if_else(some(t, rng, FEW), pa.scalar(["app-00001", None], t["installed_apps"].type), t["installed_apps"]),
        ),
    ),
    Fault("lists of 500 items, few", ("rows",), ("installed_apps", "items"), longer_lists),
    Fault(
        "all lists are empty",
        ("held", "quarantined"),
        ("installed_apps",),
        everywhere("installed_apps", lambda c: pa.chunked_array([pa.array([[]] * len(c), pa.list_(pa.string()))])),
    ),
)

FILES: tuple[Fault, ...] = (
    Fault("a truncated Parquet file", ("quarantined",), ("rows.parquet",), lambda t, _: {"rows.parquet": parquet(t)[:-2000]}),
    Fault("flipped bits in a Parquet file", ("quarantined",), ("rows.parquet",), flipped),
    Fault("an empty file", ("quarantined",), ("rows.parquet",), lambda *_: {"rows.parquet": b""}),
    Fault(
        "a truncated gzip file", ("quarantined",), ("rows.csv.gz",), lambda t, _: {"rows.csv.gz": gzip.compress(text(t))[:-500]}
    ),
    Fault("a wrong delimiter", ("quarantined",), ("missing",), lambda t, _: {"rows.csv": text(t, ";")}),
    Fault("a CSV file that ends in a row", ("quarantined",), ("rows.csv",), lambda t, _: {"rows.csv": text(t)[:-40]}),
    Fault("a page of HTML", ("quarantined",), ("rows.jsonl",), lambda *_: {"rows.jsonl": b"<html>504 Gateway Time-out</html>"}),
    Fault("a file in Latin-1", ("quarantined",), ("rows.csv",), lambda t, _: {"rows.csv": text(t) + "ä,ö\n".encode("latin-1")}),
)
