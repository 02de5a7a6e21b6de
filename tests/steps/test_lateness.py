"""What comes late is learnt under its own day, or stays out, as the contract says."""

import pyarrow as pa
import pytest

from widedeep.artifacts import LIVE, Progress
from widedeep.publishing import lanes
from widedeep.publishing.moves import freeze
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.snapshots import load_rows, version, versions
from widedeep.steps import ingest, run_span


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
