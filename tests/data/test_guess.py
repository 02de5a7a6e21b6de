"""A contract that is guessed from a sample: it says what the sample shows, why, and what it can't tell."""

import string
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv

from widedeep.data.contract import Contract, load_contract
from widedeep.data.guess import draft, folder_listing, read_sample, text_of
from widedeep.data.guess.limits import form_of, nice
from widedeep.data.tables import parquet_bytes
from widedeep.errors import ContractError

DAY = date(2026, 11, 17)
ROWS = 2_000


def order_rows(span: date = DAY, rows: int = ROWS, seed: int = 0) -> dict[str, object]:
    """A German shop's log: 100 customers, 60 articles, every row an article that was shown, bought or not."""
    rng = np.random.default_rng([seed, span.toordinal()])
    customer, article = rng.integers(0, 100, rows), rng.integers(0, 60, rows)
    bought = rng.random(rows) < 0.3 + 0.04 * (customer % 5) - 0.03 * (article % 7)
    second = np.sort(rng.integers(0, 86_400, rows))
    start = datetime(span.year, span.month, span.day, tzinfo=UTC)
    return {
        "Bestell-Nr": [f"B{span:%y%m%d}{i:05}" for i in range(rows)],
        "Kundennummer": [f"{c:06}" for c in customer],
        "Artikel-ID": article,
        "Bezeichnung": [f"Schraube Größe {a}" for a in article],
        "Warengruppe": np.array(["Eisen", "Holz", "Garten"])[article % 3],
        "Preis (€)": 2.5 + 1.25 * article,
        "Gerät": np.array(["Handy", "Rechner"])[rng.integers(0, 2, rows)],
        "Zeitpunkt": [f"{start + timedelta(seconds=int(s)):%Y-%m-%dT%H:%M:%SZ}" for s in second],
        "Alter": pa.array(18 + customer % 60, mask=rng.random(rows) < 0.04),
        "gekauft": bought.astype(int),
    }


def guessed(folder: Path, *days: dict[str, object], name: str = "shop", rows: int = 500_000):
    """What is guessed of these days, each in a folder of its own, and the text of the contract."""
    for n, columns in enumerate(days):
        file = folder / f"{DAY + timedelta(days=n)}" / "teil.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        csv.write_csv(pa.table(columns), file)
    found = draft(read_sample(folder_listing(folder), rows, lambda _done, _all: None), name)
    return found, text_of(found, "contract.schema.json")


def loaded(text: str, folder: Path) -> Contract:
    path = folder / "contract.yaml"
    path.write_text(text)
    return load_contract(path)


def columns_of(found) -> dict[str, object]:
    return found.document["columns"]


def why(found, name: str) -> str:
    return "; ".join(next(column.why for column in found.columns if column.name == name))


@pytest.fixture
def shop(tmp_path):
    found, text = guessed(tmp_path / "lieferung", order_rows(), order_rows(DAY + timedelta(days=1)))
    return found, text, loaded(text, tmp_path)


def test_a_log_with_german_names_gives_a_contract_that_needs_no_decision(shop):
    found, text, contract = shop
    assert found.undecided == ()
    named = (contract.user, contract.time, contract.item, contract.title, contract.key, contract.label.column)
    assert named == ("Kundennummer", "Zeitpunkt", "Artikel-ID", "Bezeichnung", ("Bestell-Nr",), "gekauft")
    assert text.startswith("# yaml-language-server: $schema=contract.schema.json\n")
    assert "share their value with another row" in text


def test_types_roles_and_owners_are_those_that_the_values_show(shop):
    _, _, contract = shop
    said = {name: (c.type, c.role, c.of) for name, c in contract.columns.items()}
    assert said["Kundennummer"] == ("string", "categorical", "user"), "leading zeros make it text, and customers come back"
    assert said["Artikel-ID"] == ("integer", "categorical", "item")
    assert said["Warengruppe"] == ("string", "categorical", "item")
    assert said["Preis (€)"] == ("number", "numeric", "item")
    assert said["Alter"] == ("integer", "numeric", "user")
    assert said["Gerät"] == ("string", "categorical", "context")
    assert said["Bestell-Nr"] == ("string", None, "context"), "a value of its own in each row teaches nothing"
    assert said["Bezeichnung"] == ("string", None, "item"), "another name of the article teaches nothing new"


def test_limits_hold_what_was_seen_and_state_their_slack(shop):
    found, _, contract = shop
    columns = contract.columns
    assert columns["Preis (€)"].range == (0, 150)
    assert columns["Gerät"].allowed == ("Handy", "Rechner")
    assert columns["Kundennummer"].regex == "[0-9]{6}"
    assert columns["Bezeichnung"].regex is None, "60 names are too few to be sure of their form"
    assert columns["Alter"].nullable
    assert not columns["gekauft"].nullable
    assert contract.checks.rows == (660, 6000)
    assert 0.05 <= columns["Alter"].max_null_share <= 0.1
    assert columns["Alter"].different is None, "two days don't show what comes back"
    low, high = contract.checks.label_rate
    assert 0.1 < low < 0.2 < high < 0.8
    assert "2.5 to 76.25 seen, range twice as wide" in why(found, "Preis (€)")


def test_a_column_that_tells_the_label_alone_is_flagged_and_gets_no_role(tmp_path):
    rows = order_rows()
    bought = np.array(rows["gekauft"]) == 1
    leaks = {"Umsatz": pa.array(rows["Preis (€)"], mask=~bought), "Status": np.where(bought, "bezahlt", "offen")}
    found, text = guessed(tmp_path / "lieferung", rows | leaks)
    assert [column.name for column in found.columns if column.gives_away] == ["Umsatz", "Status"]
    assert all("role" not in columns_of(found)[name] for name in leaks)
    assert text.count("LEAK? it alone tells the label") == 2


def test_what_never_changes_is_kept_checked_and_not_learnt(tmp_path):
    rows = order_rows() | {"Land": ["DE"] * ROWS, "Bemerkung": pa.nulls(ROWS, pa.string())}
    found, _ = guessed(tmp_path / "lieferung", rows)
    assert columns_of(found)["Land"] == {"type": "string"}
    assert columns_of(found)["Bemerkung"] == {"type": "string", "nullable": True}, "twice all is no limit"


def test_how_many_different_values_there_are_is_a_limit_where_all_of_them_are_there_each_day(tmp_path):
    days = [order_rows(DAY + timedelta(days=n)) for n in range(3)]
    for n, rows in enumerate(days):
        rows |= {"Filiale": [f"F{i % 30}" for i in range(ROWS)], "Aktion": [f"A{(i * (n + 1)) % 40}" for i in range(ROWS)]}
    found, text = guessed(tmp_path / "lieferung", *days)
    contract = loaded(text, tmp_path)
    assert contract.columns["Filiale"].different == (15, 60)
    assert contract.columns["Aktion"].different is None, "half of them are away on the second day"
    assert contract.columns["Artikel-ID"].different is None, "new articles are expected"
    assert "30 values on each day" in why(found, "Filiale")


def test_what_cannot_be_told_is_a_line_to_decide_and_the_chain_refuses_with_its_place(tmp_path):
    rows = order_rows()
    unclear = {
        "a": rows["Kundennummer"],
        "b": [f"x{a}" for a in rows["Artikel-ID"]],
        "c": rows["gekauft"],
        "d": rows["Preis (€)"],
    }
    unclear["e"] = np.array([0, 1])[np.arange(ROWS) % 2]
    found, text = guessed(tmp_path / "lieferung", unclear)
    assert found.undecided == ("user", "time", "label")
    assert "# DECIDE: which column tells users apart? it could be a (100 values), b (60 values)" in text
    assert "\nuser: DECIDE\n" in text
    assert "# DECIDE: which column is to be predicted? it could be c (2 values), e (2 values)" in text
    with pytest.raises(ContractError) as refused:
        loaded(text, tmp_path)
    for place in ("user", "time", "label.column"):
        assert f"{place}: column 'DECIDE' is not in columns" in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Zeitpunkt": ["17.11.2026 13:05"] * ROWS}, "holds '17.11.2026 13:05', but only ISO 8601"),
        ({"Zeitpunkt": [1_795_000_000 + i for i in range(ROWS)]}, "a number of unknown unit"),
        ({"Zeitpunkt": ["2026-11-20T13:05:00Z"] * ROWS}, "no column has times on its span's day (UTC): 'Zeitpunkt' 0%"),
        ({"gekauft": np.array(["ja", "nein"])[np.arange(ROWS) % 2]}, "holds 'ja' and 'nein': deliver it as true and false"),
    ],
    ids=["german date", "epoch", "other day", "ja and nein"],
)
def test_values_that_the_chain_cannot_use_are_named_with_what_to_deliver_instead(tmp_path, changed, said):
    _, text = guessed(tmp_path / "lieferung", order_rows() | changed)
    assert said in text.replace("\n# ", " ")


def test_a_rating_is_a_label_from_the_step_that_divides_the_rows_best(tmp_path):
    rows = order_rows()
    del rows["gekauft"]
    found, _ = guessed(tmp_path / "lieferung", rows | {"Bewertung": np.array([1, 2, 3, 4, 4, 5])[np.arange(ROWS) % 6]})
    assert found.document["label"] == {"column": "Bewertung", "at_least": 4}
    assert columns_of(found)["Bewertung"] == {"type": "integer", "range": [1, 5]}


def test_a_list_of_items_is_what_the_user_did_before_and_is_crossed_with_the_item(tmp_path):
    rows = order_rows()
    history = [f'["{a}","{(a + 7) % 60}"]' for a in rows["Artikel-ID"][::-1]]
    found, _ = guessed(tmp_path / "lieferung", rows | {"zuvor": history})
    assert columns_of(found)["zuvor"]["role"] == "multivalent"
    assert columns_of(found)["zuvor"]["of"] == "user"
    assert {"of": ["zuvor", "Artikel-ID"], "min_count": 3} in found.document["crosses"]


def test_columns_of_types_that_no_contract_has_are_told_of_and_left_out(tmp_path):
    folder = tmp_path / str(DAY)
    folder.mkdir()
    times = pa.array(list(range(ROWS)), pa.time32("ms"))
    table = pa.table(order_rows()).append_column("Uhrzeit", times)
    (folder / "a.parquet").write_bytes(parquet_bytes(table))
    found = draft(read_sample(folder_listing(tmp_path), 10_000, lambda *_: None), "shop")
    assert "Uhrzeit" not in columns_of(found)
    assert "# Uhrzeit: of type time32[ms], which no contract has" in text_of(found, "s")


def test_text_of_a_file_that_knows_types_stays_text(tmp_path):
    folder = tmp_path / str(DAY)
    folder.mkdir()
    rows = order_rows() | {"Filiale": [f"{n % 40}" for n in range(ROWS)]}
    (folder / "a.parquet").write_bytes(parquet_bytes(pa.table(rows)))
    found = draft(read_sample(folder_listing(tmp_path), 10_000, lambda *_: None), "shop")
    assert columns_of(found)["Filiale"]["type"] == "string"
    assert columns_of(found)["Zeitpunkt"]["type"] == "timestamp", "JSON and many tools write times as text"


def test_users_who_never_come_back_are_not_learnt_one_by_one(tmp_path):
    other = order_rows(DAY + timedelta(days=1))
    other["Kundennummer"] = [f"9{text[1:]}" for text in other["Kundennummer"]]
    found, _ = guessed(tmp_path / "lieferung", order_rows(), other)
    assert "role" not in columns_of(found)["Kundennummer"]
    assert "0% of the last day's rows are of users of earlier days" in why(found, "Kundennummer")


def test_a_number_of_the_day_gets_no_range(tmp_path):
    days = [order_rows(DAY + timedelta(days=n)) | {"Wochentag": [n + 1] * ROWS} for n in range(2)]
    found, _ = guessed(tmp_path / "lieferung", *days)
    assert columns_of(found)["Wochentag"] == {"type": "integer", "role": "categorical"}


def test_a_day_of_few_users_is_judged_with_those_before_it(shop):
    _, _, contract = shop
    assert contract.split.pool_spans == 4, "15 % of 100 customers are 15 a day, and the gate should see 50"


def test_what_the_data_say_cannot_break_out_of_its_comment_or_line(tmp_path):
    nasty = "x: 1\n# y\x1b[31m\u2028{a}"
    rows = order_rows() | {nasty: ["a\nuser: b", "- c"] * (ROWS // 2), "always": ["v\n\ntime: w"] * ROWS}
    folder = tmp_path / str(DAY)
    folder.mkdir()
    (folder / "a.parquet").write_bytes(parquet_bytes(pa.table(rows)))
    found = draft(read_sample(folder_listing(tmp_path), 10_000, lambda *_: None), "shop")
    text = text_of(found, "s")
    assert yaml.safe_load(text) == yaml.safe_load(yaml.safe_dump(dict(found.document)))
    assert "\x1b" not in text
    assert loaded(text, tmp_path).columns[nasty].allowed == ("- c", "a\nuser: b")


def test_equal_samples_give_equal_contracts(tmp_path):
    first, second = (guessed(tmp_path / "a", order_rows())[1] for _ in range(2))
    assert first == second


@given(st.lists(st.integers(0, 10**6), min_size=100, max_size=120, unique=True), st.sampled_from(["user-", "a.b(", "", "§"]))
@settings(deadline=None)
def test_a_form_that_is_guessed_fits_all_texts_that_it_was_guessed_from(numbers, prefix):
    texts = [f"{prefix}{n}" for n in numbers]
    form = form_of(texts)
    assert form is not None
    assert pc.all(pc.match_substring_regex(pa.array(texts), f"^(?:{form})$")).as_py()


@given(st.lists(st.text(string.printable, max_size=12), min_size=100, max_size=110, unique=True))
@settings(deadline=None)
def test_a_form_is_never_guessed_that_some_of_the_texts_do_not_fit(texts):
    form = form_of(texts)
    assert form is None or pc.all(pc.match_substring_regex(pa.array(texts), f"(?s)^(?:{form})$")).as_py()


def test_texts_of_several_forms_have_none():
    assert form_of([f"a{n}" for n in range(99)] + ["b1"]) is None
    assert form_of([f"a{n}" for n in range(20)]) is None, "20 texts are too few to be sure"
    assert form_of([f"{n:032x}" for n in range(200)]) == "[0-9a-f]{32}"


@given(st.floats(1e-9, 1e12), st.booleans())
def test_a_nice_number_never_lies_inside_of_what_was_seen(number, up):
    assert nice(number, up=True) >= number * (1 - 1e-9)
    assert nice(number, up=False) <= number * (1 + 1e-9)
    assert abs(nice(number, up) - number) <= 0.11 * number
