"""The same release, published twice, at once, from two machines: one result and no error, also where their bytes differ."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from threading import Barrier

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from widedeep.artifacts import Candidate, Lineage, Release, Verdict, sha256
from widedeep.publishing import layout
from widedeep.publishing.keys import Signer, Trust
from widedeep.publishing.releases import download, load_manifest, publish, releases, stage
from widedeep.publishing.s3 import S3Store
from widedeep.publishing.signing import check_signature
from widedeep.publishing.store import ObjectStore

SPAN = date(2026, 1, 5)
MACHINES = 8
PROCESSES = 4
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))

LineageOf = Callable[..., Lineage]
VerdictOn = Callable[..., Verdict]


@pytest.fixture(params=["store", "s3_store"])
def any_store(request: pytest.FixtureRequest) -> ObjectStore:
    return request.getfixturevalue(request.param)


def payload(folder: Path, weights: bytes) -> Path:
    (folder / "payload").mkdir(parents=True)
    (folder / "payload" / "weights.safetensors").write_bytes(weights)
    (folder / "payload" / "words.parquet").write_bytes(b"words")
    return folder / "payload"


def is_one_whole_release(store: ObjectStore, made: set[Release], folder: Path) -> None:
    """All machines got the same, it is all that is published, it is signed, and every byte of it is there."""
    assert releases(store) == tuple(made)
    (release,) = made
    manifest = load_manifest(store, release.release_id, published=True, expected_sha256=release.manifest_sha256)
    assert check_signature(store, manifest, Trust({SIGNER.key_id: SIGNER.key.public_key()}, required=True))
    download(store, manifest, folder / "fetched")
    assert store.get(layout.candidate(release.release_id)).data == manifest.to_bytes()


@pytest.mark.parametrize("bytes_of", [lambda _: b"same", lambda n: b"%d" % (n % 2)], ids=["equal bytes", "other bytes"])
def test_of_many_threads_that_publish_one_release_all_get_the_same(
    any_store: ObjectStore, lineage_of: LineageOf, verdict_on: VerdictOn, tmp_path: Path, bytes_of: Callable[[int], bytes]
) -> None:
    gate = Barrier(MACHINES)
    payloads = [payload(tmp_path / str(n), bytes_of(n)) for n in range(MACHINES)]

    def machine(n: int) -> Release:
        gate.wait()
        candidate = stage(any_store, payloads[n], lineage_of(SPAN), ())
        return publish(any_store, candidate, verdict_on(candidate), SIGNER)

    with ThreadPoolExecutor(MACHINES) as pool:
        made = set(pool.map(machine, range(MACHINES)))
    is_one_whole_release(any_store, made, tmp_path)


def test_of_many_processes_that_publish_one_release_all_get_the_same(
    s3_store: S3Store, s3_endpoint: str, lineage_of: LineageOf, verdict_on: VerdictOn, tmp_path: Path
) -> None:
    lineage = lineage_of(SPAN)
    nobody = Candidate(release_id=lineage.release_id(), span=SPAN, parent=None, manifest_sha256=sha256(b""))
    for n in range(PROCESSES):
        payload(tmp_path / str(n), b"%d" % (n % 2))
        (tmp_path / str(n) / "lineage.json").write_bytes(lineage.to_bytes())
        (tmp_path / str(n) / "verdict.json").write_bytes(verdict_on(nobody).to_bytes())
    command = [sys.executable, str(Path(__file__).with_name("one_publisher.py")), s3_store.url, s3_endpoint]
    machines = [
        subprocess.Popen([*command, str(tmp_path / str(n))], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for n in range(PROCESSES)
    ]
    assert [machine.stdout.readline() for machine in machines] == ["ready\n"] * PROCESSES
    for machine in machines:
        machine.stdin.write("go\n")
        machine.stdin.flush()
    told = [machine.communicate()[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0] * PROCESSES
    is_one_whole_release(s3_store, {Release.model_validate_json(answer) for answer in told}, tmp_path)
