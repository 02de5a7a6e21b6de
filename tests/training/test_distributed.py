"""Several processes that share the tables learn what one process learns, and the death of one changes no byte."""

import os
import signal

import psutil
import pytest
import torch

from widedeep.data.contract import Training
from widedeep.errors import TrainingError
from widedeep.features.encoding import encode
from widedeep.model.bundle import load_bundle, save_bundle
from widedeep.training.distributed import coordinator
from widedeep.training.distributed.coordinator import learn_in_processes
from widedeep.training.loop import Chunk

pytestmark = pytest.mark.timeout(300)


def apart(processes, **changed):
    return Training(batch_size=16, engine="torchrec", processes=processes, **changed)


def tensors(bundle):
    return {**bundle.weights, **bundle.optimizer}


def ranks():
    """The processes that torchrun has started for this one, whichever of them are alive."""
    own = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    return [p for p in own if "widedeep.training.distributed.rank" in p.cmdline() and "torch.distributed.run" not in p.cmdline()]


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.soak)])
def test_a_chain_of_both_engines_is_that_of_one(processes, make_contract, make_rows, learn, tmp_path):
    """Day 0 here, day 1 apart, day 2 here again: stored in between, and the same but for the order of sums."""
    local, shared = make_contract(), make_contract(training=apart(processes))
    alone = changing = None
    for day, contract in enumerate((local, shared, local)):
        rows = {day: make_rows(day, 150 + day)}  # a last batch with fewer rows than ranks
        alone, wanted = learn(alone, local, rows)
        changing, report = learn(changing, contract, rows)
        folder = tmp_path / str(day)
        folder.mkdir()
        save_bundle(changing, folder)
        changing = load_bundle(folder, optimizer=True)
        assert report.log_loss == pytest.approx(wanted.log_loss, abs=1e-5)
        assert (report.rows, report.steps) == (wanted.rows, wanted.steps)
    for name, tensor in tensors(alone).items():
        torch.testing.assert_close(
            tensors(changing)[name], tensor, rtol=1e-4, atol=1e-5, msg=lambda told, name=name: f"{name}: {told}"
        )


@pytest.fixture
def begun(make_contract, make_rows, learn):
    """A bundle that knows the rows of day 0, and those of day 1 as chunks to learn."""
    contract = make_contract(training=apart(2))
    bundle, _ = learn(None, make_contract(), {0: make_rows(0)})
    encoded = [encode(make_rows(day, 330), bundle.vocabularies, bundle.quantiles, contract) for day in (0, 0, 0)]
    return bundle, [Chunk(each, seed) for seed, each in enumerate(encoded)], contract.training


def learnt(begun, hear=lambda *_: None):
    bundle, chunks, training = begun
    copies = ({name: tensor.clone() for name, tensor in own.items()} for own in (bundle.weights, bundle.optimizer))
    weights, optimizer = copies
    copied = type(bundle)(bundle.specification, bundle.vocabularies, bundle.quantiles, weights, optimizer)
    return learn_in_processes(copied, chunks, training, hear, checkpoint_s=0)


def test_when_a_rank_dies_all_go_on_from_the_last_checkpoint_to_the_same_bytes(begun, caplog):
    heard, again, killed = [], [], []

    def kill(rows, loss):
        again.append((rows, loss))
        if len(again) == 2 * 21 + 3:  # in the third chunk
            victim = ranks()[-1]
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    undisturbed = learnt(begun, lambda *told: heard.append(told))
    disturbed = learnt(begun, kill)
    assert killed
    assert "go on from chunk 2" in caplog.text
    assert again == heard
    assert all(torch.equal(disturbed[name], tensor) for name, tensor in undisturbed.items())
    assert not ranks()


def test_ranks_that_die_again_and_again_are_told_and_nobody_is_left(begun, monkeypatch):
    monkeypatch.setattr(coordinator, "RESTARTS", 0)

    def kill(_rows, _loss):
        for rank in ranks()[:1]:
            os.kill(rank.pid, signal.SIGKILL)

    with pytest.raises(TrainingError, match=r"2 processes.*Signal 9 \(SIGKILL\).*Nothing was staged; try again"):
        learnt(begun, kill)
    assert not ranks()
