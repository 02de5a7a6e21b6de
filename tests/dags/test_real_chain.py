"""The daily DAG with nothing replaced: real steps, a real S3 server, a real metadata database, and the synthetic shop's data."""

import importlib.util
import io
import json
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from widedeep.artifacts import LIVE
from widedeep.publishing import lanes
from widedeep.publishing.s3 import S3Store

CONTRACTS = Path(__file__).parents[1] / "contracts"
FIRST = date(2024, 1, 1)  # long ago, so that the deadline of a span that is not delivered has passed
XCOM_LIMIT_BYTES = 1024
Told = dict[str, Any]


@pytest.fixture(scope="module")
def store(seaweedfs: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seaweedfs.environment.items():
            patch.setenv(name, value)
        yield S3Store(f"s3://widedeep/{uuid.uuid4().hex}", seaweedfs.endpoint)


@pytest.fixture(scope="module")
def environment(store: S3Store, seaweedfs: Any) -> dict[str, str]:
    return seaweedfs.environment | {
        "WIDEDEEP_STORE": store.url,
        "WIDEDEEP_S3_ENDPOINT": seaweedfs.endpoint,
        "WIDEDEEP_START_DATE": FIRST.isoformat(),
    }


@pytest.fixture(scope="module")
def played(play: Callable[..., tuple[list[Told], str]], store: S3Store, environment: dict[str, str]) -> tuple[list[Told], str]:
    deliver(store, 0, parquet(0))
    deliver(store, 1, parquet(1)[:-100])
    deliver(store, 3, parquet(3))
    runs: list[Told] = [{"logical_date": str(span(n + 1))} for n in range(4)]
    runs.append({"logical_date": None, "conf": {"span": str(span(0))}})
    runs.append({"logical_date": str(span(5)), "environment": {"AWS_SECRET_ACCESS_KEY": "refused"}})
    return play(runs, **environment)


def test_every_day_is_settled_and_every_run_green(played: tuple[list[Told], str], store: S3Store) -> None:
    assert [run["state"] for run in played[0][:5]] == ["success"] * 5, played[1][-4000:]
    results = [outcome.result for outcome in lanes.outcomes(store, LIVE)]
    assert results[:3] == ["promoted", "quarantined", "no data"]
    assert results[3] in {"promoted", "held", "rejected"}


def test_a_delivered_day_runs_every_step_once(played: tuple[list[Told], str]) -> None:
    for run in (played[0][0], played[0][3]):
        assert {task: shown for task, shown in run["tasks"].items() if shown != ["success", 1]} == {"ask": ["skipped", 1]}


def test_unreadable_files_and_a_missing_delivery_skip_what_has_nothing_to_do(played: tuple[list[Told], str]) -> None:
    for run in (played[0][1], played[0][2]):
        assert {task for task, (state, _) in run["tasks"].items() if state == "success"} == {"ingest", "wait_turn", "settle"}


def test_a_settled_day_run_again_trains_nothing_and_reports_what_it_was(played: tuple[list[Told], str]) -> None:
    again = played[0][4]
    assert again["xcoms"]["ingest"]["result"] == "promoted"
    assert again["tasks"]["train"][0] == "skipped"


def test_the_second_candidate_descends_from_the_first_champion(played: tuple[list[Told], str]) -> None:
    first, later = (played[0][n]["xcoms"] for n in (0, 3))
    assert later["train"]["candidate"]["parent"] == first["publish"]["release"]


def test_no_task_hands_on_more_than_a_kilobyte(played: tuple[list[Told], str]) -> None:
    sizes = {
        (n, task): len(json.dumps(value).encode()) for n, run in enumerate(played[0]) for task, value in run["xcoms"].items()
    }
    assert max(sizes.values()) <= XCOM_LIMIT_BYTES, sizes


def test_each_step_tells_its_story_in_the_task_log(played: tuple[list[Told], str]) -> None:
    story = (
        "600 rows in 1 file(s)",
        "are valid",
        "2024-01-01: learnt",
        "dry run of r-",
        "2024-01-01: promote: ",
        "is champion of lane live",
    )
    for words in (*story, "settled in lane live: promoted", "settled in lane live: quarantined", "settled in lane live: no data"):
        assert words in played[1], words


def test_the_outcome_names_the_run_that_settled_it(played: tuple[list[Told], str], store: S3Store) -> None:
    assert lanes.outcomes(store, LIVE)[0].settled_by.startswith("airflow:widedeep_retrain/")


def test_refused_credentials_fail_the_first_task_at_once_and_settle_nothing(
    played: tuple[list[Told], str], store: S3Store
) -> None:
    runs, printed = played
    refused = runs[-1]
    assert (refused["tasks"]["ingest"], refused["tasks"]["settle"], refused["state"]) == (["failed", 1], ["failed", 1], "failed")
    assert f"span {span(4)} stays unsettled: ingest is failed" in printed
    assert len(lanes.outcomes(store, LIVE)) == 4


def span(n: int) -> date:
    return FIRST + timedelta(days=n)


def parquet(n: int) -> bytes:
    spec = importlib.util.spec_from_file_location("shop", CONTRACTS / "shop.py")
    assert spec
    assert spec.loader
    shop = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shop)
    rows: pa.Table = shop.shop_span(span(n))
    file = io.BytesIO()
    pq.write_table(rows, file)
    return file.getvalue()


def deliver(store: S3Store, n: int, data: bytes) -> None:
    assert store.create(f"landing/{span(n)}/rows.parquet", data)
