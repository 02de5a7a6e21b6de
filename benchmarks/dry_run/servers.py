"""Servers that misbehave once they are warm: what can't be told from a release's files."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from widedeep.features.vocabulary import VALUE_KEY
from widedeep.serving.answers import Answers
from widedeep.serving.listening import serve

SLEEP_S, LEAK_BYTES = 0.05, 4 * 2**20

Wrap = Callable[..., Any]


def wrapped(wrap: Wrap, *arguments: Any) -> None:
    """Serve, with `wrap(scores, held, rows)` in place of what a server's answers are made of."""
    plain = Answers._scores

    def scores(self: Answers, route: str, held: Any, rows: Any, *shared: Any) -> Any:
        return wrap(lambda: plain(self, route, held, rows, *shared), held, rows)

    Answers._scores = scores  # type: ignore[method-assign]  # of this process, which serves nothing else
    serve(*arguments)


def _slow(scores: Wrap, *_: Any) -> Any:
    time.sleep(SLEEP_S)
    return scores()


_leaked: list[np.ndarray] = []


def _leaking(scores: Wrap, *_: Any) -> Any:
    _leaked.append(np.ones(LEAK_BYTES, np.uint8))
    return scores()


def _above_one(scores: Wrap, *_: Any) -> Any:
    return 10 * scores()


def _unsteady(scores: Wrap, *_: Any) -> Any:
    found = scores()
    return found + np.random.default_rng().normal(0, 1e-8, len(found))


def _known_values_only(scores: Wrap, held: Any, rows: Any) -> Any:
    features, values = held.bundle.vocabularies.features, held.bundle.vocabularies.values
    for name in features.categorical:
        keys = rows[name].combine_chunks().cast(VALUE_KEY)
        if (values.lookup(name, keys) < 0).any():
            raise KeyError(name)
    return scores()


slow, leaking, above_one, unsteady, known_values_only = (
    partial(wrapped, wrap) for wrap in (_slow, _leaking, _above_one, _unsteady, _known_values_only)
)
