"""What a user would see by two releases, side by side, and what the wide and the deep part add to each score.

K items of a catalogue. A score is sigmoid(bias + wide + deep): the three are log-odds, and add up.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from widedeep.artifacts import Manifest, Value
from widedeep.data.catalogue import CATALOGUE_FILE
from widedeep.data.contract import Contract
from widedeep.errors import UsageError
from widedeep.features.encoding import encode
from widedeep.model.bundle import READER_FILES, Bundle, load_bundle
from widedeep.model.determinism import deterministic
from widedeep.model.forward import contributions
from widedeep.publishing import releases, snapshots
from widedeep.publishing.renewals import load_renewals
from widedeep.publishing.store import ObjectStore
from widedeep.serving.ranking import last_row, requests

SAMPLED = 50
"""Users whose lists are compared, at most: each takes a pass over the catalogue by both models."""


class ExplainedItem(Value):
    """One item of a list; `wide`, `deep` and `bias` are log-odds."""

    item: str
    title: str | None
    score: float
    wide: float
    deep: float
    bias: float


class ExplainedList(Value):
    """The best items of a release's catalogue for one user."""

    release_id: str
    items: tuple[ExplainedItem, ...]


class Lists(Value):
    """Two releases' lists for one user. `known`: a day that the first of them knows has the user."""

    user: str
    known: bool
    lists: tuple[ExplainedList, ...]


class MovedItem(Value):
    """An item, and in how many users' lists it is by each release."""

    item: str
    title: str | None
    one: int
    other: int


class Moved(Value):
    """How the lists of sample users differ: `kept` is the mean share of a list of `k` items that is in both."""

    users: int
    k: int
    kept: float
    unchanged: int
    items: tuple[MovedItem, ...]


class Ranker:
    """One release, loaded to rank its catalogue."""

    def __init__(self, store: ObjectStore, contract: Contract, manifest: Manifest, folder: Path) -> None:
        if contract.item is None or CATALOGUE_FILE not in {file.name for file in manifest.files}:
            raise UsageError(f"{manifest.release_id}: has no catalogue, so there is nothing to rank. Its contract named no item.")
        folder.mkdir(parents=True, exist_ok=True)
        releases.download(store, manifest, folder, {*READER_FILES, CATALOGUE_FILE})
        self.release_id, self.contract = manifest.release_id, contract
        self.catalogue = pq.read_table(folder / CATALOGUE_FILE)
        self.bundle: Bundle = load_bundle(folder, optimizer=False)

    def parts(self, seen: pa.Table | None, user: str) -> dict[str, NDArray[np.float64]]:
        """(K,) each of `bias`, `wide`, `deep` and `score`."""
        rows = requests(self.catalogue, seen, user, self.contract)
        with deterministic(self.contract.training.threads):
            encoded = encode(rows, self.bundle.vocabularies, self.bundle.quantiles, self.contract)
            found = contributions(self.bundle, encoded)
        return {**found, "score": 1 / (1 + np.exp(-sum(found.values())))}

    def best(self, seen: pa.Table | None, user: str, top: int) -> tuple[ExplainedItem, ...]:
        """The `top` items, best first; ties in order of item."""
        parts = self.parts(seen, user)
        places = np.argsort(-parts["score"], kind="stable")[:top]
        return tuple(self._item(int(place), parts) for place in places)

    def _item(self, place: int, parts: dict[str, NDArray[np.float64]]) -> ExplainedItem:
        item = str(self.catalogue[str(self.contract.item)][place].as_py())
        title = self.catalogue[self.contract.title][place].as_py() if self.contract.title else None
        return ExplainedItem(item=item, title=title, **{name: float(values[place]) for name, values in parts.items()})


def lists(store: ObjectStore, contract: Contract, manifests: tuple[Manifest, ...], user: str, top: int, folder: Path) -> Lists:
    """Each release's list for a user, by the user's newest row that the first of them knows."""
    seen = last_row(store, contract, manifests[0], user, folder)
    rankers = [Ranker(store, contract, manifest, folder / manifest.release_id) for manifest in manifests]
    found = tuple(ExplainedList(release_id=r.release_id, items=r.best(seen, user, top)) for r in rankers)
    return Lists(user=user, known=seen is not None, lists=found)


def moved(store: ObjectStore, contract: Contract, one: Manifest, other: Manifest, top: int, folder: Path) -> Moved:
    """What differs between two releases in the lists of users of the newest day that the first of them knows."""
    rankers = [Ranker(store, contract, manifest, folder / manifest.release_id) for manifest in (one, other)]
    found = [[r.best(seen, user, top) for r in rankers] for user, seen in _sample(store, contract, one, folder)]
    pairs = [tuple({each.item for each in best} for best in both) for both in found]
    counts = [Counter(each.item for both in found for each in both[i]) for i in (0, 1)]
    titles = {each.item: each.title for both in found for best in both for each in best}
    changed = sorted(titles, key=lambda item: (-abs(counts[0][item] - counts[1][item]), item))
    differing = [item for item in changed if counts[0][item] != counts[1][item]][: 2 * top]
    return Moved(
        users=len(found),
        k=top,
        kept=float(np.mean([len(a & b) / (len(a) or 1) for a, b in pairs])) if pairs else 1.0,
        unchanged=sum(a == b for a, b in pairs),
        items=tuple(MovedItem(item=i, title=titles[i], one=counts[0][i], other=counts[1][i]) for i in differing),
    )


def _sample(store: ObjectStore, contract: Contract, manifest: Manifest, folder: Path) -> Iterator[tuple[str, pa.Table]]:
    """Users of the release's own span with their newest rows: every so many of them in order, the same ones each time."""
    part = next(p for p in manifest.lineage.learnt if p.span == manifest.lineage.span)
    snapshot = load_renewals(store).current(snapshots.version(store, part.span, part.version))
    rows = snapshots.load_rows(store, snapshot, folder).sort_by(contract.time)
    users = pc.unique(rows[contract.user].cast(pa.string())).sort()
    for place in range(0, len(users), max(1, -(-len(users) // SAMPLED))):
        user = users[place].as_py()
        theirs = rows.filter(pc.equal(rows[contract.user].cast(pa.string()), user))
        yield user, theirs.slice(theirs.num_rows - 1)
