"""How long a large release takes to publish and to load, beside boto3's own transfer of one file of that size, in turns.

    python -m benchmarks.transfer            # 1 GiB, five rounds; some seven minutes
    python -m benchmarks.transfer --quick    # 128 MiB, for development; writes no file

Publishing hashes, sends and publishes a release; loading reads its manifest and downloads it, verified. boto3's `upload_file` and
`download_file` move the same file in parts, ten at a time. Each is a process of its own. Writes
`benchmarks/results/transfer.json`: seconds, CPU seconds, how much memory each took above what it had before it began, and boto3's
median time over ours.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import boto3

from benchmarks.machine import RESULTS, described
from widedeep.artifacts import Candidate, Lineage, MetricReport, NumericProfile, Verdict
from widedeep.local.alone import store_alone
from widedeep.publishing.releases import download, load_manifest, publish, stage
from widedeep.publishing.s3 import S3Store

DIGEST = "0" * 64
VERSIONS = dict.fromkeys(("torch", "numpy", "pandas", "pyarrow", "safetensors"), "0")
PROFILE = NumericProfile(precision="fp32", instruction_set="none", threads=1, engine="none", **VERSIONS)
METRICS = MetricReport(rows=1, users=1, label_rate=0.5, log_loss=0.6, ne=0.9, auc=0.7, calibration=1.0)
PAIRS = {"publish": "boto3 upload_file", "load": "boto3 download_file"}
BUCKET = "widedeep"


def lineage(number: int) -> Lineage:
    digests = {"split_digest": DIGEST, "contract_digest": DIGEST, "source_digest": DIGEST}
    return Lineage(span=date(2026, 1, 1), parent=None, learnt=(), seed=number, profile=PROFILE, **digests)


def verdict(candidate: Candidate) -> Verdict:
    return Verdict(
        decision="promote",
        reasons=("a benchmark",),
        candidate=candidate.release_id,
        candidate_manifest_sha256=candidate.manifest_sha256,
        champion=None,
        champion_manifest_sha256=None,
        holdout=(),
        candidate_metrics=METRICS,
        champion_metrics=None,
        loss_difference=None,
        absolute_checks_only=True,
    )


def published(store: S3Store, payload: Path, number: int) -> None:
    candidate = stage(store, payload, lineage(number), ())
    publish(store, candidate, verdict(candidate))


def loaded(store: S3Store, number: int, folder: Path) -> None:
    download(store, load_manifest(store, lineage(number).release_id(), published=True), folder)


def run(what: str, payload: Path, number: int) -> dict[str, Any]:
    """One transfer in this process."""
    endpoint = os.environ["WIDEDEEP_S3_ENDPOINT"]
    store, client = S3Store(os.environ["WIDEDEEP_STORE"], endpoint), boto3.client("s3", endpoint_url=endpoint)
    client.list_buckets()
    list(store.keys("nothing"))
    (file,) = payload.iterdir()
    with tempfile.TemporaryDirectory(prefix="transfer-") as folder:
        transfers: dict[str, Callable[[], object]] = {
            "publish": lambda: published(store, payload, number),
            "load": lambda: loaded(store, number, Path(folder)),
            "boto3 upload_file": lambda: client.upload_file(str(file), BUCKET, f"raw/{number}"),
            "boto3 download_file": lambda: client.download_file(BUCKET, f"raw/{number}", str(Path(folder, "file"))),
        }
        before_mb, began, cpu = _peak_rss_mb(), time.perf_counter(), time.process_time()
        transfers[what]()
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    grown = round(_peak_rss_mb() - before_mb)
    return {"what": what, "seconds": round(seconds, 2), "cpu_s": round(cpu_s, 2), "memory_mb": grown}


def _peak_rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer")
    parser.add_argument("--quick", action="store_true", help="128 MiB, for development; writes no file")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    size_mb = 128 if given.quick else 1024
    with tempfile.TemporaryDirectory(prefix="transfer-") as folder:
        payload = Path(folder, "payload")
        payload.mkdir()
        with (payload / "weights.safetensors").open("wb") as file:
            for _ in range(size_mb):
                file.write(os.urandom(1 << 20))
        with store_alone(Path(folder, "store"), datetime.now(UTC).date()) as settings:
            orders = [list(PAIRS.items()), [pair[::-1] for pair in PAIRS.items()]]  # who goes first changes
            turns = [(what, n) for n in range(given.rounds) for pair in orders[n % 2] for what in pair]
            runs = [_child(what, payload, n, settings) for what, n in turns]
    result = {"machine": described(), "size_mb": size_mb, "compared": _compared(runs), "runs": runs}
    if not given.quick:
        (RESULTS / "transfer.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def _compared(runs: list[dict[str, Any]]) -> dict[str, Any]:
    def of(what: str, figure: str) -> list[float]:
        return [run[figure] for run in runs if run["what"] == what]

    return {
        ours: {
            "seconds": statistics.median(of(ours, "seconds")),
            "boto3_seconds": statistics.median(of(boto3s, "seconds")),
            "rate_to_boto3": round(statistics.median(of(boto3s, "seconds")) / statistics.median(of(ours, "seconds")), 3),
            "rate_to_boto3_by_round": [
                round(theirs / own, 3) for theirs, own in zip(of(boto3s, "seconds"), of(ours, "seconds"), strict=True)
            ],
            "largest_memory_mb": max(of(ours, "memory_mb")),
            "boto3_largest_memory_mb": max(of(boto3s, "memory_mb")),
        }
        for ours, boto3s in PAIRS.items()
    }


def _child(what: str, payload: Path, number: int, settings: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.transfer", "--run", what, str(payload), str(number)]
    result: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=settings).stdout
    )
    sys.stderr.write(f"{result}\n")
    return result


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        sys.stdout.write(json.dumps(run(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))))
    else:
        main(sys.argv[1:])
