"""Which backfill a run belongs to: the scheduler tells it, and a task that was told nothing guesses nothing."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
from widedeep_airflow.backfills import backfill_of, told

from widedeep.artifacts import Backfill, lane_name
from widedeep.errors import SettingsError, UsageError

ASKED_AT = datetime(2026, 2, 1, 3, 4, 5, 678, tzinfo=UTC)


def asked_for(*days: int, skipped: int | None = None) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(logical_date=datetime(2026, 1, day, tzinfo=UTC), exception_reason="in flight" if day == skipped else None)
        for day in days
    ]


def run_told(found: object, run_type: str = "backfill") -> dict[str, object]:
    return {"dag_run": SimpleNamespace(run_id="r", run_type=run_type, conf=None if found is None else {"backfill": found})}


def test_all_runs_of_a_backfill_are_told_one_lane_and_its_first_day_and_those_of_another_backfill_another() -> None:
    found = told(ASKED_AT, asked_for(3, 4, 5, skipped=3))
    assert found == {"lane": "backfill-2026-01-04-at-20260201t030405", "first": "2026-01-04", "left_out": [], "backwards": False}
    assert lane_name(found["lane"]) == found["lane"]
    assert backfill_of(run_told(found), 0) == Backfill(lane=found["lane"], first=date(2026, 1, 4))
    assert told(ASKED_AT.replace(second=6), asked_for(3, 4, 5))["lane"] != found["lane"]


def test_the_runs_know_which_later_days_are_left_out() -> None:
    found = backfill_of(run_told(told(ASKED_AT, asked_for(3, 4, 5, skipped=4))), 0)
    assert (found.first, found.left_out) == (date(2026, 1, 3), (date(2026, 1, 4),))


def test_where_labels_take_a_day_to_be_true_a_backfill_begins_a_day_earlier() -> None:
    assert backfill_of(run_told(told(ASKED_AT, asked_for(3, 4))), 1).first == date(2026, 1, 2)


def test_a_backfill_that_runs_backwards_is_refused_in_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"runs backwards.*Ask for it again without 'Run Backwards'"):
        backfill_of(run_told(told(ASKED_AT, asked_for(5, 4, 3))), 0)


def test_a_run_of_a_backfill_that_was_told_nothing_fails() -> None:
    with pytest.raises(SettingsError, match="the scheduler has not told it to which"):
        backfill_of(run_told(None), 0)


@pytest.mark.parametrize("run_type", ["scheduled", "manual"])
def test_other_runs_belong_to_no_backfill(run_type: str) -> None:
    assert backfill_of(run_told(None, run_type), 0) is None
