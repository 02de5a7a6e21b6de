"""
### What need not be kept, once a week

Removes what the contract's `retention` does not keep: unpromoted candidates and validation reports past their age, rows of old
spans that no lane waits for, and what crashed uploads left behind. Champions, their history and all decisions stay.

It is safe beside daily runs, promotions and rollbacks. To see what would go, and delete nothing: trigger it with *Delete* off, or
`widedeep prune` in a shell. A store that `widedeep doctor` finds unsafe is refused.
"""

import os
from datetime import timedelta

from airflow.sdk import DAG, Param
from widedeep_airflow.chores import PruneOperator
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.spans import frozen_start

_, start = frozen_start(os.environ)

with DAG(
    "widedeep_prune",
    description="Remove what the contract's retention does not keep",
    doc_md=__doc__,
    schedule="@weekly",
    start_date=start,
    catchup=False,
    max_active_runs=1,
    params={"delete": Param(True, type="boolean", title="Delete", description="Off: only tell what would go.")},
    on_failure_callback=AlertNotifier(),
    tags=["widedeep"],
) as dag:
    PruneOperator(
        task_id="prune",
        retries=3,
        retry_delay=timedelta(minutes=5),
        execution_timeout=timedelta(hours=6),
    )
