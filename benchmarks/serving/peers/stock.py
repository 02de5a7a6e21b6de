"""The same model of torch's own modules, and ways to run it, each in a process of its own: as is, compiled, by ONNX Runtime.

    python stock.py SIDE ARRAYS.npz THREADS

Knows nothing of our code. Each line on standard input is one scoring; the answer is its milliseconds by the clock and those of
the processor. The first answer is the scores' bytes, in hexadecimal.

`B` rows, `F` features, `D` embedding width, `W` entries of the wide part in a row, padded with a row of weight 0.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch._inductor

Score = Callable[[], np.ndarray]


class WideAndDeep(torch.nn.Module):
    """rows (B, F) int64, dense (B, 2K) float32, wide (B, W) int64 -> (B,) probabilities."""

    def __init__(self, arrays: dict[str, np.ndarray], kind: torch.dtype) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding.from_pretrained(torch.from_numpy(arrays["embedding"]))
        self.wide = torch.nn.Embedding.from_pretrained(torch.from_numpy(arrays["wide_table"])[:, None])
        self.bias = torch.nn.Parameter(torch.from_numpy(arrays["bias"]))
        layers: list[torch.nn.Module] = []
        for i in range(sum(name.startswith("hidden") for name in arrays) // 2):
            layers += [_linear(arrays[f"hidden.{i}.weight"], arrays[f"hidden.{i}.bias"]), torch.nn.ReLU()]
        self.layers = torch.nn.Sequential(*layers, _linear(arrays["output.weight"], None)).to(kind)
        self.kind = kind

    def forward(self, rows: torch.Tensor, dense: torch.Tensor, wide: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.embedding(rows).flatten(1), dense], dim=1).to(self.kind)
        return torch.sigmoid(self.layers(x).squeeze(1).float() + self.wide(wide).sum(1).squeeze(1) + self.bias)


def _linear(weight: np.ndarray, bias: np.ndarray | None) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight.data = torch.from_numpy(weight)
    if bias is not None:
        layer.bias.data = torch.from_numpy(bias)
    return layer


def eager(model: WideAndDeep, inputs: tuple[torch.Tensor, ...], _: int) -> Score:
    return lambda: model(*inputs).numpy()


def exported(model: WideAndDeep, inputs: tuple[torch.Tensor, ...], _: int) -> Score:
    graph = torch.export.export(model, inputs).module()
    return lambda: graph(*inputs).numpy()


def compiled(model: WideAndDeep, inputs: tuple[torch.Tensor, ...], _: int) -> Score:
    """Ahead of time; frozen, since it then brings the weights into the order that its products want."""
    with tempfile.TemporaryDirectory() as folder, torch._inductor.config.patch(freezing=True):
        path = str(Path(folder, "model.pt2"))
        torch._inductor.aoti_compile_and_package(torch.export.export(model, inputs), package_path=path)
        graph = torch._inductor.aoti_load_package(path)
    return lambda: graph(*inputs).numpy()


def onnxruntime(model: WideAndDeep, inputs: tuple[torch.Tensor, ...], threads: int) -> Score:
    import onnxruntime as ort  # noqa: PLC0415  only its own environment has it

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        torch.onnx.export(model, inputs, path, input_names=["rows", "dense", "wide"], dynamo=True, verbose=False)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    fed = dict(zip(["rows", "dense", "wide"], [each.numpy() for each in inputs], strict=True))
    return lambda: session.run(None, fed)[0]


SIDES = {"eager": eager, "export": exported, "compiled": compiled, "onnxruntime": onnxruntime}


def main(side: str, path: str, threads: str) -> None:
    """`side` is one of SIDES, then the precision."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what exporting prints is no answer
    name, precision = side.split("-")
    torch.set_num_threads(int(threads))
    with np.load(path) as arrays, torch.inference_mode(mode=name in ("eager", "export")), torch.no_grad():
        model = WideAndDeep(dict(arrays), getattr(torch, precision)).eval()
        inputs = tuple(torch.from_numpy(arrays[each]) for each in ("rows", "dense", "wide"))
        score = SIDES[name](model, inputs, int(threads))
        answers.write(np.asarray(score(), np.float32).tobytes().hex() + "\n")
        answers.flush()
        for _ in sys.stdin:
            began, processor = time.perf_counter(), time.process_time()
            score()
            answers.write(f"{1000 * (time.perf_counter() - began)} {1000 * (time.process_time() - processor)}\n")
            answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
