"""What the model reads: canonical keys, crosses of two bags, quantiles, missing values, labels."""

import tracemalloc
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.data.contract import Column, Contract, Cross, Gate, Label, SplitRule
from widedeep.errors import ContractError
from widedeep.features import quantiles as q
from widedeep.features.bags import Bag, offsets_of
from widedeep.features.columns import categorical_keys, cross_name, multivalent_keys
from widedeep.features.coverage import Known, count_known
from widedeep.features.crosses import cross, sides_of
from widedeep.features.encoding import encode, labels
from widedeep.features.growth import Vocabularies, grow

DAY = date(2026, 1, 1)


def contract(label: Label | None = None) -> Contract:
    return Contract(
        name="encoding",
        user="who",
        time="at",
        label=label or Label(column="stars", at_least=4),
        columns={
            "who": Column(type="integer", role="categorical"),
            "seen": Column(type="list", role="multivalent"),
            "tags": Column(type="list", role="multivalent"),
            "age": Column(type="number", role="numeric"),
            "at": Column(type="timestamp"),
            "stars": Column(type="integer"),
        },
        crosses=(Cross(of=("seen", "tags")), Cross(of=("who", "tags"))),
        split=SplitRule(salt="s"),
        gate=Gate(margin=0.01),
    )


def rows() -> pa.Table:
    return pa.table(
        {
            "who": pa.array([7, 8, None, 7]),
            "seen": pa.array([["a", "b"], [], None, ["b"]]),
            "tags": pa.array([["x", "y"], ["x"], ["x"], []]),
            "age": pa.array([10.0, None, float("nan"), 30.0]),
            "at": pa.array([0, 0, 0, 0]),
            "stars": pa.array([5, 1, 4, 3]),
        }
    )


def encoded(table: pa.Table, learnt: pa.Table | None = None):
    vocabularies = grow(Vocabularies.empty(), rows() if learnt is None else learnt, contract(), DAY)
    return vocabularies, encode(table, vocabularies, q.fit(q.Quantiles(), rows(), ("age",), 4), contract())


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        (pa.array([3, -3, None]), ["3", "-3", None]),
        (pa.array([3], pa.int8()), ["3"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([1.0, 2.5]), ["1", "2.5"]),
        (pa.chunked_array([["b"], ["a"]]), ["b", "a"]),
        (pa.array(["b", "a", "b"]).slice(1), ["a", "b"]),
        (pa.array(["b", None, "a"]).dictionary_encode().filter(pa.array([False, True, True])), [None, "a"]),
        (pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array([3, 3, None])), ["3", "3", None]),
        (pa.chunked_array([pa.array(["b"]).dictionary_encode(), pa.array(["a", "b"]).dictionary_encode()]), ["b", "a", "b"]),
    ],
)
def test_every_type_becomes_strings_one_single_way(column, wanted):
    keys = categorical_keys(pa.table({"c": column}), "c")
    assert [keys.unique.to_pylist()[code] for code in keys.bag.flat] == wanted


def test_a_missing_list_is_a_bag_of_one_missing_value_and_an_empty_list_an_empty_bag():
    keys = multivalent_keys(pa.table({"c": pa.array([["a"], None, [], ["b", None]])}).slice(1), "c")
    assert keys.bag.lengths().tolist() == [1, 0, 2]
    assert [keys.unique.to_pylist()[code] for code in keys.bag.flat] == [None, "b", None]


def test_a_cross_of_two_multivalent_features_is_every_pair_of_the_two_bags():
    vocabularies, batch = encoded(rows())
    values = {(r["feature"], r["key"]): i for i, r in enumerate(vocabularies.values.rows.to_pylist()) if not r["oov"]}
    name = cross_name(("seen", "tags"))
    pairs = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    keys = [(values["seen", s] << 32) | values["tags", t] for s, t in pairs]
    wanted = vocabularies.crosses.lookup(name, pa.array(keys)) + len(vocabularies.values)
    first = set(batch.wide.slice(0, 1).flat.tolist())
    assert set(wanted.tolist()) <= first
    # Two bags of two and one user: five values, four pairs of the bags, two of user and tags.
    assert len(first) == 5 + 4 + 2


def pairs_within_rows(left, right):
    return [[(a << 32) | b for a in one for b in other if a >= 0 and b >= 0] for one, other in zip(left, right, strict=True)]


def bag_of(lists):
    return Bag(np.array([e for row in lists for e in row], np.int32), offsets_of(np.array([len(row) for row in lists], np.int64)))


entries = st.lists(st.one_of(st.just(-1), st.integers(0, 2**31 - 1)), max_size=4)


@given(st.lists(st.tuples(entries, entries), max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_cross_holds_the_pairs_of_known_sides_in_the_order_of_the_left_bag_then_of_the_right_one(rows):
    left, right = [one for one, _ in rows], [other for _, other in rows]
    keys, wanted = cross(bag_of(left), bag_of(right)), pairs_within_rows(left, right)
    assert keys.flat.dtype == np.int64
    assert [keys.slice(i, i + 1).flat.tolist() for i in range(len(rows))] == wanted
    assert keys.offsets.tolist() == offsets_of(np.array([len(row) for row in wanted], np.int64)).tolist()
    assert sides_of(keys.flat)[0].tolist() == [key >> 32 for row in wanted for key in row]


def test_crossing_takes_no_memory_but_its_result_and_two_numbers_per_row():
    count, width = 4096, 20
    left = Bag(np.zeros(count * width, np.int32), np.arange(count + 1) * width)
    right = Bag(np.zeros(count, np.int32), np.arange(count + 1))
    cross(left.slice(0, 1), right.slice(0, 1))  # compiled before it is measured
    tracemalloc.start()
    try:
        keys = cross(left, right)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < keys.flat.nbytes + 4 * keys.offsets.nbytes


def test_an_unseen_cross_contributes_nothing_and_an_unseen_value_reads_its_features_oov_row():
    vocabularies, batch = encoded(rows().slice(0, 1), learnt=rows().slice(1, 1))
    oov = vocabularies.values.oov_rows()
    assert batch.rows.tolist() == [[oov["who"]]]
    assert batch.bags[0].flat.tolist() == [oov["seen"]] * 2
    assert (batch.wide.flat < len(vocabularies.values)).all()
    known = count_known(batch, vocabularies.features, Known.of(vocabularies, vocabularies)).coverage()
    assert (known.oov_share, known.unseen_cross_share) == (0.8, 1.0)


def test_numbers_become_quantiles_and_missing_ones_an_input_of_their_own():
    _, batch = encoded(rows())
    np.testing.assert_allclose(batch.dense, [[2 / 3, 0], [0, 1], [0, 1], [1, 0]], rtol=1e-6)


@given(
    st.lists(st.one_of(st.none(), st.floats(-3, 3), st.just(float("inf"))), max_size=9), st.lists(st.floats(-3, 3), max_size=9)
)
@settings(max_examples=60, deadline=None)
def test_a_quantile_is_the_share_of_boundaries_at_or_below_the_value(values, cuts):
    boundaries = q.Quantiles(boundaries={"a": tuple(sorted(cuts))} if cuts else {})
    dense = q.transform(boundaries, pa.table({"a": pa.array(values, pa.float64())}), ("a",))
    wanted = [[0 if v is None else sum(c <= v for c in cuts) / max(len(cuts), 1), v is None] for v in values]
    np.testing.assert_array_equal(dense, np.array(wanted, np.float32).reshape(-1, 2))


def test_frozen_boundaries_do_not_move_and_a_feature_without_values_is_fitted_when_it_has_some():
    first = q.fit(q.Quantiles(), pa.table({"a": [1.0, 2.0], "b": pa.nulls(2, pa.float64())}), ("a", "b"), 4)
    later = q.fit(first, pa.table({"a": [50.0], "b": [5.0]}), ("a", "b"), 4)
    assert set(first.boundaries) == {"a"}
    assert later.boundaries == {"a": first.boundaries["a"], "b": (5.0, 5.0, 5.0)}
    assert later.fitted_on == {"a": 2, "b": 1}


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(2, 12))
@settings(max_examples=60, deadline=None)
def test_rows_that_the_boundaries_were_fitted_on_show_no_drift_ties_or_not(values, count):
    table = pa.table({"a": pa.array(values, pa.float64())})
    fitted = q.fit(q.Quantiles(), table, ("a",), count)
    assert q.drift(fitted, table, ("a",)) == {"a": 0.0}
    assert q.drift(fitted, pa.table({"a": [99.0] * 9}), ("a",))["a"] == pytest.approx(1 - 1 / count, abs=1e-5)


def test_labels_follow_the_contract_and_are_absent_when_serving():
    _, batch = encoded(rows())
    assert batch.labels is not None
    assert batch.labels.tolist() == [1, 0, 1, 0]
    assert encoded(rows().drop_columns("stars"), learnt=rows())[1].labels is None
    assert labels(pa.table({"stars": [True, False]}), contract(Label(column="stars"))).tolist() == [1, 0]


def test_a_missing_label_or_column_is_an_error_that_names_it():
    with pytest.raises(ContractError, match="'stars': 1 of 2 rows"):
        labels(pa.table({"stars": [1, None]}), contract())
    with pytest.raises(ContractError, match="'tags'"):
        encoded(rows().drop_columns("tags"), learnt=rows())


@pytest.mark.parametrize(
    ("limit", "stars", "said"),
    [
        (None, [1.0, 0.0, float("nan")], "1 of 3 rows .* such as nan; wanted 0 or 1"),
        (None, [1.0, None, 0.5], "2 of 3 rows .* such as None; wanted 0 or 1"),
        (None, [1, -1, 0], "1 of 3 rows .* such as -1; wanted 0 or 1"),
        (4, [5.0, float("nan"), 1.0], "1 of 3 rows .* such as nan; wanted a number"),
    ],
)
def test_a_label_that_is_no_label_is_refused_before_it_spoils_a_model(limit, stars, said):
    with pytest.raises(ContractError, match=said):
        labels(pa.table({"stars": stars}), contract(Label(column="stars", at_least=limit)))


@given(st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=8), st.data())
@settings(max_examples=60, deadline=None)
def test_taking_and_slicing_a_bag_is_taking_and_slicing_its_rows(lists, data):
    bag = Bag(np.array([e for row in lists for e in row], np.int64), offsets_of(np.array([len(row) for row in lists])))
    order = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8))
    start = data.draw(st.integers(0, len(lists)))
    taken, tail = bag.take(np.array(order, np.int64)), bag.slice(start, len(lists))
    assert [taken.slice(i, i + 1).flat.tolist() for i in range(len(order))] == [lists[i] for i in order]
    assert [tail.slice(i, i + 1).flat.tolist() for i in range(len(lists) - start)] == lists[start:]


@given(st.permutations(range(4)))
@settings(max_examples=10, deadline=None)
def test_a_row_is_encoded_the_same_whatever_rows_stand_around_it(order):
    vocabularies, whole = encoded(rows())
    alone = encode(rows().take(order), vocabularies, q.fit(q.Quantiles(), rows(), ("age",), 4), contract())
    wanted = whole.take(np.array(order))
    assert alone.rows.tolist() == wanted.rows.tolist()
    assert alone.wide.flat.tolist() == wanted.wide.flat.tolist()
    assert alone.dense.tolist() == wanted.dense.tolist()
