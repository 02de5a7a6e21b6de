"""Which rows are learnt: decided row by row, whatever is read with them, and told in the report."""

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.artifacts import Part
from widedeep.data.contract import Column, Contract, Gate, Label, SplitRule, Training
from widedeep.training.candidate import train_candidate
from widedeep.training.sampling import sampled

SPAN = date(2026, 1, 1)
PART = Part(span=SPAN, version=1, digest="a" * 64, part="train")
RATES = st.floats(0.01, 1)
LABELS = st.lists(st.booleans(), min_size=20, max_size=80)


def contract(rate: float) -> Contract:
    columns = {
        "who": Column(type="string", role="categorical"),
        "at": Column(type="timestamp"),
        "bought": Column(type="boolean"),
    }
    training = Training(negative_rate=rate)
    fixed = {"name": "small", "user": "who", "time": "at", "label": Label(column="bought")}
    return Contract(columns=columns, split=SplitRule(salt="s"), gate=Gate(margin=0.01), training=training, **fixed)


def rows(labels) -> pa.Table:
    return pa.table({"row": pa.array(range(len(labels)), pa.int64()), "bought": pa.array(labels, pa.bool_())})


def kept(labels, rate, part=PART, seed=0) -> list[int]:
    return sampled(rows(labels), contract(rate), part, seed)["row"].to_pylist()


@given(LABELS, RATES, st.lists(st.integers(0, 20), max_size=4))
def test_chunks_of_a_part_give_the_rows_of_the_whole(labels, rate, cuts):
    table, bounds = rows(labels), sorted({0, len(labels), *cuts})
    chunks = [sampled(table.slice(start, stop - start), contract(rate), PART, 0, start=start) for start, stop in pairwise(bounds)]
    assert [row for chunk in chunks for row in chunk["row"].to_pylist()] == kept(labels, rate)


@given(LABELS, RATES)
def test_all_positives_are_learnt_and_other_labels_change_no_decision(labels, rate):
    chosen = set(kept(labels, rate))
    assert {i for i, positive in enumerate(labels) if positive} <= chosen
    assert {i for i in chosen if not labels[i]} <= set(kept([False] * len(labels), rate))


@given(LABELS, RATES, RATES)
def test_a_smaller_rate_learns_a_subset(labels, one, other):
    assert set(kept(labels, min(one, other))) <= set(kept(labels, max(one, other)))


def test_the_share_of_negatives_is_the_rate_and_at_one_nothing_is_touched():
    # The binomial's standard error is 0.0013.
    assert len(kept([False] * 50_000, 0.1)) / 50_000 == pytest.approx(0.1, abs=0.005)
    table = rows([False, True])
    assert sampled(table, contract(1.0), PART, 0) is table


@pytest.mark.parametrize(
    ("change", "seed"),
    [({"digest": "b" * 64}, 0), ({"part": "holdout"}, 0), ({"span": SPAN + timedelta(days=1)}, 0), ({}, 1)],
    ids=["snapshot", "part", "span", "seed"],
)
def test_each_part_of_each_snapshot_draws_for_itself(change, seed):
    negatives = [False] * 500
    first, other = set(kept(negatives, 0.5)), set(kept(negatives, 0.5, PART.model_copy(update=change), seed))
    # Independent halves share a quarter: 125 rows, with a standard error of 10.
    assert 75 < len(first & other) < 175


def test_equal_rows_delivered_as_another_version_are_sampled_alike():
    negatives = [False] * 100
    assert kept(negatives, 0.5) == kept(negatives, 0.5, PART.model_copy(update={"version": 2}))


def test_what_sampling_leaves_out_is_neither_learnt_nor_given_a_row_and_the_report_counts_it(make_contract, make_rows):
    table, heard = make_rows(0, count=200), []
    sampling = make_contract(training=Training(batch_size=16, negative_rate=0.2))
    bundle, report = train_candidate(None, [(PART, table)], sampling, 7, lambda done, total: heard.append((done, total)))
    learnt = sampled(table, sampling, PART, 7)
    plain, _ = train_candidate(None, [(PART, learnt)], make_contract(), 7, lambda *_: None)
    assert 0 < learnt.num_rows < 200
    assert (report.rows, report.parts[0].left_out) == (learnt.num_rows, 200 - learnt.num_rows)
    assert bundle.vocabularies == plain.vocabularies
    assert bundle.quantiles == plain.quantiles
    assert heard[0] == (0, learnt.num_rows)
    assert heard[-1] == (learnt.num_rows, learnt.num_rows)


def test_a_part_that_is_sampled_away_is_learnt_as_no_rows(make_contract, make_rows):
    table = make_rows(0).set_column(5, "bought", pa.array([False] * 60))
    sampling = make_contract(training=Training(negative_rate=1e-9))
    parts = [(PART, table), (PART.model_copy(update={"span": SPAN + timedelta(days=1)}), make_rows(1))]
    _, report = train_candidate(None, parts, sampling, 7, lambda *_: None)
    first, _ = report.parts
    assert (first.rows, first.left_out, first.log_loss) == (0, 60, None)
    assert report.rows == int(np.sum(make_rows(1)["bought"].to_numpy(zero_copy_only=False)))
