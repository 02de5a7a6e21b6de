"""What checks found in a span, as it is stored."""

from collections.abc import Iterator
from datetime import date

from widedeep.artifacts import Validation
from widedeep.publishing import layout
from widedeep.publishing.store import ObjectStore


def stored_findings(store: ObjectStore, span: date) -> Iterator[tuple[str, Validation]]:
    """All findings on any version of the span, by any contract and against any baseline, with their keys."""
    for key in store.keys(layout.validations(span)):
        blob = store.get(key) if layout.is_findings(key) else None
        if blob:
            yield key, Validation.from_bytes(blob.data, f"{store.url}/{key}")
