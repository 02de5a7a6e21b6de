"""What every step works with, and what none of them derives from its span."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TypeVar

from widedeep.artifacts import Value
from widedeep.config import Settings, load_settings
from widedeep.data.contract import Contract, load_contract
from widedeep.errors import OrderError, UsageError
from widedeep.publishing.keys import load_signer, load_trust
from widedeep.publishing.moves import Because
from widedeep.publishing.s3 import open_store
from widedeep.publishing.signing import check_step
from widedeep.publishing.store import ObjectStore
from widedeep.steps.pace import RateLines

log = logging.getLogger(__name__)

T = TypeVar("T")
V = TypeVar("V", bound=Value)


def utc_now() -> datetime:
    return datetime.now(UTC)


def nobody_listens(rows_learnt: int, rows: int) -> None:
    """Default for `Workplace.on_rows`."""


@dataclass(frozen=True)
class Workplace:
    """`actor` is written into outcomes and pointer moves; `environment` is what the dry run's process gets: no key to sign with.

    `on_rows(rows learnt, rows in all)` hears when training starts, with 0, and of each batch.
    """

    store: ObjectStore
    contract: Contract
    scratch: Path
    settings: Settings
    environment: Mapping[str, str] = field(repr=False)  # it holds credentials
    actor: str
    clock: Callable[[], datetime] = utc_now
    on_rows: Callable[[int, int], None] = nobody_listens

    def folder(self) -> Path:
        """A new, empty scratch folder; it goes when the workplace closes."""
        return Path(mkdtemp(dir=self.scratch))

    def because(self, reason: str) -> Because:
        """Now, by this actor, for a reason, with the keys that the settings name.

        Raises:
            UsageError: the reason is blank.
            SettingsError: a key can't be used.
        """
        if not reason.strip():
            raise UsageError("reason: got nothing, wanted why, in words; it is kept with the move and read by those after you.")
        return Because(self.clock(), self.actor, reason.strip(), load_signer(self.settings), load_trust(self.settings))

    def deadline(self, span: date) -> datetime:
        """Until when a run waits for the span's delivery: counted from the midnight (UTC) when its labels were true."""
        delay = timedelta(days=1 + self.contract.label_delay)
        return datetime.combine(span + delay, time(), UTC) + self.contract.delivery.deadline


@contextmanager
def open_workplace(environment: Mapping[str, str], *, actor: str) -> Iterator[Workplace]:
    """Parse settings and contract, connect to the store; scratch space lives as long as the context. Rows learnt go to the log.

    Raises:
        SettingsError, ContractError: with every problem found.
    """
    settings = load_settings(environment)
    contract = load_contract(settings.contract)
    for_children = {name: value for name, value in environment.items() if name != "WIDEDEEP_SIGNING_KEY"}
    with TemporaryDirectory(prefix="widedeep-") as scratch:
        store, scratch_folder = open_store(settings, environment), Path(scratch)
        yield Workplace(store, contract, scratch_folder, settings, for_children, actor, on_rows=RateLines(log.info))


def wanted(value: T | None, what: str, step: str) -> T:
    """The value, or a UsageError that names the step which makes it."""
    if value is None:
        raise UsageError(f"this run has no {what} yet: run the step '{step}' first")
    return value


def stored(store: ObjectStore, key: str) -> bytes:
    """The bytes of an object that must be there.

    Raises:
        OrderError: it is not.
    """
    blob = store.get(key)
    if blob is None:
        raise OrderError(f"{store.url}/{key}: not there, although an earlier step has seen it. Restore it, then run again.")
    return blob.data


def stored_evidence(place: Workplace, key: str, kind: type[V]) -> V:
    """The report or verdict that an earlier step has stored.

    Raises:
        OrderError: it is not there.
        SignatureError: no accepted key signed it although that is required, or a signature does not fit.
    """
    data = stored(place.store, key)
    check_step(place.store, key, data, load_trust(place.settings))
    return kind.from_bytes(data, f"{place.store.url}/{key}")
