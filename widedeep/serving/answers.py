"""What the server answers. Each answer is made while one release is held, from its features, vocabularies, weights and catalogue.

K candidates.
"""

import time
from collections.abc import Iterator, Set
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from widedeep.artifacts import Manifest
from widedeep.data.contract import Contract
from widedeep.errors import UsageError, WidedeepError
from widedeep.model.scorer import NONE, Scorer, Scores
from widedeep.publishing.store import ObjectStore
from widedeep.serving.catalogue import Catalogue, load_catalogue
from widedeep.serving.follower import Followed
from widedeep.serving.metrics import Metrics
from widedeep.serving.reader import Held, ModelReader
from widedeep.serving.requests import Fields, RankRequest, Reading, ScoreRequest, parsed

CATALOGUES = 2
"""Kept at once: that of the release that serves, and that of the next one while it comes in."""


class NoModelError(WidedeepError):
    """Nothing can be answered right now."""


class UnfitModelError(WidedeepError):
    """The release that serves has no answer to a good request."""


class Catalogues:
    """Those of the latest releases. `load` is for before a release can be scored with."""

    def __init__(self, store: ObjectStore, contract: Contract, scratch: Path) -> None:
        self._store, self._contract, self._scratch = store, contract, scratch
        self._held: dict[str, Catalogue | None] = {}

    def load(self, manifest: Manifest) -> None:
        """Raises IntegrityError, UnknownOutcomeError: it can't be had; those that are held stay."""
        kept = [(name, held) for name, held in self._held.items() if name != manifest.release_id][-CATALOGUES + 1 :]
        self._held = dict(kept) | {manifest.release_id: load_catalogue(self._store, manifest, self._contract, self._scratch)}

    def of(self, manifest: Manifest) -> Catalogue | None:
        return self._held.get(manifest.release_id)


class Answers:
    """To requests, as values for JSON. Any thread may ask."""

    def __init__(self, contract: Contract, reader: ModelReader, scorer: Scorer, catalogues: Catalogues, metrics: Metrics) -> None:
        self._contract, self._reader, self._scorer = contract, reader, scorer
        self._catalogues, self._metrics = catalogues, metrics

    def score(self, body: bytes) -> Fields:
        """Raises RefusedError, NoModelError, UnfitModelError."""
        request = parsed(body, ScoreRequest)
        with self._model() as held:
            scores = self._scores("/score", held, self._reading(held).scored(request))
        return {"release_id": held.manifest.release_id, "scores": scores.tolist()}

    def rank(self, body: bytes) -> Fields:
        """The `top` candidates, best first; ties in the order in which they were sent. `index` is their place there.

        Raises:
            RefusedError, NoModelError, UnfitModelError.
        """
        request = parsed(body, RankRequest)
        with self._model() as held:
            catalogue = self._catalogues.of(held.manifest)
            reading = self._reading(held)
            scores = self._scores("/rank", held, reading.candidates(request, catalogue), reading.shared())
        best = np.argsort(-scores, kind="stable")[: request.top]
        items = [_item(request.items[i], self._contract) for i in best]
        titles = catalogue.titles(items) if catalogue else [None] * len(items)
        told = zip(best.tolist(), items, titles, scores[best].tolist(), strict=True)
        ranked = [{"index": index, "item": item, "title": title, "score": score} for index, item, title, score in told]
        return {"release_id": held.manifest.release_id, "items": ranked}

    def release(self, state: Followed) -> Fields:
        """The release that serves, where it came from, and whether following goes well."""
        with self._model() as held:
            manifest = held.manifest
        told = {"release_id": manifest.release_id, "manifest_sha256": manifest.content_digest(), "loaded_at": state.loaded_at}
        return told | {"lineage": manifest.lineage.model_dump(mode="json"), "refresh_failure": state.failure}

    def health(self, state: Followed) -> Fields:
        """`release_id` is None while nothing can be answered. Only the class of a failure is told: its text names the store."""
        failing = state.failure and {"failure": state.failure.partition(":")[0], "since": state.failing_since}
        return {"release_id": self.release_id(), "checked_at": state.checked_at, "refresh_failing": failing}

    def release_id(self) -> str | None:
        try:
            with self._model() as held:
                return held.manifest.release_id
        except NoModelError:
            return None

    @contextmanager
    def _model(self) -> Iterator[Held]:
        with ExitStack() as stack:
            try:
                held = stack.enter_context(self._reader.model())
            except UsageError as error:
                raise NoModelError("no model: none is loaded yet. Ask /health, and come back when it says 200") from error
            yield held

    def _reading(self, held: Held) -> Reading:
        return Reading(self._contract, held.bundle.vocabularies.features, held.manifest.release_id)

    def _scores(self, route: str, held: Held, rows: pa.Table, shared: Set[str] = NONE) -> Scores:
        began = time.perf_counter()
        scores = self._scorer.scores(held.bundle, rows, shared)
        if count := int((~np.isfinite(scores)).sum()):
            raise UnfitModelError(f"{count} of {len(scores)} scores of {held.manifest.release_id} are not numbers; roll it back")
        self._metrics.scored(route, len(scores), time.perf_counter() - began)
        return scores


def _item(sent: str | int | Fields, contract: Contract) -> str | None:
    """The id of an item that was sent by its id or by its columns, if these have it."""
    value = sent.get(contract.item) if isinstance(sent, dict) else sent  # type: ignore[arg-type]
    return None if value is None else str(value)
