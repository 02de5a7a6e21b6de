"""Who is asked about what: the same users and items however rows are ordered, as of their newest row, never more than so many."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.data.contract import load_contract
from widedeep.evaluation import audience
from widedeep.evaluation.audience import gather

APPSTORE = load_contract(Path(__file__).parents[2] / "dags" / "contracts" / "appstore.yaml")
MORNING = datetime(2026, 1, 5, 8, tzinfo=UTC)

CATALOGUE = pa.table(
    {
        "app_id": ["chess", "go", "novel", "radio", "riddle"],
        "category": ["games", "games", "books", "music", "games"],
        "developer": ["A", "B", "A", None, None],
        "size_mb": [1.0, 2.0, 3.0, 4.0, 5.0],
    }
)


def shown(*rows):
    """Held-out rows of (user, minute, app, acquired, installed apps)."""
    users, minutes, apps, acquired, installed = zip(*rows, strict=True)
    moments = [MORNING + timedelta(minutes=minute) for minute in minutes]
    return pa.table(
        {
            "user_id": list(users),
            "event_time": pa.array(moments, pa.timestamp("us", tz="UTC")),
            "app_id": list(apps),
            "category": ["games"] * len(users),
            "slot": list(range(1, len(users) + 1)),
            "acquired": list(acquired),
            "installed_apps": pa.array(installed, pa.list_(pa.string())),
        }
    )


ROWS = shown(
    ("ann", 9, "go", 1, ["chess", "gone"]),
    ("ann", 3, "novel", 0, ["novel"]),
    ("bob", 5, "radio", 1, None),
    ("cid", 1, "unheard of", 1, []),
)


def asked(rows=ROWS):
    return gather(rows, rows["acquired"].to_numpy().astype(float), CATALOGUE, APPSTORE)


def test_a_user_is_asked_as_of_the_newest_row_with_nothing_of_the_item_that_was_shown():
    found = asked()
    assert dict(zip(found.users["user_id"].to_pylist(), found.users["slot"].to_pylist(), strict=True)) == {
        "ann": 1,
        "bob": 3,
        "cid": 4,
    }
    assert not {"app_id", "category", "acquired"} & set(found.users.column_names)


def test_pairs_have_the_users_columns_beside_the_items():
    found = asked()
    users, items = np.array([0, 1]), np.array([2, 0])
    pairs = found.pairs(users, items).to_pylist()
    assert [p["user_id"] for p in pairs] == found.users["user_id"].take(users).to_pylist()
    assert [(p["app_id"], p["size_mb"]) for p in pairs] == [
        (i["app_id"], i["size_mb"]) for i in found.items.take(items).to_pylist()
    ]
    assert [p["rating"] for p in pairs] == [None, None]  # newer than this catalogue


def test_lists_are_the_best_of_all_items_however_many_are_scored_at_once(monkeypatch):
    found = asked()
    table = np.random.default_rng(0).random((3, 5))
    places = dict(np.ndenumerate(table))

    def score(pairs):
        users = [found.users["user_id"].to_pylist().index(u) for u in pairs["user_id"].to_pylist()]
        items = [found.items["app_id"].to_pylist().index(i) for i in pairs["app_id"].to_pylist()]
        return np.array([places[pair] for pair in zip(users, items, strict=True)])

    best = np.argsort(-table, axis=1)[:, :2]
    assert (found.top(score, 2) == best).all()
    monkeypatch.setattr(audience, "PAIRS_AT_ONCE", 1)
    assert (found.top(score, 2) == best).all()
    assert found.top(score, 99).shape == (3, 5)


def test_what_was_taken_counts_only_where_the_item_is_a_candidate():
    found = asked()
    users, items = (numbers.tolist() for numbers in found.taken)
    names = found.users["user_id"].to_pylist(), found.items["app_id"].to_pylist()
    assert {(names[0][u], names[1][i]) for u, i in zip(users, items, strict=True)} == {("ann", "go"), ("bob", "radio")}


def test_history_is_what_the_list_that_is_crossed_with_the_item_names():
    found = asked()
    names = found.items["app_id"].to_pylist()
    held = {
        user: {names[i] for i in row.nonzero()[0]}
        for user, row in zip(found.users["user_id"].to_pylist(), found.history.toarray(), strict=True)
    }
    assert held == {"ann": {"chess"}, "bob": set(), "cid": set()}


def test_items_share_values_of_their_columns_but_not_missing_ones():
    found = asked()
    shared = (found.properties @ found.properties.T).toarray()
    names = found.items["app_id"].to_pylist()
    alike = {frozenset((names[i], names[j])) for i, j in zip(*np.nonzero(shared), strict=True) if i < j}
    assert alike == {frozenset(pair) for pair in (("chess", "go"), ("chess", "riddle"), ("go", "riddle"), ("chess", "novel"))}


def test_never_more_pairs_than_the_limit_and_the_same_ones_each_time(monkeypatch):
    rows = shown(*((f"u{i}", i, "go", i % 2, []) for i in range(50)))
    monkeypatch.setattr(audience, "MOST_PAIRS", 40)
    monkeypatch.setattr(audience, "MOST_ITEMS", 4)
    found = asked(rows)
    assert (found.users.num_rows, found.items.num_rows) == (10, 4)
    turned = asked(rows.take(pa.array(np.random.default_rng(1).permutation(50))))
    assert (turned.users.to_pylist(), turned.items.to_pylist()) == (found.users.to_pylist(), found.items.to_pylist())


@settings(max_examples=20)
@given(st.permutations(range(4)))
def test_the_order_of_rows_changes_nothing(order):
    found, turned = asked(), asked(ROWS.take(pa.array(order)))
    assert turned.users.to_pylist() == found.users.to_pylist()
    assert sorted(zip(*turned.taken, strict=True)) == sorted(zip(*found.taken, strict=True))


@pytest.mark.parametrize("catalogue", [None, CATALOGUE.slice(0, 0)])
def test_without_a_catalogue_or_rows_nobody_is_asked(catalogue):
    assert gather(ROWS, np.zeros(4), catalogue, APPSTORE) is None
    assert gather(ROWS.slice(0, 0), np.zeros(0), CATALOGUE, APPSTORE) is None
    assert gather(ROWS, np.zeros(4), CATALOGUE, APPSTORE.model_copy(update={"item": None})) is None
