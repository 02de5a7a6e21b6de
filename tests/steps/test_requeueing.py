"""Rows that become right after their day was settled are learnt once, and nothing that was trained changes."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from widedeep.artifacts import LIVE, Validation
from widedeep.errors import UsageError
from widedeep.publishing import lanes
from widedeep.publishing.moves import freeze
from widedeep.publishing.pointer import champion
from widedeep.publishing.quarantine import load_bad_rows
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.snapshots import load_rows, version
from widedeep.steps import run_span
from widedeep.steps.descent import descendants
from widedeep.steps.requeueing import read_repaired, requeue


def again(chain, n, repaired=None):
    return requeue(chain.place, chain.day(n), "it was mended", LIVE, repaired)


def learnt(chain, n):
    """What the candidate of a day learnt, as (day, version, part)."""
    release = run_span(chain.place, chain.day(n)).release
    parts = load_manifest(chain.place.store, release, published=True).lineage.learnt
    return [((part.span - chain.day(0)).days, part.version, part.part) for part in parts]


def test_what_is_delivered_after_no_data_was_settled_is_learnt_by_the_next_candidate(quick):
    assert run_span(quick.place, quick.day(3)).result == "no data"
    quick.deliver(3)
    added = again(quick, 3).added
    assert (added.version, added.rows) == (1, 600)
    assert "waits to be learnt already" in again(quick, 3).told
    quick.deliver(4)
    assert learnt(quick, 4) == [(2, 1, "holdout"), (3, 1, "holdout"), (3, 1, "train"), (4, 1, "train")]
    assert "nothing new: all 600 rows are learnt" in again(quick, 3).told
    assert lanes.outcomes(quick.place.store, LIVE)[3].result == "no data", "the outcome stays as it was"


def test_a_quarantined_span_that_is_delivered_again_is_learnt_as_a_new_version(quick):
    quick.deliver(3, quick.rows(3).slice(0, 5))
    assert run_span(quick.place, quick.day(3)).result == "quarantined"
    with pytest.raises(UsageError, match=r"the rows don't pass: the span has 5 rows, wanted 20"):
        again(quick, 3)
    quick.deliver_again(3, quick.rows(3))
    assert again(quick, 3).added.version == 2
    quick.deliver(4)
    assert (3, 2, "train") in learnt(quick, 4)


def test_a_new_version_takes_the_place_of_one_that_nobody_has_learnt(quick):
    freeze(quick.place.store, LIVE, quick.place.because("wait"))
    quick.deliver(3)
    assert run_span(quick.place, quick.day(3)).result == "held"
    quick.deliver_again(3, quick.rows(3).slice(100))
    assert again(quick, 3).added.version == 2
    quick.deliver(4)
    parts = learnt(quick, 4)
    assert (3, 2, "train") in parts
    assert (3, 1, "train") not in parts


def test_repaired_rows_of_a_learnt_span_are_learnt_with_the_next_one_and_only_once(quick, tmp_path):
    quick.deliver(3, quick.rows(3).slice(50))
    assert run_span(quick.place, quick.day(3)).result == "promoted"
    pq.write_table(quick.rows(3).slice(0, 60).append_column("reasons", pa.array([["mended"]] * 60)), tmp_path / "mended.parquet")
    added = again(quick, 3, read_repaired(tmp_path / "mended.parquet")).added
    assert added.rows == 50, "ten of them had been learnt"
    assert load_rows(quick.place.store, added, quick.place.folder()).num_rows == 50
    quick.deliver(4)
    parts = learnt(quick, 4)
    assert {(3, added.version, "train"), (3, added.version, "holdout")} <= set(parts)
    assert (3, 1, "train") not in parts
    assert "nothing new" in again(quick, 3, read_repaired(tmp_path / "mended.parquet")).told


def test_where_learnt_rows_were_corrected_only_a_replay_takes_that_in(quick):
    quick.deliver(3)
    quick.deliver(4)
    for n in (3, 4):
        assert run_span(quick.place, quick.day(n)).result == "promoted"
    before = champion(quick.place.store, LIVE)
    rows = quick.rows(3)
    quick.deliver_again(3, rows.set_column(4, "price", pc.add(rows["price"], 1.0)))
    done = again(quick, 3)
    assert done.added is None
    assert "v2 is stored, and the next candidate does not learn it: 600 rows that were learnt are other ones now" in done.told
    assert f"`widedeep replay --from {quick.day(3)}`" in done.told
    assert version(quick.place.store, quick.day(3), 2).rows == 600
    assert champion(quick.place.store, LIVE) == before
    found = descendants(quick.place.store, quick.day(3), 1)
    assert [(d.span, d.own, d.champion_of) for d in found] == [(quick.day(3), True, ()), (quick.day(4), True, (LIVE,))]
    assert descendants(quick.place.store, quick.day(3), 2) == ()


def test_the_contract_may_leave_repaired_rows_of_a_learnt_span_to_a_replay(quick):
    late = quick.place.contract.late.model_copy(update={"requeued": "replay"})
    object.__setattr__(quick.place, "contract", quick.place.contract.model_copy(update={"late": late}))
    quick.deliver(3, quick.rows(3).slice(50))
    run_span(quick.place, quick.day(3))
    done = again(quick, 3, quick.rows(3).slice(0, 50))
    assert done.added is None
    assert "the contract wants a replay" in done.told


def test_a_span_that_is_not_settled_or_not_there_is_refused(quick, tmp_path):
    with pytest.raises(UsageError, match="is not settled in lane live"):
        again(quick, 9)
    run_span(quick.place, quick.day(3))
    with pytest.raises(UsageError, match="Deliver it, or give repaired rows"):
        again(quick, 3)
    with pytest.raises(UsageError, match="no such file"):
        read_repaired(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match=r"bad\.parquet"):
        read_repaired(tmp_path / "bad.parquet")


def test_a_delivered_column_named_like_those_of_a_quarantine_table_is_kept(quick):
    rows = quick.rows(3)
    rows = rows.append_column("row", pa.array(range(600)))
    quick.deliver(3, rows.set_column(4, "price", pa.array([-1.0] * 3 + rows["price"].to_pylist()[3:])))
    progress = run_span(quick.place, quick.day(3))
    bad = load_bad_rows(quick.place.store, stored_bad_rows(quick, progress), quick.place.folder())
    assert bad.column_names[-2:] == ["_row", "reasons"]
    added = again(quick, 3, bad.set_column(bad.column_names.index("price"), "price", rows["price"].slice(0, 3))).added
    mended = load_rows(quick.place.store, added, quick.place.folder())
    assert sorted(mended["row"].to_pylist()) == [0, 1, 2]
    assert not {"_row", "reasons"} & {*mended.column_names}


def stored_bad_rows(chain, progress):
    return Validation.from_bytes(chain.place.store.get(progress.validation).data).bad_rows
