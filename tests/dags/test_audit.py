"""The weekly audit, row by row of the table on its page, on a real metadata database with stand-in steps."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dags.test_run_and_task_states import table
from tests.receivers import Hook, receiving

FAKE_STEPS = Path(__file__).with_name("fake_steps.py")
STORIES = {
    "the debt is not shown to be above the limit": "no-debt",
    "it is, and the twin waits for a person": "debt",
    "it is, and the gate rejects the twin, or the contract asks nobody": "twin-rejected",
    "it is, and another champion leads by now": "overtaken",
    "no champion yet, or no rows to learn or to score": "nothing-to-audit",
}
TWIN = "r-2222222222222222"
Told = tuple[dict[str, dict[str, Any]], list[str]]


@pytest.fixture(scope="module")
def told(play: Any) -> Told:
    """What became of each story, and the alerts that arrived."""
    runs = [
        {"dag_id": "widedeep_audit", "logical_date": None, "environment": {"WIDEDEEP_STORE": f"s3://{story}"}}
        for story in STORIES.values()
    ]
    with receiving(Hook) as webhook:
        connection = {"conn_type": "slackwebhook", "host": f"http://127.0.0.1:{webhook.port}", "password": "secret-of-the-test"}
        alerts = {"WIDEDEEP_ALERT_SLACK_CONN": "alerts", "AIRFLOW_CONN_ALERTS": json.dumps(connection)}
        played, _ = play(runs, str(FAKE_STEPS), **alerts)
    return dict(zip(STORIES, played, strict=True)), [body["text"] for _, body in webhook.received]


@pytest.mark.parametrize("row", STORIES)
def test_each_row_of_the_page_is_what_airflow_shows(row: str, told: Told) -> None:
    run = told[0][row]
    shown = {task: state for task, (state, _) in run["tasks"].items()} | {"run": run["state"]}
    assert shown == table("dags/widedeep_audit.py")[row]


def test_the_page_tells_no_other_row() -> None:
    assert [*table("dags/widedeep_audit.py")] == [*STORIES]


def test_the_question_about_the_twin_is_started_and_names_it(told: Told) -> None:
    started = told[0]["it is, and the twin waits for a person"]["started"]
    assert started[f"review-live-2026-01-09-{TWIN}-2026-01-10"] == [
        "widedeep_review",
        {"span": "2026-01-09", "lane": "live", "release": TWIN},
    ]


def test_a_debt_above_the_limit_rings_with_what_became_of_the_twin_and_another_does_not(told: Told) -> None:
    held, rejected, overtaken = told[1]
    title = "widedeep: champion r-1111111111111111 owes too much to a twin from scratch"
    assert [text.partition("\n")[0] for text in told[1]] == [title] * 3
    assert "shown to be above the limit of 0.01" in held
    assert f"/widedeep/evidence/{TWIN}/report-0.html" in held
    assert f"by `widedeep review --span 2026-01-09 --release {TWIN}`, whether the chain goes on from the twin" in held
    assert "\n- it is no better\n" in rejected
    assert "another champion leads by now" in overtaken
