"""What the sample's contract does to the sample: every span through the real steps, and what the gate saw and said.

    python -m benchmarks.sample_chain

Writes `benchmarks/results/sample_chain.json`: the figures behind the gate's limits in `dags/contracts/movielens.yaml`.
"""

import json
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.machine import RESULTS, described
from widedeep.artifacts import Progress, Verdict
from widedeep.data.movielens import WEEKS
from widedeep.local.alone import store_alone
from widedeep.local.stack import HISTORY_SPANS
from widedeep.steps import Workplace, bootstrap, deliver_sample, open_workplace, run_span


def main() -> None:
    with (
        TemporaryDirectory(prefix="widedeep-bench-") as folder,
        store_alone(Path(folder), date(2026, 11, 23)) as settings,
        open_workplace(settings, actor="benchmark") as place,
    ):
        rows = list(_walk(place, date.fromisoformat(settings["WIDEDEEP_HISTORY_START"])))
    promoted = sum(row["result"] == "promoted" for row in rows[1:])
    result = {"machine": described(), "daily_spans": len(rows) - 1, "promoted": promoted, "spans": rows}
    (RESULTS / "sample_chain.json").write_text(json.dumps(result, indent=2) + "\n")


def _walk(place: Workplace, first: date) -> Any:
    deliver_sample(place, first, first + timedelta(days=WEEKS - 1))
    last = first + timedelta(days=HISTORY_SPANS - 1)
    yield _told(place, bootstrap(place, first, last), 0.0)
    for n in range(HISTORY_SPANS, WEEKS):
        began = time.monotonic()
        yield _told(place, run_span(place, first + timedelta(days=n)), time.monotonic() - began)


def _told(place: Workplace, progress: Progress, seconds: float) -> dict[str, Any]:
    row: dict[str, Any] = {"span": progress.span.isoformat(), "result": progress.result, "seconds": round(seconds, 1)}
    blob = place.store.get(progress.verdict) if progress.verdict else None
    if blob:
        verdict = Verdict.from_bytes(blob.data)
        row |= {"candidate": verdict.candidate_metrics.model_dump(mode="json"), "reasons": list(verdict.reasons)}
        row["difference"] = verdict.loss_difference.model_dump(mode="json") if verdict.loss_difference else None
    sys.stdout.write(json.dumps({k: v for k, v in row.items() if k != "candidate"}) + "\n")
    sys.stdout.flush()
    return row


if __name__ == "__main__":
    main()
