"""The two small DAGs, played on a real metadata database with stand-in steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FAKE_STEPS = str(Path(__file__).with_name("fake_steps.py"))
RUNS = [
    {"dag_id": "widedeep_bootstrap", "logical_date": None, "conf": {"from": "2025-12-01", "to": "2025-12-08"}},
    {"dag_id": "sample_feed", "logical_date": "2026-01-03"},
    {"dag_id": "sample_feed", "logical_date": "2026-01-04"},
]
Played = tuple[list[dict[str, Any]], str]


@pytest.fixture(scope="module")
def played(play: Callable[..., Played]) -> Played:
    return play(RUNS, FAKE_STEPS, WIDEDEEP_SAMPLE="/nowhere", WIDEDEEP_START_DATE="2025-12-24")


def test_the_bootstrap_learns_from_the_first_day_to_the_last_and_names_each_step(played: Played) -> None:
    (run, *_), printed = played
    assert run["state"] == "success"
    assert run["xcoms"]["bootstrap"] == {"span": "2025-12-08", "lane": "live", "result": "promoted"}
    assert "2025-12-01 to 2025-12-08: ingest 2025-12-01" in printed


def test_the_feed_delivers_the_day_of_its_interval_and_is_skipped_when_the_sample_is_used_up(played: Played) -> None:
    (_, delivered, used_up), printed = played
    assert (delivered["state"], delivered["tasks"]) == ("success", {"deliver": ["success", 1]})
    assert (used_up["state"], used_up["tasks"]) == ("success", {"deliver": ["skipped", 1]})
    assert "2026-01-03: the sample is used up" in printed
