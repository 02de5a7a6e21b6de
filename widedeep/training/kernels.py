"""Compiled loops over the rows of a batch, for the CPU. Each touches only the table rows that the batch names, in a fixed order.

A table's distinct rows are found in linear time: `place` (V,) int32 holds each row's place among them, -1 between batches.
bfloat16 travels as its bits in uint16. `B` rows of a batch, `N` entries, `U` distinct table rows, `V` table rows, `D` width.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from widedeep.features.compiled import compiled


def widened(value: Any) -> Any:
    """A float32, or the float32 that bfloat16 bits stand for."""


def rounded(value: Any, like: Any) -> Any:
    """A float32 as an entry of the array `like`: itself, or its bits as bfloat16, rounded half to even."""


# An overload names all the arguments of what it stands for, needed or not.
@overload(widened)
def _widened(value: Any) -> Any:
    return _from_bits if isinstance(value, types.Integer) else _as_it_is


@overload(rounded)
def _rounded(value: Any, like: Any) -> Any:  # noqa: ARG001
    return _to_bits if isinstance(like.dtype, types.Integer) else _like_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _like_it_is(value: Any, like: Any) -> Any:  # noqa: ARG001
    return value


def _from_bits(value: Any) -> Any:
    return np.uint32(np.uint32(value) << np.uint32(16)).view(np.float32)


def _to_bits(value: Any, like: Any) -> Any:  # noqa: ARG001
    bits = np.float32(value).view(np.uint32)
    return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@compiled
def take_rows(table: Any, rows: Any, out: Any) -> None:
    """out (B, ≥ F·D): row `rows[b, f]` of the table (V, D) beside one another."""
    width = table.shape[1]
    for b in range(rows.shape[0]):
        for f in range(rows.shape[1]):
            row, column = rows[b, f], f * width
            for d in range(width):
                out[b, column + d] = rounded(table[row, d], out)


@compiled
def take_means(table: Any, flat: Any, offsets: Any, out: Any, column: int) -> None:
    """out[b, column:column + D]: the mean of a bag's rows of the table, zeros for an empty one."""
    width = table.shape[1]
    total = np.empty(width, np.float32)
    for b in range(len(offsets) - 1):
        total[:] = 0
        for e in range(offsets[b], offsets[b + 1]):
            for d in range(width):
                total[d] += table[flat[e], d]
        share = np.float32(1) / np.float32(max(offsets[b + 1] - offsets[b], 1))
        for d in range(width):
            out[b, column + d] = rounded(total[d] * share, out)


@compiled
def number_rows(flat: Any, place: Any, codes: Any, touched: Any, known: int) -> int:
    """codes (N,): each entry's place among the distinct rows, which are appended to `touched`; returns how many there are now."""
    for e in range(len(flat)):
        row = flat[e]
        if place[row] < 0:
            place[row] = known
            touched[known] = row
            known += 1
        codes[e] = place[row]
    return known


@compiled
def add_rows(gradient: Any, codes: Any, upstream: Any) -> None:
    """Add to gradient (U, D) what flows to the entries codes (B, F) from upstream (B, ≥ F·D)."""
    width = gradient.shape[1]
    for b in range(codes.shape[0]):
        for f in range(codes.shape[1]):
            code, column = codes[b, f], f * width
            for d in range(width):
                gradient[code, d] += widened(upstream[b, column + d])


@compiled
def add_means(gradient: Any, codes: Any, offsets: Any, upstream: Any, column: int) -> None:
    """Add to gradient (U, D) what flows to the entries codes (N,) of mean-pooled bags from upstream[:, column:column + D]."""
    width = gradient.shape[1]
    for b in range(len(offsets) - 1):
        share = np.float32(1) / np.float32(max(offsets[b + 1] - offsets[b], 1))
        for e in range(offsets[b], offsets[b + 1]):
            for d in range(width):
                gradient[codes[e], d] += widened(upstream[b, column + d]) * share


@compiled
def adagrad_rows(weights: Any, accumulator: Any, place: Any, touched: Any, gradient: Any, rate: Any, epsilon: Any) -> None:
    """AdaGrad on the `touched` (U,) rows of weights and accumulator (V, D), by their gradient (U, D). Clears `place`."""
    for u in range(len(touched)):
        row = touched[u]
        place[row] = -1
        for d in range(weights.shape[1]):
            g = gradient[u, d]
            total = accumulator[row, d] + g * g
            accumulator[row, d] = total
            weights[row, d] -= rate * g / (np.sqrt(total) + epsilon)


@compiled
def adagrad_all(weights: Any, accumulator: Any, gradient: Any, rate: Any, epsilon: Any) -> None:
    """AdaGrad on all of weights (N,)."""
    for i in range(len(weights)):
        g = widened(gradient[i])
        total = accumulator[i] + g * g
        accumulator[i] = total
        weights[i] -= rate * g / (np.sqrt(total) + epsilon)


@compiled
def add_up(table: Any, flat: Any, offsets: Any, out: Any) -> None:
    """out (B,): the sum of each row's entries' weights, in column 0 of the table (V, 4)."""
    for b in range(len(offsets) - 1):
        total = np.float32(0)
        for e in range(offsets[b], offsets[b + 1]):
            total += table[flat[e], 0]
        out[b] = total


@compiled
def ftrl_rows(
    table: Any, flat: Any, offsets: Any, residual: Any, place: Any, touched: Any, gradient: Any, settings: tuple[Any, ...]
) -> None:
    """FTRL-Proximal on the rows of table (V, 4) = (weight, z, n, unused) that the bags name.

    residual (B,) is the derivative of the loss by the logit. A row's gradient is its sum over the batch, duplicates included,
    before it is squared. `settings` = (alpha, beta, l1, l2). `place` (V,), `touched` (≥ N,) and `gradient` (≥ N,) are scratch.
    """
    alpha, beta, l1, l2 = settings
    known = 0
    for b in range(len(offsets) - 1):
        for e in range(offsets[b], offsets[b + 1]):
            row = flat[e]
            if place[row] < 0:
                place[row] = known
                touched[known] = row
                gradient[known] = np.float32(0)
                known += 1
            gradient[place[row]] += residual[b]
    for u in range(known):
        row, g = touched[u], gradient[u]
        place[row] = -1
        old, z = table[row, 2], table[row, 1]
        new = old + g * g
        z += g - (np.sqrt(new) - np.sqrt(old)) / alpha * table[row, 0]
        shrunk = np.copysign(l1, z) - z
        table[row, 0] = np.float32(0) if abs(z) <= l1 else shrunk / ((beta + np.sqrt(new)) / alpha + l2)
        table[row, 1], table[row, 2] = z, new
