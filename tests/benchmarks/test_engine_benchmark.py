"""The comparison is fair only if every side reads the same rows and is scored alike."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.engine import criteo
from benchmarks.engine.arrays import Data
from benchmarks.engine.contract import load_encoded
from benchmarks.engine.gpu import least_bytes_per_example
from benchmarks.engine.measure import auc
from benchmarks.engine.plan import FULL, SIDES, WARM_UP, turns
from benchmarks.engine.preparation import prepare
from benchmarks.engine.report import flops_per_example
from benchmarks.engine.sides import ours, stock, stock_sparse

LEARNT, HELD_OUT = 1500, 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("engine")
    prepare(made, LEARNT, HELD_OUT)
    return made


@pytest.mark.parametrize("part", ["learnt", "held_out"])
def test_peers_read_the_values_and_crosses_that_our_side_reads(folder: Path, part: str):
    data, encoded = Data.load(folder / "peers"), load_encoded(folder / "ours" / part)
    peers = getattr(data, part)
    for column in range(len(data.sizes)):
        pairs = set(zip(peers.ids[:, column].tolist(), encoded.rows[:, column].tolist(), strict=True))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    for row in range(0, len(encoded), 7):
        entries = encoded.wide.flat[encoded.wide.offsets[row] : encoded.wide.offsets[row + 1]]
        known = [start + x - 1 for start, x in zip(_starts(data), peers.crosses[row].tolist(), strict=True) if x]
        assert sorted(entries[entries >= encoded.sizes[0]] - encoded.sizes[0]) == sorted(known)
    np.testing.assert_array_equal(peers.labels, encoded.labels)


def _starts(data: Data) -> list[int]:
    return [0, *np.cumsum([size - 1 for size in data.cross_sizes[:-1]]).tolist()]


def test_an_id_of_every_peer_fits_its_table(folder: Path):
    data = Data.load(folder / "peers")
    assert (data.learnt.ids.max(0) == np.array(data.sizes) - 1).all()
    assert (data.learnt.crosses.max(0) == np.array(data.cross_sizes) - 1).all()
    assert (data.held_out.ids.max(0) < np.array(data.sizes)).all()
    assert data.learnt.ids.min() == 1, "a value of the learnt rows is never out of vocabulary"
    assert data.held_out.ids.min() == 0


def test_the_roomy_vocabulary_is_ten_times_as_large_and_meets_the_same_values(folder: Path):
    plain, roomy = (load_encoded(folder / place / "ours" / "learnt") for place in (".", "roomy"))
    assert 9.9 < roomy.sizes[0] / plain.sizes[0] < 10.1
    for a, b in zip(plain.rows.T, roomy.rows.T, strict=True):
        assert len(set(a.tolist())) == len(set(zip(a.tolist(), b.tolist(), strict=True)))


def test_dense_and_sparse_gradients_of_stock_torch_learn_the_same_model(folder: Path):
    dense, sparse = (side.make(folder, "float32", 256) for side in (stock, stock_sparse))
    before = dense.scores()
    for side in (dense, sparse):
        side.learn(0, 512)
    np.testing.assert_allclose(dense.scores(), sparse.scores(), atol=1e-4)
    assert np.abs(dense.scores() - before).max() > 0.01


def test_our_side_learns_every_batch_and_times_them_apart(folder: Path):
    side = ours.make(folder, "float32", 256)
    before = side.scores()
    side.learn(0, 1024)
    assert side.steps_s > 0
    assert np.abs(side.scores() - before).max() > 0.01


def test_equal_seeds_give_equal_rows():
    rows = criteo.rows(50, 3)
    assert rows.equals(criteo.rows(50, 3))
    assert not rows.equals(criteo.rows(50, 4))


def test_area_under_the_curve_counts_a_tie_as_half():
    scores, labels = np.array([0.1, 0.4, 0.4, 0.8, 0.8, 0.9]), np.array([0, 1, 0, 1, 0, 0], np.float32)
    pairs = [(p > n) + (p == n) / 2 for p in scores[labels > 0] for n in scores[labels == 0]]
    assert auc(scores, labels)["auc"] == pytest.approx(np.mean(pairs))


def test_work_of_a_step_is_three_products_a_layer_less_the_gradient_of_what_is_not_embedded():
    layers = [(858, 1024), (1024, 512), (512, 256), (256, 1)]
    forward_and_weights = 2 * sum(2 * a * b for a, b in layers)
    inputs = 2 * (832 * 1024 + 1024 * 512 + 512 * 256 + 256)
    assert flops_per_example(858, 832) == forward_and_weights + inputs


def test_every_side_has_its_turn_in_every_round_and_the_first_is_scored_on_equal_rows():
    planned = list(turns(FULL))
    for n in range(FULL.rounds):
        for batch in (256, 4096):
            own = [t for t in planned if (t.round, t.batch, t.roomy) == (n, batch, False)]
            assert [(t.side.name, t.precision) for t in own] == [(s.name, p) for s in SIDES for p in s.precisions]
            assert all(t.rows + WARM_UP * batch <= FULL.learnt for t in own)
            assert n or len({t.rows for t in own if t.scored}) == 1 == len({t.scored for t in own})


def test_the_least_traffic_of_a_step_counts_a_row_that_several_examples_share_once(folder: Path):
    one = load_encoded(folder / "ours" / "learnt").take(np.zeros(1, np.int64))
    twice = load_encoded(folder / "ours" / "learnt").take(np.zeros(2, np.int64))
    tables = 5 * 26 * 32 * 4 + 7 * len(one.wide.flat) * 4
    layers = (858 * 1024 + 1024 * 512 + 512 * 256 + 256) * (16 + 8)
    activations = 4 * (858 + 1024 + 512 + 256 + 1) * 2
    assert least_bytes_per_example(one, 1, 2) == tables + layers + activations
    assert least_bytes_per_example(twice, 2, 2) == (tables + layers) / 2 + activations
