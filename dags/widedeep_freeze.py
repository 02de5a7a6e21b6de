"""
### Nothing new for now, or again

*Freeze* a lane: nothing is promoted in it until somebody thaws it. Daily runs go on; what passes is stored, unpromoted, and its
rows are pending. *Thaw* it: promotions go on, and the next candidate learns what is pending.

A frozen lane stays as it is, with its first reason. A store that `widedeep doctor` finds unsafe is refused.

The same from a shell: `widedeep freeze --reason …`, `widedeep thaw --reason …`.
"""

import os
from datetime import timedelta

from airflow.sdk import DAG, Param
from widedeep_airflow.deciding import FREEZE, THAW, FreezeOperator
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.spans import frozen_start

_, start = frozen_start(os.environ)

with DAG(
    "widedeep_freeze",
    description="Promote nothing in a lane for now, or go on",
    doc_md=__doc__,
    schedule=None,
    start_date=start,
    max_active_runs=1,
    is_paused_upon_creation=False,  # who wants to stop promotions has no time to look for a switch
    params={
        "reason": Param(type="string", minLength=3, pattern=r"\S", title="Reason", description="Why; it is kept with the move."),
        "do": Param(FREEZE, type="string", enum=[FREEZE, THAW], title="Do", description="Promote nothing, or promote again."),
        "lane": Param("live", type="string", pattern="^[a-z0-9][a-z0-9-]{0,62}$", title="Lane", description="Which lane."),
    },
    on_failure_callback=AlertNotifier(),
    tags=["widedeep"],
) as dag:
    FreezeOperator(task_id="move", retries=3, retry_delay=timedelta(seconds=10), execution_timeout=timedelta(minutes=5))
