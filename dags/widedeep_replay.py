"""
### The days from one on, again

After a day was delivered again, corrected or repaired, it and all days after it are rebuilt as they would have been, in a lane of
their own. `live` stays as it is, and goes on.

    rebuild: the day ─▶ the next day ─▶ … ─▶ live's head
    each learns as of the day before it in the lane, and passes validation, dry run and gate as in live

1. Trigger it with the first day. The run that finds a day delivered again names it in its log and its *Data report*, and so does
   another run of that day; `widedeep descendants --span D` tells who learnt which version.
2. `rebuild` does one day after the other; its log says which (*day 3 of 9*). Nobody is asked per day: what the gate holds stays
   unpromoted (*drop*), or leads the lane (*pass*). A store that `widedeep doctor` finds unsafe is refused.
3. Its last line says what became of the days. `widedeep_promote_lane` then compares the lane with `live`, and asks a person.

**After a fault** mend what the log names, then clear `rebuild`: it goes on where it was, in the same lane. To bring a lane up to
live's head later, trigger this with the lane, and the first day that it lacks.

The same from a shell: `widedeep replay --from …`.
"""

import os
from datetime import timedelta

from airflow.sdk import DAG, Param
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.placing import TRAINING
from widedeep_airflow.replay import ReplayOperator
from widedeep_airflow.spans import frozen_start

_, start = frozen_start(os.environ)

with DAG(
    "widedeep_replay",
    description="Rebuild the days from one on in a lane of their own",
    doc_md=__doc__,
    schedule=None,
    start_date=start,
    max_active_runs=1,  # it holds a worker
    params={
        "from": Param(type="string", format="date", title="From", description="The first day to rebuild."),
        "lane": Param(
            None,
            type=["string", "null"],
            pattern="^(?!live$)[a-z0-9][a-z0-9-]{0,62}$",
            title="Lane",
            description="Empty: a new one. One that has begun goes on where it was.",
        ),
        "on_hold": Param(
            "drop",
            enum=["drop", "pass"],
            title="On hold",
            description="Nobody is asked: what the gate holds stays unpromoted (drop) or leads the lane (pass).",
        ),
    },
    on_failure_callback=AlertNotifier(),
    tags=["widedeep"],
) as dag:
    ReplayOperator(
        task_id="rebuild",
        retries=3,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=2,
        execution_timeout=timedelta(days=2),  # a year of days, five minutes each, takes 30 hours; a retry goes on where it was
        **TRAINING,
    )
