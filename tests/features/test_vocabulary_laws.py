"""Laws of growth: rows are append-only, the order of a batch changes nothing, sightings count across spans."""

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.data.contract import Column, Contract, Cross, Gate, Label, SplitRule
from widedeep.errors import IntegrityError
from widedeep.features import admission
from widedeep.features.admission import Sightings, counted
from widedeep.features.growth import Vocabularies, grow
from widedeep.features.vocabulary import CROSS_KEY, VALUE_KEY, Vocabulary

START = date(2026, 1, 1)
SCHEMA = pa.schema([("who", pa.string()), ("tags", pa.list_(pa.string())), ("at", pa.int64()), ("bought", pa.bool_())])

word = st.one_of(st.none(), st.text("abcé\x00 ", max_size=2))
row = st.tuples(word, st.one_of(st.none(), st.lists(word, max_size=3)))
spans = st.lists(st.lists(row, max_size=12), min_size=1, max_size=5)


def contract(*, min_count: int = 1, cross_min_count: int = 1) -> Contract:
    return Contract(
        name="laws",
        user="who",
        time="at",
        label=Label(column="bought"),
        columns={
            "who": Column(type="string", role="categorical", min_count=min_count),
            "tags": Column(type="list", role="multivalent", min_count=min_count),
            "at": Column(type="timestamp"),
            "bought": Column(type="boolean"),
        },
        crosses=(Cross(of=("who", "tags"), min_count=cross_min_count),),
        split=SplitRule(salt="s"),
        gate=Gate(margin=0.01),
    )


def table(rows: list[tuple[str | None, list[str | None] | None]]) -> pa.Table:
    columns = [[who for who, _ in rows], [tags for _, tags in rows], [0] * len(rows), [True] * len(rows)]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def grown(days: list[list[tuple[str | None, list[str | None] | None]]], **counts: int) -> list[Vocabularies]:
    states = [Vocabularies.empty()]
    for day, rows in enumerate(days):
        states.append(grow(states[-1], table(rows), contract(**counts), START + timedelta(days=day)))
    return states


def identities(vocabulary: Vocabulary) -> list[tuple[object, ...]]:
    return list(
        zip(*(vocabulary.rows[c].to_pylist() for c in ("feature", "key", "oov", "generation", "first_span")), strict=True)
    )


@given(spans, st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_known_values_and_crosses_keep_their_rows_when_the_vocabulary_grows(days, min_count):
    states = grown(days, min_count=min_count, cross_min_count=min_count)
    for before, after in pairwise(states):
        assert identities(after.values)[: len(before.values)] == identities(before.values)
        assert identities(after.crosses)[: len(before.crosses)] == identities(before.crosses)
        assert len(set(identities(after.values))) == len(after.values)
        assert len(set(identities(after.crosses))) == len(after.crosses)


@given(spans, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_in_a_batch_changes_nothing_in_the_vocabulary(days, random):
    shuffled = [random.sample(rows, len(rows)) for rows in days]
    assert grown(shuffled, min_count=2)[-1] == grown(days, min_count=2)[-1]


@given(spans, st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_a_value_is_admitted_after_min_count_sightings_across_spans(days, min_count):
    vocabularies = grown(days, min_count=min_count)[-1]
    sightings = Counter(("who", who) for rows in days for who, _ in rows)
    sightings += Counter(("tags", tag) for rows in days for _, tags in rows for tag in ([None] if tags is None else tags))
    admitted = {(f, k) for f, k, oov, *_ in identities(vocabularies.values) if not oov}
    assert admitted == {key for key, count in sightings.items() if count >= min_count}
    waiting = vocabularies.values.waiting.to_pylist()
    assert {(w["feature"], w["key"]): w["sightings"] for w in waiting} == {k: n for k, n in sightings.items() if n < min_count}


def sightings(keys: list[str | None]) -> Sightings:
    counts = Counter(keys)
    return Sightings("who", pa.array(list(counts), pa.string()), np.array(list(counts.values()), np.int64), 2)


@given(st.lists(st.lists(word, max_size=6), min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_sightings_are_the_same_however_the_span_is_cut_into_chunks(chunks):
    (total,) = counted([sightings(keys)] for keys in chunks)
    wanted = Counter(key for keys in chunks for key in keys)
    assert dict(zip(total.keys.to_pylist(), total.counts.tolist(), strict=True)) == wanted
    assert len(total.keys) == len(wanted)


@pytest.mark.parametrize("seen_again", [0, 50, 90])
def test_counting_many_chunks_takes_time_for_their_keys_and_memory_for_the_distinct_ones(monkeypatch, seen_again):
    grouped: list[int] = []

    def watched(parts: list[Sightings], together=admission._together) -> Sightings:
        grouped.append(sum(len(part.keys) for part in parts))
        return together(parts)

    monkeypatch.setattr(admission, "_together", watched)
    new = 100 - seen_again
    chunks = [[f"k{i}" for i in [*range(seen_again), *range(100 + n * new, 100 + (n + 1) * new)]] for n in range(100)]
    (total,) = counted([sightings(keys)] for keys in chunks)
    assert sum(grouped) < 5 * sum(map(len, chunks))
    assert max(grouped) <= 2 * len(total.keys) + 100


def test_the_first_rows_are_each_features_out_of_vocabulary_row():
    values = grown([[("ann", ["x"])]])[-1].values
    assert identities(values) == [
        ("tags", None, True, 0, START),
        ("who", None, True, 0, START),
        ("tags", "x", False, 0, START),
        ("who", "ann", False, 0, START),
    ]


def test_a_missing_value_is_a_value_of_its_own_and_not_the_unknown_one():
    values = grown([[(None, ["x"])]])[-1].values
    missing, unknown = values.lookup("who", pa.array([None, "never seen"], pa.string()))
    assert missing >= 0
    assert missing != values.oov_rows()["who"]
    assert unknown == -1


def test_seeing_a_value_again_moves_its_last_span_and_an_older_span_does_not_move_it_back():
    rows = [("ann", ["x"])]
    once = grow(Vocabularies.empty(), table(rows), contract(), START)
    later = grow(once, table(rows), contract(), START + timedelta(days=3))
    older = grow(later, table(rows), contract(), START + timedelta(days=1))
    row = later.values.lookup("who", pa.array(["ann"]))[0]
    assert later.values.rows["first_span"][row].as_py() == START
    assert older.values.rows["last_span"][row].as_py() == START + timedelta(days=3)


def test_a_cross_with_an_unadmitted_side_waits_until_both_sides_have_rows():
    once, twice = grown([[("ann", ["x"])], [("ann", ["x"])]], min_count=2)[1:]
    assert len(once.crosses) == 0
    assert len(twice.crosses) == 1


def test_a_hundred_and_eighty_daily_growths_reassign_nothing_and_collide_nothing():
    random = np.random.default_rng(0)
    state, seen = Vocabularies.empty(), {}
    for day in range(180):
        rows = [(f"u{random.integers(400)}", [f"t{tag}" for tag in random.integers(60, size=2)]) for _ in range(20)]
        state = grow(state, table(rows), contract(min_count=2), START + timedelta(days=day))
        for place, identity in enumerate(identities(state.values)):
            assert seen.setdefault(identity, place) == place
    assert len(seen) == len(state.values)


@pytest.mark.parametrize("kind", ["values", "crosses"])
def test_a_vocabulary_survives_parquet_whole_and_its_bytes_are_deterministic(kind, tmp_path):
    state = grown([[("ann", ["x", None]), (None, None), ("bob", [])], [("ann", ["y"])]], cross_min_count=2)[-1]
    state = grow(state, table([("zed", ["z"])]), contract(min_count=2, cross_min_count=2), START)
    vocabulary = getattr(state, kind)
    for name in ("a", "b"):
        pq.write_table(vocabulary.to_read(), tmp_path / f"{name}-read")
        pq.write_table(vocabulary.to_grow(), tmp_path / f"{name}-grow")
    assert all((tmp_path / f"a-{part}").read_bytes() == (tmp_path / f"b-{part}").read_bytes() for part in ("read", "grow"))
    assert len(vocabulary.waiting) > 0
    tables = [pq.read_table(tmp_path / f"a-{part}") for part in ("read", "grow")]
    assert Vocabulary.from_tables(*tables, VALUE_KEY if kind == "values" else CROSS_KEY) == vocabulary


@pytest.mark.parametrize("kind", ["values", "crosses"])
def test_what_readers_are_given_says_nothing_of_waiting_keys_or_of_when_a_key_was_seen(kind):
    state = grown([[("ann", ["x"]), ("bob", ["y"]), ("ann", ["x"])]], cross_min_count=2)[-1]
    vocabulary = getattr(state, kind)
    key = VALUE_KEY if kind == "values" else CROSS_KEY
    read = Vocabulary.from_tables(vocabulary.to_read(), None, key)
    assert read.rows.select(["feature", "key", "oov", "generation"]) == vocabulary.to_read()
    assert {read.rows[name].null_count for name in ("first_span", "last_span")} == {len(vocabulary)}
    assert not len(read.waiting)


def test_files_of_different_vocabularies_are_not_put_together():
    small, large = (state.values for state in grown([[("ann", ["x"])], [("bob", ["y"])]])[-2:])
    with pytest.raises(IntegrityError, match="got spans of"):
        Vocabulary.from_tables(large.to_read(), small.to_grow(), VALUE_KEY)
    with pytest.raises(IntegrityError, match="columns are"):
        Vocabulary.from_tables(large.to_grow(), None, VALUE_KEY)
