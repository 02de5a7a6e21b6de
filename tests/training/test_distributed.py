"""Several processes that share the tables learn what one process learns, and the death of one changes no byte."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache, partial
from itertools import count
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
import torch

from widedeep.data.contract import Column, Model, Training
from widedeep.errors import TrainingError, UsageError
from widedeep.features.bags import Bag
from widedeep.features.encoding import EncodedBatch, encode
from widedeep.model.bundle import load_bundle, save_bundle
from widedeep.training.distributed import coordinator
from widedeep.training.distributed.coordinator import learn_in_processes
from widedeep.training.distributed.job import LOCK, Job
from widedeep.training.distributed.machines import ALONE, PREFIX, Machines, remove_abandoned
from widedeep.training.loop import Chunk
from widedeep.training.profile import numeric_profile

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
        rows = {day: make_rows(day, 161)}  # in the last batch some ranks have no row
        alone, wanted = learn(alone, local, rows)
        changing, report = learn(changing, contract, rows)
        folder = tmp_path / str(day)
        folder.mkdir()
        save_bundle(changing, folder)
        changing = load_bundle(folder, optimizer=True)
        assert report.log_loss == pytest.approx(wanted.log_loss, abs=1e-5)
        assert (report.rows, report.steps) == (wanted.rows, wanted.steps)
    assert_close(changing, alone)


def assert_close(bundle, wanted, within=1e-4):
    assert tensors(bundle).keys() == tensors(wanted).keys()
    for name, tensor in tensors(wanted).items():
        torch.testing.assert_close(
            tensors(bundle)[name], tensor, rtol=within, atol=within / 10, msg=lambda told, name=name: f"{name}: {told}"
        )


KEYED = {
    "type": Column(type="string", role="categorical", min_count=2),
    "user.id": Column(type="integer", role="categorical"),
    "items": Column(type="list", role="multivalent"),
}
OTHERS = {
    "age": Column(type="number", role="numeric", nullable=True),
    "at": Column(type="timestamp"),
    "bought": Column(type="boolean"),
}
WEIGHT = {"weight": Column(type="number", role="weight")}
NAMES = {"who": "type", "what": "user.id", "tags": "items"}


@pytest.mark.parametrize(
    ("columns", "model", "training", "within"),
    [
        pytest.param(KEYED | WEIGHT, {"embedding": 5}, {"negative_rate": 0.7}, 1e-4, id="odd names and width, weights, a sample"),
        pytest.param({"type": Column(type="string")}, {}, {}, 1e-4, id="numbers only", marks=pytest.mark.soak),
        pytest.param(KEYED, {"parts": ("wide",)}, {}, 1e-4, id="wide only", marks=pytest.mark.soak),
        pytest.param(
            KEYED, {"parts": ("deep",), "hidden": ()}, {"bootstrap_passes": 2}, 1e-4, id="no layers", marks=pytest.mark.soak
        ),
        pytest.param(KEYED, {}, {"precision": "bfloat16", "threads": 2}, 3e-2, id="bfloat16", marks=pytest.mark.soak),
    ],
)
def test_every_kind_of_model_is_learnt_as_by_one_process(columns, model, training, within, make_contract, make_rows, learn):
    shape = {"embedding": 4, "hidden": (8, 6), "quantiles": 4} | model
    fixed = {"columns": columns | OTHERS, "user": "type", "crosses": (), "model": Model(**shape)}
    rows = make_rows(0, 97).rename_columns([NAMES.get(name, name) for name in make_rows(0).column_names])
    rows = rows.append_column("weight", pa.array([float(n % 4) for n in range(97)]))
    local, shared = (
        make_contract(**fixed, training=make(**training)) for make in (partial(Training, batch_size=16), partial(apart, 2))
    )
    assert_close(learn(None, shared, {0: rows})[0], learn(None, local, {0: rows})[0], within)


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


def test_where_there_is_nothing_to_learn_nothing_changes(begun):
    bundle, _, training = begun
    unchanged = learnt((bundle, [], training))
    assert all(torch.equal(unchanged[name], tensor) for name, tensor in tensors(bundle).items())


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

    with pytest.raises(TrainingError, match=r"2 processes.*Signal 9 \(SIGKILL\).*Nothing was staged"):
        learnt(begun, kill, restarts=0)
    assert not ranks()


def test_on_two_machines_that_share_a_folder_the_bytes_are_those_of_one(begun, tmp_path):
    command = [
        sys.executable,
        "-c",
        "from widedeep.cli import main; main()",
        "join",
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
    assert [path.name for path in tmp_path.iterdir()] == ["turn.lock"]


@pytest.mark.parametrize(
    ("machines", "told"),
    [(Machines(3), "processes is 2, and 3 machines .* can't share them evenly"), (Machines(2), "Set WIDEDEEP_TRAINING_FOLDER")],
)
def test_machines_that_can_not_share_are_told_before_anything_starts(begun, machines, told):
    with pytest.raises(UsageError, match=told):
        learnt(begun, machines=machines)


def test_nothing_of_a_coordinator_that_is_killed_lives_on(begun, tmp_path):
    """Neither ranks, nor torchrun, which may be waiting for machines that never come."""
    code = "import sys; from tests.training.test_distributed import abandon; abandon(sys.argv[1])"
    bundle, _, _ = begun
    save_bundle(bundle, tmp_path)
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as coordinator:
        assert coordinator.stdout.readline() == b"learning\n"
        family = psutil.Process(coordinator.pid).children(recursive=True)
        coordinator.kill()
    assert len(family) >= 4  # a leash, torchrun and two ranks
    assert psutil.wait_procs(family, timeout=60)[1] == []


def abandon(folder):
    """Learn one chunk after another, and say so once."""
    bundle = load_bundle(Path(folder), optimizer=True)
    rows = 330
    none = Bag(np.zeros(0, np.int32), np.zeros(rows + 1, np.int64))
    dense, labels = np.zeros((rows, 2), np.float32), np.zeros(rows, np.float32)
    sizes = (len(bundle.vocabularies.values), len(bundle.vocabularies.crosses))
    encoded = EncodedBatch(np.zeros((rows, 2), np.int32), (none,), dense, none, labels, sizes)
    learn_in_processes(bundle, (Chunk(encoded, n) for n in count()), apart(2), lambda *_: say_once())


@cache
def say_once():
    sys.stdout.write("learning\n")
    sys.stdout.flush()


def test_a_rank_that_would_make_other_bytes_under_the_same_id_is_refused(begun, monkeypatch):
    """As on another kind of machine."""
    real = numeric_profile(begun[2])
    monkeypatch.setattr(coordinator, "numeric_profile", lambda _training: real.model_copy(update={"instruction_set": "another"}))
    with pytest.raises(TrainingError, match=r"can't join: instruction_set is .*, wanted another\. Machines have to be alike"):
        learnt(begun, restarts=0)


def test_what_killed_coordinators_left_is_removed_and_what_lives_or_is_new_is_not(tmp_path):
    left, alive, new = (Job(tmp_path / f"{PREFIX}{name}") for name in ("left", "alive", "new"))
    (tmp_path / f"{PREFIX}nowhere").symlink_to(tmp_path / "nowhere")
    for job in (left, alive, new):
        job.folder.mkdir()
        with job.coordinated():
            pass
    with alive.coordinated():
        for job in (left, alive):
            os.utime(job.folder / LOCK, (0, 0))
        remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{PREFIX}{name}" for name in ("alive", "new", "nowhere"))
