"""How `Progress` travels through XCom: a task pushes only what its step filled in, and reads what the steps before it pushed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from widedeep.artifacts import Progress
from widedeep.errors import UsageError

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

STEPS = ("ingest", "validate", "train", "dry_run", "gate", "publish")


def added(before: Progress | None, after: Progress) -> dict[str, Any]:
    """The fields of `after` that `before` lacks or has otherwise, as JSON."""
    if before is None:
        return after.model_dump(mode="json", exclude_defaults=True)
    filled, known = after.model_dump(mode="json"), before.model_dump(mode="json")
    return {name: value for name, value in filled.items() if value != known[name]}


def merged(parts: Iterable[dict[str, Any] | None]) -> Progress:
    """The Progress that the pushed fields add up to, later steps last.

    Raises:
        UsageError: `ingest`, which names span and lane, pushed nothing.
    """
    fields = {name: value for part in parts if part for name, value in part.items()}
    if not {"span", "lane"} <= fields.keys():
        raise UsageError(
            f"ingest left no span and lane in this run (got {sorted(fields) or 'nothing'}; was its state set by hand?). "
            "Clear ingest with Downstream."
        )
    return Progress.model_validate(fields)


def collect(ti: "RuntimeTaskInstanceProtocol", task_ids: Iterable[str]) -> Progress:
    """Read and merge what these tasks of this run pushed. Raises UsageError, see `merged`."""
    return merged(ti.xcom_pull(task_ids=task_id) for task_id in task_ids)


def why_over(progress: Progress) -> str:
    """Why nothing is left to train or judge, in words."""
    if progress.result is not None:
        return f"settled already ({progress.result})"
    return progress.no_data or "quarantined"
