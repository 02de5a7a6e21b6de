"""A rehearsed candidate is compared with the champion on rows that neither has seen."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widedeep.artifacts import Candidate, DryRunReport, Manifest, Outcome, Part, Progress, Verdict, canonical_json, sha256
from widedeep.data.contract import Contract, Pending
from widedeep.errors import OrderError
from widedeep.evaluation.report.values import Report
from widedeep.publishing import lanes, layout, releases
from widedeep.publishing.keys import load_signer, load_trust
from widedeep.publishing.pointer import withdrawn
from widedeep.publishing.renewals import seen_by
from widedeep.publishing.signing import check_signature
from widedeep.steps.reporting import bare_report, holdout_of, save_report, scores_of, sliced, work_of
from widedeep.steps.retraining import parent_manifest, part_rows, plan_after
from widedeep.steps.workplace import Workplace, stored_evidence, wanted

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from widedeep.evaluation.holdout import Scored

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Case:
    """What is judged: a candidate and its rehearsal, beside the champion and an earlier one, on rows that none has learnt.

    `left_out`: what one of them has learnt of these days in other versions; no row of it is judged on.
    `doubt`: why a person has to decide, however good it is.
    """

    candidate: Candidate
    manifest: Manifest
    rehearsal: DryRunReport
    champion: Manifest | None
    anchor: Manifest | None
    holdout: tuple[Part, ...]
    left_out: tuple[Part, ...] = ()
    doubt: str | None = None

    def digest(self, contract: Contract) -> str:
        """What the decision depends on: where it is the same, so is the decision."""
        judged = [
            self.candidate.manifest_sha256,
            self.rehearsal.content_digest(),
            *(each.content_digest() if each else None for each in (self.champion, self.anchor)),
            [part.model_dump(mode="json") for part in self.holdout],
            contract.gate.model_dump(mode="json"),
            contract.serving.precision,
            contract.weight,
            *([[part.model_dump(mode="json") for part in self.left_out]] if self.left_out else []),
            *([self.doubt] if self.doubt else []),
        ]
        return sha256(canonical_json(judged))


def gate(place: Workplace, progress: Progress) -> Progress:
    """Judge the candidate against its parent, the champion as of that day."""
    return gate_after(place, progress, lanes.history(place.store, progress.lane, progress.span), place.contract.pending)


def gate_after(place: Workplace, progress: Progress, outcomes: tuple[Outcome, ...], rule: Pending) -> Progress:
    """The decision is stored under the digests of what it judged, and reused by replays (sixth law)."""
    key, verdict = decided(place, _case(place, progress, outcomes, rule))
    return progress.model_copy(update={"verdict": key, "decision": verdict.decision})


def decided(place: Workplace, case: Case) -> tuple[str, Verdict]:
    """The verdict on a case, and its key; the one that stands there, or a new one, with its report.

    Raises:
        SignatureError: one stands there that no accepted key signed although that is required.
    """
    signer, trust, span = load_signer(place.settings), load_trust(place.settings), case.candidate.span
    release_id, name = case.candidate.release_id, releases.signed_name(f"verdict-{case.digest(place.contract)[:16]}", signer)
    if releases.load_evidence(place.store, release_id, name, Verdict, trust) is None:
        verdict, report = _judge(place, case)
        page = save_report(place, report.model_copy(update={"verdict": verdict}), name)
        releases.save_evidence(place.store, release_id, name, verdict, signer)
        log.info("%s: report %s/%s", span, place.store.url, page)
    # Read back, since the first verdict stands if two runs judge at once.
    key = layout.evidence(release_id, name)
    verdict = stored_evidence(place, key, Verdict)
    log.info("%s: %s: %s", span, verdict.decision, "; ".join(verdict.reasons))
    return key, verdict


def _case(place: Workplace, progress: Progress, outcomes: tuple[Outcome, ...], rule: Pending) -> Case:
    candidate = wanted(progress.candidate, "candidate", "train")
    judged = candidate.manifest_sha256
    manifest = releases.load_manifest(place.store, candidate.release_id, published=False, expected_sha256=judged)
    champion = parent_manifest(place, progress, outcomes)
    _check_descends(place, progress, manifest, champion)
    pool = plan_after(place, progress, outcomes, rule, champion).pooled
    # The pool may have grown since the candidate was trained: by the contract of then it learnt what is pooled now.
    learnt = seen_by(place.store, manifest)
    return Case(
        candidate=candidate,
        manifest=manifest,
        rehearsal=stored_evidence(place, wanted(progress.dry_run, "dry run", "dry_run"), DryRunReport),
        champion=champion,
        anchor=anchor_manifest(place, progress, outcomes, champion),
        holdout=tuple(
            Part(span=s.span, version=s.version, digest=s.digest, part="holdout")
            for s in pool
            if (s.span, s.digest, "holdout") not in learnt
        ),
    )


def _check_descends(place: Workplace, progress: Progress, candidate: Manifest, champion: Manifest | None) -> None:
    """Raise OrderError if another champion leads since the candidate was trained, as one that a person has accepted (first law).

    A candidate of a parent that was withdrawn since is judged all the same, and not promoted.
    """
    parent = candidate.lineage.parent
    if champion and parent not in {champion.release_id, *withdrawn(place.store, progress.lane)}:
        raise OrderError(
            f"span {progress.span} of lane {progress.lane}: its candidate {candidate.release_id} was trained from "
            f"{parent or 'nobody'}, and {champion.release_id} is champion since, wanted one that was trained from that. "
            "Clear train with Downstream, or run the span again."
        )


def anchor_manifest(
    place: Workplace, progress: Progress, outcomes: tuple[Outcome, ...], champion: Manifest | None
) -> Manifest | None:
    """The champion of so many days ago that still stands, else the chain's first; None where that is the champion itself.

    Raises:
        SignatureError: no accepted key signed it although that is required, or a signature does not fit.
    """
    days = place.contract.gate.anchor_days
    if days is None or champion is None:
        return None
    for release in lanes.anchors_as_of(outcomes, progress.span, days, withdrawn(place.store, progress.lane)):
        if place.store.get(layout.manifest(release)):  # prune keeps none of them for ever
            if release == champion.release_id:
                return None
            manifest = releases.load_manifest(place.store, release, published=True)
            check_signature(place.store, manifest, load_trust(place.settings))
            return manifest
    return None


def _judge(place: Workplace, case: Case) -> tuple[Verdict, Report]:
    """The decision, and a report with what was measured for it."""
    import numpy as np

    from widedeep.evaluation.gate import Comparison, decide
    from widedeep.evaluation.holdout import Scored, compare
    from widedeep.evaluation.report.compiling import Measured, compiled

    limits, unscored = place.contract.gate, Comparison.unscored(case.champion)
    bare = bare_report(place, case.manifest, case.champion, case.holdout, case.rehearsal)
    rows, w = held_out_rows(place, case.holdout, case.left_out)
    if case.rehearsal.failures or rows.num_rows == 0:
        return decide(case.candidate, None, case.rehearsal, unscored, case.holdout, limits, case.doubt), bare
    asked = holdout_of(place, case.manifest, rows, w)
    mine = work_of(place, case.manifest, rows, asked.audience)
    if not np.isfinite(mine.scores).all():
        failure = f"{int((~np.isfinite(mine.scores)).sum())} of {len(mine.scores)} held-out scores are not numbers"
        failed = case.rehearsal.model_copy(update={"failures": (failure,)})
        return decide(case.candidate, None, failed, unscored, case.holdout, limits, case.doubt), bare
    measured, beside, comparison = Measured(mine, asked.metrics(mine.scores)), None, unscored
    if case.champion:
        theirs = work_of(place, case.champion, rows, asked.audience)
        asked = sliced(place, asked, rows, theirs)
        champion = Scored(case.champion.release_id, case.champion.content_digest(), theirs.scores)
        comparison = compare(asked, mine.scores, champion, _anchor(place, case, rows), limits)
        beside = Measured(theirs, asked.metrics(theirs.scores))
    verdict = decide(case.candidate, measured.metrics, case.rehearsal, comparison, case.holdout, limits, case.doubt)
    return verdict, compiled(bare, asked, measured, beside, comparison, place.contract)


def _anchor(place: Workplace, case: Case, rows: "pa.Table") -> "Scored | None":
    from widedeep.evaluation.holdout import Scored

    anchor = case.anchor
    return Scored(anchor.release_id, anchor.content_digest(), scores_of(place, anchor, rows)) if anchor else None


def held_out_rows(
    place: Workplace, holdout: tuple[Part, ...], left_out: tuple[Part, ...] = ()
) -> "tuple[pa.Table, NDArray[np.float64]]":
    """All rows of these parts that count, but for those of the parts that are left out, and as how many each counts."""
    import numpy as np
    import pyarrow as pa

    from widedeep.data.rows import chunks
    from widedeep.data.tables import without

    if not holdout:
        return pa.table({}), np.empty(0)
    tables = [table for part in holdout for table in chunks(part_rows(place, part))]
    rows = pa.concat_tables(tables, promote_options="permissive")
    for part in left_out:
        for learnt in chunks(part_rows(place, part)):
            rows = without(rows, learnt)
    return _counted(rows, place.contract)


def _counted(rows: "pa.Table", contract: Contract) -> "tuple[pa.Table, NDArray[np.float64]]":
    """The rows that count, and as how many each does: a row of weight 0 is as good as not there."""
    import numpy as np
    import pyarrow as pa

    from widedeep.features.encoding import weights

    w = weights(rows, contract)
    if w is None:
        return rows, np.ones(rows.num_rows)
    return rows.filter(pa.array(w > 0)), w[w > 0].astype(np.float64)
