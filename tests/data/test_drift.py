"""What moved is told, with how much and from what to what; what did not is not; a person is asked only past the drastic limit."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from tests.contracts.shop import shop_span
from widedeep.data.contract import load_contract
from widedeep.data.drift import moves
from widedeep.data.profiles import profile_of

FIRST = date(2026, 1, 1)
ROWS = 2000


@pytest.fixture(scope="module")
def contract(request):
    """The shop's, without limits of its own."""
    whole = load_contract(request.config.rootpath / "tests/contracts/shop.yaml")
    columns = {name: column.model_copy(update={"drift_limit": None}) for name, column in whole.columns.items()}
    return whole.model_copy(update={"columns": columns})


@pytest.fixture(scope="module")
def past(contract):
    return [profile_of(_day(i), contract, FIRST + timedelta(days=i)) for i in range(20)]


def _day(number, rows=ROWS):
    return shop_span(FIRST + timedelta(days=number), rows)


TODAY = FIRST + timedelta(days=20)


def _told(table, contract, past, span=TODAY):
    found = moves(profile_of(table, contract, span), past, contract)
    return {(m.column, m.measure.split()[0]): m for m in found if m.level != "none"}


def _with(name, values, table=None):
    table = _day(20) if table is None else table
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def test_a_clean_span_has_every_measure_and_no_warning(contract, past):
    found = moves(profile_of(_day(20), contract, TODAY), past, contract)
    assert {m.column for m in found} == {"customer", "country", "device", "product", "price", "visits", "label rate", "rows"}
    assert [m.sentence for m in found if m.level != "none"] == []


def test_a_moved_share_warns_in_that_column_only_with_what_moved(contract, past):
    device = np.array(_day(20)["device"].to_pylist(), object)
    device[:400] = "mobile"
    found = _told(_with("device", device), contract, past)
    assert [*found] == [("device", "Jensen-Shannon")]
    move = found[("device", "Jensen-Shannon")]
    assert move.level == "warning"
    assert move.effect > move.limit
    assert "since 2 spans from 2026-01-07 to 2026-01-14" in move.sentence
    assert "past spans moved by at most" in move.sentence
    assert "most of all 'mobile', from 33." in move.sentence


def test_another_unit_asks_for_a_person_and_names_the_medians(contract, past):
    found = _told(_with("price", _day(20)["price"].to_numpy() * 1000), contract, past)
    move = found[("price", "Kolmogorov-Smirnov")]
    assert (move.level, move.drastic) == ("drastic", 0.5)
    assert "median from 6" in move.sentence
    assert move.sentence.endswith("beyond 0.500 a person decides")


def test_new_nulls_are_told_as_nulls(contract, past):
    visits = _day(20)["visits"].to_pylist()
    found = _told(_with("visits", [None] * 600 + visits[600:]), contract, past)
    assert "most of all the nulls, from 5." in found[("visits", "Kolmogorov-Smirnov")].sentence


def test_nulls_are_told_as_nulls_though_chance_moves_a_number_beside_them(contract, past):
    lost = np.arange(ROWS) % 10 < 3
    found = _told(_with("price", pa.array(_day(20)["price"].to_numpy() * 0.95, mask=lost)), contract, past)
    assert "most of all the nulls, from 0.0% to 30.0%" in found[("price", "Kolmogorov-Smirnov")].sentence


def test_lists_that_were_lost_are_told_beside_items_that_move_each_day(contract):
    columns = contract.columns | {"tags": contract.columns["country"].model_copy(update={"type": "list", "role": "multivalent"})}
    wide = contract.model_copy(update={"columns": columns})

    def day(number, lost=20):
        rng = np.random.default_rng(number)
        items = rng.choice([f"tag-{i}" for i in range(40)], (ROWS, 8), p=rng.dirichlet(np.ones(40)))
        return _day(number).append_column("tags", pa.array([[]] * lost + items[lost:].tolist()))

    profiles = [profile_of(day(i), wide, FIRST + timedelta(days=i)) for i in range(20)]
    assert _told(day(20), wide, profiles) == {}
    found = _told(day(20, 400), wide, profiles)[("tags", "Jensen-Shannon")]
    assert found.measure == "Jensen-Shannon distance of gaps"
    assert "(null) from 0.0% to 0.0%, (empty list) from 0.1% to 3.0% of the items" in found.sentence


def test_recoded_ids_are_unknown_values(contract):
    def items(day, prefix="p"):
        drawn = np.random.default_rng(day).integers(0, 2000, ROWS)
        return _with("product", [f"{prefix}{i}" for i in drawn], _day(day))

    past = [profile_of(items(i), contract, FIRST + timedelta(days=i)) for i in range(20)]
    assert _told(items(20), contract, past) == {}
    move = _told(items(20, "P-"), contract, past)[("product", "share")]
    assert move.level == "drastic"
    assert "drifted by 1.000 (share of unknown values)" in move.sentence


def test_the_label_rate_and_the_volume_are_told_and_drastic_ratios_ask_for_a_person(contract, past):
    clicked = _day(20)["clicked"].to_numpy(zero_copy_only=False)
    rare = clicked & (np.random.default_rng(0).random(ROWS) < 0.7)
    assert _told(_with("clicked", rare), contract, past)[("label rate", "log")].level == "warning"
    move = _told(_with("clicked", clicked & (np.random.default_rng(0).random(ROWS) < 0.3)), contract, past)[("label rate", "log")]
    assert move.level == "drastic"
    assert "from 0.49" in move.sentence
    half, tenth = (_told(shop_span(TODAY, rows), contract, past)[("rows", "log")] for rows in (ROWS // 2, ROWS // 10))
    assert (half.level, tenth.level) == ("warning", "drastic")
    assert "from 2,000 to 200 rows" in tenth.sentence


def test_a_weekday_does_not_drift_from_another_one(contract, past):
    """Not on the second day, when nothing is known of weekdays, nor on any later one."""

    def day(number):
        return _with("country", [("DE", "FR", "IT", "PL", "AT", "CH", "ES")[number % 7]] * ROWS, _day(number))

    profiles = [profile_of(day(i), contract, FIRST + timedelta(days=i)) for i in range(30)]
    told = [m.sentence for i in range(30) for m in moves(profiles[i], profiles[:i], contract) if m.level != "none"]
    assert told == []
    assert ("country", "Jensen-Shannon") in _told(day(22), contract, profiles[:28], FIRST + timedelta(days=28))


def test_little_history_allows_more_and_says_so(contract, past):
    device = np.array(_day(20)["device"].to_pylist(), object)
    device[:300] = "mobile"
    assert _told(_with("device", device), contract, past[-2:]) == {}
    move = _told(_with("device", ["tablet"] * ROWS), contract, past[-2:])[("device", "Jensen-Shannon")]
    assert "chance and an allowance of 0.2, as only 1 past spans show what is usual" in move.sentence


def test_nothing_is_told_without_a_past_or_of_an_empty_span(contract, past):
    assert moves(past[0], [], contract) == ()
    assert moves(past[0], past, contract) == ()
    assert moves(profile_of(_day(20).slice(0, 0), contract, TODAY), past, contract) == ()


def test_a_column_that_is_new_or_of_another_kind_is_left_out(contract, past):
    others = [p.model_copy(update={"columns": {**p.columns, "device": p.columns["price"]}}) for p in past]
    others = [p.model_copy(update={"columns": {n: c for n, c in p.columns.items() if n != "visits"}}) for p in others]
    found = {m.column for m in moves(profile_of(_day(20), contract, TODAY), others, contract)}
    assert {"device", "visits"} & found == set()
    assert {"country", "price"} < found


def test_an_explicit_limit_stands_for_the_calibrated_one(contract, past):
    tight = contract.columns["device"].model_copy(update={"drift_limit": 0.001})
    strict = contract.model_copy(update={"columns": contract.columns | {"device": tight}})
    move = _told(_day(20), strict, past)[("device", "Jensen-Shannon")]
    assert "wanted at most 0.001 (the contract's drift_limit)" in move.sentence


def test_what_is_drastic_by_the_contract_but_usual_is_not_told(contract):
    """Spans of a few users, each with one value: their shares move far every day."""

    def day(number):
        rng = np.random.default_rng(number)
        users = np.repeat(rng.permutation(500)[:8], ROWS // 8)
        table = _with("customer", [f"c{u}" for u in users], _day(number))
        return _with("country", [("DE", "FR", "IT", "PL", "AT", "CH")[u % 6] for u in users], table)

    profiles = [profile_of(day(i), contract, FIRST + timedelta(days=i)) for i in range(25)]
    found = [m for i in range(8, 25) for m in moves(profiles[i], profiles[:i], contract) if m.column == "country"]
    assert max(m.effect for m in found) > contract.drastic.drift
    assert {m.level for m in found} == {"none"}
