"""The values that travel between steps: frozen, typed, and written to the store as canonical JSON.

A value holds keys and digests, never data, so that each fits into an Airflow XCom (under 1 KB a task) and equal inputs
give equal bytes.
"""

import hashlib
import json
import re
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from widedeep.errors import IntegrityError, UsageError

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ReleaseId = Annotated[str, Field(pattern=r"^r-[0-9a-f]{16}$")]
ErasureId = Annotated[str, Field(pattern=r"^e-[0-9a-f]{16}$")]
LANE = r"^[a-z0-9][a-z0-9-]{0,62}$"
Lane = Annotated[str, Field(pattern=LANE)]
Decision = Literal["promote", "hold", "reject"]
Reply = Literal["accept", "reject"]
OnHold = Literal["drop", "pass"]
MoveKind = Literal["promote", "rollback", "adopt", "freeze", "thaw"]
Result = Literal["promoted", "held", "rejected", "quarantined", "no data", "learnt", "added"]

LIVE = "live"


def lane_name(text: str) -> Lane:
    """Raises UsageError unless the text can name a lane."""
    if not re.fullmatch(LANE, text):
        raise UsageError(f"lane {text!r}: wanted small letters, digits and hyphens, at most 63, such as replay-2026-11-20")
    return text


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256(data: bytes) -> str:
    """Lower-case hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


class Value(BaseModel):
    """Base of all artifacts: immutable; unknown keys fail.

    Fields that a kind of value got `later` are not written while they say nothing, so that what was stored before they were there
    is still told by the same bytes, and so by the same digest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def without_silent_ones(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = plain(self)
        for name in self.later:
            if getattr(self, name) == type(self).model_fields[name].default:
                del fields[name]
        return fields

    def to_bytes(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "stored bytes") -> Self:
        """Read a value back; `where` is its place, for the message.

        Raises:
            IntegrityError: these are not the bytes of such a value.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"])) or "the whole"
            raise IntegrityError(
                f"{where}: got no {cls.__name__} ({place}: {problem['msg']}), wanted one as written. Restore it from a copy."
            ) from error

    def content_digest(self) -> str:
        return sha256(self.to_bytes())


class FileRef(Value):
    """One immutable object: `name` is its key, or its path below the release that lists it."""

    name: str
    size_bytes: int
    sha256: Digest


class Snapshot(Value):
    """The immutable rows of one delivered span. `digest` covers the canonical content, not the Parquet bytes."""

    span: date
    version: int = Field(ge=1)
    digest: Digest
    rows: int = Field(ge=0)
    file: FileRef


class Finding(Value):
    """One failed check, in words: what, got, wanted.

    critical: the span is quarantined. drastic: it is held until a person has decided. rows: rows that were taken out, one by one.
    """

    check: str
    column: str | None = None
    severity: Literal["critical", "drastic", "rows", "warning"]
    message: str


class Effect(Value):
    """How far a column, the label rate or the number of rows has moved since past spans, and from where on that is told."""

    column: str
    measure: str
    effect: float
    limit: float


class Validation(Value):
    """What the contract's checks found in one span. `snapshot` is None if the delivered files could not be read.

    Where rows were taken out, `clean` is the version of the span without them, and `bad_rows` the table with each one's reasons.
    `effects`: all drift that could be measured, also what is not worth a finding.
    """

    later = frozenset({"effects"})

    span: date
    snapshot: Snapshot | None
    findings: tuple[Finding, ...]
    clean: Snapshot | None = None
    bad_rows: FileRef | None = None
    effects: tuple[Effect, ...] = ()

    @property
    def critical(self) -> tuple[Finding, ...]:
        """With any of these the span is quarantined: it is not trained on, and its bytes stay where they were delivered."""
        return tuple(f for f in self.findings if f.severity == "critical")

    @property
    def drastic(self) -> tuple[Finding, ...]:
        """With any of these, and nothing critical, nothing is learnt from the span before a person has decided."""
        return tuple(f for f in self.findings if f.severity == "drastic")


class Part(Value):
    """The training rows or the held-out rows of one snapshot."""

    span: date
    version: int
    digest: Digest
    part: Literal["train", "holdout"]


class NumericProfile(Value):
    """What the bytes of a trained model depend on beside its inputs (second law).

    numpy shuffles the rows, pandas hashes the values that embeddings start from, pyarrow signs the Parquet files that it writes,
    safetensors lays out the header and the order of the tensors in a file.
    """

    precision: str
    instruction_set: str
    threads: int
    engine: str
    torch: str
    numpy: str
    pandas: str
    pyarrow: str
    safetensors: str
    numba: str | None = None


class Lineage(Value):
    """All inputs of a release, and so its id: the same inputs give the same payload (second law).

    `erasures` are all by which somebody is forgotten: neither this release nor a later one of the line names that user by spans
    up to the erasure's day. `twin_of`: the champion whose history this release has learnt anew, without a parent.
    """

    later = frozenset({"erasures", "twin_of"})

    span: date
    parent: ReleaseId | None
    learnt: tuple[Part, ...]
    split_digest: Digest
    contract_digest: Digest
    source_digest: Digest
    seed: int
    profile: NumericProfile
    erasures: tuple[ErasureId, ...] = ()
    twin_of: ReleaseId | None = None

    def release_id(self) -> str:
        return f"r-{self.content_digest()[:16]}"


class Manifest(Value):
    """What a release consists of. Its presence is what readers take for completeness, so it is written last.

    `inherited` are the parts that the ancestors learnt: with `lineage.learnt` it answers "has this model seen that row?". Those
    of a twin its champion had learnt, and it left them out: where it leads, they are neither pending nor fit to judge a model.
    """

    format: Literal[1, 2] = 2
    release_id: ReleaseId
    lineage: Lineage
    inherited: tuple[Part, ...]
    files: tuple[FileRef, ...]

    def seen(self) -> frozenset[tuple[date, str, str]]:
        """(span, snapshot digest, part) of everything that this model or an ancestor trained on."""
        return frozenset((p.span, p.digest, p.part) for p in (*self.inherited, *self.lineage.learnt))


class Candidate(Value):
    """A trained model in the store, not yet judged."""

    release_id: ReleaseId
    span: date
    parent: ReleaseId | None
    manifest_sha256: Digest


class DryRunReport(Value):
    """What was seen of the candidate on a server of its own, beside one of the champion. Empty `failures` means it may serve.

    `champion_unserved`: why the champion could not stand beside it. `timed_again`: the times are those of a second look. In MB:
    `peak_rss_mb` is what its process held, `release_mb` what of it the release took, `growth_mb` what it grew by under requests.
    """

    later = frozenset(
        {
            "score_ms",
            "champion_ms",
            "precision",
            "champion",
            "champion_unserved",
            "timed_again",
            "score_p95_ms",
            "champion_p50_ms",
            "champion_p95_ms",
        }
        | {"champion_p99_ms", "release_mb", "champion_release_mb", "growth_mb", "lowest_score", "highest_score"}
        | {"largest_repeat_difference", "rank_agreement"}
    )

    release_id: ReleaseId
    manifest_sha256: Digest
    failures: tuple[str, ...]
    score_ms: tuple[float, ...] = ()  # of each timed request, and of the champion's in turn
    champion_ms: tuple[float, ...] = ()
    files_verified: int = 0
    rows_scored: int = 0
    largest_score_error: float | None = None
    load_s: float | None = None
    score_p50_ms: float | None = None
    score_p99_ms: float | None = None
    peak_rss_mb: float | None = None
    precision: str | None = None
    champion: ReleaseId | None = None
    champion_unserved: str | None = None
    timed_again: bool = False
    score_p95_ms: float | None = None
    champion_p50_ms: float | None = None
    champion_p95_ms: float | None = None
    champion_p99_ms: float | None = None
    release_mb: float | None = None
    champion_release_mb: float | None = None
    growth_mb: float | None = None
    lowest_score: float | None = None
    highest_score: float | None = None
    largest_repeat_difference: float | None = None
    rank_agreement: float | None = None


class Interval(Value):
    """An estimate with its two-sided confidence interval."""

    estimate: float
    lower: float
    upper: float
    level: float

    @property
    def percent(self) -> str:
        """Its level for readers, never rounded up to certainty: 95%, 99.99%."""
        return f"{100 * self.level:.10g}%"


class MetricReport(Value):
    """Quality of one model on one holdout: log loss in nats per row, `ne` normalised entropy, `calibration` Σp/Σy.

    All but the counts are weighted where the contract has a weight column; rows of weight 0 are left out.
    `ne` and `auc` are None where only one class occurs, `calibration` where nothing is positive. `user_auc` is the mean over
    users of the AUC of each one's own rows; None where nobody has rows of both classes. Intervals are over users; None where they
    were not asked for, or so few users have rows of a class that nothing can be said.
    """

    later = frozenset({"user_auc", "ne_interval", "auc_interval", "calibration_interval"})

    rows: int
    users: int
    label_rate: float
    log_loss: float
    ne: float | None
    auc: float | None
    calibration: float | None
    user_auc: float | None = None
    ne_interval: Interval | None = None
    auc_interval: Interval | None = None
    calibration_interval: Interval | None = None


class Difference(Value):
    """Candidate − another model's log loss of some rows, with what still counts as equal there; None: it is not judged.

    `rows` and `users`: how many it is measured on, where that was kept.
    """

    later = frozenset({"rows", "users"})

    name: str
    interval: Interval
    margin: float | None
    rows: int | None = None
    users: int | None = None


class Verdict(Value):
    """The gate's decision, bound to the digests of what it judged. Only `widedeep.evaluation.gate.decide` makes one.

    `candidate_metrics` is None where nothing was measured: the dry run failed, or there is no held-out row to score. `slices` are
    those that were judged. `level` is how far the candidate's mean score lies from the champion's, as log ratio.
    """

    later = frozenset({"anchor", "anchor_manifest_sha256", "anchor_difference", "slices", "level"})

    decision: Decision
    reasons: tuple[str, ...]
    candidate: ReleaseId
    candidate_manifest_sha256: Digest
    champion: ReleaseId | None
    champion_manifest_sha256: Digest | None
    holdout: tuple[Part, ...]
    candidate_metrics: MetricReport | None
    champion_metrics: MetricReport | None
    loss_difference: Interval | None
    absolute_checks_only: bool
    anchor: ReleaseId | None = None
    anchor_manifest_sha256: Digest | None = None
    anchor_difference: Interval | None = None
    slices: tuple[Difference, ...] = ()
    level: Interval | None = None


class Audit(Value):
    """The warm-start debt of a champion: its log loss less that of a twin from scratch, on rows that neither has learnt.

    The twin has learnt the champion's history from `since` on: so many spans, with so many rows. `over`: the debt is shown to be
    above the limit, in nats per row.
    """

    release_id: ReleaseId
    manifest_sha256: Digest
    span: date
    twin: ReleaseId
    twin_manifest_sha256: Digest
    since: date
    spans: int
    rows: int
    holdout: tuple[Part, ...]
    metrics: MetricReport
    twin_metrics: MetricReport
    debt: Interval
    limit: float
    over: bool

    def told(self) -> str:
        """In one sentence."""
        d = self.debt
        return (
            f"{self.release_id} of span {self.span} owes {d.estimate:+.4f} of log loss ({d.level:.0%} interval {d.lower:+.4f} to "
            f"{d.upper:+.4f}, {self.metrics.users:,} users) to {self.twin}, which learnt its last {self.spans} span(s) anew, "
            f"{self.rows:,} rows: {'shown to be above' if self.over else 'not shown to be above'} the limit of {self.limit:.4g}"
        )


class Unaudited(Value):
    """Nothing can be measured yet, and why."""

    reason: str

    def told(self) -> str:
        return f"nothing to audit: {self.reason}"


class Release(Value):
    """A published candidate. `decision` is 'promote' once any verdict on it says so: a held release may be promoted later."""

    release_id: ReleaseId
    span: date
    manifest_sha256: Digest
    decision: Decision


class Adoption(Value):
    """A lane that `live` took over, with its settled spans up to `until`."""

    lane: Lane
    until: date


class ChampionPointer(Value):
    """The small object that readers follow; at the same time the last move of its lane.

    `sequence` counts the moves, `previous_move` is the SHA-256 of the pointer that this one replaced, so the moves are a chain.
    `previous` is the champion before. `frozen` is why nothing is promoted until somebody thaws the lane. `withdrawn` are all
    releases that were taken back: they are nobody's parent and never promoted again, unless a rollback leads to them. Outcomes
    of the lanes that are `adopted`, the latest last, stand for those of this one.
    """

    kind: MoveKind = "promote"
    lane: Lane
    release_id: ReleaseId
    span: date
    manifest_sha256: Digest
    sequence: int = Field(ge=1)
    previous: ReleaseId | None
    previous_move: Digest | None = None
    withdrawn: tuple[ReleaseId, ...] = ()
    adopted: tuple[Adoption, ...] = ()
    frozen: str | None = None
    moved_at: datetime
    moved_by: str
    reason: str


class Opening(Value):
    """Where a lane other than `live` begins: before its `first` day, the past of `live` is its own.

    `live_head` is where `live` had come to by then. Runs that belong together go by it: whatever `live` does meanwhile, later
    days extend `live`, the others this lane.
    """

    lane: Lane
    first: date
    live_head: date | None
    opened_at: datetime
    opened_by: str


class Claim(Value):
    """A run of a scheduler works on a span of a lane; whoever waits for that span asks the scheduler whether it still does."""

    lane: Lane
    span: date
    run_id: str


class Backfill(Value):
    """Runs that were asked for together: the day of the first, and the lane of days that `live` has passed.

    `left_out`: later days that were asked for and have no run among these, since they have one already.
    """

    lane: Lane
    first: date
    left_out: tuple[date, ...] = ()


class Progress(Value):
    """How far a run of one span has come: each step reads it and returns it with its own fields filled in.

    Keys and digests only, so that what a step adds fits into an XCom. `no_data` is a reason; `validation`, `dry_run` and
    `verdict` are keys of stored evidence. `drastic`: a person has to look at the data first. `withheld` is why a passing release
    was not promoted. When the run is `over`, only `settle` has work left.

    `on_hold`: outside of `live` nobody is asked about a candidate that the gate holds; it leads the lane (pass), or stays
    unpromoted (drop). `validated_at`: the last settled span when the checks ran, which compare with what was learnt by then.
    """

    span: date
    lane: Lane
    on_hold: OnHold = "drop"
    snapshot: Snapshot | None = None
    no_data: str | None = None
    validation: str | None = None
    validated_at: date | None = None
    quarantined: bool = False
    drastic: bool = False
    candidate: Candidate | None = None
    dry_run: str | None = None
    verdict: str | None = None
    decision: Decision | None = None
    release: ReleaseId | None = None
    withheld: str | None = None
    result: Result | None = None
    set_aside: tuple[date, ...] = ()

    @property
    def over(self) -> bool:
        """Nothing is left to train or judge: the span is settled already, empty of data, quarantined, or waits for a review."""
        return self.quarantined or self.drastic or self.no_data is not None or self.result is not None


class Waiting(Value):
    """The span can't be ingested yet. After `until`, `ingest` records "no data"; None: the task's time-out bounds the wait."""

    span: date
    reason: str
    until: datetime | None


class Answer(Value):
    """What a person said about a span that was held, once for all."""

    span: date
    answer: Reply
    reason: str
    reviewed_at: datetime
    reviewed_by: str

    def told(self) -> str:
        """Who answered what, when and why."""
        verb = "accepted" if self.answer == "accept" else "rejected"
        return f"{self.span}: {verb} by {self.reviewed_by} on {self.reviewed_at:%Y-%m-%d %H:%M} UTC: {self.reason}"


class Review(Answer):
    """What a person answered when a span had changed drastically, bound to the digests of what was judged.

    `validation_sha256` covers the findings. Only `accept` lets the rows be learnt.
    """

    snapshot_digest: Digest
    validation_sha256: Digest


class Ruling(Answer):
    """What a person answered when the gate had held a span's candidate, bound to the verdict. Only `accept` lets it lead."""

    release_id: ReleaseId
    verdict_sha256: Digest


class Outcome(Value):
    """How a span was settled in a lane. Written once; a settled span is never settled again.

    Rows that become valid after that are "added": an outcome of their own beside the first one. Where they hold the rows of an
    earlier version, too, `replaces` is its digest: one of the two is learnt. `validation` is the key of the findings that kept it
    from being learnt, `verdict` that of the verdict which held its candidate for a person.
    """

    later = frozenset({"verdict"})

    lane: Lane
    span: date
    result: Result
    reasons: tuple[str, ...]
    snapshot: Snapshot | None = None
    release_id: ReleaseId | None = None
    learnt: tuple[Part, ...] = ()
    replaces: Digest | None = None
    validation: str | None = None
    verdict: str | None = None
    settled_at: datetime
    settled_by: str

    @property
    def until(self) -> date:
        """Until which span of its lane has settled its candidate can be promoted, if the gate held it."""
        return self.span


class Proposal(Outcome):
    """A champion's twin that the gate held, so that a person decides whether the lane goes on from it. It settles no span.

    `head` is the lane's latest settled span by then: once a later one has settled, it is superseded.
    """

    head: date

    @property
    def until(self) -> date:
        return self.head
