"""A short, seeded walk: real runs, and the real store under one of them, killed at random moments."""

import pytest

from benchmarks.crash import walk

SEED = 276  # mostly the run, the store under the second run, and the third run are killed, each amid writes


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_day_that_is_killed_again_and_again_ends_as_if_nobody_had_disturbed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "set anew by the store that is started")
    found = walk(kills=2, seed=SEED, days=1)
    assert found["payloads_equal"]
    assert found["runs_killed"] >= 2
    assert found["servers_killed"] >= 1
    assert found["champions_read"] == found["runs_killed"] + found["servers_killed"]
