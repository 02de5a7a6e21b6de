"""A CUDA device learns what the CPU learns within tolerance, and equal bytes each time. Skipped where there is none."""

import pytest
import torch

from widedeep.data.contract import Training
from widedeep.model.bundle import save_bundle
from widedeep.training import device

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")


def two_days(learn, make_contract, make_rows, on, precision):
    contract = make_contract(training=Training(batch_size=16, device=on, precision=precision))
    first, _ = learn(None, contract, {0: make_rows(0)})
    return learn(first, contract, {1: make_rows(1)})[0]


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 3e-2)])
def test_a_chain_of_two_days_learns_the_same_within_tolerance(learn, make_contract, make_rows, precision, tolerance):
    on_cpu, on_cuda = (two_days(learn, make_contract, make_rows, on, precision) for on in ("cpu", "cuda"))
    for name, tensor in {**on_cpu.weights, **on_cpu.optimizer}.items():
        torch.testing.assert_close({**on_cuda.weights, **on_cuda.optimizer}[name], tensor, rtol=tolerance, atol=tolerance)


@pytest.mark.gpu
@needs_cuda
def test_the_same_chain_on_the_same_device_gives_equal_bytes(learn, make_contract, make_rows, tmp_path):
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        save_bundle(two_days(learn, make_contract, make_rows, "cuda", "float32"), folder)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "other" / file.name).read_bytes(), file.name


def test_a_cuda_device_gets_the_workspace_that_deterministic_products_need(monkeypatch):
    monkeypatch.setattr(device.os, "environ", {})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.training_device("auto").type == "cuda"
    assert device.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
