"""Several processes that share the tables learn what one process learns, and the death of one changes no byte."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest
import torch

from widedeep.data.contract import Training
from widedeep.errors import TrainingError, UsageError
from widedeep.features.encoding import encode
from widedeep.model.bundle import load_bundle, save_bundle
from widedeep.training.distributed.coordinator import learn_in_processes
from widedeep.training.distributed.job import Job
from widedeep.training.distributed.machines import ALONE, PREFIX, Machines, remove_abandoned
from widedeep.training.loop import Chunk

RANK = "widedeep.training.distributed.rank"

pytestmark = pytest.mark.timeout(300)


def apart(processes, **changed):
    return Training(batch_size=16, engine="torchrec", processes=processes, **changed)


def tensors(bundle):
    return {**bundle.weights, **bundle.optimizer}


def ranks():
    """The processes that torchrun has started for this one, whichever of them are alive."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            command = process.cmdline()
            if RANK in command and "torch.distributed.run" not in command:
                found.append(process)
    return found


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


def learnt(begun, hear=lambda *_: None, machines=ALONE, **plan):
    bundle, chunks, training = begun
    copies = ({name: tensor.clone() for name, tensor in own.items()} for own in (bundle.weights, bundle.optimizer))
    weights, optimizer = copies
    copied = type(bundle)(bundle.specification, bundle.vocabularies, bundle.quantiles, weights, optimizer)
    return learn_in_processes(copied, chunks, training, hear, machines, **({"checkpoint_s": 0} | plan))


STRAIGHT = []


def straight(begun):
    """What two undisturbed ranks learn, and what is heard of it; learnt once, since `begun` is always the same."""
    if not STRAIGHT:
        heard = []
        STRAIGHT.append((learnt(begun, lambda *told: heard.append(told)), heard))
    return STRAIGHT[0]


def test_when_a_rank_dies_all_go_on_from_the_last_checkpoint_to_the_same_bytes(begun, caplog):
    again, killed = [], []

    def kill(rows, loss):
        again.append((rows, loss))
        if len(again) == 2 * 21 + 3:  # in the third chunk
            victim = ranks()[-1]
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    undisturbed, heard = straight(begun)
    disturbed = learnt(begun, kill)
    assert killed
    assert "go on from chunk 2" in caplog.text
    assert again == heard
    assert all(torch.equal(disturbed[name], tensor) for name, tensor in undisturbed.items())
    assert not ranks()


def test_ranks_that_die_again_and_again_are_told_and_nobody_is_left(begun):
    def kill(_rows, _loss):
        for rank in ranks()[:1]:
            os.kill(rank.pid, signal.SIGKILL)

    with pytest.raises(TrainingError, match=r"2 processes.*Signal 9 \(SIGKILL\).*Nothing was staged; try again"):
        learnt(begun, kill, restarts=0)
    assert not ranks()


def test_on_two_machines_that_share_a_folder_the_bytes_are_those_of_one(begun, tmp_path):
    command = [
        sys.executable,
        "-c",
        "from widedeep.cli import main; main()",
        "join",
        "--machines",
        "2",
        "--folder",
        str(tmp_path),
    ]
    with subprocess.Popen(command) as other:
        try:
            shared = learnt(begun, machines=Machines(2, tmp_path))
        finally:
            other.terminate()
    assert other.returncode == 0
    assert all(torch.equal(shared[name], tensor) for name, tensor in straight(begun)[0].items())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("machines", "told"),
    [(Machines(3), "processes is 2, and 3 machines .* can't share them evenly"), (Machines(2), "Set WIDEDEEP_TRAINING_FOLDER")],
)
def test_machines_that_can_not_share_are_told_before_anything_starts(begun, machines, told):
    with pytest.raises(UsageError, match=told):
        learnt(begun, machines=machines)


def test_what_killed_coordinators_left_is_removed_and_what_lives_is_not(tmp_path):
    left, alive = (Job(tmp_path / f"{PREFIX}{name}") for name in ("left", "alive"))
    for job in (left, alive):
        job.folder.mkdir()
        (job.folder / "job.json").write_text("{}")
    with alive.coordinated():
        with left.coordinated():
            pass
        remove_abandoned(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [alive.folder.name]
