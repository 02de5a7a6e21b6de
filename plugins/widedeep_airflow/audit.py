"""Operators of the weekly audit: what the chain pays for warm starts, who hears of it, and who decides what becomes of it."""

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from widedeep.artifacts import LIVE, Audit, Unaudited
from widedeep.errors import StaleError
from widedeep.publishing import layout
from widedeep_airflow.alerts import owing
from widedeep_airflow.library import opened
from widedeep_airflow.links import address, run_page
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.review import DAG_ID, skipped

if TYPE_CHECKING:
    from airflow.sdk import Context

    from widedeep.artifacts import Outcome


class AuditOperator(BaseOperator):
    """Measures the debt of live's champion and pushes it; skipped, with a sentence, where nothing can be measured yet."""

    def execute(self, context: "Context") -> dict[str, Any]:
        with opened(context) as (steps, place):
            steps.require_safe_store(place)
            found = steps.audit(place, lambda step: self.log.info("%s", step))
            if isinstance(found, Unaudited):
                raise AirflowSkipException(found.told())
            return {"audit": found.model_dump(mode="json"), "told": found.told()}


class ProposeOperator(BaseOperator):
    """Lets the gate judge the twin of a champion that owes too much, and tells of it. Pushes what became of the twin.

    Skipped, and told all the same, where another champion leads by now: the next audit measures that one.
    """

    def execute(self, context: "Context") -> dict[str, Any]:
        audited = context["ti"].xcom_pull(task_ids="audit")
        found = Audit.model_validate(audited["audit"])
        if not found.over:
            raise AirflowSkipException(f"nothing to propose: {audited['told']}")
        with opened(context, decider="audit") as (steps, place):
            try:
                proposed = steps.propose(place, found, lambda step: self.log.info("%s", step))
            except StaleError as error:
                AlertNotifier(owing(found, None, _links(None, context))).notify(context)
                raise skipped(str(error)) from error
        AlertNotifier(owing(found, proposed, _links(proposed, context))).notify(context)
        days = {"span": proposed.span.isoformat(), "until": proposed.until.isoformat()}
        return {"result": proposed.result, "release": proposed.release_id, **days}


class AskAboutTwinOperator(TriggerDagRunOperator):
    """Starts the question whether the chain goes on from the twin; skipped if nobody is to be asked, or is asked already."""

    def __init__(self, **kwargs: Any):
        super().__init__(trigger_dag_id=DAG_ID, logical_date=None, skip_when_already_exists=True, **kwargs)

    def execute(self, context: "Context") -> None:
        proposed = context["ti"].xcom_pull(task_ids="propose")
        if proposed["result"] != "held":
            raise AirflowSkipException(f"nobody to ask: {proposed['release']} is {proposed['result']}; task propose tells why")
        span, release = proposed["span"], proposed["release"]
        self.conf = {"span": span, "lane": LIVE, "release": release}
        self.trigger_run_id = f"review-{LIVE}-{span}-{release}-{proposed['until']}"
        super().execute(context)


def _links(proposed: "Outcome | None", context: "Context") -> dict[str, str]:
    judged = proposed and proposed.verdict
    report = {"Gate report": address(layout.decision_report(judged))} if judged else {}
    return report | {"Run": run_page(context["dag_run"].dag_id, context["run_id"])}
