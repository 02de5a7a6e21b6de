"""Who trained and who published a release, when, with what installed: evidence beside it, not in its id. The first record stands.

What decides the payload's bytes is in the manifest's lineage; this is for whoever asks later, and a replay may differ in it.
Who publishes names the evidence by digest, in a record that stands under its own: from then on no change goes unnoticed.
"""

import platform
from datetime import datetime
from functools import cache
from importlib.metadata import distributions
from typing import Literal

from pydantic import Field

from widedeep.artifacts import Candidate, Digest, ReleaseId, Value, canonical_json, sha256
from widedeep.publishing import layout, releases
from widedeep.publishing.keys import load_signer
from widedeep.steps.workplace import Workplace

Deed = Literal["trained", "published"]
RESTED_ON = ("trained", "dry-run-", "verdict-", "report-")
"""What is found again by what it was made from, so its name can't be its own digest. All other evidence stands under its own."""


class Record(Value):
    """`contract_digest` covers all of the contract, also what shapes no payload: checks, limits of the gate, deadlines. The store
    keeps what it says under that digest.

    `rests_on`: the SHA-256 of each piece of evidence that stood there when the release was published, by name.
    """

    deed: Deed
    release_id: ReleaseId
    manifest_sha256: Digest
    at: datetime
    by: str
    contract: str
    contract_digest: Digest
    python: str
    packages: dict[str, str]
    rests_on: dict[str, Digest] = Field(default_factory=dict)


def record(place: Workplace, deed: Deed, candidate: Candidate) -> None:
    """Store who does this now, unless it was done before; who publishes, unless it was published on the same evidence."""
    found = releases.evidence_of(place.store, candidate.release_id)
    rests_on = {name: sha256(data) for name, data in found.items() if name.startswith(RESTED_ON)} if deed == "published" else {}
    before = (Record.from_bytes(data, name) for name, data in found.items() if name.startswith(deed))
    if any(rests_on.items() <= standing.rests_on.items() for standing in before):
        return
    document = canonical_json(place.contract.model_dump(mode="json"))
    place.store.create(layout.contract(sha256(document)), document)
    made = Record(
        deed=deed,
        release_id=candidate.release_id,
        manifest_sha256=candidate.manifest_sha256,
        at=place.clock(),
        by=place.actor,
        contract=place.contract.name,
        contract_digest=sha256(document),
        python=platform.python_version(),
        packages=packages(),
        rests_on=rests_on,
    )
    name = deed if deed == "trained" else f"{deed}-{made.content_digest()[:16]}"
    releases.save_evidence(place.store, candidate.release_id, name, made, load_signer(place.settings))


@cache
def packages() -> dict[str, str]:
    """What is installed, by name, in which version: read once, as a few hundred files say it."""
    return {each.name.lower(): each.version for each in distributions()}
