"""Golden scores: real rows with the trainer's own scores, kept in the release: whoever loads it can tell if it is that model."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.data.contract import Contract
from widedeep.data.rows import Rows, take
from widedeep.model.bundle import Bundle
from widedeep.model.scoring import score_rows

GOLDEN_FILE = "golden.parquet"
GOLDEN_SCORE = "golden_score"


def golden_rows(bundle: Bundle, rows: Rows, contract: Contract) -> pa.Table:
    """Up to `contract.dry_run.rows` rows, spread evenly over `rows`, with the model's score of each (float64 probability)."""
    wanted = min(contract.dry_run.rows, rows.num_rows)
    chosen = take(rows, [i * rows.num_rows // wanted for i in range(wanted)])
    return chosen.append_column(GOLDEN_SCORE, pa.array(score_rows(bundle, chosen, contract), pa.float64()))


def unlike(scores: NDArray[np.float64], golden: pa.Table, largest_error: float) -> str | None:
    """What tells these scores of golden rows from the trainer's, in words; None: they are the same model's."""
    if count := int((~np.isfinite(scores)).sum()):
        return f"{count} of {len(scores)} scores are not numbers"
    error = float(np.abs(scores - golden[GOLDEN_SCORE].to_numpy()).max(initial=0))
    if not error <= largest_error:
        return f"scores differ from the trainer's by up to {error:.2e}, wanted at most {largest_error:.0e}"
    return None
