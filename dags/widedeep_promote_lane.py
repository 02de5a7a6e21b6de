"""
### Another lane over live

A lane that was rebuilt beside `live`, as `widedeep_replay` does after a corrected day, takes the place of live's line.

    compare ─▶ approve ─▶ adopt
    the lane's champion     a person     one compare-and-swap
    serves, and is judged   says yes     of live's pointer
    beside live's

1. Trigger it with the lane and a reason. `compare` refuses a store that `widedeep doctor` finds unsafe; a lane that lags behind
   `live`, with the days that it lacks; one that is frozen; and one that descends from what a rollback withdrew. It serves the
   lane's champion in a fresh process, and the gate judges it beside live's on the newest held-out rows that neither has learnt.
2. `approve` shows under **Required Actions** the figures in words, with the report, and which champions of live are withdrawn.
   Without an answer within an hour it is a no. What the gate rejects is not asked about: `approve` and `adopt` are *skipped*.
   What it holds may be approved; the answer is kept under the verdict.
3. `adopt` moves the pointer, unless live's or the lane's has moved since: then compare again, and decide again.

From then on the next daily run starts from the lane's champion, and the lane's outcomes stand for live's own. It is a move like any
other: `widedeep_rollback` takes it back.

The same from a shell: `widedeep promote-lane LANE --reason …`.
"""

import os
from datetime import timedelta

from airflow.sdk import DAG, Param, chain
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
    default_args={
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": 2,
    },
    params={
        "lane": Param(
            type="string",
            pattern="^(?!live$)[a-z0-9][a-z0-9-]{0,62}$",
            title="Lane",
            description="Whose champion becomes live's; the last task of widedeep_replay names it.",
        ),
        "reason": Param(
            type="string",
            minLength=3,
            pattern=r"\S",
            title="Reason",
            description="Why; it is kept with the move.",
        ),
    },
    tags=["widedeep"],
) as dag:
    compare = CompareLaneOperator(task_id="compare", execution_timeout=timedelta(hours=1))
    approve = ApproveLaneOperator(
        task_id="approve", retries=0, patience=timedelta(hours=1), execution_timeout=timedelta(minutes=5)
    )
    adopt = PromoteLaneOperator(task_id="adopt", execution_timeout=timedelta(minutes=5))

    chain(compare, approve, adopt)
