"""Rows are encoded once and scored in small batches on several threads. How they are cut changes no score (< 1e-6).

Cheng et al. 2016, §4.3 and table 2: batches of 50 on 4 threads instead of 200 on one took them from 31 to 14 ms. The thread that
asks is one of them, so nothing is handed over where one thread is enough.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from widedeep.data.contract import Contract
from widedeep.features.encoding import EncodedBatch, encode
from widedeep.model.bundle import Bundle
from widedeep.model.forward import deep_layers, scores

Precision = Literal["float32", "bfloat16"]
Scores = NDArray[np.float64]


class Scorer:
    """For any number of threads at once, in a process that is set to one thread per operation (`widedeep.model.determinism`).

    `precision` is that of the deep part's products; a bundle's layers are turned into it when they first score.
    """

    def __init__(self, contract: Contract, batch: int, threads: int, precision: Precision = "float32") -> None:
        self._contract, self._batch, self._threads, self._precision = contract, batch, threads, precision
        self._helpers = ThreadPoolExecutor(max(1, threads - 1), "scorer", one_thread)
        self._turned: tuple[Bundle, Bundle] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._helpers.shutdown()

    def scores(self, bundle: Bundle, rows: pa.Table) -> Scores:
        """(B,) float64 probabilities, in the order of `rows`."""
        encoded = encode(rows, bundle.vocabularies, bundle.quantiles, self._contract)
        return self.encoded_scores(bundle, encoded)

    def encoded_scores(self, bundle: Bundle, encoded: EncodedBatch) -> Scores:
        """(B,) float64 probabilities of rows that this bundle's vocabularies encoded."""
        turned, count = self._at_precision(bundle), len(encoded)
        shares = min(self._threads, -(-count // self._batch))
        parts = [slice(count * i // shares, count * (i + 1) // shares) for i in range(shares)]
        others = [self._helpers.submit(self._share, turned, encoded, part) for part in parts[1:]]
        found = [self._share(turned, encoded, part) for part in parts[:1]]
        return np.concatenate([*found, *(other.result() for other in others), np.empty(0)])

    def _share(self, bundle: Bundle, encoded: EncodedBatch, part: slice) -> Scores:
        starts = range(part.start, part.stop, self._batch)
        return np.concatenate([scores(bundle, encoded.slice(i, min(i + self._batch, part.stop))) for i in starts])

    def _at_precision(self, bundle: Bundle) -> Bundle:
        if self._precision == "float32":
            return bundle
        turned = self._turned
        if turned is None or turned[0] is not bundle:
            turned = self._turned = bundle, _turned(bundle, getattr(torch, self._precision))
        return turned[1]


def one_thread() -> None:
    """How each thread that scores begins: torch's setting counts for the thread that makes it."""
    torch.set_num_threads(1)


def _turned(bundle: Bundle, kind: torch.dtype) -> Bundle:
    layers = {name: tensor.to(kind) for name, tensor in deep_layers(bundle.weights).items()}
    return replace(bundle, weights={**bundle.weights, **layers})
