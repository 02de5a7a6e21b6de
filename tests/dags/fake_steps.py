"""A stand-in for `widedeep.steps` whose outcome each span of the script names: operators are tested without training a model."""

from contextlib import contextmanager
from datetime import UTC, date, datetime
from types import SimpleNamespace

from widedeep.artifacts import (
    Audit,
    Candidate,
    FileRef,
    Interval,
    MetricReport,
    Outcome,
    Progress,
    Proposal,
    Review,
    Snapshot,
    Unaudited,
    Waiting,
)
from widedeep.errors import IntegrityError, OrderError, StaleError, StoreUnavailableError, UsageError

SCRIPT = {
    date(2026, 1, 1): "promote",
    date(2026, 1, 2): "hold",
    date(2026, 1, 3): "reject",
    date(2026, 1, 4): "quarantined",
    date(2026, 1, 5): "unreadable",
    date(2026, 1, 6): "no data",
    date(2026, 1, 7): "settled",
    date(2026, 1, 8): "permanent fault",
    date(2026, 1, 9): "fault that stays",
    date(2026, 1, 10): "fault that goes",
    date(2026, 1, 11): "late",
    date(2026, 1, 12): "settled meanwhile",
    date(2026, 1, 13): "drastic",
    date(2026, 1, 14): "drastic",
    date(2026, 1, 15): "drastic, answered",
}
RESULTS = {"promote": "promoted", "hold": "held", "reject": "rejected"}
calls = {"train": 0, "readiness": 0, "replay": 0}
held = set()
told = set()


@contextmanager
def open_workplace(environment, *, actor):
    assert actor.startswith("airflow:")
    contract = SimpleNamespace(label_delay=1 if environment["WIDEDEEP_STORE"] == "s3://delayed" else 0)
    story = environment["WIDEDEEP_STORE"].removeprefix("s3://")
    yield SimpleNamespace(store=SimpleNamespace(url="s3://widedeep"), contract=contract, story=story)


def require_safe_store(place):
    """The stand-in's store is safe."""


def start(place, span, lane=None, *, backfill, on_hold, run_id):
    assert (backfill, on_hold) == (None, "drop")
    assert run_id
    settled = {"result": "promoted"} if SCRIPT[span] == "settled" else {"result": "held"} if span in held else {}
    return Progress(span=span, lane=lane or "live", **settled)


def comes_in_turn(place):
    return False


def turn(place, lane, span):
    """Nobody waits for anybody in the stand-in."""


def readiness(place, progress, not_before=None):
    if SCRIPT[progress.span] != "late":
        return None
    calls["readiness"] += 1
    if calls["readiness"] == 2:
        raise StoreUnavailableError("no answer")
    if calls["readiness"] > 3:
        return None
    return Waiting(span=progress.span, reason="nothing is delivered yet", until=datetime(2099, 1, 1, tzinfo=UTC))


def ingest(place, progress, not_before=None):
    if SCRIPT[progress.span] == "no data":
        return progress.model_copy(update={"no_data": "nothing was delivered until the deadline"})
    if SCRIPT[progress.span] == "unreadable":
        return progress.model_copy(update={"quarantined": True, "validation": "validation/x"})
    file = FileRef(name="snapshots/x/rows.parquet", size_bytes=1, sha256="0" * 64)
    return progress.model_copy(update={"snapshot": Snapshot(span=progress.span, version=1, digest="0" * 64, rows=9, file=file)})


def validate(place, progress):
    found = {"quarantined": SCRIPT[progress.span] == "quarantined", "drastic": SCRIPT[progress.span].startswith("drastic")}
    return progress.model_copy(update={"validation": "validation/x", **found})


def validated_too_early(place, progress):
    return False


def train(place, progress):
    calls["train"] += 1
    if SCRIPT[progress.span] == "settled meanwhile":
        return progress.model_copy(update={"result": "promoted"})
    match SCRIPT[progress.span]:
        case "permanent fault":
            raise IntegrityError("bytes differ")
        case "fault that stays":
            raise StoreUnavailableError("no answer")
        case "fault that goes" if calls["train"] % 2:
            raise StoreUnavailableError("no answer")
    candidate = Candidate(release_id="r-" + "0" * 16, span=progress.span, parent=None, manifest_sha256="0" * 64)
    return progress.model_copy(update={"candidate": candidate})


def dry_run(place, progress):
    return progress.model_copy(update={"dry_run": "evidence/d"})


def gate(place, progress):
    decision = SCRIPT[progress.span] if SCRIPT[progress.span] in RESULTS else "promote"
    return progress.model_copy(update={"verdict": "evidence/v", "decision": decision})


def publish(place, progress):
    if progress.decision == "reject":
        return progress
    return progress.model_copy(update={"release": progress.candidate.release_id})


def settle(place, progress):
    if progress.result:
        return progress
    if SCRIPT[progress.span] == "settled meanwhile":
        return progress.model_copy(update={"result": "promoted"})
    if progress.drastic:
        held.add(progress.span)
        return progress.model_copy(update={"result": "held"})
    result = "no data" if progress.no_data else "quarantined" if progress.quarantined else RESULTS[progress.decision]
    return progress.model_copy(update={"result": result})


def news(place, settled, since):
    if settled.lane != "live" or settled.result not in {"held", "quarantined"} or settled.span in told:
        return None
    told.add(settled.span)
    said = (
        {"verdict": settled.verdict, "release_id": settled.candidate.release_id}
        if settled.verdict
        else {"validation": "v/x.json"}
    )
    now = datetime(2026, 1, 16, tzinfo=UTC)
    return Outcome(
        lane="live", span=settled.span, result=settled.result, reasons=("why",), settled_at=now, settled_by="airflow:x", **said
    )


def waits_for_review(place, span):
    return SCRIPT[span] in {"drastic", "hold"}


def late_review(place):
    return None


def awaited_review(place, span, lane, release=None):
    if not SCRIPT[span].startswith("drastic"):
        raise UsageError(f"span {span} of lane {lane}: is settled as promoted; wanted one that is held for a review")
    return span


def answered(place, span):
    told = {"snapshot_digest": "0" * 64, "validation_sha256": "0" * 64, "reason": "a sale", "reviewed_by": "shell:ann"}
    return Review(span=span, answer="accept", reviewed_at=datetime(2026, 1, 16, tzinfo=UTC), **told)


def audit(place, on_step):
    if place.story == "nothing-to-audit":
        return Unaudited(reason="lane live has no champion yet")
    on_step("train a twin")
    metrics = MetricReport(rows=9, users=3, label_rate=0.5, log_loss=0.5, ne=0.9, auc=0.7, calibration=1.0)
    digests = {"manifest_sha256": "0" * 64, "twin_manifest_sha256": "0" * 64}
    told = {"since": date(2026, 1, 1), "spans": 9, "rows": 900, "holdout": (), "metrics": metrics, "twin_metrics": metrics}
    debt = Interval(estimate=0.03, lower=0.02, upper=0.04, level=0.95)
    over = place.story != "no-debt"
    named = {"release_id": "r-" + "1" * 16, "span": date(2026, 1, 9), "twin": "r-" + "2" * 16}
    return Audit(**named, **digests, **told, debt=debt, limit=0.01 if over else 0.1, over=over)


def propose(place, found, on_step):
    on_step("gate")
    now = {"settled_at": datetime(2026, 1, 16, tzinfo=UTC), "settled_by": "airflow:x"}
    said = {"lane": "live", "span": found.span, "release_id": found.twin, **now}
    if place.story == "overtaken":
        raise StaleError("lane live: got another champion, wanted the one that was audited. Nothing was proposed.")
    if place.story == "twin-rejected":
        return Outcome(result="rejected", reasons=("it is no better",), **said)
    verdict = f"evidence/{found.twin}/verdict-0.json"
    return Proposal(result="held", reasons=("why",), verdict=verdict, head=date(2026, 1, 10), **said)


def bootstrap(place, first, last, on_step):
    on_step(f"ingest {first}")
    return Progress(span=last, lane="live", result="promoted")


def new_lane(first, of):
    return f"replay-{first}-of-{of.partition('__')[0]}"


def plan_replay(place, first, lane):
    if SCRIPT.get(first) != "promote":
        raise UsageError(f"replay from {first}: live has settled no such day")
    return SimpleNamespace(lane=lane, last=date(2026, 1, 2), told=lambda: f"lane {lane}: 2 day(s)")


def replay(place, plan, on_hold, on_step):
    calls["replay"] += 1
    on_step(f"2026-01-0{calls['replay']}, day {calls['replay']} of 2", f"train, {on_hold}")
    if calls["replay"] == 1:
        raise StoreUnavailableError("no answer")
    return plan


def replayed(place, plan):
    return f"lane {plan.lane}: 2 of 2 day(s) are rebuilt"


def adopted(place, lane):
    return SimpleNamespace(release_id="r-1", lane="live") if lane == "adopted" else None


def plan_lane_promotion(place, lane):
    if lane == "lagging":
        raise OrderError("lane lagging: 2 day(s) of live are later")
    return SimpleNamespace(told=lambda: f"lane {lane} would take live's place")


def compare_lane(place, plan):
    return "evidence/r-1/verdict-1.json"


def decision_of(place, verdict):
    return "reject"


def deliver_sample(place, span):
    return span < date(2026, 1, 3)
