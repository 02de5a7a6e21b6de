"""Which rows break a rule of their own, and why. They are taken out all together, or, if they are too many, none is.

The table of bad rows has all delivered columns as they came, then two more, the last ones: the row's number in the delivered
snapshot, and its reasons.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.data.checks import Check, Places

ROW, REASONS = "row", "reasons"

Failed = tuple[Check, Places | None, int | None]


@dataclass(frozen=True)
class BadRows:
    """`reasons` by row, if they are taken; `count` rows at least break a rule that has no tolerance of its own."""

    count: int
    reasons: dict[int, tuple[str, ...]]

    @property
    def taken(self) -> bool:
        return bool(self.reasons)

    def clean(self, rows: int) -> NDArray[np.bool_]:
        """(rows,) whether each row stays."""
        kept: NDArray[np.bool_] = np.ones(rows, bool)
        kept[list(self.reasons)] = False
        return kept


def bad_rows(failed: Iterable[Failed], most: Callable[[Check], int]) -> BadRows:
    """From each failed check, the rows that break it, if known, and how many do at least; None: it could not run.

    `most`: how many rows may break a check, or, of those without a tolerance of their own, all of them together.
    """
    broken = [*failed]
    together = [each for each in broken if each[0].tolerance is None]
    count = _at_least(together)
    parts = [([each], _at_least([each])) for each in broken if each[0].tolerance is not None] + [(together, count)]
    too_many = any(part and found > most(part[0][0]) for part, found in parts)
    if too_many or any(rows is None for _, rows, _ in broken):
        return BadRows(count, {})
    reasons: dict[int, list[str]] = defaultdict(list)
    for check, rows, _ in broken:
        for row in rows.tolist() if rows is not None else ():
            reasons[row].append(f"{check.about}: is one of the {check.counted} that {check.complaint}")
    return BadRows(count, {row: tuple(said) for row, said in sorted(reasons.items())})


def _at_least(failed: Sequence[Failed]) -> int:
    """How many rows break one of these checks."""
    known = [rows for _, rows, _ in failed if rows is not None]
    return max(0, len(np.unique(np.concatenate(known))) if known else 0, *(least or 0 for _, _, least in failed))


def quarantine_table(table: pa.Table, bad: BadRows) -> pa.Table:
    """The rows that were taken out, in their order."""
    rows = pa.array(list(bad.reasons), pa.int64())
    reasons = pa.array([list(said) for said in bad.reasons.values()], pa.list_(pa.string()))
    taken = table.take(rows)
    return taken.append_column(_free(ROW, table), rows).append_column(_free(REASONS, table), reasons)


def delivered_columns(quarantined: pa.Table) -> pa.Table:
    """The rows as they were delivered."""
    return quarantined.drop_columns(quarantined.column_names[-2:])


def without_reasons(mended: pa.Table, delivered: Collection[str]) -> pa.Table:
    """Rows that may come from a quarantine table, without what it added: `delivered` columns may have the like names."""
    added = [name for name in mended.column_names if name.lstrip("_") in {ROW, REASONS} and name not in delivered]
    return mended.drop_columns(added)


def _free(name: str, table: pa.Table) -> str:
    """The name, or with underscores before it if a delivered column has it."""
    while name in table.column_names:
        name = f"_{name}"
    return name
