"""No run works on a store that nobody examined: one found safe is remembered, in the store itself, and examined anew each week.

Whatever decides how the store is reached decides whether it keeps the rules, so other settings are another examination.
"""

import logging
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

from widedeep.artifacts import canonical_json, sha256
from widedeep.errors import StaleError, StoreUnavailableError, UnsafeStoreError, WidedeepError
from widedeep.publishing import layout
from widedeep.publishing.doctor import Diagnosis, examine
from widedeep.publishing.s3 import S3Server, S3Store
from widedeep.steps.workplace import Workplace

log = logging.getLogger(__name__)

REMEMBERED_FOR = timedelta(days=7)
"""A store changes when its operator upgrades or moves it; an examination takes about a second."""

RULES = 1
"""Counts up when `examine` learns a new rule: what was found safe before was not asked that."""


def require_safe_store(place: Workplace) -> None:
    """The first thing that a run does; one small read where the store is known.

    Raises:
        UnsafeStoreError: it breaks a rule. Nothing was begun.
        StoreUnavailableError: it gave no answer, so nothing is known.
    """
    known = place.store.get(_key(place))
    if known and place.clock() - Diagnosis.from_bytes(known.data, _key(place)).examined_at < REMEMBERED_FOR:
        return
    diagnosis = examine_store(place)
    log.info("%s", diagnosis.in_words())
    if any(check.passed is False for check in diagnosis.checks):
        raise UnsafeStoreError(f"{diagnosis.in_words()} Run `widedeep doctor` to see all; nothing was begun.")
    if not diagnosis.safe:
        raise StoreUnavailableError(f"{diagnosis.in_words()} Run it again.")


def examine_store(place: Workplace) -> Diagnosis:
    """Examine the store now, and remember the result if it is safe, else forget that it once was."""
    server = S3Server(place.store) if isinstance(place.store, S3Store) else None
    diagnosis = examine(place.store, server, layout.doctor_scratch(uuid4().hex), place.clock, place.folder())
    if diagnosis.safe:
        _remember(place, diagnosis)
    elif any(check.passed is False for check in diagnosis.checks):
        with suppress(WidedeepError):  # who may not read a store can't make it forget either
            place.store.delete(_key(place))
    return diagnosis


def _remember(place: Workplace, diagnosis: Diagnosis) -> None:
    known = place.store.get(_key(place))
    with suppress(StaleError):  # a run beside this one has just found the same
        place.store.swap(_key(place), diagnosis.to_bytes(), known.etag if known else None)


def _key(place: Workplace) -> str:
    names = {"store", "s3_endpoint", "s3_region", "s3_addressing", "s3_encryption", "s3_kms_key"}
    reached = place.settings.model_dump(mode="json", include=names)
    return layout.diagnosis(sha256(canonical_json({**reached, "rules": RULES})))
