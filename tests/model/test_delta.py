"""Laws of deltas: days of a small chain with admission, eviction, recycled rows and a cap, as readers follow it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.artifacts import FileRef, Lineage, Manifest, NumericProfile, Part
from widedeep.data.contract import Column, Contract, Cross, Gate, Label, Model, SplitRule, Training, VocabularyLimits
from widedeep.errors import IntegrityError
from widedeep.model.bundle import READER_FILES, Bundle, load_bundle, save_bundle
from widedeep.model.delta import applied, difference, require_fit, reshaped
from widedeep.model.delta_files import FOLDER, check_leads, load_delta, save_delta
from widedeep.model.scoring import score_rows
from widedeep.publishing.transfer import file_ref
from widedeep.training.candidate import train_candidate

START, DIGEST = date(2026, 1, 1), "0" * 64
PROFILE = NumericProfile(
    precision="float32",
    instruction_set="avx2",
    threads=1,
    engine="torch",
    torch="2",
    numpy="2",
    pandas="3",
    pyarrow="26",
    safetensors="0.8",
)

word = st.one_of(st.none(), st.sampled_from("abcdef"))
row = st.tuples(word, st.lists(word, max_size=3), st.one_of(st.none(), st.integers(0, 9)), st.booleans())
days = st.lists(st.tuples(st.integers(1, 3), st.lists(row, max_size=6)), min_size=2, max_size=6)
rules = st.builds(
    dict, min_count=st.integers(1, 2), evict=st.one_of(st.none(), st.integers(1, 3)), cap=st.none() | st.integers(60, 400)
)
parts = st.sampled_from([("wide", "deep"), ("wide",), ("deep",)])


def contract(rule: dict[str, int | None], parts: tuple[str, ...] = ("wide", "deep"), hidden: tuple[int, ...] = (3,)) -> Contract:
    return Contract(
        name="deltas",
        user="who",
        time="at",
        label=Label(column="bought"),
        columns={
            "who": Column(type="string", role="categorical", min_count=rule["min_count"]),
            "tags": Column(type="list", role="multivalent"),
            "age": Column(type="number", role="numeric", nullable=True),
            "at": Column(type="timestamp"),
            "bought": Column(type="boolean"),
        },
        crosses=(Cross(of=("who", "tags"), min_count=rule["min_count"]),),
        split=SplitRule(salt="s"),
        gate=Gate(margin=0.01),
        model=Model(embedding=2, hidden=hidden, parts=parts, quantiles=3),
        training=Training(batch_size=2),
        vocabulary=VocabularyLimits(evict_after_days=rule["evict"], max_bytes=rule["cap"]),
    )


PLAIN = {"min_count": 1, "evict": None, "cap": None}


def table(rows: list[tuple]) -> pa.Table:
    kinds = [pa.string(), pa.list_(pa.string()), pa.float64(), pa.bool_()]
    columns = [pa.array([r[i] for r in rows], kind) for i, kind in enumerate(kinds)]
    return pa.table([*columns, pa.array([0] * len(rows), pa.int64())], names=["who", "tags", "age", "bought", "at"])


def releases(drawn: list[tuple[int, list[tuple]]], rule: Contract, folder: Path) -> Iterator[Path]:
    """A folder per day with the day's bundle, each trained from the one before."""
    parent, span = None, START
    for number, (gap, rows) in enumerate(drawn):
        span += timedelta(days=gap)
        part = Part(span=span, version=1, digest=DIGEST, part="train")
        bundle, _ = train_candidate(parent, [(part, table(rows))], rule, 0, lambda _learnt, _total: None)
        own = folder / str(number)
        own.mkdir()
        save_bundle(bundle, own)
        parent = load_bundle(own, optimizer=True)
        yield own


def manifest(folder: Path, seed: int = 0) -> Manifest:
    """As if the folder were staged."""
    digests = dict.fromkeys(["split_digest", "contract_digest", "source_digest"], DIGEST)
    lineage = Lineage(span=START, parent=None, learnt=(), seed=seed, profile=PROFILE, **digests)
    return Manifest(release_id=lineage.release_id(), lineage=lineage, inherited=(), files=refs(folder))


def refs(folder: Path) -> tuple[FileRef, ...]:
    return tuple(file_ref(name, folder / name) for name in READER_FILES)


def delta_between(base: Path, target: Path) -> None:
    """The delta's files, in the target's folder."""
    found = difference(load_bundle(base, optimizer=False), load_bundle(target, optimizer=False))
    save_delta(found, manifest(base), refs(target), target)


def saved(bundle: Bundle, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    save_bundle(bundle, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def readers_bytes(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in READER_FILES}


@given(days, rules, parts)
@settings(max_examples=30, deadline=None)
def test_a_base_and_its_deltas_are_the_full_release_bit_for_bit_on_every_day(drawn, rule, parts):
    rules = contract(rule, parts)
    with TemporaryDirectory() as scratch:
        first, *later = releases(drawn, rules, Path(scratch))
        held, before = load_bundle(first, optimizer=False), first
        for own in later:
            delta_between(before, own)
            held, before = applied(held, load_delta(own)[1]), own
            assert saved(held, own / "read") == readers_bytes(own)
            rows = table([r for _, rows in drawn for r in rows])
            assert np.array_equal(score_rows(held, rows, rules), score_rows(load_bundle(own, optimizer=False), rows, rules))


MANY = [(1, [("a", ["x"], 1, True), ("b", ["y"], 2, False)]), (3, [("c", ["z"], 3, True)]), (3, [("a", ["x", "z"], None, False)])]


@pytest.fixture
def chain(tmp_path: Path) -> list[Path]:
    """Three days in which rows are recycled, and crosses given up."""
    rule = contract(PLAIN | {"evict": 2, "cap": 56 + 4 * 28 + 24})
    folders = list(releases(MANY, rule, tmp_path))
    for before, after in pairwise(folders):
        delta_between(before, after)
    return folders


def test_the_days_of_the_chain_recycle_rows_and_give_some_up(chain):
    changes = [load_delta(own)[1] for own in chain[1:]]
    assert any((delta.values.rows["generation"].to_numpy() > 0).any() for delta in changes)
    assert any(delta.crosses.rows["feature"].null_count for delta in changes)


def test_equal_deltas_are_equal_bytes(chain, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    found = difference(load_bundle(chain[0], optimizer=False), load_bundle(chain[1], optimizer=False))
    save_delta(found, manifest(chain[0]), refs(chain[1]), again)
    names = sorted(path.name for path in (chain[1] / FOLDER).iterdir())
    assert names == sorted(path.name for path in (again / FOLDER).iterdir())
    assert all((again / FOLDER / name).read_bytes() == (chain[1] / FOLDER / name).read_bytes() for name in names)


def test_a_delta_holds_only_rows_that_differ_and_no_optimizers_state(chain):
    base, target = (load_bundle(own, optimizer=False) for own in chain[:2])
    delta = load_delta(chain[1])[1]
    assert delta.weights.keys() == target.weights.keys()
    for name, ids in delta.ids.items():
        known = ids[ids < len(base.weights[name])].long()
        differs = base.weights[name][known] != target.weights[name][known]
        assert differs.unsqueeze(1).flatten(1).any(1).all()


def test_what_differs_in_the_sign_of_zero_alone_is_touched(chain):
    base = load_bundle(chain[0], optimizer=False)
    flipped = base.weights["wide.values"].clone()
    flipped[2], base.weights["wide.values"][2] = -0.0, 0.0
    delta = difference(base, replace(base, weights={**base.weights, "wide.values": flipped}))
    assert delta.ids["wide.values"].tolist() == [2]
    assert torch.signbit(applied(base, delta).weights["wide.values"][2])


def test_the_base_stays_as_it_is(chain):
    base = load_bundle(chain[0], optimizer=False)
    applied(base, load_delta(chain[1])[1])
    assert all(torch.equal(base.weights[n], t) for n, t in load_bundle(chain[0], optimizer=False).weights.items())


def test_a_delta_leads_on_from_its_base_alone_and_to_its_target_alone(chain):
    first, second, third = (manifest(own) for own in chain)
    header = load_delta(chain[1])[0]
    check_leads(header, first, second)
    for held, wanted in ((second, second), (third, second), (manifest(chain[0], seed=1), second), (first, third)):
        with pytest.raises(IntegrityError, match="load the release in full"):
            check_leads(header, held, wanted)


def test_a_delta_that_does_not_fit_is_refused_in_words_before_anything_is_changed(chain):
    base, (_, delta) = load_bundle(chain[0], optimizer=False), load_delta(chain[1])
    ids = delta.ids["embedding"]
    for changed, told in (
        ({"ids": {**delta.ids, "embedding": ids.flip(0)}}, "not ascending"),
        ({"ids": {**delta.ids, "embedding": ids + 100}}, "not ascending"),
        ({"ids": {**delta.ids, "embedding": ids[:-1]}}, "row numbers for rows"),
        ({"weights": {n: t for n, t in delta.weights.items() if n != "bias"}}, "has tensors"),
        ({"values": replace(delta.values, sizes=(delta.values.sizes[0], delta.values.sizes[1] + 1))}, "lack new ones"),
        ({"values": replace(delta.values, sizes=(1, delta.values.sizes[1]))}, "leads on from 1 values"),
        ({"specification": delta.specification.model_copy(update={"hidden": (4,)})}, "another hidden"),
    ):
        with pytest.raises(IntegrityError, match=told):
            require_fit(base, replace(delta, **changed))


def test_a_changed_shape_is_named_and_another_span_is_none(tmp_path):
    one, other = (contract(PLAIN), contract(PLAIN, hidden=(4,)))
    base, target = next(releases(MANY, one, tmp_path)), tmp_path / "other"
    target.mkdir()
    bundles = [load_bundle(own, optimizer=False) for own in (base, next(releases(MANY, other, target)))]
    assert reshaped(bundles[0].specification, bundles[1].specification) == ["hidden"]
    assert reshaped(bundles[0].specification, bundles[0].specification.model_copy(update={"learnt_until": START})) == []


@pytest.mark.parametrize("name", ["delta.json", "rows.safetensors", "values.parquet", "crosses.parquet", "specification.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_missing_or_truncated_file_of_a_delta_is_an_integrity_error(chain, name, damage):
    path = chain[1] / FOLDER / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(IntegrityError, match="Nothing was loaded"):
        load_delta(chain[1])
