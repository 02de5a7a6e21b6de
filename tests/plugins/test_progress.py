"""Progress goes through XCom in pieces and comes out whole."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from widedeep_airflow.progress import added, collect, merged, why_over

from widedeep.artifacts import Candidate, FileRef, Progress, Snapshot
from widedeep.errors import UsageError

DIGEST = "0" * 64
RELEASE = "r-" + "0" * 16
SPAN = date(2026, 1, 2)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "snapshot": st.builds(
            Snapshot,
            span=st.just(SPAN),
            version=st.integers(1, 9),
            digest=st.just(DIGEST),
            rows=st.integers(0, 9),
            file=st.just(FileRef(name="rows.parquet", size_bytes=1, sha256=DIGEST)),
        ),
        "no_data": st.text(max_size=9),
        "validation": st.text(max_size=9),
        "quarantined": st.booleans(),
        "candidate": st.builds(
            Candidate,
            release_id=st.just(RELEASE),
            span=st.just(SPAN),
            parent=st.sampled_from([None, RELEASE]),
            manifest_sha256=st.just(DIGEST),
        ),
        "verdict": st.text(max_size=9),
        "decision": st.sampled_from(["promote", "hold", "reject"]),
        "release": st.just(RELEASE),
        "set_aside": st.lists(st.dates(), max_size=2).map(tuple),
        "result": st.sampled_from(["promoted", "no data"]),
    },
)


@given(st.lists(FIELDS, max_size=6))
def test_the_pieces_that_each_step_adds_make_up_the_whole(steps):
    progress = Progress(span=SPAN, lane="live")
    pieces = [added(None, progress)]
    for filled in steps:
        after = progress.model_copy(update=filled)
        pieces.append(added(progress, after))
        progress = after
    assert merged(pieces) == progress


@given(FIELDS)
def test_a_step_that_adds_nothing_pushes_nothing(filled):
    progress = Progress(span=SPAN, lane="live").model_copy(update=filled)
    assert added(progress, progress) == {}


def test_only_the_tasks_that_are_asked_for_are_read(fake_task):
    ti = fake_task({"ingest": {"span": "2026-01-02", "lane": "live"}, "train": {"no_data": "stale"}}, {})
    assert collect(ti, ["ingest", "validate"]) == Progress(span=SPAN, lane="live")


def test_a_run_whose_ingest_left_nothing_is_refused_and_told_what_to_clear():
    with pytest.raises(
        UsageError, match=r"ingest left no span and lane in this run \(got nothing; .* Clear ingest with Downstream"
    ):
        merged([None, None])


@pytest.mark.parametrize(
    ("filled", "words"),
    [
        ({"result": "promoted"}, "settled already (promoted)"),
        ({"no_data": "nothing was delivered"}, "nothing was delivered"),
        ({"quarantined": True}, "quarantined"),
        ({"quarantined": True, "result": "quarantined"}, "settled already (quarantined)"),
    ],
)
def test_a_span_that_is_over_says_why(filled, words):
    assert why_over(Progress(span=SPAN, lane="live", **filled)) == words
