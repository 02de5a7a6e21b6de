"""Rows are encoded once and scored in small batches on several threads. How they are cut changes no score (< 1e-6).

Cheng et al. 2016, §4.3 and table 2: batches of 50 on 4 threads instead of 200 on one took them from 31 to 14 ms. The thread that
asks is one of them, so nothing is handed over where one thread is enough.
"""

from collections.abc import Callable, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from widedeep.data.contract import Contract
from widedeep.features.encoding import EncodedBatch, encode
from widedeep.model.bundle import Bundle, Tensors
from widedeep.model.determinism import deterministic
from widedeep.model.forward import SCORING_BATCH, probabilities, require_own
from widedeep.model.scorer_layers import Layers

Precision = Literal["float32", "bfloat16"]
Scores = NDArray[np.float64]
NONE: frozenset[str] = frozenset()


class Scorer:
    """For any number of threads at once, in a process that is set to one thread per operation (`widedeep.model.determinism`).

    `precision` is that of the deep part's products; a bundle's layers are made ready when they first score.
    """

    def __init__(self, contract: Contract, batch: int, threads: int, precision: Precision = "float32") -> None:
        self._contract, self._batch, self._threads = contract, batch, threads
        self.precision = precision
        self._helpers = ThreadPoolExecutor(max(1, threads - 1), "scorer", one_thread)
        self._ready: dict[Set[str], Layers] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._helpers.shutdown()

    def scores(self, bundle: Bundle, rows: pa.Table, shared: Set[str] = NONE) -> Scores:
        """(B,) float64 probabilities, in the order of `rows`. `shared` are columns that have the same value in all of them."""
        encoded = encode(rows, bundle.vocabularies, bundle.quantiles, self._contract)
        return self.encoded_scores(bundle, encoded, shared)

    def encoded_scores(self, bundle: Bundle, encoded: EncodedBatch, shared: Set[str] = NONE) -> Scores:
        """(B,) float64 probabilities of rows that this bundle's vocabularies encoded.

        Raises:
            IntegrityError: other vocabularies encoded them.
        """
        require_own(bundle, encoded)
        count = len(encoded)
        if not count:
            return np.empty(0)
        weights, own = self._layers(bundle, shared).ready(encoded)
        shares = min(self._threads, -(-count // self._batch))
        parts = [slice(count * i // shares, count * (i + 1) // shares) for i in range(shares)]
        others = [self._helpers.submit(self._share, weights, own, part) for part in parts[1:]]
        found = [self._share(weights, own, part) for part in parts[:1]]
        return np.concatenate([*found, *(other.result() for other in others)])

    def _share(self, weights: Tensors, encoded: EncodedBatch, part: slice) -> Scores:
        starts = range(part.start, part.stop, self._batch)
        return np.concatenate([probabilities(weights, encoded.slice(i, min(i + self._batch, part.stop))) for i in starts])

    def _layers(self, bundle: Bundle, shared: Set[str]) -> Layers:
        """Kept for one bundle: with columns in common (`/rank`) and without (`/score`)."""
        known = self._ready.get(shared)
        if known is None or known.bundle is not bundle:
            known = Layers(bundle, getattr(torch, self.precision), self._batch, shared)
            others = {columns: each for columns, each in self._ready.items() if each.bundle is bundle}
            self._ready = others | {shared: known}
        return known


@contextmanager
def scored_as_served(bundle: Bundle, contract: Contract) -> Iterator[Callable[[pa.Table], Scores]]:
    """How a server scores rows with this bundle: for many rows at once, on the threads that training has."""
    with (
        deterministic(threads=1),
        Scorer(contract, SCORING_BATCH, contract.training.threads, contract.serving.precision) as scorer,
    ):
        yield lambda rows: scorer.scores(bundle, rows)


def one_thread() -> None:
    """How each thread that scores begins: torch's setting counts for the thread that makes it."""
    torch.set_num_threads(1)
