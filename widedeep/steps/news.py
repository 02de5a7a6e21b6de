"""What somebody has to hear of: a span of the live lane that this very run has settled as quarantined or held.

Who finds it settled tells nobody again; only a run that died between settling and telling does so when it is tried again.
"""

from datetime import datetime

from widedeep.artifacts import LIVE, Outcome, Progress
from widedeep.publishing import lanes
from widedeep.steps.workplace import Workplace


def news(place: Workplace, settled: Progress, since: datetime) -> Outcome | None:
    """The outcome that this actor has written since then, if a person has to look at it. `since`: when its run began."""
    if settled.lane != LIVE or settled.result not in {"held", "quarantined"}:
        return None
    outcome = lanes.outcome(place.store, settled.lane, settled.span)
    return outcome if outcome and outcome.settled_by == place.actor and outcome.settled_at >= since else None
