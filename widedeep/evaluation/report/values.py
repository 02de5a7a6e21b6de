"""What a report says, as JSON: all that its page shows, and nothing that names a user.

Bound to the release by its manifest's digest, to the decision by that of the verdict, to its page by that of the bytes.
"""

from widedeep.artifacts import (
    Difference,
    Digest,
    DryRunReport,
    FileRef,
    Interval,
    Lineage,
    MetricReport,
    Part,
    ReleaseId,
    Value,
    Verdict,
)


class Recommendations(Value):
    """What one model does with lists (`widedeep.evaluation.recommending` defines each figure and says when it is None).

    Of the rows that held-out users were shown: `ndcg` at `k` and `hit_rate` of the row with the highest score, means over
    `ranked_users`, who have a positive and a negative row. Of the `k` best of `items` candidates for each of `asked_users`:
    `list_hit_rate`, `coverage`, `popularity_bias`, `unmatched` (the share that matches nothing in the user's history) and
    `unseen_crosses` (the share of the recommended rows' crosses that have no weight of their own). Without a catalogue the
    latter are None.
    """

    k: int
    ranked_users: int
    ndcg: float | None
    hit_rate: float | None
    asked_users: int = 0
    items: int = 0
    list_hit_rate: float | None = None
    coverage: float | None = None
    popularity_bias: float | None = None
    unmatched: float | None = None
    unseen_crosses: float | None = None


class Bucket(Value):
    """Rows with neighbouring scores: their mean score, the rate of positives among them and its interval, how many they are."""

    score: float
    rate: Interval
    rows: int


class Side(Value):
    """What one release did on the held-out rows. `histogram`: the share of the rows in each of the report's bins of scores."""

    release_id: ReleaseId
    metrics: MetricReport
    calibration: tuple[Bucket, ...]
    histogram: tuple[float, ...]
    recommendations: Recommendations


class ChangedItem(Value):
    """An item that one model recommends to more of the asked users than the other: to how many each does."""

    item: str
    title: str | None
    candidate: int
    champion: int


class Link(Value):
    """A page in the store, for who reads the report there."""

    name: str
    key: str


class Report(Value):
    """One decision, or one comparison that decides nothing (`verdict` is None).

    `candidate` is None where nothing was measured, `champion` where there is none or where it was not scored. `edges`: of the
    bins of scores. `differences`: of all rows first, then of slices. `ndcg`: candidate − champion, paired, over users.
    `page`: the same for a browser.
    """

    release_id: ReleaseId
    manifest_sha256: Digest
    lineage: Lineage
    compared_with: ReleaseId | None
    holdout: tuple[Part, ...]
    verdict: Verdict | None = None
    dry_run: DryRunReport | None = None
    candidate: Side | None = None
    champion: Side | None = None
    differences: tuple[Difference, ...] = ()
    ndcg: Interval | None = None
    edges: tuple[float, ...] = ()
    changed: tuple[ChangedItem, ...] = ()
    links: tuple[Link, ...] = ()
    page: FileRef | None = None
