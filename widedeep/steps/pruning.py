"""What the contract does not keep leaves the store; unless told to delete, this only looks."""

import logging
from collections.abc import Callable

from widedeep.publishing import prune as pruning
from widedeep.publishing import removal
from widedeep.publishing.removal import Item, Plan
from widedeep.steps.workplace import Workplace

log = logging.getLogger(__name__)


def plan_prune(place: Workplace) -> Plan:
    """What would go. Deletes nothing, but makes champions whole again that a run which died has left unpublished.

    Raises:
        IntegrityError: a record in the store is damaged, so nothing is known to be free.
    """
    contract = place.contract
    return pruning.plan(place.store, contract.retention, place.clock(), contract.pending, contract.split.pool_spans)


def prune(place: Workplace, plan: Plan, on_item: Callable[[Item], None] = lambda _: None) -> Plan:
    """Delete what was planned and is still free. Safe beside runs, promotions and rollbacks. Returns what went."""

    def told(item: Item) -> None:
        log.info("%s %s went: %s, %d bytes", item.kind, item.name, item.why, item.size_bytes)
        on_item(item)

    return removal.carry_out(place.store, plan, told)
