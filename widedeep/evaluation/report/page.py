"""A report for a browser: one file that needs no other and runs nothing; every figure is there as text, too.

Names of items, and whatever else was delivered, are escaped where they are written.
"""

from collections.abc import Iterator, Sequence
from html import escape

from widedeep.artifacts import Difference, DryRunReport, Interval, Part
from widedeep.data.page import document
from widedeep.evaluation.report import pictures, tables
from widedeep.evaluation.report.style import STYLE
from widedeep.evaluation.report.svg import loss, number, percent
from widedeep.evaluation.report.values import Report, Side

KEY = {
    "candidate": '<span class="candidate">●</span> candidate, solid',
    "champion": '<span class="champion">■</span> champion, dashed',
}
MEANING = {"promote": "may replace the champion", "hold": "waits for a person", "reject": "is not published"}
UP = "../../"
"""From a report's page to the root of the store."""


def page(report: Report, *, in_store: bool = True) -> bytes:
    """The whole report. Outside the store its links would lead nowhere: then it names the keys."""
    verdict = report.verdict
    title = f"{verdict.decision if verdict else 'compare'}: {report.release_id}"
    sections = [_decision(report), *_measured(report), *_rehearsed(report.dry_run), _origin(report, in_store)]
    return document(title, f"<main>{''.join(sections)}</main>", STYLE)


def _decision(report: Report) -> str:
    kind = report.verdict.decision if report.verdict else "none"
    told = f"{kind}: the candidate {MEANING[kind]}" if report.verdict else "a comparison, no decision"
    against = f"against {report.compared_with}" if report.compared_with else "with nothing to compare with"
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in (report.verdict.reasons if report.verdict else ()))
    return (
        f'<header><p class="decision {kind}">{escape(told)}</p><h1>{report.release_id} <small>{escape(against)}</small></h1>'
        f"<p>{escape(_judged_on(report))}</p><ul>{reasons}</ul></header>"
    )


def _judged_on(report: Report) -> str:
    if report.candidate is None:
        return "Nothing was measured."
    m, spans = report.candidate.metrics, sorted({str(part.span) for part in report.holdout})
    told = f"span{'s' * (len(spans) > 1)} {', '.join(spans)}"
    rate = f"{percent(m.label_rate)} of them positive"
    return f"Judged on {m.rows:,} held-out rows of {m.users:,} users, {rate}, of {told}; no model had learnt from them."


def _measured(report: Report) -> Iterator[str]:
    candidate = report.candidate
    if candidate is None:
        return
    sides = [("candidate", candidate)] + ([("champion", report.champion)] if report.champion else [])
    yield _section("Quality, ranking and relevance", tables.quality(report, candidate) + _paired(report.ndcg))
    drawn = [
        _differences(report.differences) if report.differences else "",
        _changed(report, candidate) if report.changed else "",
        _figure("Calibration: positives by mean score", pictures.calibration(sides) + tables.of_buckets(sides)),
        _figure("Distribution of scores", pictures.scores(sides, report.edges) + tables.of_bins(sides, report.edges)),
        _latencies(report.dry_run) if report.dry_run and report.dry_run.score_ms else "",
    ]
    key = f'<p class="key">{" ".join(KEY[kind] for kind, _ in sides)}</p>'
    yield f'<section><h2>Pictures</h2>{key}<div class="pictures">{"".join(drawn)}</div></section>'


def _differences(differences: Sequence[Difference]) -> str:
    caption = "Log loss, candidate − champion, with intervals over users; what is judged has its margin in red"
    return _figure(caption, pictures.forest(differences) + tables.of_differences(differences))


def _changed(report: Report, candidate: Side) -> str:
    asked = candidate.recommendations
    caption = f"Items whose share of the {asked.asked_users:,} asked users changed most, by lists of {asked.k}"
    return _figure(caption, pictures.changed(report.changed, asked.asked_users) + tables.of_items(report.changed))


def _latencies(dry_run: DryRunReport) -> str:
    times = [("candidate", dry_run.score_ms)] + ([("champion", dry_run.champion_ms)] if dry_run.champion_ms else [])
    return _figure("Latency of the requests of the dry run", pictures.latencies(times) + tables.of_latencies(times))


def _paired(ndcg: Interval | None) -> str:
    if ndcg is None:
        return ""
    reach = f"{ndcg.percent} interval {loss(ndcg.lower)} to {loss(ndcg.upper)}"
    found = f"NDCG differs by {loss(ndcg.estimate)} per user ({reach}). "
    why = (
        "Offline, a wide model beat a deep one by AUC, and lost to it online (Cheng et al. 2016, table 1): read all three parts."
    )
    return f"<p>{escape(found + why)}</p>"


def _rehearsed(dry_run: DryRunReport | None) -> Iterator[str]:
    if dry_run is None:
        return
    failures = "".join(f"<li>{escape(failure)}</li>" for failure in dry_run.failures)
    seen = _listed(_seen(dry_run))
    yield _section("Dry run", (f"<p>It failed:</p><ul>{failures}</ul>" if failures else "<p>Nothing failed.</p>") + seen)


def _seen(dry_run: DryRunReport) -> Iterator[tuple[str, str]]:
    for name, value, unit in (
        ("files verified", dry_run.files_verified, ""),
        ("real rows scored", dry_run.rows_scored, ""),
        ("largest error of a score", dry_run.largest_score_error, ""),
        ("lowest score", dry_run.lowest_score, ""),
        ("highest score", dry_run.highest_score, ""),
        ("largest difference between two answers", dry_run.largest_repeat_difference, ""),
        ("rank correlation with the champion", dry_run.rank_agreement, ""),
        ("loaded in", dry_run.load_s, " s"),
        ("median request", dry_run.score_p50_ms, " ms"),
        ("slowest of twenty", dry_run.score_p95_ms, " ms"),
        ("slowest of a hundred", dry_run.score_p99_ms, " ms"),
        ("the champion's median request", dry_run.champion_p50_ms, " ms"),
        ("the champion's slowest of a hundred", dry_run.champion_p99_ms, " ms"),
        ("peak memory", dry_run.peak_rss_mb, " MB"),
        ("of it, the release's", dry_run.release_mb, " MB"),
        ("the champion's", dry_run.champion_release_mb, " MB"),
        ("grown under requests by", dry_run.growth_mb, " MB"),
    ):
        if value is not None:
            yield name, f"{number(value)}{unit}"
    if dry_run.champion_unserved:
        yield "the champion was not beside it", dry_run.champion_unserved
    if dry_run.timed_again:
        yield "timed", "twice: it was only slow at first"


def _origin(report: Report, in_store: bool) -> str:
    lineage = report.lineage
    links = [
        f'<a href="{UP}{escape(link.key)}">{escape(link.name)}</a>' if in_store else f"{escape(link.name)}: {escape(link.key)}"
        for link in report.links
    ]
    facts = [
        ("span", str(lineage.span)),
        ("parent", lineage.parent or "none: the first of its chain"),
        ("learnt", ", ".join(map(_part, lineage.learnt))),
        ("judged on", ", ".join(map(_part, report.holdout)) or "nothing"),
        ("manifest", report.manifest_sha256),
        ("verdict", report.verdict.content_digest() if report.verdict else "none"),
        ("source, contract, split", f"{lineage.source_digest[:16]}, {lineage.contract_digest[:16]}, {lineage.split_digest[:16]}"),
        ("seed, engine", f"{lineage.seed}, {lineage.profile.engine}, torch {lineage.profile.torch}, {lineage.profile.precision}"),
        ("all of it", f"widedeep lineage {report.release_id}"),
    ]
    listed = f"<ul>{''.join(f'<li>{link}</li>' for link in links)}</ul>" if links else ""
    return _section("Where it comes from", _listed(facts) + listed)


def _part(part: Part) -> str:
    return f"{part.span} v{part.version} {part.part} ({part.digest[:8]})"


def _listed(facts: "Iterator[tuple[str, str]] | list[tuple[str, str]]") -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in facts)}</dl>"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _figure(caption: str, body: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{body}</figure>"
