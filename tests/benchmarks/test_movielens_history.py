"""The columns of the comparison that tell of the past: what they say, and that they know nothing of the future."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.quality.progressive.history import COLUMNS, contract_with_history, history, with_history
from widedeep.data.contract import load_contract

CONTRACT = Path(__file__).parents[2] / "dags" / "contracts" / "movielens.yaml"
GENRES = ("Action", "Comedy", "Drama")


def ratings(seed: int, n: int = 60) -> list[dict[str, Any]]:
    """In order of time, several in one second."""
    rng = np.random.default_rng(seed)
    return [
        {
            "user_id": f"u{rng.integers(4)}",
            "item_id": f"i{rng.integers(6)}",
            "genres": list(rng.permutation(GENRES)[: rng.integers(1, 4)]),
            "rating": int(rng.integers(1, 6)),
            "event_time": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=int(second)),
        }
        for second in np.sort(rng.integers(0, 25, n))
    ]


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: column.to_pylist() for name, column in history(pa.Table.from_pylist(rows)).items()}


def level(past: list[int]) -> str:
    return str(round(5 * (sum(past) + 10.5) / (len(past) + 3)))


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_every_column_tells_of_strictly_earlier_ratings_alone(seed: int) -> None:
    rows = ratings(seed)
    told = columns(rows)
    for i, row in enumerate(rows):
        earlier = [other for other in rows if other["event_time"] < row["event_time"]]
        of_user = [other for other in earlier if other["user_id"] == row["user_id"]]
        of_item = [other for other in earlier if other["item_id"] == row["item_id"]]
        of_genres = [other for other in of_user for genre in other["genres"] if genre in row["genres"]]
        disliked = sorted((o["event_time"], o["item_id"]) for o in of_user if o["rating"] < 4)
        assert told["disliked_items"][i] == [item for _, item in disliked[-10:]]
        assert told["user_level"][i] == level([other["rating"] for other in of_user])
        assert told["item_level"][i] == level([other["rating"] for other in of_item])
        assert told["genre_level"][i] == level([other["rating"] for other in of_genres])
        assert told["user_seen"][i] == str((len(of_user) + 1).bit_length() - 1)
        assert told["item_seen"][i] == str((len(of_item) + 1).bit_length() - 1)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(seed: int, random: Any) -> None:
    rows = ratings(seed)
    order = random.sample(range(len(rows)), len(rows))
    told, shuffled = columns(rows), columns([rows[i] for i in order])
    assert {name: [column[i] for i in order] for name, column in told.items()} == shuffled


def test_spans_keep_their_rows_and_a_week_knows_the_weeks_before() -> None:
    rows = ratings(0)
    cuts = [rows[start:end] for start, end in pairwise((0, 10, 25, 60))]
    spans = [(date(2026, 1, 1 + i), pa.Table.from_pylist(part)) for i, part in enumerate(cuts)]
    told = with_history(spans)
    assert [(span, table.select(before.column_names)) for (span, before), (_, table) in zip(spans, told, strict=True)] == spans
    assert [value for _, table in told for value in table["user_seen"].to_pylist()] == columns(rows)["user_seen"]


def test_the_contract_reads_the_history_in_place_of_the_users_id() -> None:
    features = contract_with_history(load_contract(CONTRACT))
    assert set(COLUMNS) <= {*features.with_role("categorical"), *features.with_role("multivalent")}
    assert "user_id" not in features.with_role("categorical")
