"""The pictures of a report, each from the values that its table tells, too."""

from collections.abc import Sequence
from itertools import chain
from math import log

from widedeep.artifacts import Difference, Interval
from widedeep.evaluation.report import svg
from widedeep.evaluation.report.svg import WIDTH, Axis, Point, number, percent, signed
from widedeep.evaluation.report.values import Bucket, ChangedItem, Side

LEFT, RIGHT, TOP = 42.0, WIDTH - 18.0, 12.0
MARKS = {"candidate": svg.circle, "champion": svg.square}
ROUND = (0.0001, 0.001, 0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.99, 0.999, 0.9999)
NEAREST = 34
"""Units between the numbers of an axis, so that they don't touch."""

LATENCY_BINS = 24

WHOLE = 0.8
"""Share of the intervals that are drawn whole; the others may be so wide that nothing else could be read."""

Sides = Sequence[tuple[str, Side]]


def calibration(sides: Sides) -> str:
    """Rate of positives by mean score, with intervals; on the diagonal scores are probabilities."""
    buckets = [bucket for _, side in sides for bucket in side.calibration]
    high = 1.15 * max(max(bucket.score, bucket.rate.estimate) for bucket in buckets)
    x, y = Axis(0, high, LEFT, RIGHT), Axis(0, high, 252, TOP)
    ticks = [(value, percent(value)) for value in x.ticks(5)]
    parts = [*svg.beside(y, LEFT, RIGHT, ticks), *svg.below(x, 252, ticks)]
    parts.append(svg.line((x.at(0), y.at(0)), (x.at(high), y.at(high)), "ideal"))
    for kind, side in reversed(sides):
        points = [(x.at(bucket.score), y.at(bucket.rate.estimate)) for bucket in side.calibration]
        parts.append(svg.path(points, f"{kind} curve"))
        parts += [_upright(x.at(b.score), y, b, kind) for b in side.calibration]
        parts += [MARKS[kind](point, kind) for point in points]
    parts.append(svg.text((LEFT + RIGHT) / 2, 284, "mean score of a tenth of the rows", anchor="middle"))
    told = "Calibration: " + "; ".join(f"{kind} {_nearness(side.calibration)}" for kind, side in sides)
    return svg.svg(290, told, parts)


def _upright(x: float, y: Axis, bucket: Bucket, kind: str) -> str:
    return svg.line((x, y.at(bucket.rate.lower)), (x, y.at(bucket.rate.upper)), f"{kind} reach")


def _nearness(buckets: Sequence[Bucket]) -> str:
    inside = sum(bucket.rate.lower <= bucket.score <= bucket.rate.upper for bucket in buckets)
    return f"meets the diagonal within its interval in {inside} of {len(buckets)} groups of rows"


def scores(sides: Sides, edges: Sequence[float]) -> str:
    """Share of the rows by score, in bins of equal width in log-odds."""
    odds = [_odds(edge) for edge in edges]
    x = Axis(odds[0], odds[-1], LEFT, RIGHT)
    ticks = _apart([(_odds(p), percent(p)) for p in ROUND if odds[0] <= _odds(p) <= odds[-1]], x)
    told = "Distribution of scores: " + "; ".join(f"{kind} most often {_mode(side, edges)}" for kind, side in sides)
    return _steps([(kind, side.histogram) for kind, side in sides], odds, x, ticks, told, "score (log-odds scale)")


def _odds(p: float) -> float:
    return log(p / (1 - p))


def _mode(side: Side, edges: Sequence[float]) -> str:
    highest = max(range(len(side.histogram)), key=lambda i: side.histogram[i])
    return f"between {percent(edges[highest])} and {percent(edges[highest + 1])}"


def latencies(times_ms: Sequence[tuple[str, Sequence[float]]]) -> str:
    """How long requests of the dry run took, in milliseconds; the slowest twentieth is in the last bar."""
    every = sorted(chain.from_iterable(times for _, times in times_ms))
    high = 1.05 * every[int(0.95 * (len(every) - 1))] or 1.0
    x = Axis(0, high, LEFT, RIGHT)
    shares = [(kind, _counted(times, high)) for kind, times in times_ms]
    ticks = [(value, number(value)) for value in x.ticks(5)]
    told = "; ".join(f"{kind} half within {number(sorted(times)[len(times) // 2])} ms" for kind, times in times_ms)
    edges = [high * i / LATENCY_BINS for i in range(LATENCY_BINS + 1)]
    return _steps(shares, edges, x, ticks, f"Latency of requests: {told}", "milliseconds; the slowest are in the last bar")


def _counted(times: Sequence[float], high: float) -> list[float]:
    places = [min(int(LATENCY_BINS * time / high), LATENCY_BINS - 1) for time in times]
    return [places.count(i) / len(times) for i in range(LATENCY_BINS)]


def _steps(
    shares: Sequence[tuple[str, Sequence[float]]],
    edges: Sequence[float],
    x: Axis,
    ticks: Sequence[tuple[float, str]],
    told: str,
    beneath: str,
) -> str:
    """Histograms over each other: the candidate's filled, the champion's as a dashed outline."""
    y = Axis(0, 1.05 * max(chain.from_iterable(share for _, share in shares)), 182, TOP)
    parts = [*svg.beside(y, LEFT, RIGHT, [(v, percent(v)) for v in y.ticks(3)]), *svg.below(x, 182, ticks)]
    parts += [svg.path(_outline(share, edges, x, y), f"{kind} steps") for kind, share in shares]
    parts.append(svg.text((LEFT + RIGHT) / 2, 214, beneath, anchor="middle"))
    return svg.svg(220, told, parts)


def _outline(share: Sequence[float], edges: Sequence[float], x: Axis, y: Axis) -> list[Point]:
    top = [(x.at(edge), y.at(share[i])) for i in range(len(share)) for edge in edges[i : i + 2]]
    return [(x.at(edges[0]), y.at(0)), *top, (x.at(edges[-1]), y.at(0))]


def _apart(ticks: list[tuple[float, str]], axis: Axis) -> list[tuple[float, str]]:
    """Those that have room beside the last one that is kept."""
    kept: list[tuple[float, str]] = []
    for tick in ticks:
        if not kept or axis.at(tick[0]) - axis.at(kept[-1][0]) >= NEAREST:
            kept.append(tick)
    return kept


def forest(differences: Sequence[Difference]) -> str:
    """Candidate − champion loss of all rows and of slices: it is shown to be no worse where a line ends left of its mark.

    The widest intervals are cut at the border.
    """
    farther = sorted(_farther(d.interval) for d in differences)
    shown = max(max(abs(d.interval.estimate), d.margin or 0) for d in differences)
    reach = 1.1 * max(shown, farther[int(WHOLE * (len(farther) - 1))]) or 1.0
    x, bottom = Axis(-reach, reach, 8, RIGHT), TOP + len(differences) * svg.ROW
    parts = [svg.line((x.at(0), TOP), (x.at(0), bottom), "axis")]
    for place, difference in enumerate(differences):
        parts += _whisker(difference, x, TOP + place * svg.ROW)
    parts += svg.below(x, bottom + 2, [(value, signed(value) if value else "0") for value in x.ticks(6)])
    parts.append(svg.text(8, bottom + 34, "← candidate better"))
    parts.append(svg.text(RIGHT, bottom + 34, "candidate worse →", anchor="end"))
    told = "; ".join(f"{d.name}: {svg.loss(d.interval.estimate)}, {_reach(d.interval)}" for d in differences)
    return svg.svg(bottom + 40, f"Difference of log loss, candidate minus champion. {told}", parts)


def _farther(interval: Interval) -> float:
    return max(abs(interval.lower), abs(interval.upper))


def _reach(interval: Interval) -> str:
    return f"interval {svg.loss(interval.lower)} to {svg.loss(interval.upper)}"


def _whisker(difference: Difference, x: Axis, top: float) -> list[str]:
    interval, y = difference.interval, top + 22
    parts = [
        svg.text(8, top + 11, _cut(difference.name, 40)),
        svg.text(RIGHT, top + 11, svg.loss(interval.estimate), anchor="end"),
    ]
    if difference.margin is not None:
        parts.append(svg.line((x.at(difference.margin), y - 8), (x.at(difference.margin), y + 8), "margin"))
    parts.append(svg.line((x.at(interval.lower), y), (x.at(interval.upper), y), "candidate reach"))
    return [*parts, svg.circle((x.at(interval.estimate), y))]


def changed(items: Sequence[ChangedItem], asked: int) -> str:
    """To what share of the asked users each model recommends an item."""
    x = Axis(0, max(max(item.candidate, item.champion) for item in items) / asked, 10, RIGHT)
    height = len(items) * svg.ROW
    parts = []
    for place, item in enumerate(items):
        top, y = TOP + place * svg.ROW, TOP + place * svg.ROW + 22
        before, after = (x.at(count / asked) for count in (item.champion, item.candidate))
        parts += [svg.text(8, top + 11, _cut(item.title or item.item, 40)), svg.line((before, y), (after, y), "move")]
        parts += [svg.text(RIGHT, top + 11, signed(item.candidate - item.champion), anchor="end")]
        parts += [svg.square((before, y)), svg.circle((after, y))]
    parts += svg.below(x, TOP + height + 2, [(value, percent(value)) for value in x.ticks()])
    parts.append(svg.text((8 + RIGHT) / 2, TOP + height + 34, "share of the asked users", anchor="middle"))
    told = "; ".join(f"{item.title or item.item}: {item.champion} to {item.candidate} users" for item in items)
    return svg.svg(TOP + height + 40, f"Recommended by the champion and by the candidate. {told}", parts)


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
