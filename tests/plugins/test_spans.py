"""Which span a run is about, and when the daily spans begin."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from widedeep_airflow.spans import actor, day, frozen_start, midnight, span_of

from widedeep.errors import SettingsError, UsageError

SETTINGS = {"WIDEDEEP_STORE": "s3://widedeep", "WIDEDEEP_CONTRACT": "contract.yaml"}


def run(span=None, interval=None):
    return {"params": {"span": span}, "data_interval_start": interval, "run_id": "manual__1"}


@given(st.dates(), st.datetimes(timezones=st.just(UTC)))
def test_a_param_wins_over_the_data_interval(span, interval):
    assert span_of(run(span.isoformat(), interval)) == span


@given(st.dates(min_value=date(1900, 1, 1)), st.integers(-11, 11))
def test_the_day_counts_in_utc_wherever_the_interval_was_written_down(span, hours):
    elsewhere = midnight(span).astimezone(timezone(timedelta(hours=hours)))
    assert span_of(run(interval=elsewhere)) == span


def test_a_run_with_neither_is_refused_and_told_what_to_do():
    with pytest.raises(UsageError, match=r"run manual__1: it names no span: wanted .* got neither\. Trigger it again with"):
        span_of(run())


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "", 20260101])
def test_what_is_no_date_is_refused_by_name(text):
    with pytest.raises(UsageError, match=r"Param 'from': wanted a date such as 2026-11-20, got "):
        day(text, "Param 'from'")


@pytest.mark.parametrize(
    "text",
    [
        "../2026-01-01",
        "2026-01-01/../..",
        "/2026-01-01",
        "2026-01-01\n",
        "２０２６-01-01",
        "2026-01-01\0",
        "2026‐01‐01",
        "1" * 10**6,
    ],
)
def test_a_span_that_would_lead_elsewhere_is_no_date(text):
    with pytest.raises(UsageError, match=r"Param 'span': wanted a date"):
        span_of(run(text))


def test_the_daily_spans_begin_at_the_frozen_start():
    settings, start = frozen_start(SETTINGS | {"WIDEDEEP_START_DATE": "2026-11-14"})
    assert settings.contract == Path("contract.yaml")
    assert start == datetime(2026, 11, 14, tzinfo=UTC)


def test_a_start_that_was_never_frozen_is_an_error_that_names_the_variable():
    with pytest.raises(SettingsError, match="WIDEDEEP_START_DATE is not set: wanted the first daily span"):
        frozen_start(SETTINGS)


def test_the_evidence_names_the_dag_and_the_run():
    assert (
        actor({"dag_run": SimpleNamespace(dag_id="widedeep_retrain"), "run_id": "manual__1"})
        == "airflow:widedeep_retrain/manual__1"
    )
