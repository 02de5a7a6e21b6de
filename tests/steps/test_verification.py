"""`widedeep verify`: no byte of a release changes unnoticed, and all that is wrong is told at once."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from widedeep.artifacts import LIVE, DryRunReport, Part, Verdict, canonical_json, sha256
from widedeep.config import Settings
from widedeep.data.contract import load_contract
from widedeep.errors import UsageError
from widedeep.publishing import layout, releases
from widedeep.publishing.keys import Signer, Trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import standing
from widedeep.publishing.signing import check_move, sign_move, sign_step
from widedeep.steps import Workplace
from widedeep.steps.evidence import check_evidence
from widedeep.steps.named import find_release, published_ids
from widedeep.steps.records import record
from widedeep.steps.verification import Verification, verify

FORMATS = Path(__file__).parents[1] / "formats"
KEPT = FORMATS / "1"  # two small releases, a parent and its child
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"a key that signs nothing of use."))  # that of the kept releases
PEM = SIGNER.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def quiet(_read: int, _files: int) -> None:
    pass


def left_by(folder: Path, scratch: Path) -> Workplace:
    """The store as an earlier version left it."""
    store, root = MemoryStore(), folder / "store"
    store.objects = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    keys = {"verify_keys": folder / "keys.pub", "require_signature": True, "signing_key": PEM}
    given_ = Settings(store="s3://kept", contract=folder / "contract.yaml", **keys)
    now = datetime(2026, 4, 1, tzinfo=UTC)
    return Workplace(store, load_contract(given_.contract), scratch, given_, {}, "test", lambda: now)


def as_of_now(place: Workplace) -> Workplace:
    """The same, had this version published it and moved the pointer."""
    for release in releases.releases(place.store):
        place.store.delete(layout.evidence(release.release_id, "published"))
        record(place, "published", releases.find_candidate(place.store, release.release_id))
    for release in releases.releases(place.store):
        for name, data in releases.evidence_of(place.store, release.release_id).items():
            sign_step(place.store, layout.evidence(release.release_id, name), data, SIGNER)
    pointer, blob = standing(place.store, LIVE)
    sign_move(place.store, pointer, blob.data, SIGNER)
    return place


@pytest.fixture
def kept(tmp_path: Path) -> Workplace:
    return left_by(KEPT, tmp_path)


@pytest.fixture
def place(kept: Workplace) -> Workplace:
    return as_of_now(kept)


@pytest.fixture
def with_delta(tmp_path: Path) -> Workplace:
    """Releases of a format in which the child leads on from its parent by a delta."""
    return as_of_now(left_by(FORMATS / "2", tmp_path))


@pytest.fixture
def parent(place: Workplace) -> str:
    return releases.releases(place.store)[0].release_id


@pytest.fixture
def child(place: Workplace) -> str:
    return releases.releases(place.store)[1].release_id


def file_of(place: Workplace, release_id: str, name: str) -> str:
    manifest = releases.load_manifest(place.store, release_id, published=False)
    return layout.release_file(release_id, next(file for file in manifest.files if file.name == name))


def key_of(place: Workplace, prefix: str) -> str:
    return next(place.store.keys(prefix))


def seen(found: Verification, name: str) -> str:
    return next(check.seen for check in found.checks if check.name == name)


def test_a_sound_release_has_no_problem_and_all_of_it_was_looked_at(place: Workplace, parent: str, child: str) -> None:
    read = []
    found = verify(place, child, lambda done, files: read.append((done, files)))
    assert found.problems == ()
    looked_at = ["manifest", "files", "model", "delta", "parents", "evidence", "data", "signature", "witnesses", "moves"]
    assert [check.name for check in found.checks] == looked_at
    assert seen(found, "moves") == "champion of live by move 2, signed by 4086a305fa0da2db"
    assert seen(found, "witnesses") == "evidence signed: 5 of 5 by 4086a305fa0da2db"
    assert seen(found, "delta") == "none: servers load this release in full"
    assert seen(found, "parents") == f"1 read, up to {parent}"
    assert seen(found, "evidence") == "1 decision, 1 dry-run, 1 published, 1 trained, 1 verdict"
    assert [done for done, _ in read] == list(range(read[0][1]))
    assert "sound" in found.told().plain


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_no_byte_of_a_release_its_evidence_or_its_parent_changes_unnoticed(
    place: Workplace, parent: str, child: str, data: st.DataObject
) -> None:
    covered = [
        *place.store.keys(layout.release(child)),
        *place.store.keys(layout.evidences(child)),
        layout.manifest(parent),
        *place.store.keys(f"lanes/{LIVE}/moves/"),
        *place.store.keys(f"lanes/{LIVE}/signatures/"),
        layout.champion(LIVE),
    ]
    key = data.draw(st.sampled_from(covered))
    good = place.store.objects[key]
    i, other = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(1, 255))
    changed = [good[:i], good[:i] + bytes([good[i] ^ other]) + good[i + 1 :], good + b" "]
    try:
        place.store.objects[key] = data.draw(st.sampled_from(changed))
        assert verify(place, child, quiet).problems, key
        if key != layout.champion(LIVE):  # then it is nobody's champion, which is no fault of the release
            del place.store.objects[key]
            assert verify(place, child, quiet).problems, key
    finally:
        place.store.objects[key] = good


def rebound(place: Workplace, child: str, **changed: object) -> None:
    """Write the child's decision anew, under the name that fits what it says."""
    key = key_of(place, layout.evidence(child, releases.DECISION).removesuffix(".json"))
    verdict = Verdict.from_bytes(place.store.objects.pop(key)).model_copy(update=changed)
    releases.save_evidence(place.store, child, releases.decision_name(verdict), verdict)


def about_another(place: Workplace, parent: str, child: str) -> None:
    rebound(place, child, candidate_manifest_sha256="1" * 64)


def with_another_champion(place: Workplace, parent: str, child: str) -> None:
    rebound(place, child, champion_manifest_sha256="1" * 64)


def on_learnt_rows(place: Workplace, parent: str, child: str) -> None:
    learnt = releases.load_manifest(place.store, parent, published=True).lineage.learnt[0]
    rebound(place, child, holdout=(Part(**learnt.model_dump()),))


def changed_in_place(place: Workplace, parent: str, child: str) -> None:
    key = key_of(place, layout.evidence(child, releases.DECISION).removesuffix(".json"))
    place.store.objects[key] = canonical_json({**json.loads(place.store.objects[key]), "reasons": ["bribed"]})


def dry_run_of_another(place: Workplace, parent: str, child: str) -> None:
    key = key_of(place, f"evidence/{child}/dry-run")
    place.store.objects[key] = canonical_json({**json.loads(place.store.objects[key]), "release_id": parent})


def retold(place: Workplace, child: str, name: str, **changed: object) -> None:
    """Change what a piece of evidence says; it stays well-formed."""
    key = key_of(place, layout.evidence(child, name).removesuffix(".json"))
    place.store.objects[key] = canonical_json({**json.loads(place.store.objects[key]), **changed})


def faster_dry_run(place: Workplace, parent: str, child: str) -> None:
    retold(place, child, "dry-run", load_s=0.001)


def kinder_verdict(place: Workplace, parent: str, child: str) -> None:
    retold(place, child, "verdict", reasons=["bribed"])


def other_trainer(place: Workplace, parent: str, child: str) -> None:
    retold(place, child, "trained", by="nobody")


def other_publisher(place: Workplace, parent: str, child: str) -> None:
    retold(place, child, "published", by="nobody")


def other_rehearsal_of_a_rollback(place: Workplace, parent: str, child: str) -> None:
    report = DryRunReport(
        release_id=child,
        manifest_sha256=releases.load_manifest(place.store, child, published=True).content_digest(),
        failures=("slow",),
    )
    releases.save_evidence(place.store, child, f"rollback-my-lane-7-{report.content_digest()[:16]}", report)
    retold(place, child, "rollback", failures=[])


def lost_dry_run(place: Workplace, parent: str, child: str) -> None:
    del place.store.objects[key_of(place, f"evidence/{child}/dry-run")]


def published_by_nobody(place: Workplace, parent: str, child: str) -> None:
    del place.store.objects[key_of(place, f"evidence/{child}/published")]


def undecided(place: Workplace, parent: str, child: str) -> None:
    del place.store.objects[key_of(place, layout.evidence(child, releases.DECISION).removesuffix(".json"))]


def without_parent(place: Workplace, parent: str, child: str) -> None:
    del place.store.objects[layout.manifest(parent)]


def unsigned(place: Workplace, parent: str, child: str) -> None:
    del place.store.objects[key_of(place, layout.signatures(child))]


def unsigned_decision(place: Workplace, parent: str, child: str) -> None:
    key = key_of(place, layout.evidence(child, releases.DECISION).removesuffix(".json"))
    data = place.store.objects[key]
    del place.store.objects[layout.step_signature(key, sha256(data), SIGNER.key_id)]


def planted_decision(place: Workplace, parent: str, child: str) -> None:
    """Sound in all that can be reckoned, by somebody without the key."""
    key = key_of(place, layout.evidence(child, releases.DECISION).removesuffix(".json"))
    verdict = Verdict.from_bytes(place.store.objects[key]).model_copy(update={"reasons": ("bribed",)})
    releases.save_evidence(place.store, child, releases.decision_name(verdict), verdict)


def planted_signature_of_a_decision(place: Workplace, parent: str, child: str) -> None:
    key = key_of(place, layout.evidence(child, releases.DECISION).removesuffix(".json"))
    signature = layout.step_signature(key, sha256(place.store.objects[key]), SIGNER.key_id)
    assert signature in place.store.objects
    place.store.objects[signature] = b"planted"


def other_rows(place: Workplace, parent: str, child: str) -> None:
    key = "spans/2026-03-03/v1.json"
    place.store.objects[key] = canonical_json({**json.loads(place.store.objects[key]), "digest": "1" * 64})


def damaged_version(place: Workplace, parent: str, child: str) -> None:
    place.store.objects["spans/2026-03-03/v1.json"] = b"{"


def planted_signature(place: Workplace, parent: str, child: str) -> None:
    place.store.objects[key_of(place, layout.signatures(child))] = b"planted"


def unsigned_move(place: Workplace, parent: str, child: str) -> None:
    del place.store.objects[key_of(place, f"lanes/{LIVE}/signatures/")]


def lost_move(place: Workplace, parent: str, child: str) -> None:
    del place.store.objects[layout.move(LIVE, 1)]


def pointer_to_other_bytes(place: Workplace, parent: str, child: str) -> None:
    key = layout.champion(LIVE)
    place.store.objects[key] = canonical_json({**json.loads(place.store.objects[key]), "manifest_sha256": "1" * 64})


def other_candidate(place: Workplace, parent: str, child: str) -> None:
    key = layout.candidate(child)
    place.store.objects[key] = canonical_json({**json.loads(place.store.objects[key]), "files": []})


def other_inheritance(place: Workplace, parent: str, child: str) -> None:
    for key in (layout.candidate(child), layout.manifest(child)):
        place.store.objects[key] = canonical_json({**json.loads(place.store.objects[key]), "inherited": []})


def damaged_file(place: Workplace, parent: str, child: str) -> None:
    place.store.objects[file_of(place, child, "weights.safetensors")] += b"!"


def lost_file(place: Workplace, parent: str, child: str) -> None:
    del place.store.objects[file_of(place, child, "values.parquet")]


DAMAGES = {
    about_another: r"decision-\w+.json: is about r-\w+ with manifest 1111",
    with_another_champion: r"decision-\w+.json: compares with other bytes of r-\w+ than are there",
    on_learnt_rows: r"decision-\w+.json: was reached on rows that r-\w+ had learnt",
    changed_in_place: r"decision-\w+.json: was changed; its name says that its SHA-256 begins with",
    dry_run_of_another: r"dry-run-[\w-]+.json: is about r-",
    faster_dry_run: r"dry-run-[\w-]+.json: got SHA-256 \w+…, wanted \w+…, on which the release was published",
    kinder_verdict: r"verdict-[\w-]+.json: got SHA-256 \w+…, wanted \w+…, on which the release was published",
    other_trainer: r"trained.json: got SHA-256 \w+…, wanted \w+…, on which the release was published",
    other_publisher: r"published-\w+.json: was changed; its name says",
    other_rehearsal_of_a_rollback: r"rollback-my-lane-7-\w+.json: was changed; its name says",
    lost_dry_run: r"dry-run-[\w-]+.json: got no object, wanted",
    published_by_nobody: r"no record of who published it stands below evidence/r-",
    undecided: r"no decision stands below evidence/r-",
    without_parent: r"manifest.json: missing",
    unsigned: r"got no signature by an accepted key",
    unsigned_decision: r"evidence/r-\w+/: got no signature by an accepted key over decision-\w+.json, wanted one by 4086",
    planted_decision: r"evidence/r-\w+/: got no signature by an accepted key over decision-\w+.json, wanted one by 4086",
    planted_signature_of_a_decision: r"got a signature that does not fit the object",
    other_rows: r"span 2026-03-03 v1: has rows 1111",
    damaged_version: r"spans/2026-03-03/v1.json: got no Snapshot",
    planted_signature: r"got a signature that does not fit the manifest",
    unsigned_move: r"champion.json: got no signature by an accepted key, wanted one by 4086.* move 2 .*verify r-\w+ --sign",
    lost_move: r"moves/000001.json: got no object",
    pointer_to_other_bytes: r"champion.json: leads to r-\w+ with manifest 1111",
    other_candidate: r"its manifest is not the one that was judged",
    other_inheritance: r"what it says it inherited is not what r-\w+ had learnt",
    damaged_file: r"weights.safetensors: got \d+ bytes",
    lost_file: r"values.parquet: missing",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_what_is_wrong_is_told_in_words(place: Workplace, parent: str, child: str, damage: Callable[..., None]) -> None:
    damage(place, parent, child)
    problems = verify(place, child, quiet).problems
    assert any(re.search(DAMAGES[damage], problem) for problem in problems), problems


def test_all_that_is_wrong_is_told_at_once(place: Workplace, parent: str, child: str) -> None:
    damages = (damaged_file, lost_file, other_candidate, dry_run_of_another, undecided, unsigned, other_rows)
    for damage in damages:
        damage(place, parent, child)
    found = verify(place, child, quiet)
    text = "\n".join(found.problems)
    assert not [damage for damage in damages if not re.search(DAMAGES[damage], text)]
    # The changed dry run isn't the one that was published on, either, nor the one that was signed.
    assert f"{len(damages) + 2} problem(s)" in found.told().plain
    assert seen(found, "model") == "not loaded, since a file is damaged"


def test_a_sound_release_is_signed_anew_and_a_damaged_one_is_not(place: Workplace, parent: str, child: str) -> None:
    key = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert verify(place, child, quiet, signer=key).problems == ()
    damaged_file(place, parent, child)
    other = Signer(Ed25519PrivateKey.from_private_bytes(bytes(31) + b"1"))
    assert verify(place, child, quiet, signer=other).problems
    signatures = list(place.store.keys(layout.signatures(child)))
    assert any(key.key_id[:16] in signature for signature in signatures)
    assert not any(other.key_id[:16] in signature for signature in signatures)


def test_evidence_from_before_there_was_a_key_is_told_in_one_line_and_signed_with_its_release(kept: Workplace) -> None:
    old = releases.releases(kept.store)[1].release_id
    (told,) = (c.problems for c in verify(kept, old, quiet).checks if c.name == "witnesses")
    assert len(told) == 1
    assert all(kind in told[0] for kind in ("decision-", "dry-run-", "published", "trained", "verdict-", f"verify {old} --sign"))
    assert seen(verify(kept, old, quiet, signer=SIGNER), "witnesses") == "evidence signed: 5 of 5 by 4086a305fa0da2db"


def test_who_signs_a_sound_release_signs_the_pointer_that_leads_to_it_and_no_other(
    place: Workplace, parent: str, child: str
) -> None:
    key = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    for release, signed in ((parent, 1), (child, 2)):
        assert verify(place, release, quiet, signer=key).problems == ()
        assert len(list(place.store.keys(f"lanes/{LIVE}/signatures/"))) == signed
    pointer, blob = standing(place.store, LIVE)
    assert check_move(place.store, pointer, blob.data, Trust({key.key_id: key.key.public_key()}, required=True))


def test_a_delta_that_leads_to_the_release_is_told_with_where_it_leads_from(with_delta: Workplace) -> None:
    parent, child = (release.release_id for release in releases.releases(with_delta.store))
    assert verify(with_delta, child, quiet).problems == ()
    assert seen(verify(with_delta, child, quiet), "delta") == f"leads to it from {parent}"
    with_delta.store.delete(layout.manifest(parent))
    with_delta.store.delete(layout.candidate(parent))
    assert seen(verify(with_delta, child, quiet), "delta") == f"leads to it from {parent}, which was pruned"


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("wrong", ["base_files", "target_files"])
def test_a_delta_that_leads_elsewhere_is_told(with_delta: Workplace, wrong: str, pruned: bool) -> None:
    """Every file is as the manifest says: such a release was staged so."""
    place = with_delta
    parent, child = (releases.load_manifest(place.store, r.release_id, published=True) for r in releases.releases(place.store))
    folder = place.folder()
    releases.download(place.store, child, folder)
    header = json.loads((folder / "delta/delta.json").read_bytes())
    header[wrong][0]["sha256"] = "1" * 64
    (folder / "delta/delta.json").write_bytes(canonical_json(header))
    other = releases.stage(place.store, folder, child.lineage.model_copy(update={"seed": 99}), child.inherited)
    if pruned:
        place.store.delete(layout.manifest(parent.release_id))
    delta = next(check for check in verify(place, other.release_id, quiet).checks if check.name == "delta")
    if pruned and wrong == "base_files":
        assert delta.problems == ()  # nobody is left whom it could lead on from
    else:
        assert re.search(r"leads (on from|to) .*1111", delta.problems[0])


def test_files_that_do_not_make_a_model_are_told(place: Workplace, parent: str, child: str) -> None:
    """Every file is as the manifest says, but one is of another model: such a release was staged so."""
    files = releases.load_manifest(place.store, child, published=False).files
    swapped = {"weights.safetensors": file_of(place, parent, "weights.safetensors")}
    folder = place.folder()
    for file in files:
        key = swapped.get(file.name, file_of(place, child, file.name))
        (folder / file.name).write_bytes(place.store.objects[key])
    lineage = releases.load_manifest(place.store, child, published=False).lineage.model_copy(update={"seed": 99})
    other = releases.stage(place.store, folder, lineage, ())
    model = next(check for check in verify(place, other.release_id, quiet).checks if check.name == "model")
    assert "has shape" in model.problems[0]


def test_a_parent_of_a_later_span_is_told(place: Workplace, child: str) -> None:
    manifest = releases.load_manifest(place.store, child, published=True)
    folder = place.folder()
    releases.download(place.store, manifest, folder)
    lineage = manifest.lineage.model_copy(update={"parent": child})
    later = releases.stage(place.store, folder, lineage, (*manifest.inherited, *manifest.lineage.learnt))
    problems = verify(place, later.release_id, quiet).problems
    assert f"{later.release_id}: its parent {child} is of span 2026-03-03, wanted an earlier one." in problems


def test_a_candidate_that_was_never_published_is_told_so(place: Workplace, child: str) -> None:
    del place.store.objects[layout.manifest(child)]
    assert verify(place, child, quiet).problems == (
        f"memory://store/{layout.manifest(child)}: missing. `widedeep releases` lists what is published.",
    )


def test_what_was_published_before_digests_were_kept_is_sound_and_told_of(kept: Workplace) -> None:
    for release in releases.releases(kept.store):
        manifest = releases.load_manifest(kept.store, release.release_id, published=True)
        told = "1 decision, 1 dry-run, 1 published, 1 trained, 1 verdict; no digest is kept of 4"
        assert check_evidence(kept.store, manifest) == (told, [])


def test_evidence_of_after_the_publication_is_no_problem_and_bound_once_it_is_published_on(place: Workplace, child: str) -> None:
    verdict = Verdict.from_bytes(place.store.objects[key_of(place, f"evidence/{child}/verdict")])
    releases.save_evidence(place.store, child, f"verdict-{'1' * 16}", verdict, SIGNER)
    assert verify(place, child, quiet).problems == ()
    assert "no digest is kept of 1" in seen(verify(place, child, quiet), "evidence")
    for _ in range(2):
        record(place, "published", releases.find_candidate(place.store, child))
    assert seen(verify(place, child, quiet), "evidence") == "1 decision, 1 dry-run, 2 published, 1 trained, 2 verdict"


def test_what_a_crashed_writer_left_is_counted_and_no_problem(place: Workplace, child: str) -> None:
    place.store.objects[f"{layout.release(child)}0123456789abcdef.weights.safetensors"] = b"half"
    found = verify(place, child, quiet)
    assert found.problems == ()
    assert "1 more that the manifest does not name" in seen(found, "files")


@pytest.mark.parametrize("gone", ["spans/2026-03-03/", "snapshots/2026-03-03/"])
def test_rows_that_are_kept_no_more_are_no_problem(place: Workplace, child: str, gone: str) -> None:
    del place.store.objects[key_of(place, gone)]
    found = verify(place, child, quiet)
    assert found.problems == ()
    assert seen(found, "data") == "1 parts learnt, of 1 the rows are kept no more"


def test_a_pruned_parent_is_no_problem(place: Workplace, parent: str, child: str) -> None:
    for key in list(place.store.keys(layout.release(parent))):
        del place.store.objects[key]
    found = verify(place, child, quiet)
    assert found.problems == ()
    assert seen(found, "parents") == f"0 read, up to {parent}, which was pruned"


def test_of_many_releases_each_parent_is_read_once(place: Workplace, parent: str, child: str) -> None:
    sound: set[str] = set()
    assert published_ids(place.store) == tuple(sorted([parent, child]))
    assert [verify(place, each, quiet, sound).problems for each in (child, parent, child)] == [(), (), ()]
    assert sound == {parent}
    assert list(place.scratch.iterdir()) == []


def test_a_release_is_found_by_how_its_id_begins(place: Workplace, parent: str, child: str) -> None:
    assert find_release(place.store, child[:6]) == child
    with pytest.raises(UsageError, match=rf"got 2 releases whose ids start so, wanted one: it may be .*{parent}"):
        find_release(place.store, "r-")
    mistyped = child[:-1] + ("0" if child[-1] != "0" else "1")
    with pytest.raises(UsageError, match=f"got 0 releases .* the nearest are {child}"):
        find_release(place.store, mistyped)
    place.store.objects.clear()
    with pytest.raises(UsageError, match="there is none yet"):
        find_release(place.store, child)
