"""
### What the chain pays for warm starts, once a week

Each day's model starts from the day before. This trains a *twin* of the champion from scratch on the same history, scores both on
the newest held-out rows that neither has learnt, and keeps the difference in log loss: the *warm-start debt*.

    audit ─▶ propose ─▶ ask
    a twin, the debt     the gate judges    a person, whether the
    with its interval    the twin           chain goes on from it

| what happened | audit | propose | ask | run |
|---|---|---|---|---|
| the debt is not shown to be above the limit | success | skipped | skipped | success |
| it is, and the twin waits for a person | success | success | success | success |
| it is, and the gate rejects the twin, or the contract asks nobody | success | success | skipped | success |
| it is, and another champion leads by now | success | skipped | skipped | success |
| no champion yet, or no rows to learn or to score | skipped | skipped | skipped | success |

Above the contract's limit (`audit.limit`) `propose` tells the targets of alerts. Nothing changes until a person accepts: then the
twin becomes champion, unless a later span has settled by then, and the next day starts from it.

Done again it finds what it made. The same from a shell: `widedeep audit`; `widedeep audit --history` lists the series.
"""

import os
from datetime import timedelta

from airflow.sdk import DAG, chain
from widedeep_airflow.audit import AskAboutTwinOperator, AuditOperator, ProposeOperator
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.placing import TRAINING
from widedeep_airflow.spans import frozen_start

_, start = frozen_start(os.environ)

with DAG(
    "widedeep_audit",
    description="Measure what the chain pays for warm starts",
    doc_md=__doc__,
    schedule="0 9 * * 1",  # long after the daily run: a later day that settles would supersede what is proposed
    start_date=start,
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    on_failure_callback=AlertNotifier(),
    tags=["widedeep"],
) as dag:
    chain(
        AuditOperator(task_id="audit", execution_timeout=timedelta(hours=12), **TRAINING),
        ProposeOperator(task_id="propose", execution_timeout=timedelta(hours=1)),
        AskAboutTwinOperator(task_id="ask", execution_timeout=timedelta(minutes=5)),
    )
