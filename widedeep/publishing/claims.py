"""Which runs of a scheduler work on which span: who waits for a span asks the scheduler whether one of these still does.

A run's own date does not tell: one that was triggered by hand says in its Params which span it is about. Claims order nothing,
and nothing breaks without them; a span that is settled needs none.
"""

from collections.abc import Iterable
from datetime import date

from widedeep.artifacts import Claim, sha256
from widedeep.publishing import layout
from widedeep.publishing.store import ObjectStore


def claim(store: ObjectStore, lane: str, span: date, run_id: str) -> None:
    """Say that the run works on this span, and on no other. Done again, it changes nothing."""
    key = layout.claim(lane, span, sha256(run_id.encode()))
    store.create(key, Claim(lane=lane, span=span, run_id=run_id).to_bytes())
    for other in list(store.keys(layout.CLAIMS)):
        if other != key and layout.claims_same_run(other, key):
            store.delete(other)


def release_claims(store: ObjectStore, lane: str, span: date) -> None:
    """Forget who worked on a span that is settled."""
    for key in list(store.keys(layout.claims(lane, span))):
        store.delete(key)


def claims(store: ObjectStore, lane: str, span: date) -> tuple[Claim, ...]:
    """The runs that work, or have worked, on an unsettled span."""
    return _read(store, list(store.keys(layout.claims(lane, span))))


def claims_after(store: ObjectStore, span: date) -> tuple[Claim, ...]:
    """Those on later spans, of any lane."""
    return _read(store, [key for key in store.keys(layout.CLAIMS) if layout.claim_span(key) > span])


def claimed_elsewhere(store: ObjectStore, runs: Iterable[str], lane: str, span: date) -> tuple[str, ...]:
    """Those of the runs that work on another span, or in another lane."""
    wanted = {run: layout.claim(lane, span, sha256(run.encode())) for run in runs}
    known = set(store.keys(layout.CLAIMS))
    there = [run for run, key in wanted.items() if key not in known]
    return tuple(run for run in there if any(layout.claims_same_run(key, wanted[run]) for key in known))


def _read(store: ObjectStore, keys: list[str]) -> tuple[Claim, ...]:
    blobs = [(key, store.get(key)) for key in keys]
    return tuple(Claim.from_bytes(blob.data, f"{store.url}/{key}") for key, blob in blobs if blob)
