"""
### A span that is held: what becomes of it?

The daily run has settled the span as *held*, and later days go on. Either drift, label rate or volume went past the contract's
limit (`drastic`), and nothing was trained on it: are its rows learnt? Or the gate could not show that its candidate is good
enough, or doubts it: is it promoted all the same?

    ask ─▶ record
    why it is held,             the answer, its author and the reason,
    and where the report is     under the findings or the verdict that were judged

1. `widedeep_retrain` starts a run for each such span of the live lane, and `widedeep_audit` for a twin that may take the
   champion's place. By hand: trigger it with the span, and with its lane if that is another one. A store that `widedeep doctor`
   finds unsafe is refused here.
2. `ask` shows under **Required Actions** why. *Accept*: the next candidate learns these rows, or the candidate becomes champion.
   *Reject*: the rows are never learnt; of a candidate, the next one learns them. Without an answer within the contract's
   `drastic.patience` it is a no.
3. `record` keeps the answer. The first one stands: if somebody answered from a shell meanwhile, `record` is *skipped*, and its
   log says who answered what. A candidate is not promoted any more once a later span has settled, nor in a frozen lane:
   `record` is *skipped*, says so, and keeps no answer.

A replay that comes to the same findings or the same verdict finds the answer and asks nobody.

The same from a shell: `widedeep review` lists what waits; `widedeep review --span 2026-11-20 --accept --reason "a sale"` answers.
"""

import os
from datetime import timedelta

from airflow.sdk import DAG, Param, chain
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.review import DAG_ID, LIVE, AskOperator, RecordOperator
from widedeep_airflow.spans import frozen_start

_, start = frozen_start(os.environ)

with DAG(
    DAG_ID,
    description="Ask a person what becomes of a span that is held",
    doc_md=__doc__,
    schedule=None,
    start_date=start,
    max_active_runs=16,
    is_paused_upon_creation=False,  # while it is paused nobody is asked, and the span waits
    default_args={
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": 2,
        "execution_timeout": timedelta(minutes=5),
    },
    params={
        "span": Param(type="string", format="date", title="Span", description="The day that is held."),
        "lane": Param(LIVE, type="string", pattern="^[a-z0-9][a-z0-9-]{0,62}$", title="Lane", description="Where it is held."),
        "release": Param(
            None,
            type=["string", "null"],
            pattern="^r-[0-9a-f]{16}$",
            title="Release",
            description="Only where two things of the day wait: which one.",
        ),
    },
    on_failure_callback=AlertNotifier(),
    tags=["widedeep"],
) as dag:
    chain(AskOperator(task_id="ask"), RecordOperator(task_id="record"))
