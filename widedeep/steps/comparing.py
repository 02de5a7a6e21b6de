"""Any two releases, side by side, on the newest held-out rows that neither has learnt. Nothing is decided or stored by it."""

from datetime import date

from widedeep.artifacts import LIVE, DryRunReport, Manifest, Part
from widedeep.data.contract import Contract
from widedeep.errors import ContractError, UsageError
from widedeep.evaluation.report.values import Report
from widedeep.publishing import lanes, releases
from widedeep.publishing.pending import Seen, unlearnt
from widedeep.publishing.renewals import seen_by
from widedeep.publishing.store import ObjectStore
from widedeep.steps.gating import held_out_rows
from widedeep.steps.named import find_manifest
from widedeep.steps.reporting import bare_report, holdout_of, sliced, work_of
from widedeep.steps.workplace import Workplace


def compare(place: Workplace, candidate: str, champion: str) -> Report:
    """What the gate would measure of the first release beside the second; each by its id, or how that begins.

    Raises:
        UsageError: there is no such release, or no span whose held-out rows neither has learnt.
        ContractError: one was trained by another split.
        IntegrityError: a release is damaged.
    """
    ours, theirs = (find_manifest(place.store, name) for name in (candidate, champion))
    holdout = (newest_unlearnt(place.store, place.contract, ours, theirs),)
    return _measured(place, ours, theirs, holdout)


def newest_unlearnt(store: ObjectStore, contract: Contract, *manifests: Manifest) -> Part:
    """The held-out rows of the newest span of the live lane that none of these releases, nor an ancestor of one, has learnt."""
    check_one_split(contract, *manifests)
    learnt: Seen = frozenset().union(*(seen_by(store, manifest) for manifest in manifests))
    unseen = unlearnt(lanes.history(store, LIVE, date.max), learnt, "holdout")
    if not unseen:
        named = " nor ".join(manifest.release_id for manifest in manifests)
        raise UsageError(
            f"compare: no settled span of lane {LIVE} has held-out rows that neither {named} has learnt. "
            "Run a later span, then compare again."
        )
    newest = max(unseen, key=lambda snapshot: snapshot.span)
    return Part(span=newest.span, version=newest.version, digest=newest.digest, part="holdout")


def check_one_split(contract: Contract, *manifests: Manifest) -> None:
    """Raise ContractError if one of these releases may have learnt what the contract holds out now."""
    for manifest in manifests:
        if manifest.lineage.split_digest != contract.split_digest:
            raise ContractError(
                f"{manifest.release_id}: was trained by another split than contract {contract.name} has now, so it may have "
                "learnt what is held out. Compare releases of one chain, by its contract."
            )


def _rehearsed(store: ObjectStore, manifest: Manifest) -> DryRunReport | None:
    """What a dry run saw of these bytes, if one was kept."""
    found = releases.evidence_of(store, manifest.release_id)
    reports = (DryRunReport.from_bytes(found[name], name) for name in sorted(found) if name.startswith("dry-run-"))
    return next((report for report in reports if report.manifest_sha256 == manifest.content_digest()), None)


def _measured(place: Workplace, ours: Manifest, theirs: Manifest, holdout: tuple[Part, ...]) -> Report:
    from widedeep.evaluation.holdout import Scored
    from widedeep.evaluation.holdout import compare as compared
    from widedeep.evaluation.report.compiling import Measured, compiled

    bare = bare_report(place, ours, theirs, holdout, _rehearsed(place.store, ours))
    rows, w = held_out_rows(place, holdout)
    if rows.num_rows == 0:
        return bare
    asked = holdout_of(place, ours, rows, w)
    first, second = (
        Measured(work, asked.metrics(work.scores))
        for work in (work_of(place, manifest, rows, asked.audience) for manifest in (ours, theirs))
    )
    asked, champion = (
        sliced(place, asked, rows, second.work),
        Scored(theirs.release_id, theirs.content_digest(), second.work.scores),
    )
    comparison = compared(asked, first.work.scores, champion, None, place.contract.gate)
    return compiled(bare, asked, first, second, comparison, place.contract)
