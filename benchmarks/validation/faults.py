"""Damaged spans, each by a seeded mutation of a good one, with the level at which the checks have to catch it, said beforehand.

A level is what becomes of the span: "rows" are taken out, it is "quarantined", "held" for a person, or there is a "warning". A
fault counts as caught where the checks reach a level that is listed, with a message of that level that has all its words: the
column or file, and the damage. `benchmarks.validation.graded` has the faults that are only found from so many rows on.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.validation.good import Good
from benchmarks.validation.mutations import (
    FEW,
    MANY,
    Mutation,
    Spoiling,
    as_it_is,
    everywhere,
    flipped,
    in_latin_1,
    inverted,
    leaking,
    longer_lists,
    moved,
    of_another_market,
    parquet,
    put,
    repeated,
    scaled,
    shuffled,
    some,
    swapped,
    text,
    thinned,
    where,
    without_positives,
)

TODAY, YESTERDAY = attrgetter("rows"), attrgetter("before")


@dataclass(frozen=True)
class Fault:
    """`spoil` makes a table of a good one, or the delivered files of it. `words` stand in one message of that level.

    of: which rows are damaged. from_rows: it has to be caught in spans of so many rows or more; None: in none.
    """

    name: str
    levels: tuple[str, ...]
    words: tuple[str, ...]
    spoil: Mutation | Spoiling
    of: Callable[[Good], pa.Table] = TODAY
    from_rows: int | None = 0


TABLES: tuple[Fault, ...] = (
    Fault("nulls in the user's key, few", ("rows",), ("user_id", "null"), where("user_id", FEW, None)),
    Fault("nulls in the user's key, many", ("quarantined",), ("user_id", "null"), where("user_id", MANY, None)),
    Fault("nulls in the time, many", ("quarantined",), ("event_time", "null"), where("event_time", MANY, None)),
    Fault("nulls in the label, many", ("quarantined",), ("acquired", "null"), where("acquired", MANY, None)),
    Fault("nulls in a nullable column, far too many", ("quarantined",), ("rating", "null"), where("rating", 0.8, None)),
    Fault(
        "nulls in a nullable column, more than ever",
        ("warning", "held"),
        ("age", "drifted", "nulls, from"),
        where("age", 0.3, None),
    ),
    Fault("a column is missing", ("quarantined",), ("developer", "missing"), lambda t, _: t.drop_columns(["developer"])),
    Fault("the label is missing", ("quarantined",), ("acquired", "missing"), lambda t, _: t.drop_columns(["acquired"])),
    Fault("a column is renamed", ("quarantined",), ("country", "missing"), lambda t, _: t.rename_columns({"country": "land"})),
    Fault("an unknown column", ("warning",), ("extra", "not in the contract"), lambda t, _: t.append_column("extra", t["age"])),
    Fault(
        "numbers became text",
        ("quarantined",),
        ("size_mb", "has type string, wanted number"),
        everywhere("size_mb", lambda c: pc.binary_join_element_wise(c.cast(pa.string()), "MB", " ")),
    ),
    Fault(
        "an identifier became a fraction",
        ("quarantined",),
        ("app_id", "has type number, wanted string"),
        lambda t, rng: put(t, "app_id", pa.array(rng.random(t.num_rows))),
    ),
    Fault("ages of 200, few", ("rows",), ("age", "outside"), where("age", FEW, 200)),
    Fault("ages of 200, many", ("quarantined",), ("age", "outside"), where("age", MANY, 200)),
    Fault("negative sizes", ("quarantined",), ("size_mb", "outside"), everywhere("size_mb", pc.negate)),
    Fault("infinite sizes, few", ("rows",), ("size_mb", "outside"), where("size_mb", FEW, float("inf"))),
    Fault("ratings of 0 for unknown", ("quarantined",), ("rating", "outside"), where("rating", MANY, 0.0)),
    Fault("NaN sizes, few", ("rows",), ("size_mb", "null"), where("size_mb", FEW, float("nan"))),
    Fault("NaN sizes, many", ("quarantined",), ("size_mb", "null"), where("size_mb", MANY, float("nan"))),
    Fault("a unit change, × 1,000", ("quarantined",), ("size_mb", "outside 0..10000"), scaled("size_mb", 1000)),
    Fault("ages in months", ("quarantined",), ("age", "outside 13..90"), scaled("age", 12)),
    Fault(
        "all ages are the default",
        ("held", "warning"),
        ("age", "drifted", "median from"),
        everywhere("age", lambda c: pa.chunked_array([pa.repeat(pa.scalar(30, pa.int64()), len(c))])),
    ),
    Fault(
        "one device for all",
        ("held", "warning"),
        ("device", "drifted", "to 100.0%"),
        everywhere("device", lambda c: pa.chunked_array([pa.repeat("tablet", len(c))])),
    ),
    Fault("country and language swapped", ("held",), ("country", "drifted", " 0.0%"), swapped("country", "language")),
    Fault("category and developer swapped", ("held",), ("category", "drifted", " 0.0%"), swapped("category", "developer")),
    Fault("hour and slot swapped", ("quarantined",), ("slot", "outside 1..10"), swapped("hour", "slot")),
    Fault("categories in capitals", ("held",), ("category", "drifted", " 0.0%"), everywhere("category", pc.utf8_upper)),
    Fault(
        "countries with a blank",
        ("held",),
        ("country", "drifted", " 0.0%"),
        everywhere("country", lambda c: pc.binary_join_element_wise(c, "", " ")),
    ),
    Fault(
        "devices recoded as numbers",
        ("held",),
        ("device", "drifted", " 0.0%"),
        everywhere("device", lambda c: c.combine_chunks().dictionary_encode().indices.cast(pa.string())),
    ),
    Fault(
        "all apps have new identifiers",
        ("held",),
        ("app_id", "values of which these spans had none"),
        everywhere("app_id", lambda c: pc.replace_substring(c, "app-0", "app-9")),
    ),
    Fault(
        "half of the apps have new identifiers",
        ("held", "warning"),
        ("app_id", "values of which these spans had none"),
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
    Fault("the label is inverted", ("quarantined",), ("acquired", "positive, wanted 0.05..0.3"), inverted),
    Fault("most positives are lost", ("quarantined",), ("acquired", "positive, wanted 0.05..0.3"), without_positives(0.85)),
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
    Fault("labels of 2, few", ("rows",), ("acquired", "neither 0 nor 1"), where("acquired", FEW, 2)),
    Fault("the label leaks into a feature", ("held",), ("size_mb", "label alone"), leaking),
    Fault(
        "a feature differs from what was served", ("quarantined",), ("rating", "differs from 'rating_served'"), shuffled("rating")
    ),
    Fault("a feature differs in a few rows", ("rows",), ("rating", "differ"), where("rating", FEW, 4.25)),
    Fault("the clock is an hour fast", ("quarantined",), ("event_time", "all times lie 1 h too late"), moved(1)),
    Fault("the time zone is 8 hours off", ("quarantined",), ("event_time", "all times lie 8 h too late", "UTC+08:00"), moved(8)),
    Fault("a tenth of the clocks is an hour fast", ("rows",), ("event_time", "outside the span"), moved(1, 0.1)),
    Fault(
        "yesterday is delivered again",
        ("quarantined",),
        ("event_time", "all times lie 1 d too early, as the rows of another day do"),
        as_it_is,
        of=YESTERDAY,
    ),
    Fault("yesterday with the times of today", ("held",), ("weekday", "drifted", " 0.0%"), moved(24), of=YESTERDAY),
    Fault(
        "times of 1970, few",
        ("rows",),
        ("event_time", "outside", "1970-01-01"),
        lambda t, rng: put(
            t, "event_time", pc.if_else(some(t, rng, FEW), pa.scalar(0, pa.int64()).cast(t["event_time"].type), t["event_time"])
        ),
    ),
    Fault(
        "a file is delivered twice",
        ("quarantined",),
        ("rows equal an earlier one", "delivered twice"),
        lambda t, _: pa.concat_tables([t, t]),
    ),
    Fault(
        "some rows are there twice",
        ("rows",),
        ("row_id", "repeat the key of an earlier row"),
        lambda t, _: pa.concat_tables([t, t.slice(0, max(1, int(FEW * t.num_rows)))]),
    ),
    Fault(
        "one key for all rows",
        ("quarantined",),
        ("row_id", "repeat the key of an earlier row"),
        everywhere("row_id", lambda c: pc.multiply(c, 0)),
    ),
    Fault("a tenth of the volume", ("held",), ("rows: drifted", "log ratio"), thinned(0.1)),
    Fault("ten times the volume", ("held",), ("rows: drifted", "log ratio"), repeated(10)),
    Fault("hardly any row", ("quarantined",), ("the span has 12 rows", "wanted 200 to"), lambda t, _: t.slice(0, 12)),
    Fault("one country only", ("held",), ("country", "drifted", "to 100.0%"), of_another_market),
    Fault("one hour only", ("held",), ("hour", "drifted", "to 100.0%"), lambda t, _: t.filter(pc.equal(t["hour"], 12))),
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
        ("held",),
        ("installed_apps", "drifted", "(empty list)", "to 100.0%"),
        everywhere("installed_apps", lambda c: pa.chunked_array([pa.array([[]] * len(c), pa.list_(pa.string()))])),
    ),
)

FILES: tuple[Fault, ...] = (
    Fault(
        "a truncated Parquet file",
        ("quarantined",),
        ("rows.parquet", "not found in footer"),
        lambda t, _: {"rows.parquet": parquet(t)[:-2000]},
    ),
    Fault("flipped bits in a Parquet file", ("quarantined",), ("rows.parquet", "checksum"), flipped),
    Fault("an empty file", ("quarantined",), ("rows.parquet", "0 bytes"), lambda *_: {"rows.parquet": b""}),
    Fault(
        "a truncated gzip file",
        ("quarantined",),
        ("rows.csv.gz", "ended before the end-of-stream marker"),
        lambda t, _: {"rows.csv.gz": gzip.compress(text(t))[:-500]},
    ),
    Fault("a wrong delimiter", ("quarantined",), ("rows.csv", "no comma", "';'"), lambda t, _: {"rows.csv": text(t, ";")}),
    Fault(
        "a CSV file that ends in a row",
        ("quarantined",),
        ("rows.csv", "Expected 17 columns, got"),
        lambda t, _: {"rows.csv": text(t)[:-40]},
    ),
    Fault(
        "a page of HTML",
        ("quarantined",),
        ("rows.jsonl", "JSON parse error"),
        lambda *_: {"rows.jsonl": b"<html>504 Gateway Time-out</html>"},
    ),
    Fault("a file in Latin-1", ("quarantined",), ("rows.csv", "invalid UTF"), in_latin_1),
)
