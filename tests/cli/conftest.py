"""A store whose first three days were learnt from a shell: made once, copied for each file's own story."""

import io
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.contracts.shop import shop_span
from widedeep.publishing import layout
from widedeep.publishing.s3 import S3Store

WIDEDEEP = str(Path(sys.executable).with_name("widedeep"))
CONTRACT = Path(__file__).parents[1] / "contracts" / "shop.yaml"
DAYS = [date(2026, 3, 2) + timedelta(days=n) for n in range(3)]


@pytest.fixture(scope="session")
def shell_settings(seaweedfs):
    """What commands find in their environment, for a store of this name."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WIDEDEEP_", "AWS_"))}

    def settings(name, contract=CONTRACT):
        return {
            **kept,
            **seaweedfs.environment,
            "WIDEDEEP_STORE": f"s3://widedeep/{name}",
            "WIDEDEEP_S3_ENDPOINT": seaweedfs.endpoint,
            "WIDEDEEP_CONTRACT": str(contract),
            "COLUMNS": "200",
        }

    return settings


@pytest.fixture(scope="session")
def begin(shell_settings, made_once):
    """Put what a bootstrap leaves into the store of these settings: the store, and what the bootstrap told on standard error."""

    def make():
        environment = shell_settings("begun-by-the-shell")
        store = reached(environment)
        for day in DAYS:
            file = io.BytesIO()
            pq.write_table(shop_span(day), file)
            assert store.create(f"landing/{day}/rows.parquet", file.getvalue())
        command = [WIDEDEEP, "bootstrap", "--from", str(DAYS[0]), "--to", str(DAYS[-1])]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert "promoted" in done.stdout, done.stderr
        # Without the listings of what was delivered: copies have times of their own.
        left = [key for key in store.keys("") if not key.startswith(layout.INGESTED)]
        return {key: store.get(key).data for key in left}, done.stderr

    def begun(environment):
        objects, told = made_once("begun-by-the-shell", make)
        store = reached(environment)
        for key, data in objects.items():
            assert store.create(key, data)
        return store, told

    return begun


def reached(environment):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return S3Store(environment["WIDEDEEP_STORE"], environment["WIDEDEEP_S3_ENDPOINT"])
