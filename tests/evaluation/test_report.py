"""The report: what it draws is what was measured, it runs nothing, and it says everything in words, too."""

import re
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.artifacts import Difference, DryRunReport, Interval, Lineage, MetricReport, NumericProfile, Part
from widedeep.data.contract import load_contract
from widedeep.evaluation.audience import Audience
from widedeep.evaluation.holdout import Holdout, Scored, compare
from widedeep.evaluation.metrics import measure
from widedeep.evaluation.report import measuring, pictures, svg
from widedeep.evaluation.report.compiling import Measured, Work, compiled
from widedeep.evaluation.report.page import page
from widedeep.evaluation.report.style import STYLE
from widedeep.evaluation.report.values import ChangedItem, Link, Recommendations, Report, Side
from widedeep.features.growth import Vocabularies

APPSTORE = load_contract(Path(__file__).parents[2] / "dags" / "contracts" / "appstore.yaml")
HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'
DIGEST, OURS, THEIRS = "0" * 64, f"r-{'a' * 16}", f"r-{'b' * 16}"
RNG = np.random.default_rng(5)
SCORES = RNG.beta(2, 8, 400)
LABELS = (RNG.random(400) < SCORES).astype(float)
USERS, ONES = np.arange(400) // 8, np.ones(400)


def side(release, scores, **lists):
    edges = measuring.bin_edges(SCORES, SCORES**2)
    shown = measuring.recommendations(LABELS, scores, USERS, None, None, None)
    return Side(
        release_id=release,
        metrics=MetricReport(rows=400, users=50, label_rate=0.2, log_loss=0.4, ne=0.9, auc=0.7, calibration=1.01),
        calibration=measuring.calibration(LABELS, scores, USERS, ONES, 0.95),
        histogram=measuring.histogram(scores, edges, ONES),
        recommendations=shown.model_copy(update=lists),
    )


def whole(**changed) -> Report:
    profile = dict.fromkeys(NumericProfile.model_fields, "1") | {"threads": 1}
    part = Part(span=date(2026, 1, 5), version=1, digest=DIGEST, part="holdout")
    digests = dict.fromkeys(("split_digest", "contract_digest", "source_digest"), DIGEST)
    lineage = Lineage(span=part.span, parent=THEIRS, learnt=(part,), seed=0, profile=NumericProfile(**profile), **digests)
    lists = {"asked_users": 50, "items": 99, "unmatched": 0.25, "coverage": 0.5, "unseen_crosses": 0.1}
    interval = Interval(estimate=-0.002, lower=-0.004, upper=0.001, level=0.95)
    fields = {
        "release_id": OURS,
        "manifest_sha256": DIGEST,
        "lineage": lineage,
        "compared_with": THEIRS,
        "holdout": (part,),
        "candidate": side(OURS, SCORES, **lists),
        "champion": side(THEIRS, SCORES**2, **lists),
        "differences": (Difference(name=f"country = {HOSTILE}", interval=interval, margin=0.005),),
        "ndcg": interval,
        "edges": measuring.bin_edges(SCORES, SCORES**2),
        "dry_run": DryRunReport(
            release_id=OURS, manifest_sha256=DIGEST, failures=(), score_ms=(1.2, 1.4, 1.3, 9.0), champion_ms=(1.5, 1.6)
        ),
        "changed": (ChangedItem(item=HOSTILE, title=None, candidate=9, champion=2),),
        "links": (Link(name="data report", key='validation/"><script>/docs/index.html'),),
    }
    return Report(**(fields | changed))


class Tags(HTMLParser):
    """All tags and attributes of a page, and its text."""

    def __init__(self, html: bytes):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], [], []
        self.feed(html.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_tells_what_the_dry_run_measured_of_both_servers():
    seen = {"champion_p50_ms": 1.55, "rank_agreement": 0.93, "growth_mb": 7.5, "champion_unserved": HOSTILE, "timed_again": True}
    dry_run = whole().dry_run.model_copy(update=seen)
    html = page(whole(dry_run=dry_run), in_store=True).decode()
    for told in (
        "<dd>1.55 ms</dd>",
        "<dd>0.93</dd>",
        "<dd>7.5 MB</dd>",
        "the champion was not beside it",
        "twice: it was only slow",
    ):
        assert told in html
    assert HOSTILE not in html


def test_nothing_that_was_delivered_runs_and_nothing_is_loaded():
    found = Tags(page(whole()))
    assert not {"script", "img", "link", "iframe", "object", "image", "foreignobject"} & set(found.tags)
    assert not [a for a in found.attributes if a[1].startswith("on") or a[1] in ("src", "xlink:href")]
    assert [value for _, name, value in found.attributes if name == "href"] == ['../../validation/"><script>/docs/index.html']
    assert HOSTILE in "".join(found.text)
    assert not found.open
    assert "default-src 'none'" in page(whole()).decode()
    assert "url(" not in STYLE


def test_every_picture_says_in_words_what_it_shows():
    found = Tags(page(whole()))
    told = [value for tag, name, value in found.attributes if tag == "svg" and name == "aria-label"]
    assert len(told) == found.tags.count("svg") == 5
    assert all(len(words) > 30 for words in told)
    assert found.tags.count("details") == 5
    assert ("html", "lang", "en") in found.attributes


def test_ranking_and_relevance_stand_beside_the_auc():
    text = " ".join(Tags(page(whole())).text)
    for name in ("AUC", "NDCG@10", "Matches nothing", "Unseen crosses", "Catalogue coverage", "Popularity bias"):
        assert name in text
    assert re.search(r"Matches nothing .* 25\.0", text)


def test_outside_the_store_keys_are_named_and_lead_nowhere():
    alone = page(whole(links=(Link(name="data report", key="validation/x/docs/index.html"),)), in_store=False).decode()
    assert "href" not in alone
    assert "data report: validation/x/docs/index.html" in alone


def test_a_first_release_has_no_champion_and_one_without_rows_no_pictures():
    first = whole(champion=None, compared_with=None, differences=(), ndcg=None, changed=())
    assert "with nothing to compare with" in page(first).decode()
    bare = whole(candidate=None, champion=None, differences=(), ndcg=None, changed=(), edges=())
    assert "Nothing was measured" in page(bare).decode()
    assert "<svg" not in page(bare).decode()


def test_a_report_comes_back_from_its_bytes():
    assert Report.from_bytes(whole().to_bytes()) == whole()


def _luminance(colour):
    channels = (
        [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] if len(colour) == 7 else [int(c * 2, 16) / 255 for c in colour[1:]]
    )
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_keep_the_contrast_that_they_promise(scheme):
    html = page(whole()).decode()
    blocks = re.findall(r":root\{(.*?)\}", html, re.DOTALL)
    light, dark = {}, {}
    for i, block in enumerate(blocks):
        (dark if i % 2 else light).update(re.findall(r"--([\w-]+):\s*(#\w+)", block))
    colours = light if scheme == "light" else dark
    paper = _luminance(colours["paper"])

    def contrast(name):
        own = _luminance(colours[name])
        return (max(own, paper) + 0.05) / (min(own, paper) + 0.05)

    for words in ("ink", "faint", "link", "good", "bad", "unsure", "candidate", "champion"):
        assert contrast(words) >= 4.5, words
    assert contrast("axis") >= 3


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1), st.integers(0, 3), st.floats(0.1, 9)), min_size=1, max_size=12))
def test_every_holdout_has_a_page_however_small_or_uniform_it_is(rows):
    labels, scores, users, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    users = np.unique(users, return_inverse=True)[1]
    holdout = Holdout(labels, users, weights, None)
    works = [Work(name, each, None, Vocabularies.empty(), None) for name, each in ((OURS, scores), (THEIRS, scores[::-1]))]
    both = [Measured(work, measure(labels, work.scores, users, weights)) for work in works]
    bare = whole(candidate=None, champion=None, changed=(), edges=())
    for champion in (both[1], None):
        beside = champion and Scored(THEIRS, DIGEST, works[1].scores)
        comparison = beside and compare(holdout, works[0].scores, beside, beside, APPSTORE.gate)
        report = compiled(bare, holdout, both[0], champion, comparison, APPSTORE)
        assert Report.from_bytes(report.to_bytes()) == report
        assert b"<svg" in page(report)


def test_buckets_hold_every_row_once_and_their_rates_are_those_of_the_rows():
    found = measuring.calibration(LABELS, SCORES, USERS, ONES, 0.95)
    assert sum(bucket.rows for bucket in found) == 400
    assert [bucket.rows for bucket in found] == [40] * 10
    assert np.average([b.rate.estimate for b in found], weights=[b.rows for b in found]) == pytest.approx(LABELS.mean())
    assert sorted(b.score for b in found) == [b.score for b in found]
    assert len(measuring.calibration(LABELS, np.full(400, 0.5), USERS, ONES, 0.95)) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_every_score_is_in_a_bin(scores):
    scores = np.array(scores)
    edges = measuring.bin_edges(scores)
    assert sum(measuring.histogram(scores, edges, np.ones(len(scores)))) == pytest.approx(1, abs=1e-3)
    assert all(low < high for low, high in pairwise(edges))


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_an_axis_has_some_round_numbers_all_of_them_on_it(low, span):
    axis = svg.Axis(low, low + span, 0, 100)
    ticks = axis.ticks(5)
    assert 1 <= len(ticks) <= 7
    assert all(axis.low - 1e-6 * span <= tick <= axis.high + 1e-6 * span for tick in ticks)


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0"), (0.25, "0.25"), (1234.5, "1,234"), (3e-8, "3e-08"), (-0.001234, "-0.00123"), (100, "100")]
)
def test_numbers_have_three_digits(value, told):
    assert svg.number(value) == told


def test_wide_intervals_are_cut_so_that_the_others_can_be_read():
    tight = Difference(name="all", interval=Interval(estimate=0.001, lower=-0.001, upper=0.003, level=0.95), margin=0.005)
    lost = Difference(name="one user", interval=Interval(estimate=0.002, lower=-1e9, upper=1e9, level=0.95), margin=0.005)
    xs = [float(x) for x in re.findall(r'x[12]="([\d.-]+)"', pictures.forest([tight, lost]))]
    assert 0 <= min(xs) < max(xs) <= svg.WIDTH
    place = re.findall(r'<line x1="([\d.]+)" y1="34.0" x2="([\d.]+)"', pictures.forest([tight, lost]))
    assert float(place[0][1]) - float(place[0][0]) > 15


def test_unlike_lists_name_the_items_that_changed_most_first_the_winners():
    items = pa.table({"app": ["a", "b", "c"], "name": ["A", None, "C"]})
    nobody = np.array([], int)
    mine, theirs = np.array([[0], [0], [1]]), np.array([[2], [2], [1]])
    found = measuring.changed(Audience(items.slice(0, 0), items, (nobody, nobody), None, None), mine, theirs, "app", "name")
    assert [(c.item, c.title, c.candidate, c.champion) for c in found] == [("a", "A", 2, 0), ("c", "C", 0, 2)]


def test_recommendations_without_a_catalogue_speak_of_the_shown_rows_only():
    found = measuring.recommendations(LABELS, SCORES, USERS, None, None, None)
    assert isinstance(found, Recommendations)
    assert found.ndcg is not None
    assert (found.coverage, found.unmatched, found.asked_users) == (None, None, 0)


def test_every_request_is_in_a_bar_the_slowest_in_the_last():
    drawn = pictures.latencies([("candidate", [1.0] * 97 + [500.0] * 3), ("champion", [2.0])])
    assert "half within 1 ms" in drawn
    heights = [
        float(y) for y in re.findall(r"[\d.]+,([\d.]+)", re.findall(r'points="([^"]+)" class="candidate steps"', drawn)[0])
    ]
    assert heights[-2] < heights[-1] == heights[0]  # a bar at the very end: up is less
    assert "<svg" in pictures.latencies([("candidate", [0.0])])
