"""An alert arrives at a real webhook and a real mail server, through Airflow's own notifiers; a dead one hides nothing."""

import json
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from widedeep_airflow.alerts import Alert
from widedeep_airflow.links import run_page
from widedeep_airflow.notifying import AlertNotifier, outcome_alert

from widedeep.artifacts import Outcome

SECRET = "T000-B000-never-show-this"
ALERT = Alert("widedeep: span is held", ("<!channel> {{ 7 * 7 }} & more",), {"Run": "http://airflow/run"}, "look")
DUE = datetime(2026, 1, 3, 6, tzinfo=UTC)
CONTEXT = {"dag_run": SimpleNamespace(dag_id="widedeep_retrain"), "run_id": "scheduled__2026-01-02T00:00:00+00:00"}


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    """The settings of a task, and connections as the environment gives them."""
    monkeypatch.setenv("WIDEDEEP_STORE", "s3://widedeep")
    monkeypatch.setenv("WIDEDEEP_CONTRACT", "contract.yaml")

    def connect(name, port, **fields):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"host": "127.0.0.1", "port": port, **fields}))

    return monkeypatch.setenv, connect


@pytest.fixture
def slack(settings, webhook):
    set_to, connect = settings
    set_to("WIDEDEEP_ALERT_SLACK_CONN", "alerts")
    connect("alerts", None, conn_type="slackwebhook", host=f"http://127.0.0.1:{webhook.port}/services", password=SECRET)
    return webhook


@pytest.fixture
def mail(settings, mailbox):
    set_to, connect = settings
    set_to("WIDEDEEP_ALERT_EMAIL_TO", "ann@example.org, bob@example.org")
    set_to("WIDEDEEP_ALERT_EMAIL_CONN", "mail")
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "chain@example.org"}
    connect("mail", mailbox.port, conn_type="smtp", extra=extra)
    return mailbox


def test_without_a_target_the_log_has_the_alert(capsys):
    AlertNotifier(ALERT).notify(CONTEXT)
    assert ALERT.text() in capsys.readouterr().out


def test_a_webhook_gets_the_text_in_which_nothing_that_was_delivered_is_markup_or_a_template(slack):
    AlertNotifier(ALERT).notify(CONTEXT)
    text = "widedeep: span is held\n- &lt;!channel&gt; {{ 7 * 7 }} &amp; more\nRun: http://airflow/run\nNext: look"
    assert slack.received == [(f"/services/{SECRET}", {"text": text})]


def test_each_address_gets_a_mail_from_the_sender_that_the_connection_names(mail):
    AlertNotifier(ALERT).notify(CONTEXT)
    (message,) = mail.received
    assert (message["Subject"], message["From"], message["To"]) == (
        "widedeep: span is held",
        "chain@example.org",
        "ann@example.org, bob@example.org",
    )
    html = message.get_body(("html",)).get_content()
    assert "- &lt;!channel&gt; {{ 7 * 7 }} &amp; more<br>" in html


def test_a_target_that_refuses_is_told_and_the_other_one_gets_the_alert(slack, mail, capsys):
    slack.answers = 404
    AlertNotifier(ALERT).notify(CONTEXT)
    assert len(mail.received) == 1
    told = capsys.readouterr().out
    assert "alert not sent by slack: AirflowException: Response body: 'no_team', Status Code: 404" in told
    assert SECRET not in told


def test_a_webhook_s_secret_is_not_told_even_where_the_error_s_text_holds_it(slack, settings, capsys):
    broken = f"{SECRET} with a blank"
    settings[1]("alerts", None, conn_type="slackwebhook", host=f"http://127.0.0.1:{slack.port}", password=broken)
    AlertNotifier(ALERT).notify(CONTEXT)
    (told,) = (line for line in capsys.readouterr().out.splitlines() if "alert not sent by slack" in line)
    assert "InvalidURL: URL can't contain control characters" in told
    assert SECRET not in told


def test_targets_that_are_not_there_fail_nothing(settings, capsys):
    set_to, connect = settings
    set_to("WIDEDEEP_ALERT_SLACK_CONN", "nowhere")
    set_to("WIDEDEEP_ALERT_EMAIL_TO", "ann@example.org")
    connect("smtp_default", 9, conn_type="smtp", extra={"disable_ssl": True, "disable_tls": True, "from_email": "c@example.org"})
    AlertNotifier(ALERT).notify(CONTEXT)
    told = capsys.readouterr().out
    assert "alert not sent by slack: AirflowNotFoundException" in told
    assert "alert not sent by email: ConnectionRefusedError" in told


@pytest.mark.parametrize(
    ("said", "links"),
    [
        ({"validation": "validation/2026-01-02/x/findings.json"}, {"Data report": "validation/2026-01-02/x/docs/index.html"}),
        ({"verdict": "evidence/r-1/verdict-2.json"}, {"Gate report": "evidence/r-1/report-2.html"}),
        ({}, {"Gate report": "evidence/r-1/report-3.html"}),
    ],
    ids=["drastic", "held by the gate", "withheld"],
)
def test_a_settled_span_s_alert_leads_to_its_report_and_its_run(said, links):
    told = {"lane": "live", "span": date(2026, 1, 2), "result": "held", "reasons": ("why",), "settled_at": DUE, "settled_by": "x"}
    alert = outcome_alert(Outcome(**told, **said), CONTEXT, verdict="evidence/r-1/verdict-3.json")
    run = run_page("widedeep_retrain", CONTEXT["run_id"])
    assert alert.links == {name: run.partition("/dags/")[0] + f"/widedeep/{key}" for name, key in links.items()} | {"Run": run}
    assert run.endswith("/dags/widedeep_retrain/runs/scheduled__2026-01-02T00%3A00%3A00%2B00%3A00")


@pytest.mark.parametrize(
    ("queued_at", "lane", "rings"),
    [
        (DUE - timedelta(hours=1), None, True),
        (DUE + timedelta(hours=1), None, False),
        (DUE - timedelta(hours=1), "replay", False),
    ],
    ids=["in time", "to catch up", "in another lane"],
)
def test_a_missed_deadline_rings_for_a_run_of_the_live_lane_that_could_have_been_in_time(slack, queued_at, lane, rings):
    run = {"dag_id": "widedeep_retrain", "dag_run_id": "scheduled__1", "state": "running", "conf": {"lane": lane}}
    AlertNotifier()({"dag_run": run | {"queued_at": queued_at.isoformat()}, "deadline": {"deadline_time": DUE}})
    assert [body["text"].partition("\n")[0] for _, body in slack.received] == rings * [
        "widedeep: no release by 2026-01-03 06:00 UTC: widedeep_retrain is running"
    ]
