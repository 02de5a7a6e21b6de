"""One step of the joint loop against a dense, independent one; what a pass may and may not touch."""

from dataclasses import replace

import numba
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import safetensors
import torch
from llvmlite.binding import get_host_cpu_name
from torch.utils._python_dispatch import TorchDispatchMode

from widedeep.data.contract import AdaGrad, Column, Ftrl, Model, Training, VocabularyLimits
from widedeep.errors import IntegrityError, UsageError
from widedeep.features.encoding import encode
from widedeep.model import scoring
from widedeep.model.bundle import load_bundle, save_bundle
from widedeep.model.forward import scores, wide_logits
from widedeep.model.scoring import score_rows
from widedeep.training import device
from widedeep.training.candidate import TrainingReport
from widedeep.training.loop import retrain
from widedeep.training.profile import numeric_profile


def silent(_rows, _loss):
    pass


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def read(bundle, rows, contract):
    return encode(rows, bundle.vocabularies, bundle.quantiles, contract)


def dense_probabilities(weights, batch):
    """The whole model written down densely, without tables, bags or segments."""
    logits = []
    for i in range(len(batch)):
        embedded = [weights["embedding"][row] for row in batch.rows[i]]
        for bag in batch.bags:
            entries = bag.slice(i, i + 1).flat
            embedded.append(weights["embedding"][entries].mean(0) if len(entries) else torch.zeros(weights["embedding"].shape[1]))
        x = torch.cat([*embedded, torch.from_numpy(batch.dense[i])])
        for layer in range(2):
            x = torch.clamp(weights[f"hidden.{layer}.weight"] @ x + weights[f"hidden.{layer}.bias"], min=0)
        wide = torch.cat([weights["wide.values"], weights["wide.crosses"]])
        logits.append(
            weights["bias"][0] + (weights["output.weight"] @ x)[0] + sum(wide[e] for e in batch.wide.slice(i, i + 1).flat)
        )
    return torch.stack(logits)


@pytest.mark.parametrize("clip_l1", [0.0, 0.5])
def test_one_step_is_joint_training_of_the_dense_model(make_contract, make_rows, learn, clip_l1):
    settings = Training(batch_size=64, ftrl=Ftrl(alpha=0.1, l1=clip_l1, l2=0.3), adagrad=AdaGrad(learning_rate=0.02))
    contract = make_contract(training=settings)
    parent, _ = learn(None, contract, {0: make_rows(0)})
    batch = read(parent, make_rows(0, count=40), contract)
    after = retrain(parent, batch, settings, 0, silent)

    leaves = {n: t.clone().double().requires_grad_() for n, t in parent.weights.items()}
    labels = torch.from_numpy(batch.labels.copy())
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        dense_probabilities({n: t.float() for n, t in leaves.items()}, batch), labels, reduction="sum"
    )
    loss.backward()
    for name, leaf in leaves.items():
        old = {
            s: parent.optimizer[f"{name}.{s}"].double().numpy()
            for s in ("z", "n", "accumulator")
            if f"{name}.{s}" in parent.optimizer
        }
        weights, gradient = leaf.detach().numpy(), leaf.grad.numpy()
        if "n" in old:
            l1 = 0.0 if name == "bias" else clip_l1
            n = old["n"] + gradient**2
            z = old["z"] + gradient - (np.sqrt(n) - np.sqrt(old["n"])) / 0.1 * weights
            wanted = np.where(np.abs(z) <= l1, 0, -(z - np.sign(z) * l1) / ((1 + np.sqrt(n)) / 0.1 + 0.3))
            wanted = np.where(gradient == 0, weights, wanted)
        else:
            rate = 0.05 if name == "embedding" else 0.02
            mean = gradient / len(batch)
            wanted = weights - rate * mean / (np.sqrt(old["accumulator"] + mean**2) + 1e-8)
        np.testing.assert_allclose(after.weights[name].numpy(), wanted, rtol=2e-4, atol=2e-5, err_msg=name)


def test_scores_are_the_dense_models_and_do_not_depend_on_the_rows_around(make_contract, make_rows, learn):
    contract = make_contract()
    bundle, _ = learn(None, contract, {0: make_rows(0)})
    batch = read(bundle, make_rows(1, count=700), contract)
    together = scores(bundle, batch)
    wanted = torch.sigmoid(dense_probabilities(bundle.weights, batch).double()).numpy()
    np.testing.assert_allclose(together, wanted, atol=1e-6)
    alone = np.concatenate([scores(bundle, batch.slice(i, i + 1)) for i in range(40)])
    np.testing.assert_allclose(alone, together[:40], atol=1e-6, rtol=0)


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor had that was made meanwhile."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.numbers = max(self.numbers, made.numel())
        return made


def test_scoring_a_few_rows_copies_no_table_and_gives_the_bits_of_the_joined_one(make_contract, make_rows, learn):
    contract = make_contract(model=Model(embedding=4, hidden=(8,), parts=("wide",), quantiles=4))
    bundle, _ = learn(None, contract, {day: make_rows(day, count=2000, new_users=True) for day in range(20)})
    batch = read(bundle, make_rows(0, count=10), contract)
    assert (batch.wide.flat >= batch.sizes[0]).any()
    with Largest() as made:
        scored = scores(bundle, batch)
    assert 0 < made.numbers <= 2 * len(batch.wide.flat) < min(batch.sizes)
    joined = torch.cat([bundle.weights["wide.values"], bundle.weights["wide.crosses"]])
    logits = wide_logits(joined, torch.from_numpy(batch.wide.flat), torch.from_numpy(batch.wide.row_of()), len(batch))
    assert np.array_equal(scored, torch.sigmoid((bundle.weights["bias"] + logits).double()).numpy())


def test_the_parents_tensors_are_never_written_to(make_contract, make_rows, learn):
    contract = make_contract()
    parent, _ = learn(None, contract, {0: make_rows(0)})
    before = {n: t.clone() for n, t in (parent.weights | parent.optimizer).items()}
    children = [
        retrain(parent, read(parent, make_rows(0), contract), contract.training, 0, silent),
        learn(parent, contract, {1: make_rows(0)})[0],  # whose vocabulary does not grow
        learn(parent, contract, {1: make_rows(3)})[0],
    ]
    assert equal(dict(parent.weights | parent.optimizer), before)
    assert not any(torch.equal(child.weights["embedding"][:5], parent.weights["embedding"][:5]) for child in children)


def test_rows_of_values_that_do_not_occur_stay_bit_identical(make_contract, make_rows, learn):
    contract = make_contract()
    parent, _ = learn(None, contract, {0: make_rows(0)})
    batch = read(parent, make_rows(0, count=3), contract)
    child = retrain(parent, batch, contract.training, 0, silent)
    touched = np.unique(np.concatenate([batch.rows.ravel(), *(bag.flat for bag in batch.bags)]))
    others = np.setdiff1d(np.arange(len(parent.vocabularies.values)), touched)
    assert len(others) > 0
    for name in ("embedding", "wide.values"):
        assert torch.equal(child.weights[name][others], parent.weights[name][others])
    assert not torch.equal(child.weights["embedding"][touched], parent.weights["embedding"][touched])


def test_equal_inputs_give_equal_bytes_and_another_seed_other_ones(make_contract, make_rows, learn, tmp_path):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        (tmp_path / name).mkdir()
        bundle, report = learn(None, make_contract(), {0: make_rows(0), 1: make_rows(1)}, seed=seed)
        save_bundle(bundle, tmp_path / name)
        (tmp_path / name / "report").write_bytes(report.to_bytes())
    files = {name: {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in "abc"}
    assert files["a"] == files["b"]
    assert files["a"]["weights.safetensors"] != files["c"]["weights.safetensors"]


def test_saving_and_loading_between_spans_is_bit_identical_to_never_having_stopped(make_contract, make_rows, learn, tmp_path):
    contract = make_contract()
    first, _ = learn(None, contract, {0: make_rows(0)})
    save_bundle(first, tmp_path)
    reloaded = load_bundle(tmp_path, optimizer=True)
    straight, _ = learn(first, contract, {1: make_rows(1)})
    stopped, _ = learn(reloaded, contract, {1: make_rows(1)})
    assert equal(dict(stopped.weights | stopped.optimizer), dict(straight.weights | straight.optimizer))
    assert (stopped.vocabularies, stopped.quantiles) == (straight.vocabularies, straight.quantiles)


@pytest.mark.parametrize(("parts", "absent"), [(("wide",), "embedding"), (("deep",), "wide.values")])
def test_wide_only_and_deep_only_are_the_same_code(make_contract, make_rows, learn, parts, absent):
    contract = make_contract(model=Model(embedding=4, hidden=(8,), parts=parts, quantiles=4))
    first, _ = learn(None, contract, {0: make_rows(0)})
    second, report = learn(first, contract, {1: make_rows(1)})
    assert absent not in second.weights
    assert report.warm_start.initialised == ()
    assert np.isfinite(scores(second, read(second, make_rows(2), contract))).all()


def test_rows_are_given_to_the_wide_part_of_the_model_that_reads_them_whatever_the_contract_says(make_contract, make_rows, learn):
    both, deep = make_contract(), make_contract(model=Model(embedding=4, hidden=(8,), parts=("deep",), quantiles=4))
    champion, candidate = (learn(None, contract, {0: make_rows(0)})[0] for contract in (both, deep))
    assert read(candidate, make_rows(1), deep).slice(3, 9).take([2, 0]).wide.offsets.tolist() == [0, 0, 0]
    assert not len(read(candidate, make_rows(1), both).wide.flat)
    assert np.array_equal(score_rows(champion, make_rows(1), deep), score_rows(champion, make_rows(1), both))


def test_learning_lowers_the_loss(make_contract, make_rows, learn):
    contract = make_contract()
    _, report = learn(None, contract, {day: make_rows(day, count=400) for day in range(6)})
    assert report.parts[-1].log_loss < report.parts[0].log_loss - 0.05


def test_rows_encoded_by_other_vocabularies_or_without_labels_are_refused(make_contract, make_rows, learn):
    contract = make_contract()
    first, _ = learn(None, contract, {0: make_rows(0)})
    second, _ = learn(first, contract, {1: make_rows(1)})
    with pytest.raises(IntegrityError, match="bundle's own vocabularies"):
        scores(first, read(second, make_rows(0), contract))
    with pytest.raises(IntegrityError, match="bundle's own vocabularies"):
        retrain(first, read(second, make_rows(0), contract), contract.training, 0, silent)
    with pytest.raises(IntegrityError, match="no labels"):
        retrain(first, read(first, make_rows(0).drop_columns("bought"), contract), contract.training, 0, silent)


def test_a_bundle_loaded_to_score_cannot_be_trained(make_contract, make_rows, learn, tmp_path):
    contract = make_contract()
    save_bundle(learn(None, contract, {0: make_rows(0)})[0], tmp_path)
    with pytest.raises(UsageError, match="optimizer=True"):
        learn(load_bundle(tmp_path, optimizer=False), contract, {1: make_rows(1)})


def test_torchs_switches_are_put_back(make_contract, make_rows, learn):
    threads = torch.get_num_threads()
    learn(None, make_contract(training=Training(threads=threads + 1)), {0: make_rows(0)})
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_model_that_diverges_is_a_candidate_with_a_report_for_the_gate_to_refuse(make_contract, make_rows, learn, tmp_path):
    wild = AdaGrad(learning_rate=1e12, embedding_learning_rate=1e12)
    contract = make_contract(model=Model(embedding=4, hidden=(8, 8, 8, 8)), training=Training(batch_size=8, adagrad=wild))
    bundle, report = learn(None, contract, {0: make_rows(0), 1: make_rows(1)})
    assert report.log_loss is None
    assert TrainingReport.from_bytes(report.to_bytes()) == report
    save_bundle(bundle, tmp_path)
    assert not np.isfinite(score_rows(bundle, make_rows(0), contract)).all()


def test_scores_are_computed_with_the_contracts_threads_whatever_the_process_uses(make_contract, make_rows, learn, monkeypatch):
    contract = make_contract()
    bundle, _ = learn(None, contract, {0: make_rows(0)})
    seen = []

    def spy(*arguments):
        seen.append((torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()))
        return scores(*arguments)

    monkeypatch.setattr(scoring, "scores", spy)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        score_rows(bundle, make_rows(0), contract)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [(1, True)]


def test_the_profile_names_every_library_that_shapes_a_payloads_bytes():
    profile = numeric_profile(Training(threads=3))
    assert (profile.threads, profile.torch) == (3, torch.__version__)
    assert (profile.numpy, profile.pandas, profile.pyarrow) == (np.__version__, pd.__version__, pa.__version__)
    assert (profile.numba, profile.safetensors) == (numba.__version__, safetensors.__version__)


def test_rows_encoded_before_a_row_was_passed_on_are_refused(make_contract, make_rows, learn):
    contract = make_contract(vocabulary=VocabularyLimits(evict_after_days=1))
    parent, _ = learn(None, contract, {0: make_rows(0, new_users=True)})
    child, _ = learn(parent, contract, {40: make_rows(0)})
    stale = replace(read(parent, make_rows(0), contract), sizes=read(child, make_rows(0), contract).sizes)
    assert child.vocabularies.values.passed_on > 0
    with pytest.raises(IntegrityError, match="passed"):
        scores(child, stale)


def test_training_in_bfloat16_is_near_that_in_float32_and_not_the_same(make_contract, make_rows, learn):
    one, other = (
        learn(None, make_contract(training=Training(batch_size=16, precision=precision)), {0: make_rows(0, count=400)})[0]
        for precision in ("float32", "bfloat16")
    )
    torch.testing.assert_close(other.weights["hidden.0.weight"], one.weights["hidden.0.weight"], rtol=0, atol=0.05)
    assert not torch.equal(other.weights["hidden.0.weight"], one.weights["hidden.0.weight"])
    assert {t.dtype for t in (other.weights | other.optimizer).values()} == {torch.float32}


def test_what_the_process_was_set_to_changes_no_byte(make_contract, make_rows, learn):
    contract, rows = make_contract(), {0: make_rows(0, count=100)}
    wanted, _ = learn(None, contract, rows)
    before = torch.get_num_threads(), torch.get_default_dtype(), torch.get_float32_matmul_precision()
    torch.set_num_threads(2)
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    try:
        found, _ = learn(None, contract, rows)
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_num_threads(before[0])
        torch.set_default_dtype(before[1])
        torch.set_float32_matmul_precision(before[2])
    assert equal(dict(found.weights | found.optimizer), dict(wanted.weights | wanted.optimizer))


def test_training_runs_with_the_contracts_threads_and_deterministic_algorithms(make_contract, make_rows, learn):
    seen = set()
    contract = make_contract(training=Training(threads=2))
    bundle, _ = learn(None, contract, {0: make_rows(0)})

    def spy(_rows, _loss):
        seen.add((torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()))

    retrain(bundle, read(bundle, make_rows(0), contract), contract.training, 0, spy)
    assert seen == {(2, True)}


def test_rows_are_learnt_in_an_order_that_the_seed_draws(make_contract, make_rows, learn):
    contract = make_contract()
    parent, _ = learn(None, contract, {0: make_rows(0)})
    batch = read(parent, make_rows(0), contract)
    losses = []
    for seed in (1, 2):
        heard = []
        retrain(parent, batch, contract.training, seed, lambda _rows, loss, heard=heard: heard.append(loss))
        losses.append(heard)
    assert losses[0][0] != losses[1][0], "the first batches hold other rows"


def test_the_profile_tells_processors_apart_as_onednn_does(monkeypatch):
    plain = numeric_profile(Training()).instruction_set
    assert get_host_cpu_name() in plain
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert numeric_profile(Training()).instruction_set != plain


def test_a_precision_that_the_processor_lacks_is_refused_in_words(monkeypatch):
    def fails(*_arguments):
        raise RuntimeError("could not create a primitive descriptor")

    monkeypatch.setattr(device, "linear", fails)
    with pytest.raises(UsageError, match=r"bfloat16, which the cpu here.*float32"):
        numeric_profile(Training(precision="bfloat16"))
    numeric_profile(Training())


def test_huge_integers_are_numbers_and_weights_like_others(make_contract, make_rows, learn):
    columns = dict(make_contract().columns) | {
        "seen_ns": Column(type="integer", role="numeric"),
        "w": Column(type="integer", role="weight"),
    }
    rows = make_rows(0).append_column("seen_ns", pa.array([1_763_000_000_000_000_001 + i for i in range(60)]))
    rows = rows.append_column("w", pa.array([16_777_217] + [1] * 59))
    bundle, _ = learn(None, make_contract(columns=columns), {0: rows})
    assert np.isfinite(score_rows(bundle, rows, make_contract(columns=columns))).all()
