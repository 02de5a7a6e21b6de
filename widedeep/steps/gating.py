"""A rehearsed candidate is compared with the champion on rows that neither has seen."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from widedeep.artifacts import Candidate, DryRunReport, Manifest, Outcome, Part, Progress, Verdict, canonical_json, sha256
from widedeep.data.contract import Contract, Pending
from widedeep.evaluation.report.values import Report
from widedeep.publishing import lanes, layout, releases
from widedeep.steps.reporting import bare_report, holdout_of, judged, save_report, work_of
from widedeep.steps.retraining import parent_manifest, part_rows, plan_after
from widedeep.steps.workplace import Workplace, stored, wanted

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

log = logging.getLogger(__name__)


def gate(place: Workplace, progress: Progress) -> Progress:
    """Judge the candidate against its parent, the champion as of that day."""
    return gate_after(place, progress, lanes.history(place.store, progress.lane, progress.span), place.contract.pending)


def gate_after(place: Workplace, progress: Progress, outcomes: tuple[Outcome, ...], rule: Pending) -> Progress:
    """The decision is stored under the digests of what it judged, and reused by replays (sixth law)."""
    candidate = wanted(progress.candidate, "candidate", "train")
    rehearsal = DryRunReport.from_bytes(stored(place.store, wanted(progress.dry_run, "dry run", "dry_run")))
    champion = parent_manifest(place, progress, outcomes)
    pool = plan_after(place, progress, outcomes, rule, champion).pooled
    holdout = tuple(Part(span=s.span, version=s.version, digest=s.digest, part="holdout") for s in pool)
    name = f"verdict-{_judged(place, candidate, rehearsal, champion, holdout)[:16]}"
    if releases.load_evidence(place.store, candidate.release_id, name, Verdict) is None:
        verdict, report = _judge(place, candidate, rehearsal, champion, holdout)
        page = save_report(place, judged(report, verdict), name)
        releases.save_evidence(place.store, candidate.release_id, name, verdict)
        log.info("%s: report %s/%s", progress.span, place.store.url, page)
    # Read back, since the first verdict stands if two runs judge at once.
    key = layout.evidence(candidate.release_id, name)
    verdict = Verdict.from_bytes(stored(place.store, key))
    log.info("%s: %s: %s", progress.span, verdict.decision, "; ".join(verdict.reasons))
    return progress.model_copy(update={"verdict": key, "decision": verdict.decision})


def _judged(
    place: Workplace, candidate: Candidate, rehearsal: DryRunReport, champion: Manifest | None, holdout: tuple[Part, ...]
) -> str:
    judged = [
        candidate.manifest_sha256,
        rehearsal.content_digest(),
        champion.content_digest() if champion else None,
        [part.model_dump(mode="json") for part in holdout],
        place.contract.gate.model_dump(mode="json"),
        place.contract.serving.precision,
        place.contract.weight,
    ]
    return sha256(canonical_json(judged))


def _judge(
    place: Workplace, candidate: Candidate, rehearsal: DryRunReport, champion: Manifest | None, holdout: tuple[Part, ...]
) -> tuple[Verdict, Report]:
    """The decision, and a report with what was measured for it."""
    import numpy as np

    from widedeep.evaluation.gate import Comparison, decide
    from widedeep.evaluation.metrics import measure, paired_difference, row_losses
    from widedeep.evaluation.report.compiling import Measured, compiled

    limits, theirs = place.contract.gate, Comparison.unscored(champion)
    manifest = releases.load_manifest(place.store, candidate.release_id, published=False)
    report = bare_report(place, manifest, champion, holdout, rehearsal)
    rows, w = held_out_rows(place, holdout)
    if rehearsal.failures or rows.num_rows == 0:
        return decide(candidate, None, rehearsal, theirs, holdout, limits), report
    asked = holdout_of(place, manifest, rows, w)
    mine = work_of(place, manifest, rows, asked.audience)
    y, users, p = asked.labels, asked.users, mine.scores
    if not np.isfinite(p).all():
        failure = f"{int((~np.isfinite(p)).sum())} of {len(p)} held-out scores are not numbers"
        failed = rehearsal.model_copy(update={"failures": (failure,)})
        return decide(candidate, None, failed, theirs, holdout, limits), report
    measured, beside = Measured(mine, measure(y, p, users, w)), None
    if champion and theirs:
        others = work_of(place, champion, rows, asked.audience)
        beside = Measured(others, measure(y, others.scores, users, w))
        difference = paired_difference(row_losses(y, p), row_losses(y, others.scores), users, limits.confidence, w)
        theirs = replace(theirs, metrics=beside.metrics, difference=difference)
    verdict = decide(candidate, measured.metrics, rehearsal, theirs, holdout, limits)
    return verdict, compiled(report, asked, measured, beside, place.contract)


def held_out_rows(place: Workplace, holdout: tuple[Part, ...]) -> "tuple[pa.Table, NDArray[np.float64]]":
    """All rows of these parts that count, and as how many each does."""
    import pyarrow as pa

    from widedeep.data.rows import chunks

    tables = [table for part in holdout for table in chunks(part_rows(place, part))]
    return _counted(pa.concat_tables(tables, promote_options="permissive"), place.contract)


def _counted(rows: "pa.Table", contract: Contract) -> "tuple[pa.Table, NDArray[np.float64]]":
    """The rows that count, and as how many each does: a row of weight 0 is as good as not there."""
    import numpy as np
    import pyarrow as pa

    from widedeep.features.encoding import weights

    w = weights(rows, contract)
    if w is None:
        return rows, np.ones(rows.num_rows)
    return rows.filter(pa.array(w > 0)), w[w > 0].astype(np.float64)
