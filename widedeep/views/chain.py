"""A lane along time: one point for each settled span, with what the gate measured and what training did.

A page of the newest points costs as many reads for 2,000 releases as for 200: older ones are asked for as they are looked at.
"""

import json
from collections.abc import Mapping
from datetime import date, datetime
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from widedeep.artifacts import Audit, ChampionPointer, Decision, Interval, MetricReport, Outcome, Result, Verdict
from widedeep.publishing import layout
from widedeep.publishing.releases import AUDIT, DECISION
from widedeep.views.found import LaneKeys, lane_keys, outcome_of, pointer_of
from widedeep.views.shelf import Shelf, Unreadable

EVIDENCE_FRESH_S = 120.0
"""Evidence on a settled span changes only by a replay or a rollback."""

TRAINING = "training.json"


class View(BaseModel):
    """Base of what a page is shown: immutable."""

    model_config = ConfigDict(frozen=True)


class Quality(View):
    """One model on the held-out rows that the gate scored."""

    auc: float | None
    ne: float | None
    calibration: float | None
    log_loss: float
    label_rate: float
    rows: int
    users: int
    auc_interval: Interval | None
    ne_interval: Interval | None
    calibration_interval: Interval | None


class Owed(View):
    """An audit: how much log loss a champion owes to a twin from scratch, which learnt so many rows of its last spans."""

    twin: str
    spans: int
    rows: int
    debt: Interval
    limit: float
    over: bool
    key: str


class Judged(View):
    """A verdict, and where its report is. `difference` is candidate − champion log loss, `level` the log ratio of mean scores."""

    decision: Decision
    reasons: tuple[str, ...]
    candidate: Quality | None
    champion: Quality | None
    champion_id: str | None
    difference: Interval | None
    level: Interval | None
    report: str
    key: str


class Learnt(View):
    """What training told of itself. `unseen_crosses` and `oov` are the shares of its newest part that its parent did not know."""

    rows: int
    new_values: int
    new_crosses: int
    evicted_values: int
    evicted_crosses: int
    refused: int
    table_bytes: int
    unseen_crosses: float | None
    oov: float | None
    carried: int
    initialised: tuple[str, ...]


State = Literal["whole", "unreadable", "pruned", "no release"]


class Point(View):
    """One settled span. `state` says how much of its release is there; `problems` are the keys that can't be read."""

    span: date
    result: Result | None
    release_id: str | None = None
    reasons: tuple[str, ...] = ()
    settled_at: datetime | None = None
    settled_by: str | None = None
    champion: bool = False
    withdrawn: bool = False
    published: bool = False
    state: State = "no release"
    verdict: Judged | None = None
    learnt: Learnt | None = None
    owed: Owed | None = None
    problems: tuple[str, ...] = ()


class Chain(View):
    """A page of a lane: `points` in span order, of `total`; `before` asks for the next older page."""

    lane: str
    lanes: tuple[str, ...]
    total: int
    points: tuple[Point, ...]
    before: date | None


def chain(shelf: Shelf, lane: str, limit: int, before: date | None = None) -> Chain:
    """The `limit` newest settled spans of a lane before a day."""
    lanes = lane_keys(shelf)
    keys = lanes.get(lane, LaneKeys())
    spans = sorted(keys.outcomes)
    asked = [span for span in spans if before is None or span < before][-limit:]
    pointer = pointer_of(shelf, lane) if lane in lanes else None
    standing = pointer if isinstance(pointer, ChampionPointer) else None
    points = shelf.each(partial(_point, shelf, keys, standing), asked)
    older = bool(asked) and asked[0] != spans[0]
    return Chain(
        lane=lane,
        lanes=tuple(lanes),
        total=len(spans),
        points=tuple(points),
        before=asked[0] if older else None,
    )


def _point(shelf: Shelf, lane: LaneKeys, pointer: ChampionPointer | None, span: date) -> Point:
    outcome = outcome_of(shelf, lane, span, pointer)
    if outcome is None or isinstance(outcome, Unreadable):
        return Point(span=span, result=None, state="unreadable", problems=(lane.outcomes[span],))
    release = outcome.release_id
    told = Point(
        span=span,
        result=outcome.result,
        release_id=release,
        reasons=outcome.reasons,
        settled_at=outcome.settled_at,
        settled_by=outcome.settled_by,
    )
    if release is None:
        return told
    there = release_keys(shelf, release)
    verdicts, damaged = judged(shelf, release)
    learnt = learnt_by(shelf, there)
    owed, unread = audited(shelf, release)
    problems = (*damaged, *unread, *([learnt.key] if isinstance(learnt, Unreadable) else []))
    manifests = {layout.manifest(release), layout.candidate(release)} & {*there}
    return told.model_copy(
        update={
            "champion": pointer is not None and pointer.release_id == release,
            "withdrawn": pointer is not None and release in pointer.withdrawn,
            "published": layout.manifest(release) in there,
            "state": "unreadable" if problems else "whole" if manifests else "pruned",
            "verdict": fitting(verdicts, outcome),
            "learnt": None if isinstance(learnt, Unreadable) else learnt,
            "owed": max(owed, key=lambda audit: audit.rows, default=None),
            "problems": problems,
        }
    )


def release_keys(shelf: Shelf, release_id: str) -> tuple[str, ...]:
    """What stands in a release's folder."""
    return shelf.keys(layout.release(release_id), EVIDENCE_FRESH_S)


def evidence_keys(shelf: Shelf, release_id: str) -> tuple[str, ...]:
    """Evidence on a release, without signatures and pages."""
    found = shelf.keys(layout.evidences(release_id), EVIDENCE_FRESH_S)
    return tuple(key for key in found if key.endswith(".json") and not layout.is_signature(key))


def judged(shelf: Shelf, release_id: str) -> tuple[tuple[Judged, ...], tuple[str, ...]]:
    """The verdicts on a release, and the keys of those that can't be read.

    What was acted on stands there a second time under its own digest, and counts only where the gate's own copy is gone.
    """
    keys = evidence_keys(shelf, release_id)
    gates = [key for key in keys if layout.evidence_name(key).startswith("verdict-")]
    asked = gates or [key for key in keys if layout.evidence_name(key).startswith(DECISION)]
    found = [(key, shelf.value(key, Verdict.from_bytes)) for key in asked]
    verdicts = [_judged(key, verdict) for key, verdict in found if isinstance(verdict, Verdict)]
    return tuple(verdicts), tuple(key for key, verdict in found if isinstance(verdict, Unreadable))


def _judged(key: str, verdict: Verdict) -> Judged:
    return Judged(
        decision=verdict.decision,
        reasons=verdict.reasons,
        candidate=_quality(verdict.candidate_metrics),
        champion=_quality(verdict.champion_metrics),
        champion_id=verdict.champion,
        difference=verdict.loss_difference,
        level=verdict.level,
        report=layout.decision_report(key),
        key=key,
    )


def audited(shelf: Shelf, release_id: str) -> tuple[tuple[Owed, ...], tuple[str, ...]]:
    """The audits of a champion, and the keys of those that can't be read."""
    asked = [key for key in evidence_keys(shelf, release_id) if layout.evidence_name(key).startswith(AUDIT)]
    found = [(key, shelf.value(key, Audit.from_bytes)) for key in asked]
    owed = [_owed(key, audit) for key, audit in found if isinstance(audit, Audit)]
    return tuple(owed), tuple(key for key, audit in found if isinstance(audit, Unreadable))


def _owed(key: str, audit: Audit) -> Owed:
    told = {name: getattr(audit, name) for name in ("twin", "spans", "rows", "debt", "limit", "over")}
    return Owed(**told, key=key)


def _quality(metrics: MetricReport | None) -> Quality | None:
    return Quality.model_validate(metrics, from_attributes=True) if metrics else None


def fitting(verdicts: tuple[Judged, ...], outcome: Outcome) -> Judged | None:
    """The verdict by which the span was settled so: the one that held it, else one that decides as it ended."""
    decision = {"promoted": "promote", "held": "hold", "rejected": "reject"}.get(outcome.result)
    own = [each for each in verdicts if each.key == outcome.verdict]
    alike = [each for each in verdicts if each.decision == decision]
    return next(iter([*own, *alike, *verdicts]), None)


def learnt_by(shelf: Shelf, there: tuple[str, ...]) -> Learnt | Unreadable | None:
    """What training told of a release with these keys."""
    key = next((key for key in there if key.endswith(f".{TRAINING}")), None)
    return shelf.value(key, _learnt) if key else None


def _learnt(data: bytes) -> Learnt:
    """Read as plain JSON: the value's own type lives where torch is imported."""
    told: Mapping[str, Any] = json.loads(data)
    parts = told["parts"]
    growths, warm = [part["growth"] for part in parts], told["warm_start"]
    newest = max(parts, key=lambda part: (part["part"]["span"], part["part"]["part"]), default=None)
    coverage = newest["coverage"] if newest else {}

    def total(name: str) -> int:
        return sum(growth[name] for growth in growths)

    return Learnt(
        rows=told["rows"],
        new_values=total("new_values"),
        new_crosses=total("new_crosses"),
        evicted_values=total("evicted_values"),
        evicted_crosses=total("evicted_crosses"),
        refused=total("refused_values") + total("refused_crosses"),
        table_bytes=max((growth["table_bytes"] for growth in growths), default=0),
        unseen_crosses=coverage.get("unseen_cross_share"),
        oov=coverage.get("oov_share"),
        carried=len(warm["carried"]),
        initialised=tuple(warm["initialised"]),
    )
