"""Hash tables from keys to rows, built once for a vocabulary and asked for every batch. Keys are equal to the byte.

Open addressing with linear probing: slots, at most half of them full, hold rows of the vocabulary's key column, -1 where free.
A hit counts only after the keys themselves were compared. Compiled, since Arrow would build such a table anew for every look-up.

`S` slots, a power of two; `V` rows of the vocabulary; `N` keys that are asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.features.bags import Int32s, Int64s
from widedeep.features.compiled import compiled, inlined

Bytes = NDArray[np.uint8]
Texts = tuple[Bytes, Int32s]


def texts_of(strings: pa.Array) -> Texts:
    """The UTF-8 bytes of a string array and its (N+1,) offsets into them; a null is an empty text."""
    _, offsets, data = strings.buffers()
    text = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
    ends = np.frombuffer(offsets, np.int32) if offsets else np.zeros(1, np.int32)
    return text, ends[strings.offset : strings.offset + len(strings) + 1]


def text_slots(texts: Texts, rows: Int32s) -> Int32s:
    """(S,) slots for the texts that stand at `rows`."""
    slots = _free_slots(len(rows))
    _put_texts(slots, *texts, rows)
    return slots


def find_texts(slots: Int32s, known: Texts, asked: Texts) -> Int32s:
    """(N,) int32 row of each asked text among the `known` ones, -1 where it has none."""
    found = np.empty(len(asked[1]) - 1, np.int32)
    _find_texts(slots, *known, *asked, found)
    return found


def number_slots(numbers: Int64s, rows: Int32s) -> Int32s:
    """(S,) slots for the numbers that stand at `rows`."""
    slots = _free_slots(len(rows))
    _put_numbers(slots, numbers, rows)
    return slots


def find_numbers(slots: Int32s, known: Int64s, asked: Int64s) -> Int32s:
    """(N,) int32 row of each asked number among the `known` ones, -1 where it has none."""
    found = np.empty(len(asked), np.int32)
    _find_numbers(slots, known, asked, found)
    return found


def _free_slots(rows: int) -> Int32s:
    return np.full(1 << max(1, (2 * rows - 1).bit_length()), -1, np.int32)


@inlined
def _mix(x: Any) -> Any:
    """The finaliser of splitmix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@inlined
def _text_hash(text: Any, start: Any, stop: Any) -> Any:
    """FNV-1a over the bytes, then mixed: its low bits alone are poor."""
    hashed = np.uint64(0xCBF29CE484222325)
    for i in range(start, stop):
        hashed = (hashed ^ np.uint64(text[i])) * np.uint64(0x100000001B3)
    return _mix(hashed)


@inlined
def _equal(text: Any, start: Any, stop: Any, other: Any, other_start: Any, other_stop: Any) -> Any:
    if stop - start != other_stop - other_start:
        return False
    for i in range(stop - start):  # noqa: SIM110  a generator is not compiled
        if text[start + i] != other[other_start + i]:
            return False
    return True


@compiled
def _put_texts(slots: Any, text: Any, ends: Any, rows: Any) -> Any:
    last = np.uint64(len(slots) - 1)
    for row in rows:
        slot = _text_hash(text, ends[row], ends[row + 1]) & last
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & last
        slots[slot] = row


@compiled
def _find_texts(slots: Any, text: Any, ends: Any, asked: Any, asked_ends: Any, found: Any) -> Any:
    last = np.uint64(len(slots) - 1)
    for i in range(len(found)):
        start, stop = asked_ends[i], asked_ends[i + 1]
        slot = _text_hash(asked, start, stop) & last
        row = slots[slot]
        while row >= 0 and not _equal(text, ends[row], ends[row + 1], asked, start, stop):
            slot = (slot + np.uint64(1)) & last
            row = slots[slot]
        found[i] = row


@compiled
def _put_numbers(slots: Any, numbers: Any, rows: Any) -> Any:
    last = np.uint64(len(slots) - 1)
    for row in rows:
        slot = _mix(np.uint64(numbers[row])) & last
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & last
        slots[slot] = row


@compiled
def _find_numbers(slots: Any, numbers: Any, asked: Any, found: Any) -> Any:
    last = np.uint64(len(slots) - 1)
    for i in range(len(found)):
        slot = _mix(np.uint64(asked[i])) & last
        row = slots[slot]
        while row >= 0 and numbers[row] != asked[i]:
            slot = (slot + np.uint64(1)) & last
            row = slots[slot]
        found[i] = row
