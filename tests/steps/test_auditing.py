"""The warm-start debt: a chain that was made worse on purpose owes its twin much, an ordinary one does not; reruns converge."""

from dataclasses import replace

import pyarrow.compute as pc
import pytest

from tests.steps.test_crashes import DyingStore
from widedeep.artifacts import LIVE
from widedeep.data.contract import Contract
from widedeep.errors import ContractError, SignatureError, StoreUnavailableError
from widedeep.publishing import lanes, layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import champion
from widedeep.publishing.releases import load_manifest
from widedeep.steps import audit, audits, retraining, run_span
from widedeep.steps.verification import verify
from widedeep.training.candidate import TrainingReport


def changed(chain, **sections):
    """The chain's workplace under a contract of which these keys of these sections are others."""
    contract = chain.place.contract.model_dump(mode="json")
    told = {name: contract[name] | section for name, section in sections.items()}
    return replace(chain.place, contract=Contract.model_validate(contract | told))


def hardly_learning(chain):
    """Where steps are so small that the chain stays what it was, and the gate lets that pass."""
    training = chain.place.contract.training.model_dump(mode="json")
    adagrad = training["adagrad"] | {"learning_rate": 1e-6, "embedding_learning_rate": 1e-6}
    open_gate = {"slices": [], "anchor_days": None, "calibration": [0.01, 100], "auc_at_least": 0, "ne_at_most": 100}
    return changed(chain, training={"adagrad": adagrad, "ftrl": training["ftrl"] | {"alpha": 1e-6}}, gate=open_gate)


def turned(rows):
    """What was clicked is not, and the other way round."""
    return rows.set_column(rows.column_names.index("clicked"), "clicked", pc.invert(rows["clicked"]))


def go_on(chain, n, rows=lambda rows: rows, place=None):
    chain.deliver(n, rows(chain.rows(n, 1500)))
    assert run_span(place or chain.place, chain.day(n)).result == "promoted"


@pytest.fixture(scope="module")
def done():
    return {}


@pytest.fixture
def ordinary(quick, done):
    """Two days after the bootstrap: made once, copied for each test."""
    if done:
        quick.place = replace(quick.place, store=fill(MemoryStore(), done))
        return quick
    for n in (3, 4):
        go_on(quick, n)
    done.update(objects(quick.place.store))
    return quick


def test_an_ordinary_chain_is_not_shown_to_owe_more_than_the_limit(ordinary):
    found = audit(ordinary.place)
    pointer = champion(ordinary.place.store, LIVE)
    assert (found.release_id, found.span, found.over) == (pointer.release_id, ordinary.day(4), False)
    assert (found.since, found.spans, found.rows) == (ordinary.day(0), 5, 3 * 600 + 2 * 1500)
    assert [(part.span, part.part) for part in found.holdout] == [(ordinary.day(4), "holdout")]
    assert found.debt.estimate == pytest.approx(found.metrics.log_loss - found.twin_metrics.log_loss)
    assert found.debt.lower < found.debt.estimate < found.debt.upper


@pytest.fixture
def indebted(quick):
    """The world turns over, and the chain hardly learns it."""
    for n in (3, 4, 5):
        go_on(quick, n, turned, hardly_learning(quick))
    return quick


def test_a_chain_that_was_made_worse_on_purpose_owes_more_than_the_limit(indebted):
    found = audit(indebted.place)
    assert found.over
    assert found.debt.lower > found.limit == 0.01


def test_done_again_it_trains_nothing_writes_nothing_and_finds_the_same(ordinary, monkeypatch):
    first = audit(ordinary.place)
    before = objects(ordinary.place.store)
    monkeypatch.setattr(retraining, "_train", None)
    assert audit(replace(ordinary.place, actor="another")) == first
    assert objects(ordinary.place.store) == before


def test_wherever_it_dies_the_next_one_makes_the_same_audit_and_the_same_twin(ordinary):
    start = objects(ordinary.place.store)
    audit(ordinary.place)
    wanted = settled_objects(ordinary.place.store)
    writes = len(wanted) - len(start)
    assert writes > 5
    for n, after in [(n, n % 2 == 0) for n in range(1, writes + 1)]:
        store = fill(MemoryStore(), start)
        with pytest.raises(StoreUnavailableError):
            audit(replace(ordinary.place, store=DyingStore(store, n, after=after)))
        audit(replace(ordinary.place, store=store))
        assert settled_objects(store) == wanted, f"write {n}, {'after' if after else 'before'}"


def test_the_twin_learns_the_newest_days_within_the_contract_s_bounds_and_at_least_one(ordinary):
    assert learnt_days(ordinary, audit(changed(ordinary, audit={"days": 2}))) == [3, 4]
    assert learnt_days(ordinary, audit(changed(ordinary, audit={"rows": 3600}))) == [2, 3, 4]
    assert learnt_days(ordinary, audit(changed(ordinary, audit={"rows": 1}))) == [4]


def test_the_twin_learns_no_day_whose_rows_are_gone_and_no_row_that_is_scored(ordinary):
    outcome = next(o for o in lanes.outcomes(ordinary.place.store, LIVE) if o.span == ordinary.day(1))
    ordinary.place.store.delete(outcome.snapshot.file.name)
    found = audit(ordinary.place)
    assert learnt_days(ordinary, found) == [0, 2, 3, 4]
    twin, theirs = twin_of(ordinary, found), load_manifest(ordinary.place.store, found.release_id, published=True)
    assert twin.seen() == theirs.seen()
    assert not {(part.span, part.digest, part.part) for part in found.holdout} & twin.seen()
    assert {p.span for p in twin.inherited} == {ordinary.day(1)}, "were it to lead, what it left out is not pending"


def test_the_twin_says_whose_it_is_has_no_parent_and_fits_its_own_quantiles(ordinary):
    found = audit(ordinary.place)
    twin = twin_of(ordinary, found)
    assert (twin.lineage.twin_of, twin.lineage.parent, twin.lineage.span) == (found.release_id, None, ordinary.day(4))
    report = TrainingReport.from_bytes(file_of(ordinary, twin, "training.json"))
    assert set(report.fitted) == {"price", "visits"}
    assert layout.manifest(found.twin) not in set(ordinary.place.store.keys("releases/")), "no reader may load it"


def test_audits_are_a_series_by_what_was_scored(ordinary):
    first = audit(ordinary.place)
    go_on(ordinary, 5)
    second = audit(ordinary.place)
    assert audits(ordinary.place) == (first, second)
    assert [each.holdout[0].span for each in (first, second)] == [ordinary.day(4), ordinary.day(5)]


def test_where_margins_are_shares_of_entropy_so_is_the_limit(ordinary):
    found = audit(changed(ordinary, gate={"unit": "ne"}))
    assert found.limit == pytest.approx(0.01 * found.metrics.log_loss / found.metrics.ne)
    assert audit(changed(ordinary, audit={"limit": 0.2})).limit == 0.2


def test_without_a_champion_or_without_rows_there_is_nothing_to_audit_in_words(ordinary):
    empty = replace(ordinary.place, store=MemoryStore())
    assert audit(empty).told() == "nothing to audit: lane live has no champion yet"
    for key in list(ordinary.place.store.keys("snapshots/")):
        ordinary.place.store.delete(key)
    assert "no rows that it has learnt are kept" in audit(ordinary.place).told()


def test_a_champion_of_another_split_is_refused(ordinary):
    with pytest.raises(ContractError, match="trained by another split"):
        audit(changed(ordinary, split={"salt": "another"}))


def test_where_signatures_are_required_the_audit_is_signed_and_a_forged_one_is_refused(signed):
    signed.deliver(3)
    assert run_span(signed.place, signed.day(3)).result == "promoted"
    found = audit(signed.place)
    (key,) = (key for key in signed.place.store.keys("evidence/") if "/audit-" in key and "/signatures/" not in key)
    assert verify(signed.place, found.release_id, lambda *_: None).problems == ()
    blob = signed.place.store.get(key)
    signed.place.store.swap(key, found.model_copy(update={"over": True}).to_bytes(), blob.etag)
    with pytest.raises(SignatureError):
        audits(signed.place)


def fill(store, objects):
    for key, data in objects.items():
        store.create(key, data)
    return store


def objects(store):
    return {key: store.get(key).data for key in store.keys("")}


def settled_objects(store):
    """All but what tells when and by whom."""
    return {key: data for key, data in objects(store).items() if not key.endswith("/trained.json")}


def learnt_days(chain, found):
    return sorted({(part.span - chain.day(0)).days for part in twin_of(chain, found).lineage.learnt})


def twin_of(chain, found):
    return load_manifest(chain.place.store, found.twin, published=False, expected_sha256=found.twin_manifest_sha256)


def file_of(chain, manifest, name):
    (file,) = (file for file in manifest.files if file.name == name)
    return chain.place.store.get(layout.release_file(manifest.release_id, file)).data
