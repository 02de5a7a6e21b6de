"""What comes late is learnt under its own day, or stays out, as the contract says."""

import logging
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from widedeep.artifacts import LIVE, Progress
from widedeep.errors import StoreUnavailableError, UsageError
from widedeep.publishing import lanes, layout
from widedeep.publishing.moves import freeze
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.snapshots import load_rows, version, versions
from widedeep.publishing.store import Listed
from widedeep.steps import delivery, ingest, review, run_span
from widedeep.steps.contracts import check_span
from widedeep.steps.requeueing import requeue
from widedeep.steps.reviewing import late_review, open_reviews


def learnt(chain, n):
    release = run_span(chain.place, chain.day(n)).release
    parts = load_manifest(chain.place.store, release, published=True).lineage.learnt
    return {((part.span - chain.day(0)).days, part.version, part.part) for part in parts}


def late_rule(chain, rule):
    late = chain.place.contract.late.model_copy(update={"rows": rule})
    object.__setattr__(chain.place, "contract", chain.place.contract.model_copy(update={"late": late}))


def test_a_first_delivery_after_no_data_becomes_pending_with_the_next_day(quick):
    assert run_span(quick.place, quick.day(3)).result == "no data"
    quick.deliver(3)
    quick.deliver(4)
    assert {(3, 1, "train"), (4, 1, "train")} <= learnt(quick, 4)


def test_a_bad_delivery_after_no_data_does_not_stop_a_good_day(quick):
    assert run_span(quick.place, quick.day(3)).result == "no data"
    quick.deliver(3, data=b"PAR1 and then nothing")
    quick.deliver(4)
    assert learnt(quick, 4) == {(2, 1, "holdout"), (4, 1, "train")}
    quick.deliver_again(3, quick.rows(3))
    quick.deliver(5)
    assert (3, 1, "train") in learnt(quick, 5)


def test_late_rows_of_a_day_that_nobody_has_learnt_make_a_new_version_of_it(quick):
    late_rule(quick, "re-version")
    freeze(quick.place.store, LIVE, quick.place.because("wait"))
    quick.deliver(3, quick.rows(3).slice(40))
    assert run_span(quick.place, quick.day(3)).result == "held"
    quick.deliver(4, pa.concat_tables([quick.rows(4), quick.rows(3).slice(0, 40)]))
    for _ in range(20):
        assert ingest(quick.place, Progress(span=quick.day(4), lane=LIVE)).snapshot.rows == 600
    assert [s.rows for s in versions(quick.place.store, quick.day(3))] == [560, 600]
    assert [o.snapshot.version for o in lanes.additions(quick.place.store, LIVE)] == [2]
    parts = learnt(quick, 4)
    assert (3, 2, "train") in parts
    assert (3, 1, "train") not in parts


def test_late_rows_of_a_learnt_day_are_learnt_beside_it(quick):
    late_rule(quick, "re-version")
    quick.deliver(3, quick.rows(3).slice(40))
    assert run_span(quick.place, quick.day(3)).result == "promoted"
    quick.deliver(4, pa.concat_tables([quick.rows(4), quick.rows(3).slice(0, 40)]))
    parts = learnt(quick, 4)
    assert (3, 3, "train") in parts
    assert [s.rows for s in versions(quick.place.store, quick.day(3))] == [560, 600, 40]
    replayed = ingest(quick.place, Progress(span=quick.day(3), lane="again")).snapshot
    assert replayed == version(quick.place.store, quick.day(3), 2), "a replay learns the whole day"
    assert load_rows(quick.place.store, replayed, quick.place.folder()).num_rows == 600


@pytest.mark.parametrize("rule", ["reject", "keep", "re-version"])
def test_late_rows_that_no_day_can_take_stay_with_the_span(quick, rule):
    """Of a day that is not settled, or that the contract does not give a new version: the checks see them."""
    late_rule(quick, rule)
    quick.deliver(5, pa.concat_tables([quick.rows(5), quick.rows(4).slice(0, 4)]))
    assert ingest(quick.place, Progress(span=quick.day(5), lane=LIVE)).snapshot.rows == 604


def dearer(rows):
    """Prices that went up: all rows are other ones."""
    return rows.set_column(4, "price", pc.add(rows["price"], 1.0))


def unlike(rows):
    """With prices in another currency, and unlike all that was learnt."""
    return rows.set_column(4, "price", pc.multiply(rows["price"], 0.13))


def warned(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_day_that_is_delivered_again_while_it_is_settled_as_empty_does_not_stop_the_next_one(quick):
    rule = quick.place.contract.delivery.model_copy(update={"marker": "_SUCCESS", "deadline": timedelta(days=120)})
    object.__setattr__(quick.place, "contract", quick.place.contract.model_copy(update={"delivery": rule}))
    markers = [layout.delivery(rule.prefix, quick.day(n)) + "_SUCCESS" for n in range(5)]
    quick.place.store.create(markers[3], b"")
    assert run_span(quick.place, quick.day(3)).result == "no data"
    quick.place.store.delete(markers[3])
    quick.deliver(3)
    quick.deliver(4)
    quick.place.store.create(markers[4], b"")
    assert learnt(quick, 4) == {(2, 1, "holdout"), (4, 1, "train")}


def test_files_that_still_change_in_an_earlier_days_folder_do_not_stop_a_good_day(quick, monkeypatch, caplog):
    assert run_span(quick.place, quick.day(3)).result == "no data"
    quick.deliver(3)
    quick.deliver(4)
    fetched = delivery._fetched

    def growing(source, file, path):
        late = str(quick.day(3)) in source.url
        return fetched(source, Listed(file.key, file.size_bytes - late, file.modified_at), path)

    monkeypatch.setattr(delivery, "_fetched", growing)
    assert learnt(quick, 4) == {(2, 1, "holdout"), (4, 1, "train")}
    assert any(
        f"{quick.day(3)} is delivered by the time of" in said and "is it still written?" in said for said in warned(caplog)
    )


def test_a_late_day_that_changed_drastically_waits_for_a_person_and_is_learnt_once_accepted(quick):
    assert run_span(quick.place, quick.day(3)).result == "no data"
    quick.deliver(3, unlike(quick.rows(3)))
    quick.deliver(4)
    assert (3, 1, "train") not in learnt(quick, 4)
    (held,) = open_reviews(quick.place)
    assert (held.span, held.result) == (quick.day(3), "held")
    assert "column 'price': drifted" in held.reasons[0]
    assert late_review(quick.place) == held
    review(quick.place, quick.day(3), "accept", "another currency")
    assert (open_reviews(quick.place), late_review(quick.place)) == ((), None)
    quick.deliver(5)
    assert (3, 1, "train") in learnt(quick, 5)


def test_of_a_late_day_that_a_person_rejected_nobody_is_asked_again(quick):
    assert run_span(quick.place, quick.day(3)).result == "no data"
    quick.deliver(3, unlike(quick.rows(3)))
    told = requeue(quick.place, quick.day(3), "it came", LIVE).told
    assert f"is held, and learnt once a person accepts it (`widedeep review --span {quick.day(3)}`)" in told
    review(quick.place, quick.day(3), "reject", "a wrong currency")
    quick.deliver(4)
    assert (3, 1, "train") not in learnt(quick, 4)
    assert open_reviews(quick.place) == ()
    assert "rejected by test" in requeue(quick.place, quick.day(3), "it came", LIVE).told


def test_a_learnt_day_that_is_delivered_again_becomes_version_2_and_the_next_run_says_how_to_replay_it(quick, caplog):
    quick.deliver(3)
    first = run_span(quick.place, quick.day(3)).release
    quick.deliver_again(3, dearer(quick.rows(3)))
    quick.deliver(4)
    progress = run_span(quick.place, quick.day(4))
    assert [s.version for s in versions(quick.place.store, quick.day(3))] == [1, 2]
    assert (3, 2) not in {((p.span - quick.day(0)).days, p.version) for p in _lineage(quick, progress.release).learnt}
    assert _lineage(quick, progress.release).parent == first
    (said,) = (said for said in warned(caplog) if "600 rows that were learnt are other ones now" in said)
    assert f"learnt an older version of {quick.day(3)} than v2: {first} of {quick.day(3)}. Nothing trained changes" in said
    assert f'the DAG widedeep_replay with {{"from": "{quick.day(3)}"}}, or `widedeep replay --from {quick.day(3)}`' in said
    page = quick.place.store.get(layout.data_report(progress.validation)).data.decode()
    assert f"Span {quick.day(3)} was delivered again: its newest version is v2. 1 release(s)" in page
    caplog.clear()
    quick.deliver(5)
    run_span(quick.place, quick.day(5))
    assert not any("delivered again" in said or "other ones now" in said for said in warned(caplog)), "told once in the log"


def _lineage(chain, release):
    return load_manifest(chain.place.store, release, published=True).lineage


def test_a_quarantined_day_that_is_delivered_again_is_learnt_with_the_next_one(quick):
    quick.deliver(3, quick.rows(3).slice(0, 5))
    assert run_span(quick.place, quick.day(3)).result == "quarantined"
    quick.deliver_again(3, quick.rows(3))
    quick.deliver(4)
    assert (3, 2, "train") in learnt(quick, 4)


def test_files_that_were_only_written_again_say_nothing(quick, caplog):
    quick.deliver(3)
    assert run_span(quick.place, quick.day(3)).result == "promoted"
    quick.deliver_again(3, quick.rows(3))
    quick.deliver(4)
    progress = run_span(quick.place, quick.day(4))
    assert [s.version for s in versions(quick.place.store, quick.day(3))] == [1]
    assert warned(caplog) == []
    assert b"delivered again" not in quick.place.store.get(layout.data_report(progress.validation)).data


def test_a_replay_learns_the_last_version_that_is_not_refused(quick):
    quick.deliver(3)
    assert run_span(quick.place, quick.day(3)).result == "promoted"
    nobodys = quick.rows(3).slice(0, 100).set_column(0, "customer", pa.nulls(100, pa.string()))
    with pytest.raises(UsageError, match="the rows don't pass"):
        requeue(quick.place, quick.day(3), "mended", LIVE, nobodys)
    assert [s.version for s in versions(quick.place.store, quick.day(3))] == [1, 2]
    assert ingest(quick.place, Progress(span=quick.day(3), lane="again")).snapshot.version == 1


def test_who_dies_while_a_day_is_taken_in_again_does_it_again(quick, monkeypatch):
    quick.deliver(3, quick.rows(3).slice(0, 5))
    assert run_span(quick.place, quick.day(3)).result == "quarantined"
    quick.deliver_again(3, quick.rows(3))
    quick.deliver(4)

    def dying(*_):
        raise StoreUnavailableError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(lanes, "add", dying)
        ingest(quick.place, Progress(span=quick.day(4), lane=LIVE))
    assert lanes.additions(quick.place.store, LIVE) == ()
    ingest(quick.place, Progress(span=quick.day(4), lane=LIVE))
    assert [o.span for o in lanes.additions(quick.place.store, LIVE)] == [quick.day(3)]


def test_who_only_looks_at_a_day_that_was_delivered_again_leaves_it_to_the_next_run(quick):
    quick.deliver(3, quick.rows(3).slice(0, 5))
    assert run_span(quick.place, quick.day(3)).result == "quarantined"
    quick.deliver_again(3, quick.rows(3))
    assert check_span(quick.place, quick.day(3)).judgement == "valid"
    quick.deliver(4)
    ingest(quick.place, Progress(span=quick.day(4), lane=LIVE))
    assert [o.span for o in lanes.additions(quick.place.store, LIVE)] == [quick.day(3)]


def test_where_late_rows_are_kept_those_that_an_earlier_day_has_brought_are_taken_out(quick):
    late_rule(quick, "keep")
    quick.deliver(3, quick.rows(3).slice(60))
    assert run_span(quick.place, quick.day(3)).result == "promoted"
    quick.deliver(4, pa.concat_tables([quick.rows(4), quick.rows(3).slice(0, 90)]))
    found = check_span(quick.place, quick.day(4)).validation
    assert found.clean.rows == 660, "sixty are late, and thirty were learnt with their day"
    assert [f.message for f in found.findings] == ["late rows: 30 of 690 rows came with an earlier day, too"]
