"""A person is asked about a span that is held; the daily run that held it does not wait (sixth law).

Held is a span whose data changed drastically, one whose candidate the gate held, and a twin that may take a champion's place.

`widedeep_retrain` starts a run of `widedeep_review` and goes on. That run asks and keeps the answer, or a no when nobody answers.
The first answer stands: one from a shell counts as well, and the run then says whose it is.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import BaseOperator, Param
from airflow.sdk.exceptions import AirflowSkipException

from widedeep.artifacts import Proposal
from widedeep.errors import SupersededError, WithheldError
from widedeep_airflow.library import opened
from widedeep_airflow.links import address
from widedeep_airflow.notifying import AlertNotifier, outcome_alert
from widedeep_airflow.progress import collect
from widedeep_airflow.rollback import approver
from widedeep_airflow.spans import day

if TYPE_CHECKING:
    from airflow.sdk import Context

    from widedeep.artifacts import Outcome

log = logging.getLogger(__name__)

DAG_ID = "widedeep_review"
LIVE = "live"
ACCEPT, REJECT = "Accept", "Reject"
NO_REASON = "no reason given"


class StartReviewOperator(TriggerDagRunOperator):
    """Starts the question about this run's span, once, or else about late rows of an earlier one; skipped where nothing of the
    live lane waits for a review.

    In other lanes nobody is asked: there, an answer that was given to the same findings or the same verdict is found.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(trigger_dag_id=DAG_ID, logical_date=None, skip_when_already_exists=True, **kwargs)

    def execute(self, context: "Context") -> None:
        progress = collect(context["ti"], ("ingest", "settle"))
        if progress.lane != LIVE:
            raise AirflowSkipException(f"{progress.span}: nobody to ask: {progress.result} in lane {progress.lane}")
        with opened(context) as (steps, place):
            own = progress.result == "held" and steps.waits_for_review(place, progress.span)
            late = None if own else steps.late_review(place)
        if not own and late is None:
            raise AirflowSkipException(
                f"{progress.span}: nobody to ask: it is settled as {progress.result}, or the answer is there"
            )
        span, of = (late.span, f"-v{late.snapshot.version}") if late else (progress.span, "")
        self.conf = {"span": span.isoformat(), "lane": progress.lane}
        self.trigger_run_id = f"review-{progress.lane}-{span}{of}"
        super().execute(context)  # skipped from here where the question stands already
        if late:  # of its own span `settle` has told
            AlertNotifier(outcome_alert(late, context)).notify(context)


class AskOperator(HITLOperator):
    """Shows under Required Actions why the span is held; without an answer within the contract's patience it is a no.

    As the run's first task it refuses an unsafe store: there, two answers may both be the first. Skipped if there is an answer,
    or no need of one any more.
    """

    def __init__(self, **kwargs: Any):
        # Airflow's form wants a text that is not optional; its API takes a blank one, too.
        kwargs["params"] = {"reason": Param("", type="string", title="Reason", description="Why; it is kept with the answer.")}
        super().__init__(
            subject="What becomes of a span that is held?",
            options=[ACCEPT, REJECT],
            defaults=REJECT,
            response_timeout=timedelta(days=1),  # until the contract is read
            **kwargs,
        )

    def execute(self, context: "Context") -> Any:
        span, lane, release = asked_about(context)
        with opened(context) as (steps, place), too_late_is_skipped():
            steps.require_safe_store(place)
            held = steps.awaited_review(place, span, lane, release)
            if standing := steps.answered(place, held):
                raise skipped(str(standing.told()))
            patience = place.contract.drastic.patience
            until = f"{place.clock() + patience:%Y-%m-%d %H:%M} UTC"
            self.subject = subject(held)
            self.body = f"{steps.question(place, held, address)}\n\nWithout an answer until {until} it is a no."
            self.response_timeout = patience
        return super().execute(context)


class RecordOperator(BaseOperator):
    """Keeps the answer under what it judges; an accepted span's rows are learnt next, an accepted candidate is promoted.

    Skipped if somebody else was first, and if the candidate can't be promoted: superseded by a later span, withdrawn, or its lane
    frozen. Done again, it finds its record.
    """

    def execute(self, context: "Context") -> str:
        span, lane, release = asked_about(context)
        answer = context["ti"].xcom_pull(task_ids="ask")
        by, why = answered_by(answer)
        with opened(context, decider="record") as (steps, place), too_late_is_skipped():
            here = replace(place, actor=f"{place.actor}, answered by {by}")
            standing = steps.review(here, span, answer["chosen_options"][0].lower(), why, lane, release)
            if standing.reviewed_by != here.actor:
                raise skipped(f"{standing.told()}. The first answer stands.")
            return str(standing.told())


@contextmanager
def too_late_is_skipped() -> Iterator[None]:
    """What keeps a candidate from being promoted is an expected outcome here, and no fault."""
    try:
        yield
    except (SupersededError, WithheldError) as error:
        raise skipped(str(error)) from error


def skipped(why: str) -> AirflowSkipException:
    """A skip that tells why in the log, too: Airflow's page folds what the exception says, and would look empty."""
    log.warning("%s", why)
    return AirflowSkipException(why)


def asked_about(context: "Context") -> tuple[date, str, str | None]:
    """Span and lane of the question; and the release, where it is about that one only."""
    params = context["params"]
    return day(params["span"], "Param 'span'"), params["lane"], params.get("release")


def subject(held: "Outcome") -> str:
    """The question in one line."""
    if isinstance(held, Proposal):
        return f"Let lane {held.lane} go on from a twin of its champion? The champion owes it too much."
    if held.verdict:
        return f"Promote the candidate of span {held.span} of lane {held.lane}? The gate held it."
    return f"Learn span {held.span} of lane {held.lane}? It changed drastically."


def answered_by(answer: dict[str, Any]) -> tuple[str, str]:
    """Who answered, and why; nobody, where the patience ended."""
    if not answer.get("responded_by_user"):
        return "nobody", f"nobody answered until {answer['responded_at']:%Y-%m-%d %H:%M} UTC"
    return approver(answer), str(answer["params_input"].get("reason") or "").strip() or NO_REASON
