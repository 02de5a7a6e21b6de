"""The bundle on disk and the forward pass by hand."""

from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from widedeep.data.contract import Column, Contract, Cross, Gate, Label, Model, SplitRule
from widedeep.errors import DiskFullError, IntegrityError
from widedeep.features.encoding import encode
from widedeep.features.growth import Vocabularies, grow
from widedeep.features.quantiles import Quantiles, fit
from widedeep.model.bundle import FILES, READER_FILES, Bundle, load_bundle, save_bundle
from widedeep.model.forward import scores
from widedeep.model.initial import initial
from widedeep.model.specification import Specification, optimizer_shapes, weight_shapes
from widedeep.publishing.transfer import full_disk_told

CONTRACT = Contract(
    name="hand",
    user="who",
    time="at",
    label=Label(column="y"),
    columns={
        "who": Column(type="string", role="categorical"),
        "tags": Column(type="list", role="multivalent"),
        "age": Column(type="number", role="numeric"),
        "at": Column(type="timestamp"),
        "y": Column(type="boolean"),
    },
    crosses=(Cross(of=("who", "tags")),),
    split=SplitRule(salt="s"),
    gate=Gate(margin=0.01),
    model=Model(embedding=2, hidden=(2,), quantiles=3),
)
LEARNT = pa.table({"who": ["ann"], "tags": [["x", "y"]], "age": [30.0], "at": [0], "y": [True]})


@pytest.fixture
def bundle() -> Bundle:
    """Rows: 0 tags OOV, 1 who OOV, 2 tags=x, 3 tags=y, 4 who=ann; crosses: 0 AND(ann, x), 1 AND(ann, y)."""
    vocabularies = grow(Vocabularies.empty(), LEARNT, CONTRACT, date(2026, 1, 1))
    specification = Specification.of(CONTRACT)
    weights = {
        "bias": torch.tensor([0.5]),
        "wide.values": torch.tensor([10.0, 20.0, 0.1, 0.2, 0.3]),
        "wide.crosses": torch.tensor([1.0, -0.4]),
        "embedding": torch.tensor([[8.0, 9.0], [6.0, 7.0], [1.0, 2.0], [3.0, 4.0], [5.0, -1.0]]),
        # Inputs: who (2), mean of tags (2), quantile of age, age is missing.
        "hidden.0.weight": torch.tensor([[1.0, 1.0, 0.5, -0.5, 2.0, 4.0], [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]),
        "hidden.0.bias": torch.tensor([0.25, 1.0]),
        "output.weight": torch.tensor([[0.1, 100.0]]),
    }
    state = {name: torch.zeros(shape) for name, shape in optimizer_shapes(specification, 5, 2).items()}
    return Bundle(specification, vocabularies, fit(Quantiles(), LEARNT, ("age",), 3), weights, state)


def logits(bundle: Bundle, rows: pa.Table) -> np.ndarray:
    p = scores(bundle, encode(rows, bundle.vocabularies, bundle.quantiles, CONTRACT))
    return np.log(p / (1 - p))


def test_the_forward_pass_gives_the_numbers_computed_by_hand(bundle):
    # who (5, -1), tags mean (2, 3), age 30 is in the last third: quantile 1.
    # hidden = relu(5 - 1 + 1 - 1.5 + 2 + 0.25, -5 + 1) = (5.75, 0); deep = 0.575
    # wide = 0.5 + 0.3 + 0.1 + 0.2 + 1.0 - 0.4 = 1.7
    np.testing.assert_allclose(logits(bundle, LEARNT), [1.7 + 0.575], rtol=1e-5)


def test_an_empty_bag_is_zeros_and_a_missing_number_its_own_input(bundle):
    rows = pa.table({"who": ["ann"], "tags": pa.array([[]], pa.list_(pa.string())), "age": pa.array([None], pa.float64())})
    # hidden = relu(5 - 1 + 4 + 0.25, ...) = (8.25, 0); wide = 0.5 + 0.3
    np.testing.assert_allclose(logits(bundle, rows), [0.8 + 0.825], rtol=1e-5)


def test_no_rows_give_no_scores(bundle):
    assert scores(bundle, encode(LEARNT.slice(0, 0), bundle.vocabularies, bundle.quantiles, CONTRACT)).shape == (0,)


def test_a_saved_bundle_is_read_back_equal_and_equal_bundles_are_equal_bytes(bundle, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_bundle(bundle, tmp_path / name)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == list(FILES)
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in FILES)
    back = load_bundle(tmp_path / "a", optimizer=True)
    assert (back.specification, back.vocabularies, back.quantiles) == (
        bundle.specification,
        bundle.vocabularies,
        bundle.quantiles,
    )
    for one, other in ((back.weights, bundle.weights), (back.optimizer, bundle.optimizer)):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[n], other[n]) for n in other)


def test_readers_need_no_file_that_only_training_needs(bundle, tmp_path):
    save_bundle(bundle, tmp_path)
    for name in set(FILES) - set(READER_FILES):
        (tmp_path / name).unlink()
    assert load_bundle(tmp_path, optimizer=False).optimizer is None
    with pytest.raises(IntegrityError, match=r"values_growth\.parquet"):
        load_bundle(tmp_path, optimizer=True)


def test_a_bundle_that_was_loaded_to_score_is_saved_as_the_same_readers_files(bundle, tmp_path):
    for name in ("whole", "read"):
        (tmp_path / name).mkdir()
    save_bundle(bundle, tmp_path / "whole")
    save_bundle(load_bundle(tmp_path / "whole", optimizer=False), tmp_path / "read")
    assert sorted(path.name for path in (tmp_path / "read").iterdir()) == list(READER_FILES)
    assert all((tmp_path / "whole" / name).read_bytes() == (tmp_path / "read" / name).read_bytes() for name in READER_FILES)


@pytest.mark.parametrize("optimizer", [True, False])
def test_tables_of_format_1_which_hold_everything_are_read_as_those_of_today(bundle, tmp_path, optimizer):
    save_bundle(bundle, tmp_path)
    today = load_bundle(tmp_path, optimizer=optimizer)
    for name in ("values", "crosses"):
        vocabulary = getattr(bundle.vocabularies, name)
        (tmp_path / f"{name}_growth.parquet").unlink()
        whole = pa.concat_tables([vocabulary.rows, vocabulary.waiting], promote_options="default")
        pq.write_table(whole, tmp_path / f"{name}.parquet")
    assert load_bundle(tmp_path, optimizer=optimizer).vocabularies == today.vocabularies


@pytest.mark.parametrize("name", READER_FILES)
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_missing_or_truncated_file_is_an_integrity_error(bundle, tmp_path, name, damage):
    save_bundle(bundle, tmp_path)
    if damage == "missing":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-9])
    with pytest.raises(IntegrityError, match="Nothing was loaded"):
        load_bundle(tmp_path, optimizer=False)


def test_a_disk_that_is_full_while_tensors_are_written_is_the_systems_own_error(bundle, tmp_path, monkeypatch):
    def full(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")  # on a full tmpfs

    monkeypatch.setattr("widedeep.model.bundle.save_file", full)
    with pytest.raises(DiskFullError, match="no space left"), full_disk_told(tmp_path / "model"):
        save_bundle(bundle, tmp_path)


def test_a_tensor_of_another_type_is_named_with_both_types(bundle, tmp_path):
    save_bundle(bundle, tmp_path)
    weights = load_file(tmp_path / "weights.safetensors")
    save_file(weights | {"embedding": weights["embedding"].double()}, tmp_path / "weights.safetensors")
    with pytest.raises(IntegrityError, match="embedding has type float64, wanted float32"):
        load_bundle(tmp_path, optimizer=False)


def test_a_feature_without_a_row_for_unknown_values_is_named(bundle, tmp_path):
    save_bundle(bundle, tmp_path)
    values = pq.read_table(tmp_path / "values.parquet")
    oov = pc.and_(values["oov"], pc.not_equal(values["feature"], "tags"))
    pq.write_table(values.set_column(2, "oov", oov), tmp_path / "values.parquet")
    with pytest.raises(IntegrityError, match="feature 'tags' has no row for unknown values, wanted one"):
        load_bundle(tmp_path, optimizer=False)


def test_tensors_that_do_not_fit_are_named_with_both_shapes(bundle, tmp_path):
    save_bundle(bundle, tmp_path)
    weights = load_file(tmp_path / "weights.safetensors")
    save_file(weights | {"embedding": torch.zeros(4, 2)}, tmp_path / "weights.safetensors")
    with pytest.raises(IntegrityError, match=r"embedding has shape \(4, 2\), wanted \(5, 2\)"):
        load_bundle(tmp_path, optimizer=False)
    with pytest.raises(IntegrityError, match=r"bias has shape None, wanted \(1,\)"):
        replace(bundle, weights={n: t for n, t in bundle.weights.items() if n != "bias"})


def test_initial_layers_do_not_depend_on_which_others_there_are(bundle):
    values = bundle.vocabularies.values
    shapes = weight_shapes(bundle.specification, 5, 2)
    one = initial("hidden.0.weight", shapes["hidden.0.weight"], values, 1)
    assert torch.equal(one, initial("hidden.0.weight", shapes["hidden.0.weight"], values, 1))
    assert not torch.equal(one, initial("hidden.0.weight", shapes["hidden.0.weight"], values, 2))
    assert torch.equal(initial("embedding", (5, 2), values, 1)[3:], initial("embedding", (5, 2), values, 1, rows=np.arange(3, 5)))
