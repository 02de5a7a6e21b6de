"""Laws of eviction and of the cap, against an account of the same days kept in plain dictionaries, one value at a time."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.data.contract import Column, Contract, Cross, Gate, Label, SplitRule, VocabularyLimits
from widedeep.errors import ContractError, UsageError
from widedeep.features import growth as growth_module
from widedeep.features.encoding import encode
from widedeep.features.growth import Growth, RowBytes, Vocabularies, grow, growth
from widedeep.features.quantiles import Quantiles
from widedeep.features.vocabulary import Vocabulary

START = date(2026, 1, 1)
SIDES = ("who", "tags")
OOV = object()
ROW = RowBytes(value=20, cross=12)
SCHEMA = pa.schema([("who", pa.string()), ("tags", pa.list_(pa.string())), ("at", pa.int64()), ("bought", pa.bool_())])

Rows = list[tuple[str | None, list[str | None]]]
Spans = list[tuple[date, Rows]]


@dataclass(frozen=True)
class Rule:
    min_count: int = 1
    evict: int | None = None
    max_bytes: int | None = None


word = st.one_of(st.none(), st.sampled_from("abcdef"))
day = st.tuples(st.integers(1, 3), st.lists(st.tuples(word, st.lists(word, max_size=3)), max_size=6))
days = st.lists(day, min_size=1, max_size=8)
rules = st.builds(Rule, st.integers(1, 3), st.one_of(st.none(), st.integers(1, 4)), st.one_of(st.none(), st.integers(40, 400)))


def contract(rule: Rule) -> Contract:
    return Contract(
        name="laws",
        user="who",
        time="at",
        label=Label(column="bought"),
        columns={
            "who": Column(type="string", role="categorical", min_count=rule.min_count),
            "tags": Column(type="list", role="multivalent", min_count=rule.min_count),
            "at": Column(type="timestamp"),
            "bought": Column(type="boolean"),
        },
        crosses=(Cross(of=SIDES, min_count=rule.min_count),),
        split=SplitRule(salt="s"),
        gate=Gate(margin=0.01),
        vocabulary=VocabularyLimits(evict_after_days=rule.evict, max_bytes=rule.max_bytes),
    )


def table(rows: Rows) -> pa.Table:
    columns = [[who for who, _ in rows], [tags for _, tags in rows], [0] * len(rows), [True] * len(rows)]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def dated(drawn: list[tuple[int, Rows]]) -> Spans:
    gaps = np.cumsum([gap for gap, _ in drawn]).tolist()
    return [(START + timedelta(days=gap), rows) for gap, (_, rows) in zip(gaps, drawn, strict=True)]


def states(spans: Spans, rule: Rule) -> list[Vocabularies]:
    """The vocabularies before and after each span."""
    found = [Vocabularies.empty()]
    for span, rows in spans:
        found.append(grow(found[-1], table(rows), contract(rule), span, ROW))
    return found


@dataclass
class Account:
    """One vocabulary, kept a key at a time. A cross's key is its two values, not their rows."""

    held: dict[Any, int] = field(default_factory=dict)
    generation: list[int] = field(default_factory=list)
    last: dict[Any, date] = field(default_factory=dict)
    waiting: Counter[Any] = field(default_factory=Counter)

    def see(self, counts: Counter[Any], span: date, rule: Rule, room: float, order: Callable[[Any], Any]) -> set[Any]:
        """Grow by a span; returns the keys that lost their rows."""
        for key in [k for k in self.waiting if self._expired(k, span, rule)]:
            del self.waiting[key]
        for key, count in counts.items():
            self.last[key] = max(span, self.last.get(key, span))
            self.waiting[key] += 0 if key in self.held else count
        self.waiting += Counter()  # drops what has no sightings
        free = sorted(set(range(len(self.generation))) - set(self.held.values()))
        expired = sorted((k for k in self.held if self._expired(k, span, rule)), key=lambda k: (self.last[k], self.held[k]))
        ready = sorted(sorted((k for k in self.waiting if self.waiting[k] >= rule.min_count), key=order), key=self._seen_most)
        chosen = sorted(ready[: int(min(len(ready), room + len(free) + len(expired)))], key=order)
        lost = set(expired[: max(0, len(chosen) - len(free))])
        rows = [*free, *(self.held.pop(key) for key in expired if key in lost)]
        for key in chosen:
            self.held[key] = self._row(rows)
            del self.waiting[key]
        return lost

    def forget(self, lost: set[Any]) -> None:
        """Give up the crosses that have a lost value as a side."""
        for key in {key for key in {*self.held, *self.waiting} if lost & set(key)}:
            self.held.pop(key, None)
            self.waiting.pop(key, None)

    def _row(self, reusable: list[int]) -> int:
        if not reusable:
            self.generation.append(0)
            return len(self.generation) - 1
        self.generation[reusable[0]] += 1
        return reusable.pop(0)

    def _expired(self, key: Any, span: date, rule: Rule) -> bool:
        return rule.evict is not None and key in self.last and (span - self.last[key]).days > rule.evict

    def _seen_most(self, key: Any) -> int:
        return -self.waiting[key]


def accounts(spans: Spans, rule: Rule) -> tuple[Account, Account]:
    values, crosses = Account(), Account()
    for feature in sorted(SIDES):
        values.held[feature, OOV] = values._row([])
    for span, rows in spans:
        seen = Counter(("who", who) for who, _ in rows) + Counter(("tags", tag) for _, tags in rows for tag in tags)
        lost = values.see(seen, span, rule, room(values, crosses, rule, ROW.value), lambda k: (k[0], k[1] is None, k[1] or ""))
        crosses.forget(lost)
        pairs = Counter((("who", who), ("tags", tag)) for who, tags in rows for tag in tags)
        seen = Counter({pair: count for pair, count in pairs.items() if set(pair) <= values.held.keys()})
        crosses.see(seen, span, rule, room(values, crosses, rule, ROW.cross), lambda k: [values.held[side] for side in k])
    return values, crosses


def room(values: Account, crosses: Account, rule: Rule, row: int) -> float:
    used = ROW.total(len(values.generation), len(crosses.generation))
    return float("inf") if rule.max_bytes is None else max(0, rule.max_bytes - used) // row


def keys_by_row(state: Vocabularies) -> tuple[list[Any], list[Any]]:
    """What each row holds: (feature, key) or (feature, OOV); a cross's two values; None where it is free."""
    rows = state.values.rows.to_pylist()
    values = [(r["feature"], OOV if r["oov"] else r["key"]) for r in rows]
    keys = state.crosses.rows["key"].to_pylist()
    return values, [None if k is None else (values[k >> 32], values[k & 0xFFFFFFFF]) for k in keys]


def held(keys: list[Any], vocabulary: Vocabulary) -> dict[Any, tuple[int, int]]:
    places = [(key, (row, int(vocabulary.generations()[row]))) for row, key in enumerate(keys) if key is not None]
    assert len(dict(places)) == len(places)
    return dict(places)


@given(days, rules)
@settings(max_examples=150, deadline=None)
def test_every_row_and_every_waiting_key_is_as_the_account_says(drawn, rule):
    spans = dated(drawn)
    state, (values, crosses) = states(spans, rule)[-1], accounts(spans, rule)
    names, pairs = keys_by_row(state)
    for keys, vocabulary, account in ((names, state.values, values), (pairs, state.crosses, crosses)):
        assert held(keys, vocabulary) == {k: (row, account.generation[row]) for k, row in account.held.items()}
    assert {(w["feature"], w["key"]): w["sightings"] for w in state.values.waiting.to_pylist()} == dict(values.waiting)
    waiting = {(names[w["key"] >> 32], names[w["key"] & 0xFFFFFFFF]): w["sightings"] for w in state.crosses.waiting.to_pylist()}
    assert waiting == dict(crosses.waiting)


@given(days, rules, st.lists(st.tuples(word, st.lists(word, max_size=3)), max_size=5))
@settings(max_examples=80, deadline=None)
def test_every_row_is_encoded_as_the_account_says(drawn, rule, asked):
    spans = dated(drawn)
    made, (values, crosses) = states(spans, rule)[-1], accounts(spans, rule)
    batch = encode(table(asked), made, Quantiles(), contract(rule))
    oov = {feature: values.held[feature, OOV] for feature in SIDES}
    for i, (who, tags) in enumerate(asked):
        rows = [values.held.get(("who", who), oov["who"])]
        bag = [values.held.get(("tags", tag), oov["tags"]) for tag in tags]
        pairs = [crosses.held.get((("who", who), ("tags", tag))) for tag in tags]
        assert batch.rows[i].tolist() == rows
        assert batch.bags[0].slice(i, i + 1).flat.tolist() == bag
        assert batch.wide.slice(i, i + 1).flat.tolist() == rows + bag + [len(made.values) + p for p in pairs if p is not None]
    assert {batch.rows.dtype, batch.bags[0].flat.dtype, batch.wide.flat.dtype} == {np.dtype(np.int32)}


@given(days, rules)
@settings(max_examples=60, deadline=None)
def test_a_row_and_generation_never_changes_its_value_nor_a_cross_its_values(drawn, rule):
    known: dict[Any, Any] = {}
    for state in states(dated(drawn), rule)[1:]:
        for kind, keys in enumerate(keys_by_row(state)):
            vocabulary = (state.values, state.crosses)[kind]
            for key, place in held(keys, vocabulary).items():
                assert known.setdefault((kind, place), key) == key
                assert kind or key[1] is OOV or vocabulary.lookup(key[0], pa.array([key[1]], pa.string())) == [place[0]]


@given(days, rules)
@settings(max_examples=60, deadline=None)
def test_the_tables_never_pass_the_cap_and_never_shrink(drawn, rule):
    sizes = [(len(state.values), len(state.crosses)) for state in states(dated(drawn), rule)[1:]]
    assert rule.max_bytes is None or ROW.total(*sizes[-1]) <= rule.max_bytes
    assert all(now[0] >= before[0] and now[1] >= before[1] for before, now in pairwise(sizes))


@given(days, rules, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_changes_nothing_where_rows_are_evicted_and_refused(drawn, rule, random):
    spans = dated(drawn)
    shuffled = [(span, random.sample(rows, len(rows))) for span, rows in spans]
    assert states(shuffled, rule)[-1] == states(spans, rule)[-1]


@given(days, rules)
@settings(max_examples=40, deadline=None)
def test_growing_again_by_the_same_span_gives_the_same_rows_if_one_sighting_admits(drawn, rule):
    rule = replace(rule, min_count=1)
    spans = dated(drawn)
    once, again = states(spans, rule)[-1], states([*spans, spans[-1]], rule)[-1]
    assert (again.values.rows, again.crosses.rows) == (once.values.rows, once.crosses.rows)
    assert rule.max_bytes is not None or again == once


def test_an_expired_value_keeps_its_row_until_somebody_needs_it_and_then_starts_anew():
    rule = Rule(min_count=2, evict=1)
    ann, bob, eve = ([(name, [])] * 2 for name in ("ann", "bob", "eve"))
    state = states(on({0: ann, 5: ann}), rule)[-1]
    assert held(keys_by_row(state)[0], state.values)["who", "ann"] == (2, 0)
    state = states(on({0: ann, 5: bob}), rule)[-1]
    assert held(keys_by_row(state)[0], state.values)["who", "bob"] == (2, 1)
    state = states(on({0: ann, 5: bob, 6: ann[:1]}), rule)[-1]
    assert state.values.lookup("who", pa.array(["ann"])) == [-1]
    state = states(on({0: ann, 5: bob, 6: ann}), rule)[-1]
    assert held(keys_by_row(state)[0], state.values)["who", "ann"] == (3, 0)
    state = states(on({0: ann, 5: bob, 9: eve}), rule)[-1]
    assert held(keys_by_row(state)[0], state.values)["who", "eve"] == (2, 2)


def test_a_waiting_key_is_forgotten_when_it_was_not_seen_for_as_long():
    spans = on({0: [("ann", [])], 2: [("bob", [])], 3: [("ann", [])]})
    assert states(spans, Rule(min_count=2, evict=3))[-1].values.lookup("who", pa.array(["ann"])) == [2]
    assert states(spans, Rule(min_count=2, evict=2))[-1].values.lookup("who", pa.array(["ann"])) == [-1]


def test_a_cross_is_not_inherited_by_the_value_that_takes_its_sides_row():
    first, second = [("ann", ["x"])], [("bob", ["x"])]
    before, after = states(on({0: first, 5: second}), Rule(evict=2))[1:]
    row = before.values.lookup("who", pa.array(["ann"]))
    assert after.values.lookup("who", pa.array(["bob"])) == row
    assert before.crosses.rows["key"] == after.crosses.rows["key"]
    assert (before.crosses.generations().tolist(), after.crosses.generations().tolist()) == ([0], [1])


def test_a_waiting_cross_does_not_pass_on_its_sightings_either():
    crosses = (Cross(of=SIDES, min_count=2),)
    made = contract(Rule(evict=2)).model_copy(update={"crosses": crosses})
    state = Vocabularies.empty()
    for span, rows in on({0: [("ann", ["x"])], 5: [("bob", ["x"])]}):
        state = grow(state, table(rows), made, span)
    assert state.crosses.waiting["sightings"].to_pylist() == [1]
    assert len(state.crosses) == 0


def test_where_there_is_no_room_for_all_the_most_often_seen_come_first_and_values_before_crosses():
    rows = [("ann", ["x"]), ("bob", ["x"]), ("bob", ["x"]), ("eve", [])]
    full = ROW.total(4, 0)
    before, after = states(on({0: rows}), Rule(max_bytes=full + ROW.cross - 1))
    assert set(keys_by_row(after)[0]) == {("who", OOV), ("tags", OOV), ("who", "bob"), ("tags", "x")}
    seen = growth(before, after, contract(Rule()), ROW)
    assert seen == Growth(
        new_values=4,
        new_crosses=0,
        evicted_values=0,
        evicted_crosses=0,
        refused_values=2,
        refused_crosses=1,
        table_bytes=full,
    )
    assert seen.warning() == (
        "the vocabulary is full at 80 bytes: 2 values and 1 crosses were seen often enough and got no row. "
        "Raise vocabulary.max_bytes, or lower vocabulary.evict_after_days."
    )


def test_what_was_refused_is_admitted_when_there_is_room_again():
    state = states(on({0: [("ann", []), ("bob", [])]}), Rule(max_bytes=ROW.total(3, 0)))[-1]
    assert keys_by_row(state)[0][2:] == [("who", "ann")]
    wider = grow(state, table([]), contract(Rule(max_bytes=ROW.total(4, 0))), START, ROW)
    assert keys_by_row(wider)[0][2:] == [("who", "ann"), ("who", "bob")]


def test_the_report_counts_what_lost_its_row():
    before, after = states(on({0: [("ann", ["x"])], 5: [("bob", ["x"])]}), Rule(evict=2))[1:]
    seen = growth(before, after, contract(Rule(evict=2)), ROW)
    assert (seen.new_values, seen.evicted_values, seen.new_crosses, seen.evicted_crosses) == (1, 1, 1, 1)
    assert seen.warning() is None


def test_a_lowered_cap_admits_nothing_until_rows_expire_and_one_below_the_oov_rows_is_refused():
    spans = on({0: [("ann", []), ("bob", [])], 1: [("bob", []), ("eve", [])], 3: [("bob", []), ("eve", [])]})
    wide, tight = contract(Rule()), contract(Rule(evict=2, max_bytes=1))
    first = grow(Vocabularies.empty(), table(spans[0][1]), wide, spans[0][0])
    second = grow(first, table(spans[1][1]), tight, spans[1][0], ROW)
    third = grow(second, table(spans[2][1]), tight, spans[2][0], ROW)
    assert [keys_by_row(s)[0][2:] for s in (second, third)] == [
        [("who", "ann"), ("who", "bob")],
        [("who", "eve"), ("who", "bob")],
    ]
    with pytest.raises(ContractError, match=r"max_bytes: got 1; with an OOV row .* take 40"):
        states(spans, Rule(max_bytes=1))
    with pytest.raises(UsageError, match="row_bytes"):
        grow(first, table([]), tight, START)


def test_another_limit_is_another_release():
    digests = {contract(rule).training_digest for rule in (Rule(), Rule(evict=3), Rule(max_bytes=500))}
    assert len(digests) == 3


def test_more_rows_than_an_int32_counts_are_refused_in_words(monkeypatch):
    monkeypatch.setattr(growth_module, "ROW_LIMIT", 3)
    with pytest.raises(ContractError, match=r"5 rows of values and crosses, wanted at most 3.*max_bytes"):
        states(on({0: [("ann", ["x"])]}), Rule())


@pytest.mark.parametrize("rule", [Rule(min_count=2), Rule(min_count=2, evict=20), Rule(evict=10, max_bytes=ROW.total(300, 200))])
def test_a_hundred_and_eighty_daily_growths_reassign_nothing_and_collide_nothing(rule):
    random = np.random.default_rng(0)
    spans = {day: [(f"u{u}", [f"t{t}" for t in random.integers(60, size=2)]) for u in users(random, day)] for day in range(180)}
    known: dict[Any, Any] = {}
    for state in states(on(spans), rule)[1:]:
        for kind, keys in enumerate(keys_by_row(state)):
            for key, place in held(keys, (state.values, state.crosses)[kind]).items():
                assert known.setdefault((kind, place), key) == key
    assert (state.values.generations().max() > 1) == (rule.evict is not None)


def users(random: np.random.Generator, day: int) -> list[int]:
    """A population that moves on: a value lives for about a month."""
    return (random.integers(100, size=20) + 3 * day).tolist()


def on(spans: dict[int, Rows]) -> Spans:
    return [(START + timedelta(days=day), rows) for day, rows in spans.items()]
