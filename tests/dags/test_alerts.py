"""Who is told of what, by real runs on a real metadata database: each alert arrives once, at a real webhook."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.receivers import Hook, receiving

FAKE_STEPS = Path(__file__).with_name("fake_steps.py")
SECRET = "T000-B000-never-show-this"
RUNS = {
    "promoted": {"span": "2026-01-01"},
    "held by the gate": {"span": "2026-01-02"},
    "quarantined": {"span": "2026-01-04"},
    "no data": {"span": "2026-01-06"},
    "settled already": {"span": "2026-01-07"},
    "a fault": {"span": "2026-01-08"},
    "a fault, in another lane": {"span": "2026-01-08", "lane": "replay"},
    "drastic": {"span": "2026-01-13"},
    "drastic, run again": {"span": "2026-01-13"},
    "drastic, in another lane": {"span": "2026-01-14", "lane": "replay"},
    "no span": {},
}

pytestmark = pytest.mark.timeout(900)  # the first may set up the database, and play all runs


@pytest.fixture(scope="module")
def alerts(play: Any, stand_in: Any) -> tuple[list[str], str]:
    """The alerts of all these runs, in their order, and all that was printed. The stand-in runs come first: they ask, too."""
    runs = [{"logical_date": None, "conf": conf} for conf in RUNS.values()]
    with receiving(Hook) as webhook:
        host = f"http://127.0.0.1:{webhook.port}/services"
        connection = json.dumps({"conn_type": "slackwebhook", "host": host, "password": SECRET})
        _, printed = play(runs, str(FAKE_STEPS), WIDEDEEP_ALERT_SLACK_CONN="alerts", AIRFLOW_CONN_ALERTS=connection)
    return [body["text"] for _, body in webhook.received], printed


def test_what_needs_a_person_rings_once_in_the_live_lane_and_nothing_else_does(alerts: tuple[list[str], str]) -> None:
    assert [text.partition("\n")[0] for text in alerts[0]] == [
        "widedeep: span 2026-01-02 is held: the gate did not pass its candidate r-0000000000000000",
        "widedeep: span 2026-01-04 is quarantined: nothing is learnt from it",
        "widedeep: widedeep_retrain failed at train, span 2026-01-08",
        "widedeep: span 2026-01-13 is held: its data changed drastically",
        "widedeep: widedeep_retrain failed at ingest",
    ]


def test_a_failed_run_s_alert_names_the_task_that_broke_and_leads_to_its_log(alerts: tuple[list[str], str]) -> None:
    lines = alerts[0][2].splitlines()
    run = lines[1].removeprefix("- run ")
    assert lines[2].endswith(f"/dags/widedeep_retrain/runs/{run.replace(':', '%3A').replace('+', '%2B')}/tasks/train")
    assert "clear train with Downstream" in lines[-1]


def test_each_alert_is_in_the_log_and_the_webhook_s_secret_is_not(alerts: tuple[list[str], str]) -> None:
    texts, printed = alerts
    assert all(text.partition("\n")[0] in printed for text in texts)
    assert SECRET not in printed
