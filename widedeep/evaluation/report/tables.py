"""The tables of a report: quality beside ranking and relevance, and under each picture the figures that it draws."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from widedeep.artifacts import Difference, Interval
from widedeep.evaluation.report.svg import number, percent
from widedeep.evaluation.report.values import Bucket, ChangedItem, Report, Side

QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Line:
    """One figure of both models: how it is called, what it says, where it stands, and how it is written."""

    name: str
    says: str
    of: Callable[[Side], float | None]
    written: Callable[[float], str]


def _four(value: float) -> str:
    return f"{value:.4f}"


def _two(value: float) -> str:
    return f"{value:.2f}"


def _share(value: float) -> str:
    return f"{100 * value:.1f}\u202f%"


PROBABILITIES = (
    Line("Log loss", "nats per row; lower is better", lambda s: s.metrics.log_loss, _four),
    Line("Normalised entropy", "log loss over that of the label rate; lower is better", lambda s: s.metrics.ne, _four),
    Line("Calibration", "predicted over observed positives; 1 is right", lambda s: s.metrics.calibration, _four),
)
ORDER = (
    Line("AUC", "pairs of any two rows in the right order; higher is better", lambda s: s.metrics.auc, _four),
    Line("AUC per user", "the same among the rows of one user, mean over users", lambda s: s.metrics.user_auc, _four),
    Line("NDCG@10", "positives near the top of what a user was shown; higher is better", lambda s: s.recommendations.ndcg, _four),
    Line("Hit rate", "users whose best-scored row is a positive one", lambda s: s.recommendations.hit_rate, _share),
)
LISTS = (
    Line(
        "Hit rate of lists",
        "users whose list holds what they took in these rows",
        lambda s: s.recommendations.list_hit_rate,
        _share,
    ),
    Line("Matches nothing", "recommended, and like nothing in the user's history", lambda s: s.recommendations.unmatched, _share),
    Line(
        "Unseen crosses", "recommended crosses without a weight of their own", lambda s: s.recommendations.unseen_crosses, _share
    ),
    Line("Catalogue coverage", "of the candidates, in anybody's list", lambda s: s.recommendations.coverage, _share),
    Line("Popularity bias", "1: as popular as what users take", lambda s: s.recommendations.popularity_bias, _two),
)


def quality(report: Report, candidate: Side) -> str:
    """Probabilities, order and lists of both models, and how far they are apart."""
    columns = 4 if report.champion else 2
    bodies = "".join(
        f'<tbody><tr><th colspan="{columns}" scope="rowgroup">{escape(title)}</th></tr>'
        + "".join(_line(line, candidate, report.champion) for line in lines)
        + "</tbody>"
        for title, lines in _groups(candidate)
    )
    heads = ("", "candidate", *(("champion", "change") if report.champion else ()))
    return f'<div class="wide"><table><thead>{_head(heads)}</thead>{bodies}</table></div>'


def compared_lines(report: Report) -> Iterator[tuple[str, ...]]:
    """The same for a terminal: name, candidate, champion, change."""
    if report.candidate:
        for _, lines in _groups(report.candidate):
            yield from ((line.name, *_cells(line, report.candidate, report.champion)) for line in lines)


def _groups(side: Side) -> Iterator[tuple[str, tuple[Line, ...]]]:
    asked = side.recommendations
    yield "Probabilities", PROBABILITIES
    yield f"Order of what was shown, to {asked.ranked_users:,} users with a positive and a negative row", ORDER
    if asked.asked_users:
        yield f"Lists of {asked.k} of {asked.items:,} items, for {asked.asked_users:,} users", LISTS


def _line(line: Line, candidate: Side, champion: Side | None) -> str:
    name = f'<th scope="row">{escape(line.name)}<small>{escape(line.says)}</small></th>'
    cells = "".join(f'<td class="n">{escape(cell)}</td>' for cell in _cells(line, candidate, champion))
    return f"<tr>{name}{cells}</tr>"


def _cells(line: Line, candidate: Side, champion: Side | None) -> tuple[str, ...]:
    mine = line.of(candidate)
    if champion is None:
        return (_cell(mine, line.written),)
    theirs = line.of(champion)
    change = None if mine is None or theirs is None else mine - theirs
    return _cell(mine, line.written), _cell(theirs, line.written), _cell(change, lambda value: _change(value, line.written))


def _cell(value: float | None, written: Callable[[float], str]) -> str:
    return "–" if value is None else written(value)


def _change(value: float, written: Callable[[float], str]) -> str:
    """Shares differ by percentage points."""
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{written(abs(value)).replace('%', 'pt')}"


def figures(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table behind a click: the first column names, the others count."""
    lines = "".join(
        f'<tr><th scope="row">{escape(first)}</th>' + "".join(f'<td class="n">{escape(cell)}</td>' for cell in others) + "</tr>"
        for first, *others in rows
    )
    table = f"<table><thead>{_head(heads)}</thead><tbody>{lines}</tbody></table>"
    return f'<details><summary>Figures</summary><div class="wide">{table}</div></details>'


def _head(heads: Sequence[str]) -> str:
    first, *others = heads
    cells = "".join(f'<th scope="col" class="n">{escape(head)}</th>' for head in others)
    return f"<tr>{f'<th scope=col>{escape(first)}</th>' if first else '<td></td>'}{cells}</tr>"


def of_buckets(sides: Sequence[tuple[str, Side]]) -> str:
    rows = [(kind, bucket) for kind, side in sides for bucket in side.calibration]
    return figures(("model", "mean score", "positives", "interval", "rows"), [_of_bucket(*row) for row in rows])


def _of_bucket(kind: str, bucket: Bucket) -> tuple[str, ...]:
    rate = bucket.rate
    return (
        kind,
        percent(bucket.score),
        percent(rate.estimate),
        f"{percent(rate.lower)} to {percent(rate.upper)}",
        f"{bucket.rows:,}",
    )


def of_bins(sides: Sequence[tuple[str, Side]], edges: Sequence[float]) -> str:
    bins = [f"{percent(low)} to {percent(high)}" for low, high in pairwise(edges)]
    rows = [(name, *(percent(side.histogram[i]) for _, side in sides)) for i, name in enumerate(bins)]
    return figures(("score", *(kind for kind, _ in sides)), rows)


def of_latencies(times_ms: Sequence[tuple[str, Sequence[float]]]) -> str:
    rows = [(kind, *(number(_at(times, share)) for share in QUANTILES), f"{len(times):,}") for kind, times in times_ms]
    return figures(("milliseconds", *(f"{share:.0%}" for share in QUANTILES), "requests"), rows)


def _at(times: Sequence[float], share: float) -> float:
    return sorted(times)[min(int(share * len(times)), len(times) - 1)]


def of_differences(differences: Sequence[Difference]) -> str:
    rows = [
        (d.name, f"{d.interval.estimate:+.5f}", _between(d.interval), "–" if d.margin is None else f"{d.margin:g}")
        for d in differences
    ]
    return figures(("rows", "difference", "interval", "margin"), rows)


def _between(interval: Interval) -> str:
    return f"{interval.lower:+.5f} to {interval.upper:+.5f}"


def of_items(items: Sequence[ChangedItem]) -> str:
    rows = [
        (f"{item.title} ({item.item})" if item.title else item.item, f"{item.champion:,}", f"{item.candidate:,}")
        for item in items
    ]
    return figures(("item", "champion", "candidate"), rows)
