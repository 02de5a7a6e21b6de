"""
### One span of the sample, each day

Delivers the next week of MovieLens-100k as the span of this run's day, into `landing/`; `widedeep_retrain` of the same day waits
for it. The feed starts with `WIDEDEEP_FEED_START`, the day after the spans that setup delivered. When the sample's 31 weeks are
used up its task is *skipped*.
The DAG exists only where `WIDEDEEP_SAMPLE` names the sample: with your own data, your own job delivers.
"""

import os
from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable
from widedeep_airflow.chores import FeedOperator
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.spans import frozen_start, midnight

settings, start = frozen_start(os.environ)

if settings.sample is not None:
    with DAG(
        "sample_feed",
        description="Deliver one span of MovieLens-100k a day",
        doc_md=__doc__,
        schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
        start_date=midnight(settings.feed_start) if settings.feed_start else start,
        catchup=True,
        max_active_runs=1,
        on_failure_callback=AlertNotifier(),
        tags=["widedeep", "sample"],
    ) as dag:
        FeedOperator(
            task_id="deliver",
            retries=3,
            retry_delay=timedelta(seconds=30),
            retry_exponential_backoff=2,
            execution_timeout=timedelta(minutes=10),
        )
