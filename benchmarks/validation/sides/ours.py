"""`widedeep.data.validation.assess`: the rules, drift against `PAST` spans, bad rows, profile and pages of Data Docs."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.validation.wide_span import SPAN, contract
from widedeep.data.conform import conform
from widedeep.data.profiles import Profile
from widedeep.data.validation import assess

PAST = 28


def prepared(folder: Path, path: Path) -> Callable[[], set[str]]:
    profile = Profile.from_bytes((folder / "profile.json").read_bytes(), "profile.json")
    past = [profile.model_copy(update={"span": SPAN - timedelta(days=PAST - i)}) for i in range(PAST)]
    table = conform(pq.read_table(path), contract())

    def validate() -> set[str]:
        found = assess(table, contract(), SPAN, past).findings
        return {finding.column or finding.check for finding in found if finding.check != "drift"}  # which no peer measures

    return validate
