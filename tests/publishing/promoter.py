"""One of several schedulers: promotes releases on one lane until it has succeeded so many times. A process of its own.

    python promoter.py s3://bucket/prefix ENDPOINT SEED TIMES

Prints how many promotions succeeded and how many came too late.
"""

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from widedeep.artifacts import LIVE, Lineage, NumericProfile, Part, Verdict
from widedeep.errors import OrderError, StaleError
from widedeep.publishing.moves import Because, promote
from widedeep.publishing.pointer import champion
from widedeep.publishing.releases import publish, stage
from widedeep.publishing.s3 import S3Store

DIGEST = "0" * 64
VERSIONS = dict.fromkeys(("torch", "numpy", "pandas", "pyarrow", "safetensors"), "1")
PROFILE = NumericProfile(precision="float32", instruction_set="avx2", threads=1, engine="compiled", **VERSIONS)


def attempt(store: S3Store, payload: Path, seed: int) -> bool:
    """Judge a candidate against the champion, and promote it if nobody was faster."""
    standing = champion(store, LIVE)
    span = standing.span + timedelta(days=1) if standing else date(2026, 1, 1)
    learnt = (Part(span=span, version=1, digest=DIGEST, part="train"),)
    digests = dict.fromkeys(("split_digest", "contract_digest", "source_digest"), DIGEST)
    parent = standing.release_id if standing else None
    lineage = Lineage(span=span, parent=parent, learnt=learnt, seed=seed, profile=PROFILE, **digests)
    candidate = stage(store, payload, lineage, inherited=())
    judged = {"candidate": candidate.release_id, "candidate_manifest_sha256": candidate.manifest_sha256}
    against = {"champion": parent, "champion_manifest_sha256": standing.manifest_sha256 if standing else None}
    unmeasured = dict.fromkeys(("candidate_metrics", "champion_metrics", "loss_difference"))
    verdict = Verdict(
        decision="promote", reasons=("better",), holdout=(), absolute_checks_only=True, **judged, **against, **unmeasured
    )
    try:
        promote(store, LIVE, publish(store, candidate, verdict), verdict, Because(datetime.now(UTC), str(seed), "better"))
    except (StaleError, OrderError):
        return False
    return True


def main(url: str, endpoint: str, seed: str, times: str) -> None:
    store, done, late = S3Store(url, endpoint), 0, 0
    with TemporaryDirectory() as folder:
        (Path(folder) / "weights").write_bytes(b"weights")
        while done < int(times):
            if attempt(store, Path(folder), int(seed)):
                done += 1
            else:
                late += 1
    print(done, late)


if __name__ == "__main__":
    main(*sys.argv[1:])
