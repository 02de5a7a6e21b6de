"""The warm-start debt: what the champion loses to a twin that learns the same history from scratch (docs/audit.md).

- The twin learns what the champion has learnt, the newest first, as far as rows are kept and the contract's `audit` goes.
- Both score, as they would serve, the newest held-out rows that the champion has not learnt; so the twin has not either.
- The same champion, rows and contract give the same twin and the same audit; done again, both are found.
"""

import logging
from collections.abc import Callable
from datetime import date, timedelta

from widedeep.artifacts import LIVE, Audit, Candidate, Manifest, Part, Snapshot, Unaudited, canonical_json, sha256
from widedeep.data.contract import Contract
from widedeep.errors import PermanentError
from widedeep.publishing import lanes, layout, releases
from widedeep.publishing import pending as learning
from widedeep.publishing.keys import load_signer, load_trust
from widedeep.publishing.pointer import champion
from widedeep.publishing.renewals import seen_by
from widedeep.publishing.signing import check_signature
from widedeep.publishing.store import ObjectStore
from widedeep.steps.chain import quiet
from widedeep.steps.comparing import check_one_split
from widedeep.steps.gating import held_out_rows
from widedeep.steps.reporting import holdout_of, scores_of
from widedeep.steps.retraining import twin_of
from widedeep.steps.workplace import Workplace, stored_evidence

log = logging.getLogger(__name__)

Learnt = dict[Snapshot, tuple[Part, ...]]


def audit(place: Workplace, on_step: Callable[[str], None] = quiet) -> Audit | Unaudited:
    """Measure the debt of the live lane's champion, and keep it as evidence beside that release.

    Raises:
        ContractError: the champion was trained by another split.
        SignatureError: no accepted key signed what this rests on, although that is required.
        PermanentError: the twin's scores are not numbers. Nothing was recorded.
        StaleError: an erasure renewed rows meanwhile; do it again.
    """
    found = _champion(place)
    if isinstance(found, Unaudited):
        return found
    outcomes, seen = lanes.history(place.store, LIVE, date.max), seen_by(place.store, found)
    holdout = newest_pool(learning.unlearnt(outcomes, seen, "holdout"), place.contract.split.pool_spans)
    history = bounded(_kept(place.store, learning.learnt(outcomes, seen)), place.contract)
    if not holdout or not history:
        what = "held-out rows of a settled span that it has not learnt" if history else "rows that it has learnt"
        return Unaudited(reason=f"of champion {found.release_id} no {what} are kept")
    on_step("train a twin")
    twin = twin_of(place, found, parts_of(history))
    signer, trust = load_signer(place.settings), load_trust(place.settings)
    name = releases.signed_name(f"{releases.AUDIT}{_digest(place.contract, found, twin, holdout)[:16]}", signer)
    if releases.load_evidence(place.store, found.release_id, name, Audit, trust) is None:
        on_step("score both")
        releases.save_evidence(place.store, found.release_id, name, _measured(place, found, twin, history, holdout), signer)
    made = stored_evidence(place, layout.evidence(found.release_id, name), Audit)
    log.info("%s", made.told())
    return made


def audits(place: Workplace) -> tuple[Audit, ...]:
    """All that were made, by the newest span that was scored.

    Raises:
        SignatureError: no accepted key signed one although that is required, or a signature does not fit.
    """
    keys = (key for key in place.store.keys(layout.EVIDENCES) if layout.evidence_name(key).startswith(releases.AUDIT))
    found = [stored_evidence(place, key, Audit) for key in keys if not layout.is_signature(key)]
    unlike = {each.content_digest(): each for each in found}  # each key that signs keeps its own
    return tuple(sorted(unlike.values(), key=lambda each: (max(part.span for part in each.holdout), each.span, each.twin)))


def newest_pool(unseen: list[Snapshot], pool_spans: int) -> tuple[Part, ...]:
    """The held-out parts of the newest span and, as in the gate, of those before it that are in its pool; in date order."""
    newest = max((snapshot.span for snapshot in unseen), default=date.min)
    pooled = sorted((s for s in unseen if (newest - s.span).days < pool_spans), key=lambda s: (s.span, s.version))
    return tuple(Part(span=s.span, version=s.version, digest=s.digest, part="holdout") for s in pooled)


def bounded(history: Learnt, contract: Contract) -> Learnt:
    """The newest spans within the contract's bounds, one at least."""
    newest_first = sorted(history, key=lambda snapshot: (snapshot.span, snapshot.version), reverse=True)
    taken: list[Snapshot] = []
    for snapshot in newest_first:
        too_old = snapshot.span <= newest_first[0].span - timedelta(days=contract.audit.days)
        too_many = sum(each.rows for each in (*taken, snapshot)) > contract.audit.rows
        if taken and (too_old or too_many):
            break
        taken.append(snapshot)
    return {snapshot: history[snapshot] for snapshot in taken}


def parts_of(history: Learnt) -> tuple[Part, ...]:
    """In the order in which a candidate learns them."""
    return tuple(sorted((part for parts in history.values() for part in parts), key=lambda p: (p.span, p.part, p.version)))


def _champion(place: Workplace) -> Manifest | Unaudited:
    pointer = champion(place.store, LIVE)
    if pointer is None:
        return Unaudited(reason=f"lane {LIVE} has no champion yet")
    manifest = releases.load_manifest(place.store, pointer.release_id, published=True)
    check_signature(place.store, manifest, load_trust(place.settings))
    check_one_split(place.contract, manifest)
    return manifest


def _kept(store: ObjectStore, history: Learnt) -> Learnt:
    there = set(store.keys(layout.SNAPSHOTS))
    return {snapshot: parts for snapshot, parts in history.items() if snapshot.file.name in there}


def _digest(contract: Contract, champion: Manifest, twin: Candidate, holdout: tuple[Part, ...]) -> str:
    """What the audit depends on: where it is the same, so is the audit."""
    judged = [
        champion.content_digest(),
        twin.manifest_sha256,
        [part.model_dump(mode="json") for part in holdout],
        [contract.audit.limit, contract.gate.margin, contract.gate.unit, contract.gate.confidence],
        contract.serving.precision,
        contract.weight,
    ]
    return sha256(canonical_json(judged))


def _measured(place: Workplace, champion: Manifest, twin: Candidate, history: Learnt, holdout: tuple[Part, ...]) -> Audit:
    import numpy as np

    from widedeep.evaluation.holdout import debt

    other = releases.load_manifest(place.store, twin.release_id, published=False, expected_sha256=twin.manifest_sha256)
    rows, w = held_out_rows(place, holdout)
    asked = holdout_of(place, champion, rows, w)
    theirs, its = (scores_of(place, manifest, rows) for manifest in (champion, other))
    if not np.isfinite(its).all():
        raise PermanentError(
            f"twin {twin.release_id}: {int((~np.isfinite(its)).sum())} of {len(its)} held-out scores are not numbers, wanted "
            "all: trained from scratch by this contract it diverges. Look at its `training`; nothing was recorded."
        )
    owed = debt(asked, theirs, its, place.contract)
    interval = owed.difference.interval(place.contract.gate.confidence)
    return Audit(
        release_id=champion.release_id,
        manifest_sha256=champion.content_digest(),
        span=champion.lineage.span,
        twin=twin.release_id,
        twin_manifest_sha256=twin.manifest_sha256,
        since=min(snapshot.span for snapshot in history),
        spans=len({snapshot.span for snapshot in history}),
        rows=sum(snapshot.rows for snapshot in history),
        holdout=holdout,
        metrics=asked.metrics(theirs),
        twin_metrics=asked.metrics(its),
        debt=interval,
        limit=owed.margin,
        over=interval.lower > owed.margin,
    )
