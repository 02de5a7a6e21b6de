"""Each kind of damage becomes a finding that names the column and the damage; a clean span has none."""

import json
import os
import subprocess
import sys
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.contracts.shop import shop_span
from widedeep.data import movielens, row_checks, validation
from widedeep.data.contract import Column, load_contract
from widedeep.data.profiles import profile_of
from widedeep.data.sources import conform
from widedeep.data.validation import assess

BEFORE, SPAN = date(2025, 12, 31), date(2026, 1, 1)
SHOP = shop_span(SPAN)


@pytest.fixture(scope="module")
def contract(request):
    return load_contract(request.config.rootpath / "tests/contracts/shop.yaml")


@pytest.fixture(scope="module")
def sample_contract(request):
    return load_contract(request.config.rootpath / "dags/contracts/movielens.yaml")


def _with(name, values, table=SHOP):
    """The shop's rows with other first values in one column."""
    whole = values + table[name].to_pylist()[len(values) :]
    return table.set_column(table.column_names.index(name), name, pa.array(whole))


def _found(table, contract, past=(), span=SPAN):
    return {(f.check, f.column, f.severity): f.message for f in assess(table, contract, span, past).findings}


def test_a_clean_span_has_no_findings_and_its_evidence_is_complete(contract):
    assessment = assess(SHOP, contract, SPAN, [profile_of(shop_span(BEFORE), contract, BEFORE)])
    assert assessment.findings == ()
    result = json.loads(assessment.result)
    assert all(batch["success"] for batch in result["batches"].values())
    assert len(result["batches"]["rows"]["results"]) > 20
    assert assessment.profile == profile_of(SHOP, contract, SPAN)


TIME = SHOP["seen_at"][0].as_py()
DAMAGE = {
    "a missing column": (
        SHOP.drop_columns("price"),
        ("present", "price"),
        "column 'price': is missing, wanted among the delivered (c",
    ),
    "nulls in a key": (
        _with("customer", [None] * 30),
        ("nulls", "customer"),
        "column 'customer': 30 of 600 values are null, wanted none",
    ),
    "a wrong type": (_with("price", ["a"] * 600), ("type", "price"), "column 'price': has type string, wanted number, e.g. 'a'"),
    "a nested column": (_with("price", [["a"]] * 600), ("type", "price"), "has type list, wanted number"),
    "a new name for a country": (
        _with("country", ["XX"] * 60),
        ("allowed", "country"),
        "60 of 600 values are not among DE, FR, IT, PL, e.g. 'XX'",
    ),
    "another unit": (
        SHOP.set_column(4, "price", pc.multiply(SHOP["price"], 1000.0)),
        ("range", "price"),
        "column 'price': 600 of 600 values lie outside 0..500, e.g. ",
    ),
    "local time": (
        SHOP.set_column(8, "seen_at", pc.add(SHOP["seen_at"], pa.scalar(timedelta(hours=2)))),
        ("time", "seen_at"),
        "too late, as if local time of UTC+02:00 had been taken for UTC, e.g. 2026-01-02T0",
    ),
    "the rows of yesterday": (
        shop_span(BEFORE),
        ("time", "seen_at"),
        "600 of 600 values lie outside the span 2026-01-01 (UTC): all times lie 1 d too early, as the rows of another day do",
    ),
    "a file delivered twice": (
        pa.concat_tables([SHOP, SHOP]),
        ("duplicates", None),
        "50.00% of the rows equal an earlier one, wanted at most 1.00%; was a file delivered twice?",
    ),
    "a column that tells the label": (
        SHOP.set_column(4, "price", pc.add(pc.multiply(SHOP["clicked"].cast(pa.float64()), 100.0), SHOP["visits"].fill_null(0))),
        ("leak", "price"),
        "column 'price': tells the label alone (AUC 1.000, wanted at most 0.95); is it known before the label?",
    ),
    "too many nulls": (_with("visits", [None] * 300), ("nulls", "visits"), "column 'visits': 5"),
    "an empty span": (SHOP.slice(0, 0), ("rows", None), "the span has 0 rows, wanted 20 to 100,000"),
    "too few rows": (SHOP.slice(0, 10), ("rows", None), "the span has 10 rows"),
    "labels all positive": (_with("clicked", [True] * 600), ("label rate", "clicked"), "all rows are of one class: 1.0000"),
    "labels all negative": (_with("clicked", [False] * 600), ("label rate", "clicked"), "all rows are of one class: 0.0000"),
    "labels too seldom": (
        _with("clicked", [False] * 590),
        ("label rate", "clicked"),
        "of the rows are positive, wanted 0.1..0.9",
    ),
    "labels that are null": (_with("clicked", [None] * 60), ("nulls", "clicked"), "60 of 600 values are null"),
    "too many bad rows in all": (
        _with("country", ["XX"] * 4, _with("device", ["desktop"] * 4 + [None] * 4)),
        ("tolerance", None),
        "8 of 600 rows or more break a rule (1.33%), wanted at most 1.00% to take out",
    ),
}
HELD = {"a column that tells the label"}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_of_a_span_stops_it_and_is_named(contract, damage):
    table, (check, column), said = DAMAGE[damage]
    assessment = assess(conform(table, contract), contract, SPAN)
    found = {(f.check, f.column, f.severity): f.message for f in assessment.findings}
    assert said in found[(check, column, "drastic" if damage in HELD else "critical")]
    assert assessment.bad is None
    assert assessment.clean.num_rows == table.num_rows


def test_nothing_else_is_said_of_a_span_with_one_fault(contract):
    assert list(_found(DAMAGE["a wrong type"][0], contract)) == [("type", "price", "critical")]
    assert list(_found(_with("country", ["XX"]), contract)) == [("allowed", "country", "rows")]


def test_all_faults_are_found_together(contract):
    table = _with("country", ["XX"], _with("customer", [None], SHOP.drop_columns("device")))
    assert {column for _, column, _ in _found(table, contract)} == {"country", "customer", "device"}


def test_a_double_click_warns(contract):
    found = _found(pa.concat_tables([SHOP, SHOP.slice(0, 1)]), contract)
    assert "0.17% of the rows equal an earlier one, wanted none" in found[("duplicates", None, "warning")]


def test_a_column_that_the_contract_does_not_know_warns(contract):
    found = _found(SHOP.append_column("extra", SHOP["visits"]), contract)
    assert "columns extra: not in the contract" in found[("unknown", None, "warning")]


@pytest.fixture(scope="module")
def weighted(contract):
    """The shop's contract with its prices and visits as weights, one at a time."""

    def by(name):
        columns = contract.columns | {name: Column(type=contract.columns[name].type, role="weight")}
        return contract.model_copy(update={"columns": columns})

    return by


@pytest.mark.parametrize(
    ("column", "values", "check", "said"),
    [
        (
            "price",
            [-0.5, -2.0],
            "weight",
            "column 'price': 2 of 600 values are negative or infinite, as no weight may be, e.g. -",
        ),
        (
            "price",
            [float("inf")],
            "weight",
            "column 'price': 1 of 600 values are negative or infinite, as no weight may be, e.g. inf",
        ),
        ("price", [1e39], "weight", "1 of 600 values are negative or infinite"),
        ("price", [float("nan")] * 3, "nulls", "column 'price': 3 of 600 values are null, wanted none"),
        ("visits", [-1], "weight", "column 'visits': 1 of 600 values are negative"),
    ],
    ids=str,
)
def test_rows_with_a_weight_that_counts_nothing_are_taken_out_and_said_once(weighted, column, values, check, said):
    table = SHOP.set_column(SHOP.column_names.index("visits"), "visits", pc.fill_null(SHOP["visits"], 1))
    contract = weighted(column)
    found = _found(conform(_with(column, values, table), contract), contract)
    assert said in found.pop((check, column, "rows"))
    assert found == {}


def test_weights_from_zero_on_pass(weighted):
    assert _found(_with("price", [0.0, 3e38]), weighted("price")) == {}


def test_drift_warns_with_how_much_and_what_moved_and_a_drastic_one_asks_for_a_person(contract):
    past = [profile_of(SHOP, contract, SPAN)]
    tomorrow = date(2026, 1, 2)
    moved = _with("device", ["tablet"] * 300, shop_span(tomorrow))
    found = _found(moved, contract, past, tomorrow)
    assert list(found) == [("drift", "device", "warning")]
    message = found[("drift", "device", "warning")]
    assert "(Jensen-Shannon distance) since span 2026-01-01, wanted at most 0.300 (the contract's drift_limit)" in message
    assert "most of all 'tablet', from 3" in message
    replaced = _with("device", ["tv"] * 600, shop_span(tomorrow))
    assert ("drift", "device", "drastic") in _found(replaced, contract, past, tomorrow)


def test_drift_that_is_not_worth_a_finding_is_kept_with_its_limit(contract):
    yesterday = shop_span(SPAN - timedelta(days=1))
    past = [profile_of(yesterday, contract, SPAN - timedelta(days=1))]
    found = assess(shop_span(SPAN), contract, SPAN, past)
    told = {(effect.column, effect.measure) for effect in found.effects}
    assert {"device", "price", "rows", "label rate"} <= {column for column, _ in told}
    assert len(told) == len(found.effects)
    assert all(effect.effect <= effect.limit for effect in found.effects)
    assert assess(shop_span(SPAN), contract, SPAN).effects == ()


def test_after_a_pause_drift_is_measured_against_the_last_days_that_were_learnt(contract):
    later = SPAN + timedelta(days=2 * contract.drift.look_back + 70)
    past = [profile_of(shop_span(day), contract, day) for day in (BEFORE, SPAN)]
    dearer = shop_span(later)
    dearer = dearer.set_column(4, "price", pc.multiply(dearer["price"], 0.13))
    assert _found(shop_span(later), contract, past, later) == {}
    assert "since 2 spans from 2025-12-31 to 2026-01-01" in _found(dearer, contract, past, later)[("drift", "price", "drastic")]


def _at(*moments):
    """The shop's rows, the first of them at other times, in microseconds."""
    times = SHOP["seen_at"].cast(pa.int64()).to_pylist()
    return SHOP.set_column(8, "seen_at", pa.array([*moments, *times[len(moments) :]]).cast(SHOP.schema.field("seen_at").type))


@pytest.mark.parametrize("moment", [-(2**63) + 1, -(2**62), 1_772_668_800_000_000_000, 2**63 - 1])
def test_a_time_that_no_calendar_has_is_a_bad_row_or_a_bad_span_and_no_crash(contract, moment):
    (said,) = _found(_at(moment), contract).values()
    assert "column 'seen_at': 1 of 600 values lie outside the span 2026-01-01 (UTC), e.g. " in said
    assert ("time", "seen_at", "critical") in _found(_at(*[moment] * 600), contract)


def test_a_time_that_no_calendar_has_can_be_shown_wherever_a_value_is(contract):
    keyed = contract.model_copy(update={"key": ("seen_at",)})
    assert "e.g. 58143-" in _found(_at(*[1_772_668_800_000_000_000] * 2), keyed)[("key", "seen_at", "rows")]
    seen = SHOP["seen_at"].cast(pa.int64())
    typed = SHOP.set_column(0, "customer", pc.multiply(seen, 1000).cast(pa.timestamp("us")))
    assert "has type timestamp[us], wanted string, e.g. " in _found(typed, contract)[("type", "customer", "critical")]


@pytest.mark.parametrize("bytes_of", [lambda i: b"\xff\xfe" + bytes([i % 7]), lambda i: [b"\xff", bytes([i % 256])]])
def test_bytes_that_are_no_text_in_a_column_that_nobody_knows_only_warn(contract, bytes_of):
    table = SHOP.append_column("blob", pa.array([bytes_of(i) for i in range(600)]))
    assert list(_found(table, contract)) == [("unknown", None, "warning")]
    twice = pa.concat_tables([table, table.slice(0, 30)])
    assert ("duplicates", None, "critical") in _found(twice, contract)


def test_what_breaks_the_checks_themselves_quarantines_the_span_with_the_reason(contract, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr(validation, "span_subject", broken)
    assessment = assess(SHOP, contract, SPAN)
    ((check, column, severity),) = _found(SHOP, contract)
    assert (check, column, severity) == ("checks", None, "critical")
    assert "the checks broke off: ZeroDivisionError: of nothing" in assessment.findings[0].message
    assert (assessment.profile, assessment.bad, assessment.clean) == (None, None, SHOP)


def test_a_machine_without_memory_is_not_the_datas_fault(contract, monkeypatch):
    def broken(*_):
        raise MemoryError

    monkeypatch.setattr(validation, "span_subject", broken)
    with pytest.raises(MemoryError):
        assess(SHOP, contract, SPAN)


@pytest.mark.parametrize(("late", "severity"), [(18, "rows"), (120, "rows"), (160, "critical")])
def test_late_rows_are_taken_out_whatever_the_tolerance_until_they_are_too_many(contract, late, severity):
    mixed = pa.concat_tables([SHOP, shop_span(BEFORE).slice(0, late)])
    found = _found(mixed, contract)
    said = f"{late} of {600 + late} values lie outside the span 2026-01-01 (UTC): they are late by up to 7 d"
    assert list(found) == [("late", "seen_at", severity)]
    assert said in found[("late", "seen_at", severity)]
    assert assess(mixed, contract, SPAN).clean.num_rows == (600 if severity == "rows" else 600 + late)


def test_a_clock_that_is_behind_makes_no_late_rows(contract):
    early = SHOP.set_column(8, "seen_at", pc.subtract(SHOP["seen_at"], pa.scalar(timedelta(hours=2))))
    assert "all times lie 2 h too early" in _found(early, contract)[("time", "seen_at", "critical")]


@pytest.mark.parametrize(("late", "found"), [(120, {}), (600, {("late", "seen_at", "critical")})])
def test_where_late_rows_are_kept_too_many_of_them_are_an_earlier_days_file(contract, late, found):
    keeping = contract.model_copy(update={"late": contract.late.model_copy(update={"rows": "keep"})})
    assert set(_found(pa.concat_tables([SHOP.slice(late), shop_span(BEFORE).slice(0, late)]), keeping)) == set(found)


def _changed(contract, name, **entries):
    column = contract.columns[name].model_copy(update=entries)
    return contract.model_copy(update={"columns": contract.columns | {name: column}})


@pytest.mark.parametrize(("own", "whole"), [(0.5, 0.2), (0.0, 1.0)])
def test_a_columns_own_null_share_stands_for_that_of_the_span(contract, own, whole):
    limits = contract.checks.model_copy(update={"max_null_share": whole})
    own_limit = _changed(contract.model_copy(update={"checks": limits}), "visits", max_null_share=own)
    nulls = _with("visits", [None] * 200)
    assert [*_found(nulls, own_limit)] == ([] if own else [("nulls", "visits", "critical")])


@pytest.mark.parametrize(("limits", "fine"), [((3, 3), True), ((4, 9), False), ((1, 2), False)])
def test_a_column_of_too_few_or_too_many_different_values_quarantines_the_span(contract, limits, fine):
    found = _found(SHOP, _changed(contract, "device", different=limits))
    assert [*found] == ([] if fine else [("different", "device", "critical")])
    said = f"column 'device': has 3 different values, wanted {limits[0]} to {limits[1]}"
    assert fine or found[("different", "device", "critical")] == said


def test_an_expectation_that_cannot_run_is_a_finding_and_no_crash(contract, monkeypatch):
    monkeypatch.setattr(row_checks, "CONTROL", "(")
    assessment = assess(_with("country", ["XX"]), contract, SPAN)
    found = {(f.check, f.column, f.severity): f.message for f in assessment.findings}
    assert "column 'country': the check of its control could not run: " in found[("control", "country", "critical")]
    assert ("allowed", "country", "critical") in found
    assert assessment.bad is None


def test_null_and_unknown_items_of_lists_are_found(sample_contract, sample):
    week = movielens.delivery(sample, SPAN, 30)
    columns = dict(sample_contract.columns)
    columns["genres"] = columns["genres"].model_copy(update={"allowed": ("Drama",)})
    narrow = sample_contract.model_copy(update={"columns": columns})
    listed = week["liked_items"].to_pylist()
    listed[0] = ["1", None]
    damaged = week.set_column(week.column_names.index("liked_items"), "liked_items", pa.array(listed))
    found = _found(damaged, narrow, span=SPAN + timedelta(days=30))
    assert "1 of 1,162 values hold a null item" in found[("items", "liked_items", "critical")]
    assert "hold an item that is not among Drama, e.g. '" in found[("allowed", "genres", "critical")]


def test_every_span_of_the_sample_passes_and_few_warn(sample_contract, sample, monkeypatch):
    monkeypatch.setattr(validation, "_page", lambda *_: b"")  # a fifth of the time
    past, warned = [], []
    for span, table in movielens.deliveries(sample, SPAN):
        assessment = assess(table, sample_contract, span, past)
        assert [f for f in assessment.findings if f.severity in {"critical", "drastic"}] == []
        warned += [(span, f.column) for f in assessment.findings]
        past.append(assessment.profile)
    assert len(warned) <= 3


def test_equal_spans_give_equal_results(contract):
    one, other = (assess(table, contract, SPAN, []) for table in (SHOP, shop_span(SPAN)))
    assert one.result == other.result
    assert one.profile.to_bytes() == other.profile.to_bytes()
    assert len(one.profile.to_bytes()) < 5_000


def test_the_pages_need_no_other_file_and_run_nothing_that_was_delivered(contract):
    pages = assess(_with("country", ["<script>alert(1)</script><img src=x>"]), contract, SPAN, []).docs
    assert set(pages) == {"docs/rows.html", "docs/span.html"}
    for page in (data.decode() for data in pages.values()):
        assert "default-src 'none'" in page
        assert not any(tag in page.lower() for tag in ("<script", "<link", "<img", 'src="http'))
    assert "country" in pages["docs/rows.html"].decode()


def test_great_expectations_is_silent_and_writes_no_file(contract, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assess(SHOP, contract, SPAN, [])
    assert list(tmp_path.rglob("*")) == []
    assert capfd.readouterr() == ("", "")
    assert os.environ["GX_ANALYTICS_ENABLED"] == "False"
    assert not any(name.startswith("posthog") for name in sys.modules)


def test_great_expectations_says_nothing_in_a_log_that_listens_to_everything(request):
    """A task's log tells the story in a line; the import alone would add hundreds."""
    program = """
import logging, pathlib
from datetime import date
logging.basicConfig(level=logging.INFO)
from tests.contracts.shop import shop_span
from widedeep.data.contract import load_contract
from widedeep.data.validation import assess
span, contract = date(2026, 1, 1), load_contract(pathlib.Path("tests/contracts/shop.yaml"))
assess(shop_span(span), contract, span, [])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=request.config.rootpath, capture_output=True, text=True, check=True
    )
    assert "INFO" not in done.stdout + done.stderr
