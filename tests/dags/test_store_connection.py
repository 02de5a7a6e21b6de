"""The daily DAG with its store's credentials in an Airflow connection, nowhere else: it works, and no log or XCom has one."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from widedeep.artifacts import LIVE
from widedeep.publishing import lanes
from widedeep.publishing.s3 import S3Store

CONTRACT = Path(__file__).parents[1] / "contracts" / "shop.yaml"
WRONG = "wrong-secret-of-the-connection"
Told = dict[str, Any]


@pytest.fixture(scope="module")
def store(seaweedfs: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seaweedfs.environment.items():
            patch.setenv(name, value)
        yield S3Store(f"s3://widedeep/{uuid.uuid4().hex}", seaweedfs.endpoint)


@pytest.fixture(scope="module")
def played(play: Callable[..., tuple[list[Told], str]], store: S3Store, seaweedfs: Any) -> tuple[list[Told], str]:
    """Two days on which nothing was delivered: with the right secret, and with a wrong one."""

    def connection(secret: str) -> dict[str, str]:
        fields = {"conn_type": "aws", "login": seaweedfs.environment["AWS_ACCESS_KEY_ID"], "password": secret}
        return {"AIRFLOW_CONN_STORE": json.dumps({**fields, "extra": {"endpoint_url": seaweedfs.endpoint}})}

    others = {name: value for name, value in seaweedfs.environment.items() if "KEY" not in name}
    right = connection(seaweedfs.environment["AWS_SECRET_ACCESS_KEY"])
    runs: list[Told] = [
        {"logical_date": "2024-01-01", "environment": right},
        {"logical_date": "2024-01-02", "environment": connection(WRONG)},
    ]
    settings = {"WIDEDEEP_STORE": store.url, "WIDEDEEP_S3_CONNECTION": "store", "WIDEDEEP_START_DATE": "2024-01-01"}
    return play(runs, **others, **settings, WIDEDEEP_CONTRACT=str(CONTRACT))


def test_the_connection_alone_reaches_the_store_which_is_examined_first(played: tuple[list[Told], str], store: S3Store) -> None:
    assert played[0][0]["state"] == "success", played[1][-4000:]
    assert [outcome.result for outcome in lanes.outcomes(store, LIVE)] == ["no data"]
    assert f"{store.url} is safe to publish to." in played[1]
    assert len(list(store.keys("doctor/"))) == 1


def test_a_connection_with_a_wrong_secret_fails_the_first_task_at_once(played: tuple[list[Told], str]) -> None:
    refused = played[0][1]
    assert (refused["state"], refused["tasks"]["ingest"]) == ("failed", ["failed", 1])
    assert "403 SignatureDoesNotMatch" in played[1]


def test_no_log_and_no_xcom_has_a_secret(played: tuple[list[Told], str], seaweedfs: Any) -> None:
    told = played[1] + json.dumps(played[0])
    for secret in (seaweedfs.environment["AWS_SECRET_ACCESS_KEY"], WRONG):
        assert secret not in told
