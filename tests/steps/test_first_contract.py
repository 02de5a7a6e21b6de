"""From somebody's files to a model without a line of code: a guessed contract passes its sample, and the chain runs with it."""

import importlib.util
import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from widedeep.config import load_settings
from widedeep.data.contract import load_contract
from widedeep.data.guess import draft, read_sample, text_of
from widedeep.data.movielens import deliveries
from widedeep.errors import UsageError
from widedeep.publishing.memory import MemoryStore
from widedeep.simulation import Simulation, simulation_settings
from widedeep.steps import Workplace, train
from widedeep.steps.contracts import (
    SCHEMA,
    bucket_listing,
    check_span,
    name_of,
    require_writable,
    save_pages,
    schema_for,
    write_contract,
)

SHOP = Path(__file__).parents[1] / "contracts" / "shop.py"
FIRST = date(2026, 3, 2)
AFTER = datetime(2027, 1, 1, tzinfo=UTC)


def shop_days(_root: Path) -> dict[date, pa.Table]:
    spec = importlib.util.spec_from_file_location("shop", SHOP)
    shop = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shop)
    return {day: shop.shop_span(day) for day in (FIRST + timedelta(days=n) for n in range(3))}


def app_store_days(_root: Path) -> dict[date, pa.Table]:
    simulation = Simulation(simulation_settings(rows_per_day=3_000, seed=3))
    return {day.span: day.rows for day in simulation.days(2)}


def movielens_days(root: Path) -> dict[date, pa.Table]:
    return dict(deliveries(root / ".local" / "sample", FIRST, range(2)))


def as_parquet(rows: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(rows, file)
    return file.getvalue()


def as_csv(rows: pa.Table) -> bytes:
    file = io.BytesIO()
    csv.write_csv(rows, file)
    return file.getvalue()


def guessed(store: MemoryStore, folder: Path, only: date | None = None) -> Path:
    """A contract file, guessed from what lies in the store's landing area."""
    store_of_sample = MemoryStore()
    store_of_sample.objects |= {k: v for k, v in store.objects.items() if only is None or str(only) in k}
    sample = read_sample(bucket_listing(store_of_sample, None), 100_000, lambda _done, _all: None)
    path = folder / "contract.yaml"
    path.write_text(text_of(draft(sample, "guessed"), schema_for(path)))
    return path


def place_of(store: MemoryStore, contract: Path, scratch: Path) -> Workplace:
    environment = {"WIDEDEEP_STORE": "s3://in-memory", "WIDEDEEP_CONTRACT": str(contract)}
    return Workplace(store, load_contract(contract), scratch, load_settings(environment), environment, "test", lambda: AFTER)


@pytest.mark.parametrize("write", [as_parquet, as_csv], ids=["parquet", "csv"])
@pytest.mark.parametrize("source", [shop_days, app_store_days, movielens_days])
def test_a_guessed_contract_passes_its_sample_without_a_finding_and_a_model_is_trained_by_it(tmp_path, request, source, write):
    days = source(request.config.rootpath)
    if write is as_csv and any(pa.types.is_list(kind) for kind in next(iter(days.values())).schema.types):
        pytest.skip("CSV has no lists")
    store = MemoryStore()
    for day, rows in days.items():
        store.create(f"landing/{day}/rows.{'csv' if write is as_csv else 'parquet'}", write(rows))
    place = place_of(store, guessed(store, tmp_path), tmp_path)
    assert place.contract.delivery.prefix == "landing/{span}/"
    checked = {day: check_span(place, day) for day in days}
    assert {day: [f.message for f in found.validation.findings] for day, found in checked.items()} == {day: [] for day in days}
    assert {found.judgement for found in checked.values()} == {"valid"}
    assert train(place, checked[min(days)].progress).candidate is not None


def test_a_contract_that_was_guessed_from_one_simulated_day_holds_on_the_next(tmp_path, request):
    store = MemoryStore()
    days = app_store_days(request.config.rootpath)
    for day, rows in days.items():
        store.create(f"landing/{day}/rows.parquet", as_parquet(rows))
    place = place_of(store, guessed(store, tmp_path, only=min(days)), tmp_path)
    assert check_span(place, max(days)).judgement == "valid"


@pytest.fixture
def shop(tmp_path, request) -> Workplace:
    store = MemoryStore()
    for day, rows in shop_days(request.config.rootpath).items():
        store.create(f"landing/{day}/rows.parquet", as_parquet(rows))
    return place_of(store, guessed(store, tmp_path), tmp_path)


def test_checking_a_span_settles_nothing_and_leaves_what_its_run_would(shop, tmp_path):
    before = set(shop.store.keys(""))
    checked = check_span(shop, FIRST)
    left = {key.split("/")[0] for key in set(shop.store.keys("")) - before}
    assert left == {"snapshots", "spans", "validation"}
    again = set(shop.store.keys(""))
    assert check_span(shop, FIRST) == checked
    assert set(shop.store.keys("")) == again
    saved = save_pages(shop.store, checked.pages, tmp_path / "docs")
    assert saved
    assert all(b"<html" in path.read_bytes() for path in saved)


def test_a_span_with_a_damaged_column_is_quarantined_by_the_guessed_contract(shop):
    key, day = next(k for k in shop.store.keys("landing/")), FIRST
    rows = pq.read_table(io.BytesIO(shop.store.get(key).data))
    shop.store.delete(key)
    broken = rows.set_column(rows.column_names.index("price"), "price", pa.array(rows["price"].to_numpy() * 1000))
    shop.store.create(key, as_parquet(broken))
    checked = check_span(shop, day)
    assert checked.judgement == "quarantined"
    assert any("price" in finding.message for finding in checked.validation.findings)


def test_a_span_without_data_or_with_an_unreadable_file_is_judged_so(shop):
    assert check_span(shop, FIRST + timedelta(days=20)).judgement == "no data"
    shop.store.create(f"landing/{FIRST + timedelta(days=9)}/rows.parquet", b"PAR1 not really")
    checked = check_span(shop, FIRST + timedelta(days=9))
    assert checked.judgement == "quarantined"
    assert checked.validation.snapshot is None


def test_the_delivery_prefix_counts_from_the_chains_own_store():
    store = MemoryStore()
    store.url = "s3://bucket/team/incoming"
    store.create("2026-03-02/a.csv", b"user,clicked\nu,1\n")

    def prefix(own):
        return read_sample(bucket_listing(store, own), 10, lambda _done, _all: None).prefix

    assert prefix(None) == "team/incoming/{span}/"
    assert prefix("s3://bucket") == "team/incoming/{span}/"
    assert prefix("s3://bucket/team/") == "incoming/{span}/"
    assert prefix("s3://bucket/team/incoming") == "{span}/"
    assert prefix("s3://elsewhere") is None


def test_one_object_may_be_named():
    store = MemoryStore()
    for name in ("a.csv", "a.csv.bak"):
        store.create(f"2026-03-02/{name}", b"user,clicked\nu,1\n")
    assert list(bucket_listing(store, None, "2026-03-02/a.csv").sizes) == ["2026-03-02/a.csv"]
    assert not bucket_listing(store, None, "2026-03-02/b.csv").sizes


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/data/Mein Shop/landing/2026-11-20/rows.csv", "rows"),
        ("s3://bucket/Mein Shop/landing/span=2026-11-20", "mein-shop"),
        ("./data", "contract"),
        ("orders.2026.csv.gz", "orders"),
    ],
)
def test_a_chain_is_called_after_what_its_path_says(source, name):
    assert name_of(source) == name


def test_a_contract_is_never_overwritten_unasked_and_never_half_written(tmp_path):
    path = tmp_path / "contract.yaml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        require_writable(path, False)
    require_writable(path, True)
    with pytest.raises(UsageError, match="is a folder"):
        require_writable(tmp_path, True)
    with pytest.raises(UsageError, match="there is no folder"):
        require_writable(tmp_path / "nix" / "contract.yaml", False)
    with pytest.raises(UsageError, match="can't be written"):
        write_contract(tmp_path / "nix" / "contract.yaml", "new")
    write_contract(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_schema_is_named_so_that_an_editor_finds_it(tmp_path):
    assert schema_for(SCHEMA.parent / "mine.yaml") == "contract.schema.json"
    assert schema_for(SCHEMA.parents[2] / "mine.yaml") == "dags/contracts/contract.schema.json"
    assert Path(schema_for(tmp_path / "mine.yaml")) == SCHEMA
