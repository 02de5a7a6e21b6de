"""The figures beside the AUC tell a model that over-generalises from one that memorises."""

from benchmarks.relevance import trial


def test_deep_alone_recommends_more_that_matches_nothing_than_wide_alone():
    found = trial(seed=1, rows_per_day=4000, days=5)
    assert found["deep"]["unmatched"] > found["wide"]["unmatched"]
    assert found["deep"]["unseen_crosses"] > found["wide"]["unseen_crosses"]
