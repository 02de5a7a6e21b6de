"""A chain over the synthetic shop, on a real S3 server: the same steps that Airflow runs."""

import importlib.util
import io
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from widedeep.config import Settings
from widedeep.data.contract import load_contract
from widedeep.steps import Workplace

CONTRACTS = Path(__file__).parents[1] / "contracts"
FIRST = date(2026, 3, 2)


def _shop():
    spec = importlib.util.spec_from_file_location("shop", CONTRACTS / "shop.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


shop_span = _shop().shop_span


class Chain:
    """A workplace, and what a test does with it: deliver spans, on days counted from the first."""

    def __init__(self, place: Workplace):
        self.place = place

    def day(self, n: int) -> date:
        return FIRST + timedelta(days=n)

    def rows(self, n: int) -> pa.Table:
        return shop_span(self.day(n))

    def deliver(self, n: int, rows: pa.Table | None = None, *, data: bytes | None = None) -> None:
        file = io.BytesIO()
        pq.write_table(self.rows(n) if rows is None else rows, file)
        key = self.place.contract.delivery.prefix.format(span=self.day(n)) + "rows.parquet"
        assert self.place.store.create(key, data or file.getvalue())


@pytest.fixture
def chain(s3_store, seaweedfs, tmp_path) -> Chain:
    settings = Settings(store=s3_store.url, s3_endpoint=seaweedfs.endpoint, contract=CONTRACTS / "shop.yaml")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WIDEDEEP_")},
        "WIDEDEEP_STORE": s3_store.url,
        "WIDEDEEP_S3_ENDPOINT": seaweedfs.endpoint,
        "WIDEDEEP_CONTRACT": str(CONTRACTS / "shop.yaml"),
    }
    contract = load_contract(settings.contract)
    clock = lambda: datetime(2026, 6, 1, tzinfo=UTC)  # noqa: E731  long after every deadline
    return Chain(Workplace(s3_store, contract, tmp_path, settings, environment, "test", clock))
