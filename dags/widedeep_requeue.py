"""
### A settled day once more

Takes in what is delivered for a settled day by now: rows that were repaired, corrected or late. What nobody has learnt is learnt
by the next candidate, once. Rows that don't pass the contract are refused, and nothing changes.

A store that `widedeep doctor` finds unsafe is refused.

The same from a shell, also with a file of repaired rows: `widedeep requeue --span 2026-11-20 --reason …`.
"""

import os
from datetime import timedelta

from airflow.sdk import DAG, Param
from widedeep_airflow.deciding import RequeueOperator
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.spans import frozen_start

_, start = frozen_start(os.environ)

with DAG(
    "widedeep_requeue",
    description="Take in repaired or re-delivered rows of a settled day",
    doc_md=__doc__,
    schedule=None,
    start_date=start,
    max_active_runs=1,
    is_paused_upon_creation=False,
    params={
        "span": Param(type="string", format="date", title="Span", description="The settled day."),
        "reason": Param(type="string", minLength=3, pattern=r"\S", title="Reason", description="Why; it is kept with the rows."),
        "lane": Param(
            "live", type="string", pattern="^[a-z0-9][a-z0-9-]{0,62}$", title="Lane", description="Where it is settled."
        ),
    },
    on_failure_callback=AlertNotifier(),
    tags=["widedeep"],
) as dag:
    RequeueOperator(task_id="requeue", retries=3, retry_delay=timedelta(seconds=30), execution_timeout=timedelta(minutes=30))
