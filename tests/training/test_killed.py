"""A training process may die at any moment: what it was given is untouched, and another process makes the identical payload."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from widedeep.model.bundle import FILES, load_bundle, save_bundle

TRAIN = """
import os, signal, sys
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from widedeep.artifacts import Part
from widedeep.data.contract import Contract
from widedeep.model.bundle import load_bundle, save_bundle
from widedeep.training.candidate import train_candidate

folder, dies_after = Path(sys.argv[1]), int(sys.argv[2])


def hear(learnt, total):
    if dies_after and learnt >= dies_after:
        os.kill(os.getpid(), signal.SIGKILL)


contract = Contract.model_validate_json((folder / "contract.json").read_text())
parts = [(Part(span=date(2026, 1, 2), version=1, digest=f"{1:064x}", part="train"), pq.read_table(folder / "rows.parquet"))]
parent = load_bundle(folder / "parent", optimizer=True)
child, _ = train_candidate(parent, parts, contract, 7, hear)
save_bundle(child, folder / "child")
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


def trained(folder: Path, dies_after: int) -> int:
    command = [sys.executable, "-c", TRAIN, str(folder), str(dies_after)]
    return subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False).returncode


def test_after_a_kill_in_the_middle_another_process_makes_the_identical_payload(make_contract, make_rows, learn, tmp_path):
    contract = make_contract()
    (tmp_path / "contract.json").write_text(contract.model_dump_json())
    pq.write_table(make_rows(1, count=400), tmp_path / "rows.parquet")
    for name in ("parent", "child", "here"):
        (tmp_path / name).mkdir()
    save_bundle(learn(None, contract, {0: make_rows(0)})[0], tmp_path / "parent")
    before = contents(tmp_path / "parent")

    assert trained(tmp_path, dies_after=200) == -signal.SIGKILL
    assert contents(tmp_path / "child") == {}
    assert contents(tmp_path / "parent") == before
    assert trained(tmp_path, dies_after=0) == 0

    straight, _ = learn(load_bundle(tmp_path / "parent", optimizer=True), contract, {1: pq.read_table(tmp_path / "rows.parquet")})
    save_bundle(straight, tmp_path / "here")
    assert contents(tmp_path / "child") == contents(tmp_path / "here")
    assert contents(tmp_path / "child") != before
