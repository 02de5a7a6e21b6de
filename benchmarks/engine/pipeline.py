"""The share of loading and encoding, crosses included, in a whole retraining from a Parquet file.

    python -m benchmarks.engine.pipeline FOLDER ROWS BATCH

The file's rows are read again until there are enough. Prints the CPU seconds of each stage as a JSON object.
"""

import json
import math
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.engine.contract import contract, training
from benchmarks.engine.preparation import PARQUET
from benchmarks.engine.settings import SEED
from widedeep.features.encoding import encode
from widedeep.model.bundle import load_bundle
from widedeep.training.loop import retrain


def seconds(folder: Path, rows: int, batch: int) -> dict[str, float]:
    bundle, settings = load_bundle(folder / "ours", optimizer=True), training("bfloat16", batch)
    stored = pq.read_metadata(folder / PARQUET).num_rows
    # Compiles, so that the stages don't.
    head = pq.read_table(folder / PARQUET).slice(0, 4 * batch)
    warm = encode(head, bundle.vocabularies, bundle.quantiles, contract())
    retrain(bundle, warm, settings, SEED, lambda _rows, _loss: None)
    began = time.process_time()
    table = pa.concat_tables([pq.read_table(folder / PARQUET, use_threads=False)] * math.ceil(rows / stored)).slice(0, rows)
    loaded = time.process_time()
    encoded = encode(table, bundle.vocabularies, bundle.quantiles, contract())
    done = time.process_time()
    retrain(bundle, encoded, settings, SEED, lambda _rows, _loss: None)
    return {"load": loaded - began, "encode": done - loaded, "retrain": time.process_time() - done, "rows": rows}


if __name__ == "__main__":
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    sys.stdout.write(json.dumps(seconds(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))) + "\n")
