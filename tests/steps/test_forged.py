"""Whoever can write to the bucket, but has no key, gets nothing of his own trained on, judged, signed or promoted.

Release ids and the names of evidence follow from inputs that anybody can read, so he knows where the next ones are looked for.
"""

import shutil
from dataclasses import replace

import pytest

from widedeep.artifacts import LIVE, DryRunReport, Verdict, sha256
from widedeep.errors import SignatureError
from widedeep.publishing import layout, releases
from widedeep.publishing.keys import load_trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import champion
from widedeep.publishing.signing import check_step
from widedeep.steps import dry_run, gate, ingest, publish, run_span, start, validate
from widedeep.steps.retraining import train


@pytest.fixture
def trained(signed):
    """Day 3 has a candidate."""
    signed.deliver(3)
    signed.progress = start(signed.place, signed.day(3))
    for step in (ingest, validate, train):
        signed.progress = step(signed.place, signed.progress)
    return signed


def before_training(trained) -> MemoryStore:
    """The store as it was when day 3 was valid and nothing was trained on it."""
    store, candidate = MemoryStore(), trained.progress.candidate
    own = (layout.release(candidate.release_id), layout.evidences(candidate.release_id))
    store.objects = {key: data for key, data in trained.place.store.objects.items() if not key.startswith(own)}
    return store


def forged(trained, folder) -> tuple[MemoryStore, str]:
    """The same, with a model of somebody else under the id of the candidate to come."""
    candidate, store = trained.progress.candidate, before_training(trained)
    theirs = releases.load_manifest(trained.place.store, candidate.release_id, published=False)
    releases.download(trained.place.store, theirs, folder)
    shutil.copy(folder / "golden.parquet", folder / "backdoor.parquet")
    return store, releases.stage(store, folder, theirs.lineage, theirs.inherited).manifest_sha256


def test_a_candidate_that_somebody_without_a_key_has_staged_is_refused_in_words(trained, tmp_path):
    store, _ = forged(trained, tmp_path)
    old, before = champion(store, LIVE), dict(store.objects)
    with pytest.raises(
        SignatureError, match=r"candidate.json: got no signature by an accepted key.* find out who did, remove it"
    ):
        run_span(replace(trained.place, store=store), trained.day(3))
    assert champion(store, LIVE) == old
    assert {key for key in store.objects.keys() - before.keys() if not key.startswith("ingested/")} == set()


def test_a_candidate_that_is_staged_while_ours_is_trained_is_refused_too(trained, tmp_path, monkeypatch):
    theirs, _ = forged(trained, tmp_path)
    store = before_training(trained)
    monkeypatch.setattr(releases, "find_candidate", lambda *_: store.objects.update(theirs.objects))
    with pytest.raises(SignatureError, match=r"candidate\.json"):
        train(replace(trained.place, store=store), trained.progress)


def test_once_it_is_removed_the_day_is_run_and_only_what_was_trained_here_is_published(trained, tmp_path):
    store, forged_sha256 = forged(trained, tmp_path)
    store.delete(layout.candidate(trained.progress.candidate.release_id))
    progress = run_span(replace(trained.place, store=store), trained.day(3))
    assert progress.candidate == trained.progress.candidate
    assert progress.candidate.manifest_sha256 != forged_sha256


def test_where_nothing_has_to_be_signed_a_staged_candidate_is_found_as_ever(trained, tmp_path):
    store, staged_sha256 = forged(trained, tmp_path)
    settings = trained.place.settings.model_copy(update={"require_signature": False})
    progress = train(replace(trained.place, store=store, settings=settings), trained.progress)
    assert progress.candidate.manifest_sha256 == staged_sha256


def test_a_forged_report_or_verdict_is_no_evidence(trained):
    place, store = trained.place, trained.place.store
    progress = gate(place, dry_run(place, trained.progress))
    for key, step, kind in ((progress.dry_run, dry_run, DryRunReport), (progress.verdict, gate, Verdict)):
        ours = store.objects[key]
        store.objects[key] = ours.replace(b"0", b"1", 1)
        assert kind.from_bytes(store.objects[key])
        with pytest.raises(SignatureError, match=key):
            step(place, progress)
        store.objects[key] = ours
    theirs = Verdict.from_bytes(ours).model_copy(update={"decision": "promote", "reasons": ("mine",)})
    store.objects[progress.verdict] = theirs.to_bytes()
    with pytest.raises(SignatureError, match="verdict-"):
        publish(place, progress)
    assert not store.get(layout.manifest(progress.candidate.release_id))


def test_a_verdict_that_was_signed_under_another_contract_cannot_be_put_in_the_place_of_the_next(trained):
    place, store = trained.place, trained.place.store
    mild = gate(place, dry_run(place, trained.progress))
    strict = place.contract.model_copy(update={"gate": place.contract.gate.model_copy(update={"auc_at_least": 1.0})})
    stricter = replace(place, contract=strict)
    key = gate(stricter, mild).verdict
    assert key != mild.verdict
    (accepted,) = load_trust(place.settings).keys
    old, new = (layout.step_signature(each, sha256(store.objects[mild.verdict]), accepted) for each in (mild.verdict, key))
    store.objects |= {key: store.objects[mild.verdict], new: store.objects[old]}
    with pytest.raises(SignatureError, match="does not fit"):
        gate(stricter, mild)


def test_what_was_judged_before_there_was_a_key_is_judged_again_and_signed(trained):
    """Nothing has to be removed when a chain begins to sign."""
    place, store = trained.place, trained.place.store
    unsigned = replace(place, settings=place.settings.model_copy(update={"signing_key": None, "require_signature": False}))
    before = gate(unsigned, dry_run(unsigned, trained.progress))
    after = gate(place, dry_run(place, trained.progress))
    assert before.verdict != after.verdict
    assert before.decision == after.decision
    trust = load_trust(place.settings)
    assert all(check_step(store, key, store.objects[key], trust) for key in (after.dry_run, after.verdict))


def test_a_published_release_counts_as_signed_when_its_day_is_replayed(trained):
    """Its manifest has the same bytes as the candidate: those that were published before candidates were signed are found."""
    place, store = trained.place, trained.place.store
    progress = run_span(place, trained.day(3))
    assert progress.release
    for key in list(store.keys(layout.signatures(progress.release))):
        if "/candidate-" in key:
            del store.objects[key]
    assert train(place, trained.progress).candidate == progress.candidate
