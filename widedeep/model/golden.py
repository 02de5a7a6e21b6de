"""Golden scores: real rows with the trainer's own scores, kept in the release: whoever loads it can tell if it is that model."""

import pyarrow as pa

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
