"""What a span has to be as a whole: each check looks at one fact. Facts of the delivery count all its rows; the label's, the
features' and drift's only what would be learnt, which is without the rows that were taken out.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from widedeep.data import facts
from widedeep.data.checks import Check, Severity, Subject, listed, shown
from widedeep.data.contract import Contract
from widedeep.data.drift import Move
from widedeep.data.late import late
from widedeep.data.leaks import LEAK, aucs
from widedeep.data.profiles import Profile
from widedeep.data.twice import repeated_share, unequal

Fact = tuple[str, Any]
"""Its name and its value."""
Checked = Iterator[tuple[Check, Any]]
"""Checks, each with the fact that it looks at."""
HABIT = 3  # past spans in which a column had several values, before having one is odd


def span_subject(
    delivered: pa.Table,
    clean: pa.Table,
    profile: Profile,
    past: Sequence[Profile],
    moved: Sequence[Move],
    contract: Contract,
    bad_rows: int,
) -> Subject:
    """All facts in one row. `profile` is of the clean rows, `moved` how far it is from `past`; `bad_rows` break a rule each,
    at least so many."""
    found = [
        *_tolerance(delivered, contract, bad_rows),
        *_types(delivered, contract),
        *_nulls(delivered, contract),
        *_different(delivered, contract),
        *_late(delivered, contract, profile),
        *_duplicates(delivered, contract),
        *_skew(delivered, contract),
        *_unknown(delivered, contract),
        *_label_rate(clean, contract),
        *_leaks(clean, contract),
        *_constant(profile, past),
        *_drifted(moved, contract),
    ]
    return Subject(pa.table({check.arguments["column"]: [value] for check, value in found}), tuple(check for check, _ in found))


def _tolerance(table: pa.Table, contract: Contract, bad_rows: int) -> Checked:
    share, limit = bad_rows / max(1, table.num_rows), contract.checks.tolerance
    said = f"{bad_rows:,} of {table.num_rows:,} rows or more break a rule ({share:.2%}), wanted at most {limit:.2%} to take out"
    yield _limit("tolerance", None, ("share of bad rows", share), (0, limit), said)


def _types(table: pa.Table, contract: Contract) -> Checked:
    for name, spec in contract.columns.items():
        if name in table.column_names:
            got, known = facts.type_name(table.schema.field(name).type), f"type of {name}"
            wrong = table[name].drop_null() if got != spec.type else table[name].slice(0, 0)
            example = "".join(f", e.g. {shown(value)}" for value in wrong.slice(0, 1))
            said = f"column {name!r}: has type {got}, wanted {spec.type}{example}"
            yield Check("type", name, "ExpectColumnValuesToBeInSet", {"column": known, "value_set": [spec.type]}, said), got


def _nulls(table: pa.Table, contract: Contract) -> Checked:
    for name, spec in contract.columns.items():
        if spec.nullable and name in table.column_names:
            limit = contract.checks.max_null_share if spec.max_null_share is None else spec.max_null_share
            share = facts.null_share(table, name)
            said = f"column {name!r}: {share:.1%} null, wanted at most {limit:.1%}"
            yield _limit("nulls", name, (f"null share of {name}", share), (0, limit), said)


def _different(table: pa.Table, contract: Contract) -> Checked:
    for name in facts.sound_columns(table, contract):
        if limits := contract.columns[name].different:
            count, what = facts.different(table[name]), "items" if contract.columns[name].type == "list" else "values"
            said = f"column {name!r}: has {count:,} different {what}, wanted {limits[0]:,} to {limits[1]:,}"
            yield _limit("different", name, (f"different values of {name}", count), limits, said)


def _late(table: pa.Table, contract: Contract, profile: Profile) -> Checked:
    """Of rows that are kept. Where they are not, those that are too many can't be taken out, which says the same."""
    if contract.late.rows == "keep" and contract.time in facts.sound_columns(table, contract):
        share = late(table[contract.time], contract, profile.span).sum() / max(1, table.num_rows)
        said = (
            f"column {contract.time!r}: {share:.1%} of the rows are of an earlier day, wanted at most {contract.late.share:.1%}"
        )
        again = "; was an earlier day's file delivered again?"
        yield _limit("late", contract.time, ("share of late rows", share), (0, contract.late.share), said + again)


def _duplicates(table: pa.Table, contract: Contract) -> Checked:
    """Some double clicks are odd; with more of them a file may have been delivered twice."""
    share, limit = repeated_share(table), contract.checks.duplicates
    said = f"{share:.2%} of the rows equal an earlier one, wanted"
    much = f"{said} at most {limit:.2%}; was a file delivered twice?"
    yield _limit("duplicates", None, ("share of duplicates", share), (0, limit), much)
    few = 0 if share <= limit else limit
    yield _limit("duplicates", None, ("duplicates", min(share, limit)), (0, few), f"{said} none", "warning")


def _skew(table: pa.Table, contract: Contract) -> Checked:
    sound = facts.sound_columns(table, contract)
    for skew in contract.checks.skew:
        if set(skew.of) <= set(sound) and table.num_rows:
            one, other = skew.of
            share = float(unequal(table[one], table[other], skew.tolerance).mean())
            said = (
                f"column {one!r}: differs from {other!r} in {share:.2%} of the rows, wanted at most {skew.share:.2%}; is it "
                "computed one way for training and another way when serving?"
            )
            yield _limit("skew", one, (f"share of {one} unlike {other}", share), (0, skew.share), said)


def _unknown(table: pa.Table, contract: Contract) -> Checked:
    unknown = [name for name in table.column_names if name not in contract.columns]
    said = f"columns {listed(unknown)}: not in the contract, so they are not learnt from; add them to it to use them"
    yield _limit("unknown", None, ("unknown columns", len(unknown)), (0, 0), said, "warning")


def _label_rate(table: pa.Table, contract: Contract) -> Checked:
    rate, (low, high), name = facts.label_rate(table, contract), contract.checks.label_rate, contract.label.column
    if rate is not None:
        got = "all rows are of one class: " if rate in (0, 1) else ""
        said = f"label {name!r}: {got}{rate:.4f} of the rows are positive, wanted {low:g}..{high:g}"
        yield _limit("label rate", name, ("label rate", rate), (low, high), said)


def _leaks(table: pa.Table, contract: Contract) -> Checked:
    """It may be so, but a person should say that it is: what leaks is missing when the model serves."""
    for name, auc in aucs(table, contract).items():
        said = f"column {name!r}: tells the label alone (AUC {auc:.3f}, wanted at most {LEAK:g}); is it known before the label?"
        yield _limit("leak", name, (f"AUC of {name}", auc), (0, LEAK), said, "drastic")


def _constant(profile: Profile, past: Sequence[Profile]) -> Checked:
    """How far it has moved is drift's to say; this says what has happened."""
    for name in profile.columns if len(past) >= HABIT else ():
        varied = not any(name in p.constant for p in past)
        said = f"column {name!r}: has one value in all rows; in each of {len(past)} past spans it had several"
        fact = (f"{name} has become constant", int(varied and name in profile.constant))
        yield _limit("constant", name, fact, (0, 0), said, "warning")


def _drifted(moved: Sequence[Move], contract: Contract) -> Checked:
    """Drift alone warns, unless it is drastic."""
    for move in moved:
        column = move.column if move.column in contract.columns else None
        drastic = move.level == "drastic"
        limit = move.limit if move.drastic is None or not drastic else move.drastic
        fact = (f"{move.measure} of {move.column}", move.effect)
        yield _limit("drift", column, fact, (0, limit), move.sentence, "drastic" if drastic else "warning")


def _limit(
    kind: str, column: str | None, fact: Fact, limits: tuple[float, float], said: str, severity: Severity = "critical"
) -> tuple[Check, Any]:
    arguments = {"column": fact[0], "min_value": limits[0], "max_value": limits[1]}
    return Check(kind, column, "ExpectColumnValuesToBeBetween", arguments, said, severity), fact[1]
