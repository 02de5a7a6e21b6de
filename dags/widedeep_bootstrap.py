"""
### The first release, in one go

Learns a whole history, span by span in date order, and publishes the live lane's first release and champion:

    ingest and validate each span ─▶ train on all ─▶ dry run ─▶ gate ─▶ publish ─▶ settle all
                                                    (absolute checks: there is no champion yet)

Run it once, before the daily runs: until it is done, `ingest` of `widedeep_retrain` waits. Run again with the same days it finds
what it made; on a lane that has gone on it refuses, and changes nothing.

**By hand**: trigger with the first and the last day of the history. The same from a shell: `widedeep bootstrap --from … --to …`.
"""

import os
from datetime import timedelta

from airflow.sdk import DAG, Param
from widedeep_airflow.chores import BootstrapOperator
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.placing import TRAINING
from widedeep_airflow.spans import frozen_start

settings, start = frozen_start(os.environ)
first = settings.history_start or (start - timedelta(days=1)).date()
last = (start - timedelta(days=1)).date()

with DAG(
    "widedeep_bootstrap",
    description="Train the first release on a whole history",
    doc_md=__doc__,
    schedule=None,
    start_date=start,
    max_active_runs=1,
    params={
        "from": Param(first.isoformat(), type="string", format="date", title="From", description="First span of the history."),
        "to": Param(last.isoformat(), type="string", format="date", title="To", description="Last span of the history."),
    },
    on_failure_callback=AlertNotifier(),
    tags=["widedeep"],
) as dag:
    BootstrapOperator(
        task_id="bootstrap",
        retries=3,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=2,
        execution_timeout=timedelta(hours=12),
        **TRAINING,
    )
