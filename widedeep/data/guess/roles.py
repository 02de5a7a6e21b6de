"""How the model may read a column. What gives the answer away, names each row, or never changes gets no role, and says why."""

import numpy as np

from widedeep.data.guess import names
from widedeep.data.guess.keys import Keys
from widedeep.data.guess.limits import FEW_VALUES
from widedeep.data.guess.owners import Owner
from widedeep.data.guess.sample import Sample
from widedeep.data.guess.seen import Seen

OWN_VALUE = 0.9  # different values by rows: from here on nearly each row has its own
LONG_TEXT = 200  # characters: nobody's category has so many
STEPS = 10  # whole numbers of at most so many values are read as categories
COMES_BACK = 0.5  # share of the last day's rows whose user was there on an earlier one
ROWS_OF_A_USER = 5  # where one day is all that there is

Role = tuple[str | None, str]
"""The contract's word, or None, and why."""


def role_of(seen: Seen, keys: Keys, owner: Owner, sample: Sample, gives_away: float | None) -> Role:
    """gives_away: the label's normalised entropy when only this column is known, if that is next to nothing."""
    if seen.name == keys.user.column:
        return _user_role(seen, sample)
    if seen.name in {keys.label.column, keys.time.column}:
        return None, ""
    if seen.constant:
        return None, "always empty here" if not seen.known else f"always {seen.labels[0].as_py()!r:.40} here, so nothing to learn"
    if gives_away is not None:
        return None, f"LEAK? it alone tells the label (normalised entropy {gives_away:.2f} of 1): is it known before the answer?"
    if owner.name_of:
        return None, f"another name of {owner.name_of}, so nothing new to learn"
    return _by_content(seen)


def _user_role(seen: Seen, sample: Sample) -> Role:
    """Users are learnt one by one if they come back: else the model meets none that it knows."""
    last = sample.day == len(sample.spans) - 1
    if last.all():
        rows = seen.known / max(1, seen.different)
        learnt, said = rows >= ROWS_OF_A_USER, f"{rows:.1f} rows a user"
    else:
        back = float(np.isin(seen.codes[last], seen.codes[~last]).mean())
        learnt, said = back >= COMES_BACK, f"{back:.0%} of the last day's rows are of users of earlier days"
    return ("categorical", f"{said}, so users are learnt one by one") if learnt else (None, f"{said}, so users are not learnt")


def _by_content(seen: Seen) -> Role:
    match seen.kind:
        case "list":
            return "multivalent", ""
        case "boolean":
            return "categorical", ""
        case "string":
            return _of_text(seen)
        case "integer" | "number":
            return _of_numbers(seen)
    return None, ""


def _of_text(seen: Seen) -> Role:
    if _each_its_own(seen):
        return None, _own_values(seen)
    if seen.longest > LONG_TEXT and seen.different > FEW_VALUES:
        return None, f"text of up to {seen.longest:,} characters is no category"
    return "categorical", ""


def _of_numbers(seen: Seen) -> Role:
    if names.named(seen.name, names.WEIGHT):
        return None, "named like a weight: with `role: weight` each row would count so often"
    if names.is_id(seen.name) and _each_its_own(seen):
        return None, _own_values(seen)
    coded = names.is_id(seen.name) or names.named(seen.name, names.CODE) >= names.AMONG_OTHERS or seen.different <= STEPS
    if seen.kind == "integer" and coded:
        return "categorical", "read as categories: `role: numeric` if their size matters"
    return "numeric", ""


def _each_its_own(seen: Seen) -> bool:
    return seen.different > FEW_VALUES and seen.different >= OWN_VALUE * seen.known


def _own_values(seen: Seen) -> str:
    return f"nearly each row has its own value ({seen.different:,} in {seen.known:,} rows), so nothing to learn"
