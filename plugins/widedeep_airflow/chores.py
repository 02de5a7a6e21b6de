"""Operators of the small DAGs beside the daily one: the first training, the sample's feed, and what need not be kept."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from widedeep_airflow.library import opened
from widedeep_airflow.progress import added
from widedeep_airflow.spans import day, span_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class BootstrapOperator(BaseOperator):
    """Learns the spans from Param `from` to Param `to` into the live lane's first release, in one go."""

    def execute(self, context: "Context") -> dict[str, Any]:
        with opened(context) as (steps, place):
            steps.require_safe_store(place)
            first, last = (day(context["params"][name], f"Param '{name}'") for name in ("from", "to"))
            return added(None, steps.bootstrap(place, first, last, lambda step: self.log.info("%s to %s: %s", first, last, step)))


class FeedOperator(BaseOperator):
    """Delivers one span of the sample; skipped, with a sentence, when the sample is used up."""

    def execute(self, context: "Context") -> None:
        with opened(context) as (steps, place):
            span = span_of(context)
            if not steps.deliver_sample(place, span):
                raise AirflowSkipException(f"{span}: the sample is used up; nothing more is delivered to {place.store.url}")


class PruneOperator(BaseOperator):
    """Removes what the contract's retention does not keep; with the Param `delete` off it only tells. Pushes how much."""

    def execute(self, context: "Context") -> dict[str, int]:
        with opened(context) as (steps, place):
            steps.require_safe_store(place)
            planned = steps.plan_prune(place)
            if context["params"]["delete"]:
                planned = steps.prune(place, planned)
            else:
                for item in planned.items:
                    self.log.info("%s %s would go: %s, %d bytes", item.kind, item.name, item.why, item.size_bytes)
            return {"items": len(planned.items), "bytes": planned.size_bytes}
