"""
### Another lane over live

A lane that was rebuilt beside `live`, as `widedeep_replay` does after a day was delivered again, takes the place of live's line.

    compare ─▶ approve ─▶ promote
    the lane's champion     a person     one compare-and-swap
    serves, and is judged   says yes     of live's pointer
    beside live's

1. Trigger it with the lane and a reason. `compare` serves the lane's champion in a fresh process, and the gate judges it beside
   live's on the newest held-out rows that neither has learnt. Refused is a lane that lags behind `live`, with the days that it
   lacks; one that is frozen; one that descends from what a rollback withdrew; and a store that `widedeep doctor` finds unsafe.
2. `approve` shows under **Required Actions** both losses, their difference and its interval, the report, and which champions of
   live would be withdrawn. Without an answer within an hour it is a no. What the gate rejects is not asked about: `approve` and
   `promote` are *skipped*. What it holds may be approved; the answer is kept under the verdict.
3. `promote` moves the pointer, unless live's or the lane's champion has changed since: then it fails, and `compare`, cleared with
   *Downstream*, decides again. After a no, or without an answer, it is *skipped*.

From then on the next daily run starts from the lane's champion, and the lane's outcomes stand for live's own. It is a move like
any other: `widedeep_rollback` takes it back.

The same from a shell: `widedeep promote-lane LANE --reason …`.
"""

import os
from datetime import timedelta

from airflow.sdk import DAG, Param, chain
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.promotion import ApproveLaneOperator, CompareLaneOperator, PromoteLaneOperator
from widedeep_airflow.spans import frozen_start

_, start = frozen_start(os.environ)

with DAG(
    "widedeep_promote_lane",
    description="Compare another lane's champion with live's, and make it live's",
    doc_md=__doc__,
    schedule=None,
    start_date=start,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=10), "retry_exponential_backoff": 2},
    params={
        "lane": Param(
            type="string",
            pattern="^(?!live$)[a-z0-9][a-z0-9-]{0,62}$",
            title="Lane",
            description="Whose champion becomes live's; task rebuild of widedeep_replay names it.",
        ),
        "reason": Param(
            type="string",
            minLength=3,
            pattern=r"\S",
            title="Reason",
            description="Why; it is kept with the move.",
        ),
    },
    on_failure_callback=AlertNotifier(),
    tags=["widedeep"],
) as dag:
    compare = CompareLaneOperator(execution_timeout=timedelta(hours=1))
    approve = ApproveLaneOperator(task_id="approve", patience=timedelta(hours=1), execution_timeout=timedelta(minutes=5))
    promote = PromoteLaneOperator(task_id="promote", execution_timeout=timedelta(minutes=5))

    chain(compare, approve, promote)
