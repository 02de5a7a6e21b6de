"""Who is told, and how: an alert goes to the log and to each target that the settings name, through Airflow's own notifiers.

A target that fails is told in the log and hides nothing: neither the other targets nor the task. No log tells a secret.
Only the live lane rings: a run in another lane has somebody who watches it.
"""

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier
from airflow.sdk.log import redact

from widedeep.config import Settings, load_settings
from widedeep.publishing import layout
from widedeep_airflow.alerts import Alert, failed, late, settled
from widedeep_airflow.links import address, run_page

if TYPE_CHECKING:
    from airflow.sdk import Context

    from widedeep.artifacts import Outcome

LIVE = "live"
TIMEOUT_S = 10


class AlertNotifier(BaseNotifier):
    """Sends this alert; without one, as a callback, what the context tells of a failed run or a missed deadline."""

    def __init__(self, alert: Alert | None = None, context: "Context | None" = None):
        super().__init__(context=context)
        self.alert = alert

    def notify(self, context: "Context") -> None:
        alert = self.alert or (missed(context) if "deadline" in context else failure(context))
        if alert is None:
            return
        self.log.warning("%s", alert.text())
        settings = load_settings(os.environ)
        for target in (slack, email):
            try:
                # `notify`, since a call takes the text for a template, and the text quotes what somebody delivered.
                if notifier := target(settings, alert):
                    notifier.notify(context)
            except Exception as error:
                self.log.error("alert not sent by %s: %s", target.__name__, redact(f"{type(error).__name__}: {error}"))

    async def async_notify(self, context: "Context") -> None:
        """The same in the triggerer, which has others to serve meanwhile."""
        await asyncio.to_thread(self.notify, context)


def slack(settings: Settings, alert: Alert) -> BaseNotifier | None:
    """A webhook that takes what Slack's takes. Its markup is written out, so that no delivered text calls a whole channel."""
    if settings.alert_slack_conn is None:
        return None
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    text = escape(alert.text(), quote=False)  # https://docs.slack.dev/messaging/formatting-message-text: just these three
    return SlackWebhookNotifier(slack_webhook_conn_id=settings.alert_slack_conn, text=text, timeout=TIMEOUT_S)


def email(settings: Settings, alert: Alert) -> BaseNotifier | None:
    """A mail to each of the addresses. The connection names the server and the sender."""
    if settings.alert_email_to is None:
        return None
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    text = escape(alert.text()).replace("\n", "<br>\n")
    conn = settings.alert_email_conn
    return SmtpNotifier(to=settings.alert_email_to, subject=alert.title, html_content=text, smtp_conn_id=conn)


def outcome_alert(outcome: "Outcome", context: "Context", verdict: str | None = None) -> Alert:
    """What a settled span's alert says, with links to its report and its run. `verdict`: that of a candidate that passed."""
    judged = outcome.verdict or verdict
    report = (
        {"Data report": address(layout.data_report(outcome.validation))}
        if outcome.validation
        else {"Gate report": address(layout.decision_report(judged))}
        if judged
        else {}
    )
    return settled(outcome, report | {"Run": run_page(context["dag_run"].dag_id, context["run_id"])})


def failure(context: "Context") -> Alert | None:
    """What Airflow's DAG processor knows of a run that failed; None in another lane than live."""
    dag, run_id, ti = context["dag"], context["run_id"], context.get("ti")
    states: dict[str, str | None] = {}
    said: Mapping[str, Any] = context.get("params") or {}
    if ti is not None:
        states = ti.get_task_states(dag_id=dag.dag_id, run_ids=[run_id]).get(run_id, {})
        said = {**said, **((ti.xcom_pull(task_ids="ingest") if dag.has_task("ingest") else None) or {})}
    if (said.get("lane") or LIVE) != LIVE:
        return None
    bad = {task for task, state in states.items() if state == "failed"}
    broken = tuple(task for task in sorted(bad) if not bad & dag.get_task(task).upstream_task_ids)
    links = {f"Log of {task}": run_page(dag.dag_id, run_id, task) for task in broken}
    return failed(dag.dag_id, run_id, said.get("span"), broken, links | {"Run": run_page(dag.dag_id, run_id)})


def missed(context: Mapping[str, Any]) -> Alert | None:
    """A daily run that is not done in time; None in another lane, and for one that was queued later than that, to catch up."""
    run, due = context["dag_run"], _moment(context["deadline"]["deadline_time"])
    if ((run.get("conf") or {}).get("lane") or LIVE) != LIVE or _moment(run["queued_at"]) > due:
        return None
    links = {"Run": run_page(run["dag_id"], run["dag_run_id"])}
    return late(run["dag_id"], run["dag_run_id"], run["state"], due, links)


def _moment(told: Any) -> datetime:
    """Airflow gives a time as such, or as text once it has been stored."""
    return (told if isinstance(told, datetime) else datetime.fromisoformat(told)).astimezone(UTC)
