"""The benchmark of the checks can tell a fault that was caught from one that was not, and judges no store that was tuned on."""

import numpy as np
import pytest

from benchmarks.validation import seeds, speed
from benchmarks.validation.corpus import CORPUS, STORES, caught, findings_on, level, meant
from benchmarks.validation.faults import Fault
from benchmarks.validation.good import contract, good_days
from benchmarks.validation.graded import GRADED, NEEDED, standard_errors
from benchmarks.validation.sides import ours, plain_gx
from benchmarks.validation.wide_span import damaged, rows

FAULTS = {fault.name: fault for fault in CORPUS}


@pytest.fixture(scope="module")
def good():
    return good_days(contract(), seed=1, rows=3_000)


def test_at_least_fifty_kinds_of_damage_have_names_levels_and_words_of_their_own():
    assert len(FAULTS) == len(CORPUS) >= 50
    assert all(fault.levels and len(fault.words) > 1 for fault in CORPUS)


def test_no_store_is_judged_that_anything_was_tuned_on():
    judged = {*seeds.CLEAN, *seeds.DAMAGED}
    assert judged & {*seeds.TUNED_ON} == set()
    assert len(judged) == len(seeds.CLEAN) + len(seeds.DAMAGED)
    assert {*seeds.NOISE} < {*seeds.TUNED_ON}
    assert max(STORES.values()) <= len(seeds.DAMAGED)


def test_what_has_to_be_caught_of_3_000_rows_follows_from_standard_errors_alone():
    errors = standard_errors(contract(), 3_000)
    assert {f.name for f in GRADED if meant(f, 3_000)} == {name for name, found in errors.items() if found >= NEEDED}


def test_a_good_day_is_not_caught(good):
    good_as_it_is = Fault("nothing", ("rows", "quarantined", "held"), ("",), lambda t, _: t)
    findings = findings_on(good_as_it_is, good, contract(), 1)
    assert not caught(good_as_it_is, findings)
    assert level(findings) in {"nothing", "warning"}


@pytest.mark.parametrize(
    "name",
    [
        "ages of 200, few",
        "ages of 200, many",
        "the label leaks into a feature",
        "the time zone is 8 hours off",
        "yesterday is delivered again",
        "an empty file",
    ],
)
def test_damage_is_caught_at_its_level_and_by_its_words_only(good, name):
    fault = FAULTS[name]
    findings = findings_on(fault, good, contract(), 1)
    assert caught(fault, findings)
    assert not caught(Fault(name, fault.levels, ("no such word",), fault.spoil), findings)
    assert not caught(Fault(name, ("warning",), fault.words, fault.spoil), findings)


def test_yesterdays_rows_are_those_of_the_day_before(good):
    yesterday = FAULTS["yesterday is delivered again"].of(good)
    assert np.array_equal(
        yesterday["event_time"].to_numpy().astype("datetime64[D]") + 1, good.rows["event_time"].to_numpy().astype("datetime64[D]")
    )
    assert not yesterday["row_id"].equals(good.rows["row_id"])


@pytest.mark.parametrize("side", [ours, plain_gx])
def test_each_side_of_the_speed_table_finds_the_planted_damage_and_nothing_else(tmp_path, side):
    speed.prepare(tmp_path, 1_000)
    assert side.prepared(tmp_path, tmp_path / "rows.parquet")() == set()
    assert side.prepared(tmp_path, tmp_path / "damaged.parquet")() == damaged(rows(1_000))[1]
