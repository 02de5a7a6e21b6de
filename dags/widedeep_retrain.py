"""
### One span, from delivery to champion

Each day one delivered batch (a *span*) becomes a candidate model, which replaces the champion only if it is good enough.

    ingest ─▶ validate ─▶ train ─▶ dry_run ─▶ gate ─▶ publish ─▶ settle ─▶ ask
    snapshot   checks      warm     a fresh    same     release    the outcome,  a person, about
                           start    process    rows     pointer    written once  what is held

`settle` runs after all steps, and fails if a step failed.

| what happened | ingest | validate | wait_turn | train | dry_run | gate | publish | settle | ask | run |
|---|---|---|---|---|---|---|---|---|---|---|
| promoted | success | success | success | success | success | success | success | success | skipped | success |
| held by the gate | success | success | success | success | success | success | success | success | success | success |
| rejected by the gate | success | success | success | success | success | success | skipped | success | skipped | success |
| held for a review: drastic change |success|success|success|skipped|skipped|skipped|skipped|success|success|success|
| quarantined: bad data | success | success | success | skipped | skipped | skipped | skipped | success | skipped | success |
| quarantined: unreadable files |success|skipped|success|skipped|skipped|skipped|skipped|success|skipped|success|
| no data until the deadline | success | skipped | success | skipped | skipped | skipped | skipped | success | skipped | success |
| settled already | success | skipped | skipped | skipped | skipped | skipped | skipped | success | skipped | success |
| a fault in train |success|success|success|failed|upstream_failed|upstream_failed|upstream_failed|failed|upstream_failed|failed|

Green means that the work was done, not that the model was promoted: the verdict and its reasons are the last line in the log of
`gate`, and `settle` pushes the result (field `result` of its XCom `return_value`). `widedeep spans` lists them all.

**While the delivery is late** `ingest` is *deferred*: it holds no worker, and gives up at the contract's deadline ("no data"),
but not within the run's first two minutes: after a pause, the job that delivers starts at the same moment.

**When a day changed drastically** it is settled as held, and nothing is learnt from it yet. **When the gate holds a
candidate** it is published unpromoted. Either way `ask` starts a run of `widedeep_review`, where a person decides, and waits for
nobody: later days go on.

**After a fault** mend what the failed task's log names, then clear that task with *Downstream*. Every step finds what it
already did, so nothing is done or published twice.

**By hand**: trigger with `{"span": "2026-11-20"}` to run one span, and with `"lane"` to write to another lane than `live`.
The same from a shell: `widedeep run --span 2026-11-20`.
"""

import os
from datetime import timedelta

from airflow.sdk import DAG, AsyncCallback, CronDataIntervalTimetable, DeadlineAlert, DeadlineReference, Param, chain
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.operators import IngestOperator, SettleOperator, StepOperator
from widedeep_airflow.placing import TRAINING
from widedeep_airflow.review import StartReviewOperator
from widedeep_airflow.spans import frozen_start
from widedeep_airflow.turns import WaitTurnOperator

settings, start = frozen_start(os.environ)
# Told by the triggerer: Airflow gives no connection to what it calls in an executor.
deadline = settings.release_deadline and DeadlineAlert(
    reference=DeadlineReference.DAGRUN_LOGICAL_DATE, interval=settings.release_deadline, callback=AsyncCallback(AlertNotifier)
)

with DAG(
    "widedeep_retrain",
    description="Ingest, validate, warm-start retrain, rehearse, gate and publish one span a day",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=start,
    catchup=True,
    max_active_runs=16,  # ingest and validate overlap; `wait_turn` orders the rest
    default_args={
        "retries": 3,
        "retry_delay": timedelta(seconds=30),  # with doubling, four to seven minutes in all: a store's restart or failover
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(minutes=30),
    },
    params={
        "span": Param(
            None,
            type=["string", "null"],
            format="date",
            title="Span",
            description="The day to run. Empty: the run's data interval, less the contract's label_delay in days.",
        ),
        "lane": Param(
            None,
            type=["string", "null"],
            pattern="^[a-z0-9][a-z0-9-]{0,62}$",
            title="Lane",
            description="Empty: live for a span after the live head, else a lane of its own, one for all days of a backfill.",
        ),
        "on_hold": Param(
            "drop",
            enum=["drop", "pass"],
            title="On hold",
            description="Outside of live nobody is asked: what the gate holds stays unpromoted (drop) or leads (pass).",
        ),
    },
    on_failure_callback=AlertNotifier(),
    deadline=deadline,
    tags=["widedeep"],
) as dag:
    ingest = IngestOperator(task_id="ingest")
    validate = StepOperator(step="validate")
    wait_turn = WaitTurnOperator(task_id="wait_turn")
    train = StepOperator(step="train", execution_timeout=timedelta(hours=4), **TRAINING)
    dry_run = StepOperator(step="dry_run")
    gate = StepOperator(step="gate")
    publish = StepOperator(step="publish")
    settle = SettleOperator(task_id="settle")
    ask = StartReviewOperator(task_id="ask")

    chain(ingest, validate, wait_turn, train, dry_run, gate, publish)
    [ingest, validate, wait_turn, train, dry_run, gate, publish] >> settle >> ask
