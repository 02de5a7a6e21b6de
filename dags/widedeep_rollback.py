"""
### Back to a former champion

A person takes the champion of a lane back. Nothing is retrained: the pointer moves to a release that was champion before.

    choose ─▶ rehearse ─▶ approve ─▶ move
    asks       the old     a person    one compare-and-swap
    which      release     says yes    of the pointer
               serves

1. Trigger it with a reason. *To* is the champion before this one; with *ask me which*, task `choose` offers all former champions
   under **Required Actions**. A store that `widedeep doctor` finds unsafe is refused here.
2. `rehearse` loads the old release in a fresh process and scores with it, as before a promotion. If that fails, nothing moves.
3. `approve` shows under **Required Actions** what will happen: which releases are withdrawn, which others were trained from them,
   in which lanes, and which spans the next candidate learns again. Without an answer within an hour it is a no.
4. `move` moves the pointer, unless it has moved since: then look again, and decide again.

From then on the withdrawn releases are nobody's parent, and the next daily run starts from the one that was rolled back to.
To keep the lane there until the cause is found, freeze it: `widedeep freeze --reason …`.

The same from a shell: `widedeep rollback --reason …`; `widedeep champion --history` lists all moves.
"""

import os
from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, chain
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.rollback import ASK, BEFORE, ChooseOperator, RehearseOperator, RollbackOperator
from widedeep_airflow.spans import frozen_start

_, start = frozen_start(os.environ)
PATIENCE = timedelta(hours=1)

with DAG(
    "widedeep_rollback",
    description="Make a former champion the champion again",
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
        "reason": Param(
            type="string",
            minLength=3,
            pattern=r"\S",
            title="Reason",
            description="Why; it is kept with the move.",
        ),
        "to": Param(BEFORE, type="string", enum=[BEFORE, ASK], title="To", description="Which release becomes champion again."),
        "lane": Param("live", type="string", pattern="^[a-z0-9][a-z0-9-]{0,62}$", title="Lane", description="Whose champion."),
    },
    on_failure_callback=AlertNotifier(),
    tags=["widedeep"],
) as dag:
    choose = ChooseOperator(task_id="choose", retries=0, response_timeout=PATIENCE, execution_timeout=timedelta(minutes=5))
    rehearse = RehearseOperator(task_id="rehearse", execution_timeout=timedelta(minutes=30))
    approve = ApprovalOperator(
        task_id="approve",
        retries=0,
        subject="Roll back?",
        body="{{ ti.xcom_pull(task_ids='rehearse')['told'] }}\n\nReason: {{ params.reason }}",
        defaults="Reject",
        response_timeout=PATIENCE,
        execution_timeout=timedelta(minutes=5),
    )
    move = RollbackOperator(task_id="move", execution_timeout=timedelta(minutes=5))

    chain(choose, rehearse, approve, move)
