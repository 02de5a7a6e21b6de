"""Chains of any length, made without training: what the page reads of them is as the steps write it."""

from datetime import UTC, date, datetime, timedelta

from widedeep.artifacts import (
    Audit,
    ChampionPointer,
    DryRunReport,
    FileRef,
    Interval,
    Lineage,
    Manifest,
    MetricReport,
    NumericProfile,
    Outcome,
    Part,
    Snapshot,
    Verdict,
    canonical_json,
    sha256,
)
from widedeep.publishing import layout
from widedeep.publishing.store import ObjectStore

FIRST = date(2020, 1, 1)
DIGEST = "0" * 64
VERSIONS = {"torch": "2.13.0", "numpy": "2.4.1", "pandas": "3.1.1", "pyarrow": "26.0.1", "safetensors": "0.8.0"}
PROFILE = NumericProfile(precision="fp32", instruction_set="avx2", threads=1, engine="torch", **VERSIONS)
ENDS = {3: "rejected", 5: "held", 7: "quarantined", 9: "no data"}
"""Of each twelve days: how those end that are not promoted."""

AUDITED = 7
"""Every so many promoted days the champion was measured beside a twin from scratch."""

PENDING_DAYS = 60
"""What was not promoted longer ago than that has been learnt by a later candidate."""

INHERITED = 40
"""Parts that a manifest names, but for the last one, which names all: 2,000 that did would be half a gigabyte."""


def day(n: int) -> date:
    return FIRST + timedelta(days=n)


def at(n: int) -> datetime:
    return datetime(2020, 1, 1, 6, tzinfo=UTC) + timedelta(days=n + 1)


def metrics(n: int) -> MetricReport:
    found = {"ne": 0.9, "auc": 0.7 + 0.0001 * (n % 100), "calibration": 1.0}
    between = {f"{name}_interval": interval(value, 0.02) for name, value in found.items()}
    return MetricReport(rows=900, users=90, label_rate=0.4, log_loss=0.6, **found, **between)


def interval(estimate: float, reach: float) -> Interval:
    return Interval(estimate=estimate, lower=estimate - reach, upper=estimate + reach, level=0.95)


def training(span: date, scratch: bool) -> bytes:
    growth = dict.fromkeys(("new_values", "new_crosses", "evicted_values", "evicted_crosses"), 10)
    own = {
        "part": {"span": str(span), "version": 1, "digest": DIGEST, "part": "train"},
        "coverage": {"oov_share": 0.02, "unseen_cross_share": 0.1},
        "growth": {**growth, "refused_values": 0, "refused_crosses": 0, "table_bytes": 1_000_000},
        "drift": {"price": 0.07},
    }
    warm = {"carried": [] if scratch else ["bias", "embedding"], "initialised": ["bias"] if scratch else []}
    return canonical_json({"rows": 1000, "steps": 9, "log_loss": 0.6, "warm_start": warm, "parts": [own], "fitted": {}})


def make_chain(store: ObjectStore, days: int) -> list[str]:
    """A live lane of so many days; returns the ids of its releases in order. The last day is promoted."""
    made: list[str] = []
    champion: Manifest | None = None
    seen: list[Part] = []
    waiting: list[Part] = []
    for n in range(days):
        result = ENDS.get(n % 12, "promoted") if n and n < days - 1 else "promoted"
        span, snapshot = day(n), snapshot_of(n)
        store.create(layout.version(span, 1), snapshot.to_bytes())
        told = {"lane": "live", "span": span, "result": result, "reasons": ("so it is",), "settled_at": at(n)}
        by = {"settled_by": f"airflow:widedeep_retrain/scheduled__{span}T00:00:00+00:00"}
        if result in {"quarantined", "no data"}:
            kept = None if result == "no data" else snapshot
            store.create(layout.outcome("live", span), Outcome(**told, **by, snapshot=kept).to_bytes())
            continue
        own = Part(span=span, version=1, digest=DIGEST, part="train")
        learnt = [part for part in waiting if part.span < span - timedelta(PENDING_DAYS)]
        inherited = (*seen, *learnt) if n == days - 1 else seen[-INHERITED:]
        manifest = manifest_of(span, champion, own, tuple(inherited))
        release_id = manifest.release_id
        made.append(release_id)
        verdict = verdict_on(manifest, champion, result, n)
        key = layout.evidence(release_id, f"verdict-{verdict.content_digest()[:16]}")
        store.create(key, verdict.to_bytes())
        store.create(layout.decision_report(key), b"<h1>The gate</h1>")
        record_training(store, manifest, n)
        rehearsed = DryRunReport(
            release_id=release_id, manifest_sha256=manifest.content_digest(), failures=(), score_ms=(1.0, 1.5), rows_scored=9
        )
        store.create(layout.evidence(release_id, "dry-run-0123456789abcdef"), rehearsed.to_bytes())
        store.create(layout.release_file(release_id, manifest.files[0]), training(span, champion is None))
        store.create(layout.candidate(release_id), manifest.to_bytes())
        if result != "rejected":
            store.create(layout.manifest(release_id), manifest.to_bytes())
        held = {"verdict": key} if result == "held" else {}
        store.create(
            layout.outcome("live", span), Outcome(**told, **by, **held, snapshot=snapshot, release_id=release_id).to_bytes()
        )
        if result == "promoted":
            champion = manifest
            seen.append(own)
            if len(seen) % AUDITED == 0:
                store.create(layout.evidence(release_id, "audit-0123456789abcdef"), audit_of(manifest, n).to_bytes())
        else:
            waiting.append(own)
    if champion:
        store.create(layout.champion("live"), pointer_to(champion, len(made)).to_bytes())
    return made


def snapshot_of(n: int) -> Snapshot:
    file = FileRef(name=layout.rows(day(n), DIGEST, DIGEST), size_bytes=9, sha256=DIGEST)
    return Snapshot(span=day(n), version=1, digest=DIGEST, rows=1000 + n, file=file)


def manifest_of(span: date, parent: Manifest | None, own: Part, inherited: tuple[Part, ...]) -> Manifest:
    digests = {"split_digest": DIGEST, "contract_digest": DIGEST, "source_digest": DIGEST}
    lineage = Lineage(span=span, parent=parent and parent.release_id, learnt=(own,), seed=1, profile=PROFILE, **digests)
    data = training(span, parent is None)
    file = FileRef(name="training.json", size_bytes=len(data), sha256=sha256(data))
    return Manifest(release_id=lineage.release_id(), lineage=lineage, inherited=inherited, files=(file,))


def verdict_on(manifest: Manifest, champion: Manifest | None, result: str, n: int) -> Verdict:
    decision = {"promoted": "promote", "held": "hold", "rejected": "reject"}[result]
    return Verdict(
        decision=decision,
        reasons=("calibration 1.9 is above 1.4",) if decision == "reject" else ("shown to be below the margin",),
        candidate=manifest.release_id,
        candidate_manifest_sha256=manifest.content_digest(),
        champion=champion.release_id if champion else None,
        champion_manifest_sha256=champion.content_digest() if champion else None,
        holdout=(),
        candidate_metrics=metrics(n),
        champion_metrics=metrics(n) if champion else None,
        loss_difference=interval(-0.001, 0.003) if champion else None,
        absolute_checks_only=champion is None,
    )


def record_training(store: ObjectStore, manifest: Manifest, n: int) -> None:
    """By a contract whose gate's margin somebody moved every 30 days."""
    contract = canonical_json({"name": "shop", "gate": {"margin": 0.01 + 0.001 * (n // 30)}})
    store.create(layout.contract(sha256(contract)), contract)
    deed = {"deed": "trained", "release_id": manifest.release_id, "manifest_sha256": manifest.content_digest()}
    by = {"at": f"{at(n):%Y-%m-%dT%H:%M:%SZ}", "by": "airflow:widedeep_retrain/1", "contract": "shop", "python": "3.11"}
    told = {**deed, **by, "contract_digest": sha256(contract), "packages": {}, "rests_on": {}}
    store.create(layout.evidence(manifest.release_id, "trained"), canonical_json(told))


def audit_of(champion: Manifest, n: int) -> Audit:
    return Audit(
        release_id=champion.release_id,
        manifest_sha256=champion.content_digest(),
        span=champion.lineage.span,
        twin="r-0123456789abcdef",
        twin_manifest_sha256=DIGEST,
        since=day(max(0, n - 59)),
        spans=min(n + 1, 60),
        rows=1000 * min(n + 1, 60),
        holdout=(),
        metrics=metrics(n),
        twin_metrics=metrics(n),
        debt=interval(0.001, 0.002),
        limit=0.005,
        over=False,
    )


def pointer_to(champion: Manifest, sequence: int, **changed: object) -> ChampionPointer:
    told = {"moved_at": at(0), "moved_by": "airflow:widedeep_retrain/scheduled__1", "reason": "passed", "previous": None}
    return ChampionPointer(
        lane="live",
        release_id=champion.release_id,
        span=champion.lineage.span,
        manifest_sha256=champion.content_digest(),
        sequence=sequence,
        **{**told, **changed},
    )


def verdict_key(store: ObjectStore, release_id: str) -> str:
    return next(key for key in store.keys(layout.evidences(release_id)) if "verdict-" in key and key.endswith(".json"))
