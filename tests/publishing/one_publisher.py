"""One machine of `test_at_once.py`: stages and publishes a release when it is told to, and prints what it got.

`python one_publisher.py STORE ENDPOINT WORK`: WORK is a folder with the inputs, as `test_at_once.py` writes them.
"""

import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from widedeep.artifacts import Lineage, Verdict
from widedeep.publishing.keys import Signer
from widedeep.publishing.releases import publish, stage
from widedeep.publishing.s3 import S3Store


def main() -> None:
    url, endpoint, work = sys.argv[1:]
    store = S3Store(url, endpoint)
    lineage = Lineage.from_bytes(Path(work, "lineage.json").read_bytes())
    verdict = Verdict.from_bytes(Path(work, "verdict.json").read_bytes())
    signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    candidate = stage(store, Path(work, "payload"), lineage, ())
    judged = {"candidate": candidate.release_id, "candidate_manifest_sha256": candidate.manifest_sha256}
    release = publish(store, candidate, verdict.model_copy(update=judged), signer)
    sys.stdout.write(release.model_dump_json() + "\n")


if __name__ == "__main__":
    main()
