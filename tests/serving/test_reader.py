"""A reader that follows the champion: by deltas where they lead there, in full where not, and never with half of either."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.artifacts import LIVE, ChampionPointer, Lineage, Manifest, Part, sha256
from widedeep.data.contract import Column, Contract, Cross, Gate, Label, Model, SplitRule, Training, VocabularyLimits
from widedeep.errors import IntegrityError, OrderError, SignatureError, StoreUnavailableError, UsageError
from widedeep.features.encoding import encode
from widedeep.model.bundle import READER_FILES, Bundle, load_bundle, save_bundle
from widedeep.model.delta import Delta, difference, fill
from widedeep.model.delta_files import FOLDER, save_delta
from widedeep.model.determinism import deterministic
from widedeep.model.forward import scores
from widedeep.model.scoring import score_rows
from widedeep.publishing import layout
from widedeep.publishing.keys import Signer, Trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import standing
from widedeep.publishing.releases import download, load_manifest, stage
from widedeep.publishing.signing import sign, sign_move
from widedeep.publishing.transfer import file_ref
from widedeep.serving import reader as reader_module
from widedeep.serving.reader import ModelReader
from widedeep.serving.shared_lock import SharedLock
from widedeep.training.candidate import train_candidate
from widedeep.training.profile import numeric_profile

START, DIGEST, DAYS, SOON_S = date(2026, 1, 1), "0" * 64, 5, 60
NUMBERS = tuple(f"n{i}" for i in range(24))
"""Their boundaries are the bulk of a release, and in no delta: three deltas are fewer bytes than a release, four are not."""
OURS, THEIRS = (Signer(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (1, 2))
TRUST = Trust({OURS.key_id: OURS.key.public_key()}, required=True)
CONTRACT = Contract(
    name="readers",
    user="who",
    time="at",
    label=Label(column="bought"),
    columns={
        "who": Column(type="string", role="categorical"),
        "tags": Column(type="list", role="multivalent"),
        "age": Column(type="number", role="numeric"),
        **{name: Column(type="number", role="numeric") for name in NUMBERS},
        "at": Column(type="timestamp"),
        "bought": Column(type="boolean"),
    },
    crosses=(Cross(of=("who", "tags")),),
    split=SplitRule(salt="s"),
    gate=Gate(margin=0.01),
    model=Model(embedding=2, hidden=(3,), quantiles=40),
    training=Training(batch_size=8),
    vocabulary=VocabularyLimits(evict_after_days=1, max_bytes=1500),
)


def rows_of(day: int, count: int = 40) -> pa.Table:
    """Each day has users of its own, so that rows pass on."""
    random = np.random.default_rng(day)
    who = [f"u{day * 4 + random.integers(8)}" for _ in range(count)]
    tags = [[f"t{t}" for t in random.integers(4, size=2)] for _ in range(count)]
    bought = [bool(random.integers(2)) for _ in range(count)]
    columns = [pa.array(who), pa.array(tags), pa.array(random.random(count)), pa.array([0] * count), pa.array(bought)]
    table = pa.table(columns, names=["who", "tags", "age", "at", "bought"])
    for name in NUMBERS:
        table = table.append_column(name, pa.array(random.random(count)))
    return table


EVERYTHING = pa.concat_tables([rows_of(day) for day in range(DAYS)])


@dataclass(frozen=True)
class Line:
    """A line of published releases, oldest first; a test says which of them is the champion."""

    store: MemoryStore
    releases: tuple[Manifest, ...]

    def crown(self, number: int) -> None:
        release, key = self.releases[number], layout.champion(LIVE)
        at = datetime(2026, 1, 1, tzinfo=UTC)
        known = self.store.get(key)
        pointer = ChampionPointer(
            lane=LIVE,
            release_id=release.release_id,
            span=release.lineage.span,
            manifest_sha256=release.content_digest(),
            sequence=ChampionPointer.from_bytes(known.data).sequence + 1 if known else 1,
            previous=None,
            moved_at=at,
            moved_by="test",
            reason="so",
        )
        self.store.swap(key, pointer.to_bytes(), known.etag if known else None)

    def key(self, number: int, name: str) -> str:
        release = self.releases[number]
        return layout.release_file(release.release_id, next(file for file in release.files if file.name == name))

    def whole(self, number: int, folder: Path) -> Path:
        """The files that a reader without any delta would load."""
        folder.mkdir()
        download(self.store, self.releases[number], folder, READER_FILES)
        return folder


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Line:
    store, folder = MemoryStore(), tmp_path_factory.mktemp("line")
    line: list[Manifest] = []
    for day in range(DAYS):
        own, part = folder / str(day), Part(span=START + timedelta(days=3 * day), version=1, digest=DIGEST, part="train")
        own.mkdir()
        parent = load_bundle(folder / str(day - 1), optimizer=True) if line else None
        bundle, _ = train_candidate(parent, [(part, rows_of(day))], CONTRACT, 0, lambda _learnt, _total: None)
        save_bundle(bundle, own)
        if line:
            delta = difference(load_bundle(folder / str(day - 1), optimizer=False), bundle)
            save_delta(delta, line[-1], [file_ref(name, own / name) for name in READER_FILES], own)
        lineage = Lineage(
            span=part.span,
            parent=line[-1].release_id if line else None,
            learnt=(part,),
            seed=0,
            profile=numeric_profile(CONTRACT.training),
            **dict.fromkeys(["split_digest", "contract_digest", "source_digest"], DIGEST),
        )
        candidate = stage(store, own, lineage, inherited=())
        store.create(layout.manifest(candidate.release_id), store.get(layout.candidate(candidate.release_id)).data)
        line.append(load_manifest(store, candidate.release_id, published=True))
    return Line(store, tuple(line))


@pytest.fixture
def line(published: Line) -> Line:
    """The same line, in a store that a test may damage."""
    return copied(published)


def copied(line: Line) -> Line:
    store = MemoryStore()
    store.objects = dict(line.store.objects)
    return Line(store, line.releases)


@pytest.fixture
def reader(line: Line, tmp_path: Path) -> ModelReader:
    return ModelReader(line.store, Trust({}, required=False), LIVE, tmp_path)


def read_bytes(reader: ModelReader, folder: Path) -> dict[str, bytes]:
    """What the reader holds, as files."""
    folder.mkdir()
    with reader.model() as held:
        save_bundle(held.bundle, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def holds(reader: ModelReader, line: Line, number: int, scratch: Path) -> bool:
    """Whether the reader holds exactly that release: its files' bytes, and its scores."""
    whole = line.whole(number, scratch / "whole")
    same = read_bytes(reader, scratch / "held") == {name: (whole / name).read_bytes() for name in READER_FILES}
    with reader.model() as held:
        scored = score_rows(held.bundle, EVERYTHING, CONTRACT)
        named = held.manifest == line.releases[number]
    return same and named and np.array_equal(scored, score_rows(load_bundle(whole, optimizer=False), EVERYTHING, CONTRACT))


def test_a_reader_holds_nothing_until_there_is_a_champion(line, reader):
    with pytest.raises(UsageError, match="holds no model"), reader.model():
        pass
    with pytest.raises(OrderError, match="no champion"):
        reader.refresh()


def test_day_by_day_a_reader_goes_on_by_one_delta_and_holds_the_full_release_bit_for_bit(line, reader, tmp_path):
    line.crown(0)
    assert reader.refresh().how == "full"
    for day in range(1, DAYS):
        line.crown(day)
        done = reader.refresh()
        assert (done.how, done.deltas, done.release_id) == ("deltas", 1, line.releases[day].release_id)
        scratch = tmp_path / f"day-{day}"
        scratch.mkdir()
        assert holds(reader, line, day, scratch)
    assert reader.refresh().how == "unchanged"


def test_the_days_of_the_line_recycle_rows(reader, line):
    line.crown(DAYS - 1)
    reader.refresh()
    with reader.model() as held:
        assert held.bundle.vocabularies.values.passed_on > 0
        assert not held.bundle.vocabularies.crosses.held().all() or held.bundle.vocabularies.crosses.passed_on > 0


def test_a_reader_that_missed_days_goes_through_their_deltas_in_order(line, reader, tmp_path):
    line.crown(0)
    reader.refresh()
    line.crown(3)
    assert (reader.refresh().deltas, holds(reader, line, 3, tmp_path)) == (3, True)


def test_deltas_that_are_together_no_fewer_bytes_than_the_release_are_not_fetched(line, reader, tmp_path, monkeypatch):
    def weight(number, of_delta):
        files = line.releases[number].files
        return sum(f.size_bytes for f in files if (f.name.startswith(FOLDER) if of_delta else f.name in READER_FILES))

    assert weight(1, True) + weight(2, True) + weight(3, True) < weight(3, False)
    assert weight(1, True) + weight(2, True) + weight(3, True) + weight(4, True) > weight(4, False)
    fetched = []
    fetch = line.store.download
    monkeypatch.setattr(line.store, "download", lambda file, path: fetched.append(file) or fetch(file, path))
    line.crown(0)
    reader.refresh()
    for number, way, least in (
        (3, "deltas", sum(weight(n, True) for n in (1, 2, 3))),
        (0, "full", None),
        (4, "full", weight(4, False)),
    ):
        fetched.clear()
        line.crown(number)
        assert reader.refresh().how == way
        assert least in {None, sum(file.size_bytes for file in fetched)}
    assert holds(reader, line, 4, tmp_path)


def test_beyond_so_many_deltas_the_release_is_loaded_in_full(line, tmp_path):
    reader = ModelReader(line.store, Trust({}, required=False), LIVE, tmp_path, most_deltas=2)
    line.crown(0)
    reader.refresh()
    line.crown(2)
    assert reader.refresh().how == "deltas"
    line.crown(0)
    reader.refresh()
    line.crown(3)
    done = reader.refresh()
    assert (done.how, "at most 2 deltas" in done.because) == ("full", True)
    assert holds(reader, line, 3, tmp_path)


def signed_by(line: Line, *numbers: int) -> None:
    """Sign these releases, and the move that stands."""
    for number in numbers:
        sign(line.store, line.releases[number], OURS)
    found = standing(line.store, LIVE)
    if found:
        sign_move(line.store, found[0], found[1].data, OURS)


@pytest.fixture
def strict(line: Line, tmp_path: Path) -> ModelReader:
    """A reader that requires signatures."""
    return ModelReader(line.store, TRUST, LIVE, tmp_path)


def without_signature(line: Line, number: int) -> None:
    manifest = line.releases[number]
    line.store.delete(layout.signature(manifest.release_id, manifest.content_digest(), OURS.key_id))


def with_a_strangers_signature(line: Line, number: int) -> None:
    without_signature(line, number)
    sign(line.store, line.releases[number], THEIRS)


def with_other_files(line: Line, number: int) -> None:
    """Somebody who can write to the bucket puts a delta of his own there, and a manifest that names it."""
    manifest = line.releases[number]
    evil = b"rows of somebody's own"
    files = [
        file.model_copy(update={"sha256": sha256(evil), "size_bytes": len(evil)})
        if file.name == "delta/rows.safetensors"
        else file
        for file in manifest.files
    ]
    changed = manifest.model_copy(update={"files": tuple(files)})
    line.store.objects[layout.manifest(manifest.release_id)] = changed.to_bytes()
    line.store.objects[layout.release_file(manifest.release_id, next(f for f in files if f.sha256 == sha256(evil)))] = evil


def with_a_signature_that_does_not_fit(line: Line, number: int) -> None:
    manifest = line.releases[number]
    line.store.objects[layout.signature(manifest.release_id, manifest.content_digest(), OURS.key_id)] = b"planted"


@pytest.mark.parametrize(
    "tampered", [without_signature, with_a_strangers_signature, with_other_files, with_a_signature_that_does_not_fit]
)
def test_where_signatures_are_required_no_delta_of_a_release_on_the_way_is_used_that_nobody_stands_for(
    line, strict, tmp_path, monkeypatch, tampered
):
    line.crown(0)
    signed_by(line, 0, 1, 2)
    strict.refresh()
    line.crown(2)
    signed_by(line)
    tampered(line, 1)
    monkeypatch.setattr(reader_module, "fill", lambda *_: pytest.fail("a row was written"))
    done = strict.refresh()
    assert (done.how, "SignatureError" in done.because) == ("full", True)
    assert holds(strict, line, 2, tmp_path)


def test_where_signatures_are_required_signed_deltas_are_followed(line, strict, tmp_path):
    line.crown(0)
    signed_by(line, 0, 1, 2)
    strict.refresh()
    line.crown(2)
    signed_by(line)
    assert (strict.refresh().deltas, holds(strict, line, 2, tmp_path)) == (2, True)


def test_where_signatures_are_required_a_move_that_nobody_signed_is_not_followed(line, strict):
    line.crown(1)
    signed_by(line, 0, 1)
    strict.refresh()
    line.crown(0)
    with pytest.raises(SignatureError, match=r"champion\.json: got no signature .* pointer, which is move 2"):
        strict.refresh()
    assert holds_in(strict, line.releases[1])


@pytest.mark.parametrize("kind", ["reader", "strict"])
def test_an_old_pointer_put_back_by_hand_is_not_followed_not_even_after_a_restart(line, tmp_path, kind, request):
    reader = request.getfixturevalue(kind)
    line.crown(0)
    signed_by(line, 0, 1, 2)
    old = line.store.get(layout.champion(LIVE)).data
    reader.refresh()
    line.crown(1)
    signed_by(line)
    reader.refresh()
    line.store.objects[layout.champion(LIVE)] = old
    again = ModelReader(line.store, TRUST, LIVE, tmp_path, followed=reader.followed)
    for each in (reader, again):
        with pytest.raises(IntegrityError, match=r"got move 1 to r-\w+, wanted one after move 2 to r-\w+.* by hand"):
            each.refresh()
    assert holds_in(reader, line.releases[1])
    line.crown(2)  # on the old pointer: another move 2
    signed_by(line)
    with pytest.raises(IntegrityError, match="got move 2"):
        reader.refresh()
    line.crown(0)  # a rollback as it should be: a later move
    signed_by(line)
    assert reader.refresh().release_id == line.releases[0].release_id


def test_after_a_rollback_the_release_is_loaded_in_full(line, reader, tmp_path):
    line.crown(3)
    reader.refresh()
    line.crown(1)
    assert reader.refresh().how == "full"
    assert holds(reader, line, 1, tmp_path)


@pytest.mark.parametrize("name", ["delta/delta.json", "delta/rows.safetensors", "delta/values.parquet", "delta/crosses.parquet"])
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_delta_that_is_missing_or_damaged_is_noticed_before_anything_is_written(
    line, reader, tmp_path, name, damage, monkeypatch
):
    line.crown(0)
    reader.refresh()
    key = line.key(2, name)
    data = line.store.get(key).data
    line.store.delete(key)
    if damage == "changed":
        line.store.create(key, data[:-1] + bytes([data[-1] ^ 1]))
    monkeypatch.setattr(reader_module, "fill", lambda *_: pytest.fail("a row was written"))
    line.crown(2)
    done = reader.refresh()
    assert (done.how, "IntegrityError" in done.because) == ("full", True)
    assert holds(reader, line, 2, tmp_path)


def test_a_repeated_or_an_out_of_order_delta_is_refused_and_what_is_held_stays(line, reader, tmp_path, monkeypatch):
    line.crown(0)
    reader.refresh()
    line.crown(1)
    reader.refresh()
    for number in (1, 3):  # that of day 1 again; that of day 3 before that of day 2
        with pytest.raises(IntegrityError, match="leads on from"):
            reader._follow([line.releases[number]])
    assert holds(reader, line, 1, tmp_path)


def test_a_delta_that_breaks_off_leaves_nobody_a_mixture_and_the_release_is_loaded_in_full(line, reader, tmp_path, monkeypatch):
    line.crown(0)
    reader.refresh()

    def broken(bundle, delta):
        bundle.weights["embedding"][:2] = 7.0
        raise MemoryError("amid the rows")

    monkeypatch.setattr(reader_module, "fill", broken)
    line.crown(1)
    done = reader.refresh()
    assert (done.how, "amid the rows" in done.because) == ("full", True)
    assert holds(reader, line, 1, tmp_path)


def test_a_reader_whose_delta_broke_off_scores_nothing_until_the_store_gives_it_a_whole_release(
    line, reader, tmp_path, monkeypatch
):
    line.crown(0)
    reader.refresh()
    load = reader._load

    def unreachable(_manifest):
        raise StoreUnavailableError("no connection")

    def broken(*_):
        raise MemoryError

    monkeypatch.setattr(reader_module, "fill", broken)
    monkeypatch.setattr(reader, "_load", unreachable)
    line.crown(1)
    with pytest.raises(StoreUnavailableError):
        reader.refresh()
    with pytest.raises(UsageError, match="holds no model"), reader.model():
        pass
    monkeypatch.setattr(reader, "_load", load)
    assert reader.refresh().how == "full"
    assert holds(reader, line, 1, tmp_path)


def test_a_reader_goes_on_with_what_it_holds_while_the_store_is_away(line, reader, tmp_path, monkeypatch):
    line.crown(0)
    reader.refresh()

    def unreachable(*_):
        raise StoreUnavailableError("no connection")

    line.crown(1)
    with monkeypatch.context() as away:
        away.setattr(line.store, "download", unreachable)
        with pytest.raises(StoreUnavailableError):
            reader.refresh()
        assert holds_in(reader, line.releases[0])
    assert reader.refresh().how == "deltas"


def holds_in(reader: ModelReader, release: Manifest) -> bool:
    with reader.model() as held:
        return held.manifest == release


steps = st.lists(st.tuples(st.integers(0, DAYS - 1), st.sampled_from(["whole", "damaged", "breaks off"])), min_size=1, max_size=8)


@given(steps)
@settings(max_examples=25, deadline=None)
def test_whatever_champions_come_and_whatever_goes_wrong_a_refreshed_reader_holds_the_champion_bit_for_bit(published, drawn):
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        line = copied(published)
        reader = ModelReader(line.store, Trust({}, required=False), LIVE, Path(folder))
        for turn, (number, fate) in enumerate(drawn):
            if fate == "damaged" and number:
                line.store.objects[line.key(number, "delta/rows.safetensors")] = b"nothing of use"
            patch.setattr(reader_module, "fill", half if fate == "breaks off" else fill)
            line.crown(number)
            reader.refresh()
            scratch = Path(folder, str(turn))
            scratch.mkdir()
            assert holds(reader, line, number, scratch)


def half(bundle: Bundle, delta: Delta) -> None:
    """Writes one table, then breaks off."""
    fill(bundle, replace(delta, ids={"embedding": delta.ids["embedding"]}))
    raise MemoryError


def test_threads_that_score_while_deltas_are_applied_only_ever_see_whole_releases(line, reader, tmp_path):
    whole = [load_bundle(line.whole(n, tmp_path / str(n)), optimizer=False) for n in range(DAYS)]
    wanted = {line.releases[n].release_id: score_rows(bundle, EVERYTHING, CONTRACT) for n, bundle in enumerate(whole)}
    line.crown(0)
    reader.refresh()
    done = Event()

    def scoring() -> set[str]:
        seen = set()
        while not done.is_set():
            with reader.model() as held:
                own = held.bundle
                scored = scores(own, encode(EVERYTHING, own.vocabularies, own.quantiles, CONTRACT))
                assert np.array_equal(scored, wanted[held.manifest.release_id])
                seen.add(held.manifest.release_id)
        return seen

    with deterministic(1), ThreadPoolExecutor(4) as pool:
        threads = [pool.submit(scoring) for _ in range(4)]
        try:
            for _ in range(3):
                for day in range(DAYS):
                    line.crown(day)
                    reader.refresh()
        finally:
            done.set()
        assert len(set().union(*(thread.result(SOON_S) for thread in threads))) > 1


def test_while_one_scores_no_row_is_written_and_while_rows_are_written_nobody_scores(line, reader, monkeypatch):
    line.crown(0)
    reader.refresh()
    line.crown(1)
    writing, go_on = Event(), Event()

    def slow(bundle, delta):
        writing.set()
        assert go_on.wait(SOON_S)
        fill(bundle, delta)

    monkeypatch.setattr(reader_module, "fill", slow)
    with ThreadPoolExecutor(2) as pool:
        with reader.model() as held:
            refreshed = pool.submit(reader.refresh)
            assert not writing.wait(0.2)
            assert held.manifest == line.releases[0]
        assert writing.wait(SOON_S)
        scored = pool.submit(lambda: holds_in(reader, line.releases[1]))
        assert not scored.done()
        go_on.set()
        assert scored.result(SOON_S)
        assert refreshed.result(SOON_S).how == "deltas"


def test_who_wants_the_lock_alone_is_not_kept_out_by_those_who_come_later():
    lock, inside, alone, leave = SharedLock(), Event(), Event(), Event()

    def share(entered: Callable[[], None]) -> None:
        with lock.shared():
            entered()

    def claim() -> bool:
        with lock.alone():
            alone.set()
            return late.done()

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(share, lambda: (inside.set(), leave.wait(SOON_S)))
        assert inside.wait(SOON_S)
        claiming = pool.submit(claim)
        while not lock._claimed:
            pass
        late = pool.submit(share, lambda: None)
        assert not alone.is_set()
        leave.set()
        assert not claiming.result(SOON_S)
        first.result(SOON_S)
        late.result(SOON_S)
