"""`widedeep lineage`: from the id of a release to what data, code, parents and decision made it."""

import json
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from widedeep.artifacts import LIVE, Part
from widedeep.errors import IntegrityError
from widedeep.publishing import layout, moves, releases
from widedeep.publishing.memory import MemoryStore
from widedeep.steps.lineage import History, trace
from widedeep.steps.lineage_tree import tree_of

KEPT = Path(__file__).parents[1] / "formats" / "1" / "store"  # two small releases, a parent and its child


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.objects = {path.relative_to(KEPT).as_posix(): path.read_bytes() for path in KEPT.rglob("*") if path.is_file()}
    return store


@pytest.fixture
def parent(store: MemoryStore) -> str:
    return releases.releases(store)[0].release_id


@pytest.fixture
def child(store: MemoryStore) -> str:
    return releases.releases(store)[1].release_id


def read(history: History) -> str:
    text = StringIO()
    Console(file=text, width=1000, no_color=True).print(tree_of(history))
    return text.getvalue()


def test_it_names_data_code_parents_and_decision(store: MemoryStore, parent: str, child: str) -> None:
    history = trace(store, child)
    assert history.lineage.learnt[0].span == date(2026, 3, 3)
    assert [part.span for part in history.inherited] == [date(2026, 3, 2)]
    assert [ancestor.release_id for ancestor in history.parents] == [parent]
    assert [record.deed for record in history.records] == ["trained", "published"]
    assert [verdict.decision for verdict in history.verdicts] == ["promote"]
    assert [outcome.result for outcome in history.outcomes] == ["promoted"]
    assert [(move.lane, move.sequence, move.moved_by) for move in history.moves] == [(LIVE, 2, "somebody")]


def test_the_tree_reads_like_the_story(store: MemoryStore, parent: str, child: str) -> None:
    text = read(trace(store, child))
    for told in (
        f"{child} of span 2026-03-03, published",
        "2026-03-03 v1 addf7641c5ac: training rows of its own span",
        "inherited from its parents: 1 parts of 1 spans, 2026-03-02 to 2026-03-02",
        "float32 on AVX2, 1 thread(s), engine compiled",
        "torch 2.13.0",
        "published 2026-03-04 12:00 UTC by somebody",
        f"{parent} of span 2026-03-02",
        "verdict: promote",
        "promoted in lane live",
        "champion of lane live, by move 2 (promote), 2026-03-04 12:00 UTC, somebody: better",
    ):
        assert told in text


def test_the_first_of_a_chain_tells_who_replaced_it(store: MemoryStore, parent: str, child: str) -> None:
    history = trace(store, parent)
    assert history.parents == ()
    assert [move.release_id for move in history.moves] == [parent, child]
    assert "nobody before: that is the first of its chain" in read(history)
    assert f"champion of lane live no more: {child} is, by move 2 (promote)" in read(history)


def test_a_rollback_is_part_of_the_story_of_both_and_a_freeze_of_neither(store: MemoryStore, parent: str, child: str) -> None:
    because = moves.Because(datetime(2026, 3, 5, tzinfo=UTC), "ann", "[red]scores drift")
    moves.freeze(store, LIVE, because)
    moves.rollback(store, LIVE, parent, 3, because)
    assert [move.kind for move in trace(store, child).moves] == ["promote", "rollback"]
    assert "(rollback), 2026-03-05 00:00 UTC, ann: [red]scores drift" in read(trace(store, parent))


def test_pending_and_held_out_rows_are_told_apart(store: MemoryStore, child: str) -> None:
    history = trace(store, child)
    late = Part(span=date(2026, 3, 1), version=2, digest="a" * 64, part="train")
    freed = late.model_copy(update={"part": "holdout"})
    lineage = history.lineage.model_copy(update={"learnt": (late, freed, *history.lineage.learnt)})
    text = read(history.model_copy(update={"lineage": lineage, "pending": (late, freed)}))
    assert "2026-03-01 v2 aaaaaaaaaaaa: training rows, pending until then" in text
    assert "2026-03-01 v2 aaaaaaaaaaaa: held-out rows, learnt since their time in the gate's pool had passed" in text


def test_a_candidate_that_was_never_published_has_a_story_too(store: MemoryStore, child: str) -> None:
    del store.objects[layout.manifest(child)]
    history = trace(store, child)
    assert not history.published
    assert "a candidate, not published" in read(history)


def test_a_missing_parent_is_told_by_its_key(store: MemoryStore, parent: str, child: str) -> None:
    del store.objects[layout.manifest(parent)]
    with pytest.raises(IntegrityError, match=layout.manifest(parent)):
        trace(store, child)


def test_a_pruned_parent_is_told_and_the_story_ends_there(store: MemoryStore, parent: str, child: str) -> None:
    for key in list(store.keys(layout.release(parent))):
        del store.objects[key]
    assert trace(store, child).parents == ()
    assert f"{parent}, which was pruned" in read(trace(store, child))


def test_as_json_it_holds_no_more_than_it_says(store: MemoryStore, child: str) -> None:
    history = trace(store, child)
    assert History.model_validate(json.loads(history.to_bytes())) == history
