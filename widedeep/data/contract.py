"""The contract: what the data mean, and how this chain trains, judges and settles them. The one file that a user writes.

Parsed once at the edge into frozen values; unknown keys fail; all problems are reported together.
"""

from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from widedeep.artifacts import Digest, canonical_json, sha256
from widedeep.data.limits import Checks, Delivery, Drastic, Drift, Late, Section, Share
from widedeep.data.problems import disagreements, field_problem
from widedeep.errors import ContractError

# Training computes in float32, where 1e-46 is 0 and 1e39 infinite, and so are products of such numbers sooner.
Usable = Annotated[float, Field(ge=1e-12, le=1e12)]
UsableOrZero = Annotated[float, Field(ge=0, le=1e12)]


class Column(Section):
    """One delivered column.

    `type` is what the column holds, or is turned into without loss. `nullable`: values may be missing. `role` says how the
    model reads it; a column without a role is kept, checked and not learnt from. `weight` is no feature: it multiplies a
    row's loss in training, and in the gate the row counts that often; a row of weight 0 is as good as not there. `of` says
    whose property it is, so that `rank` can put a user's and an item's columns together. `range` is inclusive. `allowed`,
    `regex` (RE2, of the whole text) and `max_length` (characters; 1,000 where nothing is said) also limit the items of a
    list, `items` how many there are. `max_null_share` stands for that of `checks`. `different`: how many different values, or
    items, a span has at least and at most; else it is quarantined. `drift_limit` is an effect size from 0 to 1
    (`widedeep.data.drift`) that stands for the calibrated one. `min_count` sightings on training rows, over all spans, give a
    value a row of its own.
    """

    type: Literal["string", "integer", "number", "boolean", "timestamp", "list"]
    role: Literal["categorical", "multivalent", "numeric", "weight"] | None = None
    of: Literal["user", "item", "context"] = "context"
    nullable: bool = False
    allowed: tuple[str, ...] | None = None
    regex: str | None = None
    max_length: int | None = Field(default=None, ge=1)
    items: tuple[int, int] | None = None
    range: tuple[float, float] | None = None
    max_null_share: Share | None = None
    different: tuple[Annotated[int, Field(ge=0)], int] | None = None
    min_count: int = Field(default=1, ge=1)
    drift_limit: float | None = Field(default=None, gt=0, le=1)

    @field_validator("regex")
    @classmethod
    def compiles(cls, regex: str | None) -> str | None:
        if regex is not None:
            try:
                pc.match_substring_regex(pa.array([""]), regex)
            except pa.ArrowInvalid as error:
                raise ValueError(f"no RE2 expression: {error}") from error
        return regex


class Label(Section):
    """Where the label comes from: a 0/1 or boolean `column`, or one of numbers that count as positive from `at_least` on."""

    column: str
    at_least: float | None = None


class Cross(Section):
    """A cross-product transformation AND(left, right) (Cheng et al. 2016, §3.1).

    of: two categorical or multivalent columns; two multivalent sides give every pair. min_count: a pair gets a weight of its
    own after so many sightings on training rows.
    """

    of: tuple[str, str]
    min_count: int = Field(default=1, ge=1)

    @property
    def name(self) -> str:
        return f"AND({self.of[0]},{self.of[1]})"


class SplitRule(Section):
    """A hash of (user, span) and `salt` holds out about `holdout_share` of the users, whole. Another salt is another split.

    `pool_spans` spans of holdouts are scored together by the gate.
    """

    holdout_share: float = Field(default=0.15, ge=0.10, le=0.20)
    salt: str
    pool_spans: int = Field(default=1, ge=1, le=28)


class Model(Section):
    """Shape of the model. The defaults are the paper's (Cheng et al. 2016, §4.2 and figure 4).

    embedding: width of each value's vector. hidden: widths of the ReLU layers. parts: without `wide` there are no crosses,
    without `deep` no layers. quantiles: into how many equal shares a numeric column is cut.
    """

    embedding: int = Field(default=32, ge=1, le=1024)
    hidden: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = (1024, 512, 256)
    parts: tuple[Literal["wide", "deep"], ...] = Field(default=("wide", "deep"), min_length=1)
    quantiles: int = Field(default=100, ge=2, le=1000)


class VocabularyLimits(Section):
    """What bounds the vocabularies. A value or cross not seen for `evict_after_days` may lose its row to a new one; None: never.

    `max_bytes` bounds all tables with a row per value or cross, with their optimizer's state. Lowering it shrinks nothing: then
    nothing new is admitted but in place of what has expired.
    """

    evict_after_days: int | None = Field(default=None, ge=1)
    max_bytes: int | None = Field(default=None, ge=1)


class Ftrl(Section):
    """FTRL-Proximal (McMahan et al. 2013, Algorithm 1). Gradients are summed over the batch; `l1` is in those units.

    `alpha` is the learning rate; `l1` leaves weights of little evidence at 0, `l2` shrinks the others. `beta` is not 0: where
    a gradient is so small that its square vanishes, a step would divide by it.
    """

    alpha: Usable = 0.05
    beta: Usable = 1.0
    l1: UsableOrZero = 1.0
    l2: UsableOrZero = 1.0


class AdaGrad(Section):
    """AdaGrad (Duchi et al. 2011) on gradients averaged over the batch. It starts at 0: at 0.1 an epoch learns nothing.

    learning_rate: that of the layers. embedding_learning_rate: that of the embeddings. epsilon: what keeps the first division
    finite.
    """

    learning_rate: Usable = 0.01
    embedding_learning_rate: Usable = 0.05
    epsilon: Usable = 1e-8


class Training(Section):
    """How a candidate learns: `batch_size` rows a step, on `threads` threads, drawing by `seed`.

    `negative_rate` is the share of the negatives that are learnt, beside all positives; scores stay calibrated for all rows.
    `precision` is that of the deep part's matrix products; weights, optimizer state and scores are always float32. With
    `device` auto a CUDA device is taken where there is one. The sums of squared gradients, which make the optimizers' steps
    small, halve in `half_life_days` from span to span, but no sooner than `half_life_rows` new rows
    (docs/adr/0007-forgetting.md); None: never. The first release of a chain learns its rows in `bootstrap_passes` passes,
    every later one in one. In the end the bias is moved so that the mean score of up to `recalibrate_rows` of the rows that were
    learnt last is that of their labels; 0: it stays where the last batches left it (docs/adr/0012-the-gate.md).

    `engine` local learns in one process. `torchrec` learns in `processes` that share the tables and each batch's rows, on this
    machine or on several, on CPUs (docs/scaling.md); either goes on from what the other has trained.
    """

    engine: Literal["local", "torchrec"] = "local"
    processes: int = Field(default=1, ge=1, le=1024)

    batch_size: int = Field(default=256, ge=1)
    bootstrap_passes: int = Field(default=1, ge=1, le=10)
    seed: int = Field(default=0, ge=0)
    threads: int = Field(default=1, ge=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    negative_rate: float = Field(default=1.0, gt=0, le=1)
    half_life_days: float | None = Field(default=14.0, gt=0)
    half_life_rows: int = Field(default=200_000, ge=1)
    recalibrate_rows: int = Field(default=0, ge=0, le=10_000_000)
    ftrl: Ftrl = Ftrl()
    adagrad: AdaGrad = AdaGrad()


class Pending(Section):
    """What becomes of spans that no promoted release has learnt (fifth law).

    rule: the next candidate learns them, too, or nobody does. max_spans: at most so many at once, the oldest first. attempts:
    a span whose candidates were rejected so often is set aside for a person.
    """

    rule: Literal["carry", "drop"] = "carry"
    max_spans: int = Field(default=7, ge=0)
    attempts: int = Field(default=2, ge=1)


class SliceLimit(Section):
    """Groups of held-out rows, each of which has to hold by itself.

    of: "new users" and "new items" are those without a row in the champion's vocabulary; a column gives the values that most
    users have; "large groups" are those of all columns with few values, in turn. top: at most so many values. margin: how much
    worse counts as equal there; where nothing is said, the gate's `slice_margin`.
    """

    of: str
    top: int = Field(default=12, ge=1, le=200)
    margin: float | None = Field(default=None, gt=0)


class Gate(Section):
    """When a candidate may replace the champion. Losses are log loss per row; `margin` is how much worse counts as equal.

    unit: in which margins are meant; nats per row, or "ne", a share of the loss of predicting the label rate alone.
    confidence: of intervals over users, and of what is shown. min_users: with fewer held-out users nothing is shown.
    undecided: what becomes of a candidate when nothing is shown. auc_at_least, ne_at_most, calibration: what a candidate must
    reach by itself; normalised entropy, and the sum of scores over that of positives, which is ideally 1. auc_at_most,
    auc_gain_at_most: an AUC above the one, or above the champion's by more than the other, is too good to be true: nothing is
    shown then. calibration_shift: how far, as a share, the mean score may move from the champion's without being shown to be
    right; null: any way. slices: which groups of rows have to hold by themselves. slice_margin: null is twice `margin`.
    anchor_days: the candidate is also compared with the release that was champion so many days ago, or with the chain's first,
    since daily margins add up; null: with none. anchor_margin: null is `margin`.
    """

    margin: float = Field(gt=0)
    unit: Literal["nats", "ne"] = "nats"
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    min_users: int = Field(default=20, ge=2)
    undecided: Literal["hold", "reject"] = "hold"
    auc_at_least: float = Field(default=0.55, ge=0, le=1)
    auc_at_most: float = Field(default=0.98, ge=0, le=1)
    auc_gain_at_most: float = Field(default=0.03, ge=0, le=1)
    ne_at_most: float = Field(default=1.0, gt=0)
    calibration: tuple[float, float] = (0.8, 1.25)
    calibration_shift: float | None = Field(default=None, gt=0)
    slices: tuple[SliceLimit, ...] = (SliceLimit(of="new users"), SliceLimit(of="new items"), SliceLimit(of="large groups"))
    slice_margin: float | None = Field(default=None, gt=0)
    anchor_days: int | None = Field(default=28, ge=1)
    anchor_margin: float | None = Field(default=None, gt=0)


class Audit(Section):
    """How the debt of warm starts is measured: what the champion loses to a twin that learns its history anew (docs/audit.md).

    days: of which newest days of it. rows: no more rows than that, by whole spans, of which it learns one at least. limit: how
    far the champion's loss may be shown to lie above its twin's, in the gate's `unit`; null is the gate's `margin`.
    """

    days: int = Field(default=60, ge=1)
    rows: int = Field(default=2_000_000, ge=1)
    limit: float | None = Field(default=None, gt=0)


class DryRun(Section):
    """A server of its own loads the candidate, has to give the trainer's scores again, and is driven beside one of the champion.

    rows: how many real rows it scores. max_score_error, max_score_error_bfloat16: how far a score may be off, by the precision
    that serves; a server also refuses a release that is further off. timeout: how long all may take. load: how long until the
    candidate can be asked. p50_ms, p95_ms, p99_ms: what requests may take. p50_of_champion: how many times the champion's median
    the candidate's may be. A candidate that is only slow is timed once more. memory_mb: what its server's process may hold at its
    peak. memory_of_champion: how many times as much it may take as the champion's. growth_mb: how much memory may grow by being
    asked. agreement: how alike the champion's its rankings have to be, as the mean rank correlation of the same lists.
    """

    rows: int = Field(default=256, ge=1)
    max_score_error: float = Field(default=1e-6, ge=0)
    max_score_error_bfloat16: float = Field(default=0.02, ge=0)
    timeout: timedelta = timedelta(minutes=5)
    load: timedelta = timedelta(minutes=2)
    p50_ms: float = Field(default=250, gt=0)
    p95_ms: float = Field(default=1000, gt=0)
    p99_ms: float = Field(default=3000, gt=0)
    p50_of_champion: float = Field(default=3, gt=1)
    memory_mb: int = Field(default=8192, ge=1)
    memory_of_champion: float = Field(default=3, gt=1)
    growth_mb: int = Field(default=128, ge=1)
    agreement: float = Field(default=0.2, ge=-1, le=1)

    def largest_error(self, precision: str) -> float:
        """How far a score may be off in this precision."""
        return self.max_score_error_bfloat16 if precision == "bfloat16" else self.max_score_error


class Scoring(Section):
    """How releases are scored: by the scoring server, and so by the gate.

    `precision` is that of the layers' products; bfloat16 moves a score by up to 0.01. batch: how many rows are scored at once.
    threads: how many score one request.
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    batch: int = Field(default=100, ge=1)
    threads: int = Field(default=2, ge=1, le=64)


class Publishing(Section):
    """`deltas`: a release also carries what leads to it from its parent, for servers that hold that (docs/adr/0009-deltas.md)."""

    deltas: bool = True


class Retention(Section):
    """What `widedeep prune` keeps. None keeps for ever. Moves of the pointer, verdicts and outcomes are always kept.

    releases: the newest published ones, promoted or not. champions: the newest champions of each lane. The parent of each that
    is kept stays, too: it is the base of its delta.
    candidates_days: unpromoted candidates and releases. snapshots_days: rows of spans that nothing waits for; it bounds how far
    back a rollback can go, since what the withdrawn champions had learnt is learnt again: rows of older spans may be gone, and
    then the rollback is refused. A lane's rows from its head on are kept until it has settled nothing for that many days.
    quarantine_days: validation reports. grace: nothing younger goes, whatever it is.
    """

    releases: int = Field(default=30, ge=1)
    champions: int | None = Field(default=None, ge=1)
    candidates_days: int | None = Field(default=30, ge=1)
    snapshots_days: int | None = Field(default=400, ge=1)
    quarantine_days: int | None = Field(default=90, ge=1)
    grace: timedelta = timedelta(days=2)


class Contract(Section):
    """What the data mean, and how this chain trains, judges and settles them.

    name: what the chain is called. user: column that tells users apart; whole users are held out. time: column that says when
    a row happened, on its span's day (UTC). item, title: columns that tell items apart and name them, for ranking only.
    columns: all that are delivered, by name. crosses: pairs of columns that the wide part remembers. version: of this form of
    a contract. key: columns that together name an example, which is there once. label_delay: how many days a label takes to
    be true; span d is run at d + label_delay, with the labels of then.
    """

    version: Literal[1] = 1
    name: str
    user: str
    time: str
    item: str | None = None
    title: str | None = None
    key: tuple[str, ...] = ()
    label: Label
    label_delay: int = Field(default=0, ge=0, le=366)
    columns: dict[str, Column]
    crosses: tuple[Cross, ...] = ()
    split: SplitRule
    model: Model = Model()
    vocabulary: VocabularyLimits = VocabularyLimits()
    training: Training = Training()
    checks: Checks = Checks()
    drift: Drift = Drift()
    drastic: Drastic = Drastic()
    late: Late = Late()
    delivery: Delivery = Delivery()
    pending: Pending = Pending()
    gate: Gate
    audit: Audit = Audit()
    dry_run: DryRun = DryRun()
    serving: Scoring = Scoring()
    publishing: Publishing = Publishing()
    retention: Retention = Retention()

    @model_validator(mode="after")
    def agrees_with_itself(self) -> Self:
        if problems := disagreements(self.model_dump(mode="json")):
            raise ValueError("\n".join(problems))
        return self

    def with_role(self, role: Literal["categorical", "multivalent", "numeric"]) -> tuple[str, ...]:
        """Names of the columns with this role, sorted: the order of features in every tensor."""
        return tuple(sorted(name for name, column in self.columns.items() if column.role == role))

    @property
    def watched(self) -> tuple[str, ...]:
        """Names of the columns whose drift is measured: the features, and those with a limit of their own."""
        return tuple(n for n, c in self.columns.items() if c.role not in (None, "weight") or c.drift_limit is not None)

    @property
    def weight(self) -> str | None:
        """Name of the column that weights the rows; None: every row counts once."""
        return next((name for name, column in self.columns.items() if column.role == "weight"), None)

    @cached_property
    def training_digest(self) -> Digest:
        """Digest of everything that shapes a payload. Margins, deadlines and checks may change without a new release."""
        sections = {"crosses", "model", "vocabulary", "training"}
        shaping = self.model_dump(mode="json", include={"user", "time", "item", "title", "label", *sections})
        shaping["columns"] = {
            name: {"type": c.type, "role": c.role, "of": c.of, "min_count": c.min_count} for name, c in self.columns.items()
        }
        shaping["dry_run_rows"] = self.dry_run.rows
        shaping["deltas"] = self.publishing.deltas
        return sha256(canonical_json(shaping))

    @cached_property
    def checks_digest(self) -> Digest:
        """Digest of everything that validation depends on: the same rows under the same digest have the same findings."""
        held_against = {"user", "time", "key", "label", "columns", "checks", "drift", "drastic", "late"}
        return sha256(canonical_json(self.model_dump(mode="json", include=held_against)))

    @cached_property
    def split_digest(self) -> Digest:
        """Digest of the rule that divides users. Not of the pool's size: a lineage names the held-out rows that it learnt."""
        return sha256(canonical_json(self.split.model_dump(mode="json", include={"salt", "holdout_share"})))


def load_contract(path: Path) -> Contract:
    """Read a contract file.

    Raises:
        ContractError: the file is missing, is not YAML, or says something wrong; every problem is listed with its place.
    """
    document = _document(path)
    try:
        return Contract.model_validate(document)
    except ValidationError as error:
        problems = [field_problem(p, Contract) for p in error.errors() if p["loc"]] + disagreements(document)
    count = f"{len(problems)} problem{'s' * (len(problems) != 1)}"
    raise ContractError(f"contract {path}: {count}; mend them and run again:\n" + "\n".join(f"  {line}" for line in problems))


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_OneOfEachKey)  # noqa: S506  a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"contract {path}: can't be read ({error}). Set WIDEDEEP_CONTRACT to a contract file.") from error
    except yaml.YAMLError as error:
        raise ContractError(f"contract {path}: not valid YAML, {error}. Mend that place and run again.") from error
    if not isinstance(document, dict):
        raise ContractError(f"contract {path}: holds {document!r:.40}, wanted keys and values such as `name:` and `columns:`.")
    return document


class _OneOfEachKey(yaml.SafeLoader):
    """YAML's own loader keeps the last of two equal keys in silence: a column given twice would lose its first meaning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)
