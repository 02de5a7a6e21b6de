"""What a task's log hears of training."""

import logging
from pathlib import Path
from types import SimpleNamespace

from widedeep_airflow.library import opened

CONTRACT = Path(__file__).parents[1] / "contracts" / "shop.yaml"


def test_a_task_s_log_gets_plain_lines_of_the_rows_learnt(monkeypatch, caplog):
    settings = {"STORE": "s3://widedeep/nowhere", "S3_ENDPOINT": "http://127.0.0.1:9", "CONTRACT": str(CONTRACT)}
    for name, value in settings.items():
        monkeypatch.setenv(f"WIDEDEEP_{name}", value)
    context = {"dag_run": SimpleNamespace(dag_id="widedeep_retrain"), "run_id": "scheduled__1"}
    with caplog.at_level(logging.INFO, "widedeep"), opened(context) as (_, place):
        place.on_rows(0, 1000)
        place.on_rows(1000, 1000)
    assert any(message.startswith("learnt 1,000 of 1,000 rows") for message in caplog.messages)
