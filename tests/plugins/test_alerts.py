"""What alerts say, word by word. Where one changes on purpose, write its text here anew."""

from datetime import UTC, date, datetime

import pytest
from widedeep_airflow.alerts import failed, late, owing, settled

from widedeep.artifacts import Audit, Interval, MetricReport, Outcome

LINKS = {"Run": "http://airflow/dags/widedeep_retrain/runs/scheduled__1"}
RELEASE = "r-" + "0" * 16
OUTCOME = Outcome(
    lane="live",
    span=date(2026, 1, 2),
    result="held",
    reasons=("the first", "the\nsecond", "the third", "the fourth", "the fifth"),
    release_id=RELEASE,
    settled_at=datetime(2026, 1, 3, tzinfo=UTC),
    settled_by="airflow:widedeep_retrain/scheduled__1",
)
REASONS = "- the first\n- the second\n- the third\n- and 2 more\nRun: http://airflow/dags/widedeep_retrain/runs/scheduled__1"
ANSWER = "answer under Required Actions, or by `widedeep review --span 2026-01-02`. Later days go on meanwhile."


@pytest.mark.parametrize(
    ("said", "title", "advice"),
    [
        (
            {"result": "quarantined", "release_id": None, "validation": "v"},
            "widedeep: span 2026-01-02 is quarantined: nothing is learnt from it",
            "later days go on. Have the day mended at its source and delivered again: the next run takes it in.",
        ),
        (
            {"validation": "v", "release_id": None},
            "widedeep: span 2026-01-02 is held: its data changed drastically",
            ANSWER,
        ),
        (
            {"verdict": "v"},
            f"widedeep: span 2026-01-02 is held: the gate did not pass its candidate {RELEASE}",
            ANSWER,
        ),
        (
            {},
            f"widedeep: span 2026-01-02 is held: its candidate {RELEASE} passed, and was not promoted",
            "`widedeep champion --history` tells who froze the lane or withdrew the release, and why. Its rows are learnt again.",
        ),
    ],
    ids=["quarantined", "drastic", "held by the gate", "withheld"],
)
def test_a_settled_span_is_told_with_its_first_reasons_where_to_look_and_what_to_do(said, title, advice):
    assert settled(OUTCOME.model_copy(update=said), LINKS).text() == f"{title}\n{REASONS}\nNext: {advice}"


def test_a_failed_run_is_told_with_the_task_to_mend_and_to_clear():
    links = {"Log of train": f"{LINKS['Run']}/tasks/train"} | LINKS
    assert failed("widedeep_retrain", "scheduled__1", "2026-01-02", ("train",), links).text() == (
        "widedeep: widedeep_retrain failed at train, span 2026-01-02\n"
        "- run scheduled__1\n"
        "Log of train: http://airflow/dags/widedeep_retrain/runs/scheduled__1/tasks/train\n"
        "Run: http://airflow/dags/widedeep_retrain/runs/scheduled__1\n"
        "Next: mend what the log of train names, then clear train with Downstream. What is done already is found, not repeated."
    )


def test_a_missed_deadline_is_told_with_the_time_and_what_may_be_in_the_way():
    due = datetime(2026, 1, 3, 6, tzinfo=UTC)
    assert late("widedeep_retrain", "scheduled__1", "running", due, LINKS).text() == (
        "widedeep: no release by 2026-01-03 06:00 UTC: widedeep_retrain is running\n"
        "- run scheduled__1\n"
        "Run: http://airflow/dags/widedeep_retrain/runs/scheduled__1\n"
        "Next: look which task it is at: a late delivery, a fault, or an earlier day that has to be cleared first."
    )


@pytest.mark.parametrize(
    ("became", "told"),
    [
        (
            {"result": "held"},
            f"Next: decide under Required Actions, or by `widedeep review --span 2026-01-02 --release {RELEASE}`, whether the "
            "chain goes on from the twin.",
        ),
        (
            {"result": "rejected", "reasons": ("it is no better",)},
            "- it is no better\nRun: http://airflow/dags/widedeep_retrain/runs/scheduled__1\nNext: `widedeep audit --history` "
            "tells since when. Look for days that taught it wrongly, and at the contract's `training`.",
        ),
    ],
)
def test_a_debt_is_told_with_its_interval_and_what_became_of_the_twin(became, told):
    metrics = MetricReport(rows=9000, users=300, label_rate=0.5, log_loss=0.5, ne=0.9, auc=0.7, calibration=1.0)
    digests = {"manifest_sha256": "0" * 64, "twin_manifest_sha256": "0" * 64}
    learnt = {"span": date(2026, 1, 2), "since": date(2025, 12, 1), "spans": 33, "rows": 1_000_000, "holdout": ()}
    debt = {"debt": Interval(estimate=0.03, lower=0.02, upper=0.04, level=0.95), "limit": 0.01, "over": True}
    audit = Audit(release_id="r-" + "1" * 16, twin=RELEASE, metrics=metrics, twin_metrics=metrics, **digests, **learnt, **debt)
    text = owing(audit, OUTCOME.model_copy(update=became), LINKS).text()
    assert text.startswith(
        "widedeep: champion r-1111111111111111 owes too much to a twin from scratch\n"
        "- r-1111111111111111 of span 2026-01-02 owes +0.0300 of log loss (95% interval +0.0200 to +0.0400, 300 users) to "
        f"{RELEASE}, which learnt its last 33 span(s) anew, 1,000,000 rows: shown to be above the limit of 0.01\n"
    )
    assert text.endswith(told)
