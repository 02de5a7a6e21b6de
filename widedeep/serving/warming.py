"""No release serves before it has scored its golden rows as its trainer did: by the scorer, and in the precision, that serve.

That also compiles what the first request would have to wait for.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from widedeep.artifacts import Manifest
from widedeep.data.contract import Contract
from widedeep.errors import IntegrityError
from widedeep.features.encoding import EncodedBatch, encode
from widedeep.model.bundle import Bundle
from widedeep.model.golden import GOLDEN_FILE, unlike
from widedeep.model.scorer import Scorer
from widedeep.publishing.releases import download
from widedeep.publishing.store import ObjectStore


class WarmUp:
    """`check` is what a reader calls before a release can be scored with."""

    def __init__(self, store: ObjectStore, contract: Contract, scorer: Scorer, scratch: Path) -> None:
        self._store, self._contract, self._scorer, self._scratch = store, contract, scorer, scratch
        self._largest_error = contract.dry_run.largest_error(scorer.precision)

    def check(self, manifest: Manifest, bundle: Bundle, as_read: Callable[[EncodedBatch], Bundle]) -> None:
        """Of a release without golden rows nothing is known.

        Raises:
            IntegrityError: they are scored otherwise, or can't be. What is held serves on.
            UnknownOutcomeError: they can't be had.
        """
        if GOLDEN_FILE not in {file.name for file in manifest.files}:
            return
        with TemporaryDirectory(dir=self._scratch, prefix="widedeep-golden-") as folder:
            download(self._store, manifest, Path(folder), {GOLDEN_FILE})
            golden = pq.read_table(Path(folder, GOLDEN_FILE))
        features = bundle.vocabularies.features
        read = [name for name in golden.column_names if name in {*features.keyed, *features.numeric}]
        try:
            rows = encode(golden.select(read), bundle.vocabularies, bundle.quantiles, self._contract)
            fault = unlike(self._scorer.encoded_scores(as_read(rows), rows), golden, self._largest_error)
        except Exception as error:  # whatever it is, requests would meet it
            fault = f"can't score real rows: {type(error).__name__}: {error}"
        if fault:
            raise IntegrityError(f"{manifest.release_id}: {fault}, tried on its golden rows. It does not serve; train it again.")
