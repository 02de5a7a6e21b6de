"""Which span a run is about: its Param `span`, else the day (UTC) at which its data interval starts, less the days that labels
take to be true. Nothing is guessed.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from widedeep.config import Settings, load_settings
from widedeep.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from airflow.sdk import Context


def span_of(context: "Context", label_delay: int = 0) -> date:
    """The span of this run. `label_delay`: how many days before the run's data interval it lies, unless the Param names it.

    Raises:
        UsageError: the run has neither a Param `span` nor a data interval, or the Param is no date.
    """
    given = context["params"].get("span")
    if given is not None:
        return day(given, "Param 'span'")
    start = context.get("data_interval_start")
    if start is None:
        raise UsageError(
            f"run {context['run_id']}: it names no span: wanted the Param 'span' or a data interval, got neither. "
            'Trigger it again with {"span": "2026-11-20"} (your day) as configuration.'
        )
    return start.astimezone(UTC).date() - timedelta(days=label_delay)


def day(text: str, what: str) -> date:
    """Parse an ISO date. Raises UsageError, naming `what`."""
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what}: wanted a date such as 2026-11-20, got {text!r}. Trigger the run again.") from error


def actor(context: "Context") -> str:
    """Who did it, as the store's evidence names them: the DAG and its run."""
    return f"airflow:{context['dag_run'].dag_id}/{context['run_id']}"


def frozen_start(environment: Mapping[str, str]) -> tuple[Settings, datetime]:
    """The settings, and the start of the first daily span. A DAG file calls this, so that a wrong environment is an import error.

    Raises:
        SettingsError: a variable is missing or wrong; the text names it.
    """
    settings = load_settings(environment)
    if settings.start_date is None:
        raise SettingsError(
            "WIDEDEEP_START_DATE is not set: wanted the first daily span, such as 2026-11-14. It is frozen when the project is "
            "set up, because Airflow catches up from it: set it in the environment of every Airflow process."
        )
    return settings, midnight(settings.start_date)


def midnight(span: date) -> datetime:
    """The start of a span (UTC)."""
    return datetime.combine(span, time(), tzinfo=UTC)
