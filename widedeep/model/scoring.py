"""Rows in, probabilities out: the one path that the trainer, the dry run, the gate and `rank` share."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.data.contract import Contract
from widedeep.features.encoding import encode
from widedeep.model.bundle import Bundle
from widedeep.model.determinism import deterministic
from widedeep.model.forward import scores


def score_rows(bundle: Bundle, rows: pa.Table, contract: Contract) -> NDArray[np.float64]:
    """(B,) float64 probabilities of a positive label, in the order of `rows`; a label column is not needed."""
    with deterministic(contract.training.threads):
        return scores(bundle, encode(rows, bundle.vocabularies, bundle.quantiles, contract))
