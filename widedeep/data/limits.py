"""Sections of the contract that say what good data are, and what becomes of those that are not.

Parsed once at the edge into frozen values; `widedeep.data.contract` puts them together.
"""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Ratio = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """Base of every section: immutable; unknown keys fail; numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Skew(Section):
    """A feature that is delivered twice, as the columns `of`: as computed for training, and as it was logged when it served.

    Two numbers are equal up to `tolerance`; anything else if it is the same. More than `share` of unequal rows is too many.
    """

    of: tuple[str, str]
    tolerance: float = Field(default=1e-6, ge=0)
    share: Share = 0.01


class Checks(Section):
    """Limits of a whole span; beyond them it is quarantined. `max_null_share` is for nullable columns; others have no null.

    `rows`: how many a span may have. `label_rate`: which share of them may be positive. `skew`: features that are delivered
    twice. Rows that break a rule of their own are taken out one by one, each with its reason, as long as they are no more
    than `tolerance` of the span. `duplicates`: the share of rows that may equal an earlier one. `clock_skew`: how far outside
    its span a row's time may lie and still count as inside.
    """

    rows: tuple[int, int] = (1, 100_000_000)
    label_rate: tuple[float, float] = (0.0001, 0.9999)
    max_null_share: Share = 1.0
    tolerance: Share = 0.01
    duplicates: Share = 0.01
    clock_skew: timedelta = timedelta(0)
    skew: tuple[Skew, ...] = ()


class Drift(Section):
    """When a column that moved is worth a warning. A limit is an effect size, calibrated on what past clean spans did.

    false_alarms: on that share of days a span that is as clean as those before may warn, over all columns together.
    smallest: effect sizes below are never told, however sure. look_back: how many days of past spans are the reference.
    """

    false_alarms: float = Field(default=0.005, gt=0, le=0.5)
    smallest: Share = 0.03
    look_back: int = Field(default=28, ge=1, le=366)


class Drastic(Section):
    """Beyond these nothing is learnt before a person has looked: the span is held, later days go on without it. None: never.

    drift: an effect size. label_rate, volume: ratios to those of the reference. patience: how long the question stands; then
    the answer is no.
    """

    drift: float | None = Field(default=0.5, gt=0, le=1)
    label_rate: tuple[Ratio, Ratio] | None = (0.5, 2.0)
    volume: tuple[Ratio, Ratio] | None = (0.2, 5.0)
    patience: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(days=2)


class Late(Section):
    """Rows that are delivered with a later span than that of their time, at most `days` later; older ones are bad rows.

    `rows` says what becomes of them: reject takes them to quarantine, keep learns them with the span that they arrive in,
    re-version makes a new version of their own day. Up to `share` of a span's rows may be late, whatever `checks.tolerance` is;
    with more of them it is quarantined. `requeued` says what becomes of repaired rows of a span that was learnt without them:
    they are learnt with the next span, or the lane is replayed from their day on.
    """

    rows: Literal["reject", "keep", "re-version"] = "reject"
    days: int = Field(default=7, ge=1, le=366)
    share: float = Field(default=0.2, ge=0, lt=1)
    requeued: Literal["next span", "replay"] = "next span"


class Delivery(Section):
    """Where a span's files arrive, how one knows that all are there, and how long a run waits for that after the span has ended.

    `prefix` is a key below the store, or `file:///folder/{span}/`. Complete is what has the `marker` file; has all files of
    the `manifest`, a JSON file `{"files": [{"name": ..., "rows": ...}]}`; and has been `quiet` for that long. What is not set
    is not asked for. After the `deadline`, counted from the span's end, a run says "no data".
    """

    prefix: str = "landing/{span}/"
    marker: str | None = None
    manifest: str | None = None
    quiet: timedelta | None = None
    deadline: timedelta = timedelta(hours=6)
