"""Who trained and who published a release, when, with what installed: evidence beside it, not in its id. The first record stands.

What decides the payload's bytes is in the manifest's lineage; this is for whoever asks later, and a replay may differ in it.
"""

import platform
from datetime import datetime
from importlib.metadata import distributions
from typing import Literal

from widedeep.artifacts import Candidate, Digest, ReleaseId, Value, canonical_json, sha256
from widedeep.publishing import releases
from widedeep.steps.workplace import Workplace

Deed = Literal["trained", "published"]


class Record(Value):
    """`contract_digest` covers all of the contract, also what shapes no payload: checks, limits of the gate, deadlines."""

    deed: Deed
    release_id: ReleaseId
    manifest_sha256: Digest
    at: datetime
    by: str
    contract: str
    contract_digest: Digest
    python: str
    packages: dict[str, str]


def record(place: Workplace, deed: Deed, candidate: Candidate) -> None:
    """Store who does this now, unless it was done before."""
    made = Record(
        deed=deed,
        release_id=candidate.release_id,
        manifest_sha256=candidate.manifest_sha256,
        at=place.clock(),
        by=place.actor,
        contract=place.contract.name,
        contract_digest=sha256(canonical_json(place.contract.model_dump(mode="json"))),
        python=platform.python_version(),
        packages={each.name.lower(): each.version for each in distributions()},
    )
    releases.save_evidence(place.store, candidate.release_id, deed, made)
