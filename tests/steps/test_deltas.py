"""A release carries what leads to it from its parent, and the dry run applies it before anybody else does."""

from dataclasses import replace

from widedeep.artifacts import LIVE
from widedeep.data.contract import Contract, Publishing
from widedeep.errors import IntegrityError
from widedeep.model.delta_files import FOLDER
from widedeep.publishing import layout
from widedeep.publishing.keys import load_trust
from widedeep.publishing.pointer import champion
from widedeep.publishing.releases import load_manifest
from widedeep.serving import reader as reader_module
from widedeep.serving.reader import ModelReader
from widedeep.serving.rehearsal.examining import examine
from widedeep.steps import ingest, run_span, start, train, validate


def files_of(place, release_id, *, published=True) -> list[str]:
    return [file.name for file in load_manifest(place.store, release_id, published=published).files]


def trained(chain):
    chain.deliver(3)
    progress = start(chain.place, chain.day(3))
    for step in (ingest, validate, train):
        progress = step(chain.place, progress)
    return progress.candidate


def changed(contract: Contract, section: str, **fields) -> Contract:
    return contract.model_copy(update={section: getattr(contract, section).model_copy(update=fields)})


def test_a_reader_of_the_live_lane_goes_on_by_the_delta_of_a_days_release(begun, tmp_path, monkeypatch):
    # What readers need of the small shop's release is fewer bytes than a delta: here all files count.
    monkeypatch.setattr(reader_module, "reader_files", lambda manifest: manifest.files)
    reader = ModelReader(begun.place.store, load_trust(begun.place.settings), LIVE, tmp_path)
    assert reader.refresh().how == "full"
    assert not any(name.startswith(FOLDER) for name in files_of(begun.place, begun.first.release))
    begun.deliver(3)
    run_span(begun.place, begun.day(3))
    done = reader.refresh()
    assert (done.release_id, done.how, done.deltas) == (champion(begun.place.store, LIVE).release_id, "deltas", 1)


def test_a_contract_may_do_without_deltas(begun):
    begun.place = replace(begun.place, contract=begun.place.contract.model_copy(update={"publishing": Publishing(deltas=False)}))
    assert not any(name.startswith(FOLDER) for name in files_of(begun.place, trained(begun).release_id, published=False))


def test_a_release_of_another_shape_than_its_parent_has_no_delta_and_says_so(begun, caplog):
    begun.place = replace(begun.place, contract=changed(begun.place.contract, "model", hidden=(5,)))
    caplog.set_level("INFO")
    assert not any(name.startswith(FOLDER) for name in files_of(begun.place, trained(begun).release_id, published=False))
    assert "hidden changed; servers load this release in full" in caplog.text


def examined(chain, candidate, folder):
    place = chain.place
    trust = load_trust(place.settings)
    return examine(place.store, place.contract, candidate.release_id, candidate.manifest_sha256, folder, trust).report


def test_the_dry_run_applies_the_delta_and_refuses_one_that_leads_elsewhere(begun, tmp_path, monkeypatch):
    candidate = trained(begun)
    assert examined(begun, candidate, tmp_path / "one").failures == ()
    monkeypatch.setattr("widedeep.model.delta.fill", lambda *_: None)
    (failure,) = examined(begun, candidate, tmp_path / "two").failures
    assert "leads from" in failure


def test_the_dry_run_refuses_a_delta_on_another_base(begun, tmp_path, monkeypatch):
    candidate = trained(begun)

    def other(*_):
        raise IntegrityError("leads on from another release")

    monkeypatch.setattr("widedeep.serving.rehearsal.examining.check_leads", other)
    (failure,) = examined(begun, candidate, tmp_path / "one").failures
    assert failure.startswith("its delta can't be applied: ")


def test_a_release_that_outlived_its_base_can_still_be_examined(begun, tmp_path):
    candidate = trained(begun)
    begun.place.store.delete(layout.manifest(begun.first.release))
    assert examined(begun, candidate, tmp_path / "one").failures == ()
