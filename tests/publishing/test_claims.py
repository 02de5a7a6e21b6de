"""Claims: who says that he works on which span."""

from datetime import date

from widedeep.publishing import layout
from widedeep.publishing.claims import claim, claims, claims_after, release_claims
from widedeep.publishing.s3 import S3Store


def day(number: int) -> date:
    return date(2026, 1, number)


def test_a_run_works_on_one_span_at_a_time_and_on_none_that_is_settled(s3_store: S3Store) -> None:
    """Run ids hold what keys can't."""
    nightly = "scheduled__2026-01-05T00:00:00+00:00"
    for run in (nightly, "manual/../x", nightly):
        claim(s3_store, "live", day(5), run)
    assert {c.run_id for c in claims(s3_store, "live", day(5))} == {nightly, "manual/../x"}
    claim(s3_store, "trial", day(6), nightly)
    assert [c.run_id for c in claims(s3_store, "live", day(5))] == ["manual/../x"]
    assert [(c.run_id, c.lane) for c in claims_after(s3_store, day(5))] == [(nightly, "trial")]
    release_claims(s3_store, "live", day(5))
    assert claims(s3_store, "live", day(5)) == ()
    assert len(list(s3_store.keys(layout.CLAIMS))) == 1
