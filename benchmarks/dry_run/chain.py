"""Chains of a simulated app store to be rehearsed: days of releases with golden rows, catalogue, delta, in a store in memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from widedeep.artifacts import Candidate, DryRunReport, Lineage, Manifest, Part
from widedeep.config import Settings
from widedeep.data.catalogue import CATALOGUE_FILE, extend_catalogue
from widedeep.data.conform import conform
from widedeep.data.contract import Contract, load_contract
from widedeep.data.rows import rows_of
from widedeep.model.bundle import READER_FILES, load_bundle, save_bundle
from widedeep.model.delta import difference
from widedeep.model.delta_files import save_delta
from widedeep.model.golden import GOLDEN_FILE, golden_rows
from widedeep.publishing import layout
from widedeep.publishing.keys import Trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.releases import load_manifest, stage
from widedeep.publishing.transfer import file_ref
from widedeep.serving.listening import alone, serve
from widedeep.serving.rehearsal.rehearsing import Named, Rehearsal, rehearse
from widedeep.serving.rehearsal.servers import Main
from widedeep.simulation import Simulation, simulation_settings
from widedeep.training.candidate import train_candidate
from widedeep.training.profile import numeric_profile

CONTRACT = Path(__file__).parents[2] / "dags" / "contracts" / "appstore.yaml"
DIGEST, LIMIT_S = "0" * 64, 300.0
SETTINGS = Settings(store="s3://memory", contract=CONTRACT)

Server = Callable[..., None]
"""In place of `widedeep.serving.listening.serve`."""


@dataclass(frozen=True)
class Size:
    """What a chain is made of."""

    rows: int
    embedding: int
    hidden: tuple[int, ...]
    precision: str = "float32"


def contract(size: Size) -> Contract:
    base = load_contract(CONTRACT)
    model = base.model.model_copy(update={"embedding": size.embedding, "hidden": size.hidden})
    return base.model_copy(update={"model": model, "serving": base.serving.model_copy(update={"precision": size.precision})})


def days(rows: int, seed: int, count: int, rule: Contract) -> Iterator[pa.Table]:
    for day in Simulation(simulation_settings(rows_per_day=rows, seed=seed)).days(count):
        yield conform(day.rows, rule)


@dataclass
class Chain:
    """Releases, each trained from the one before; `folder` holds their files in folders of their days."""

    rule: Contract
    folder: Path
    seed: int

    def __post_init__(self) -> None:
        self.store = MemoryStore()
        self.line: list[Manifest] = []

    def train(self, day: int, rows: pa.Table) -> Path:
        """The files of that day's candidate."""
        own, before = self.folder / str(day), self.folder / str(day - 1)
        own.mkdir()
        parent = load_bundle(before, optimizer=True) if self.line else None
        bundle, _ = train_candidate(parent, [(self._part(day), rows)], self.rule, self.seed, lambda _learnt, _total: None)
        save_bundle(bundle, own)
        pq.write_table(golden_rows(bundle, rows_of(rows), self.rule), own / GOLDEN_FILE)
        known = pq.read_table(before / CATALOGUE_FILE) if self.line else None
        pq.write_table(extend_catalogue(known, rows, self.rule), own / CATALOGUE_FILE)
        if self.line:
            delta = difference(load_bundle(before, optimizer=False), bundle)
            save_delta(delta, self.line[-1], [file_ref(name, own / name) for name in READER_FILES], own)
        return own

    def stage(self, day: int, files: Path, attempt: int = 0) -> Candidate:
        """`attempt` tells candidates of one day apart."""
        digests = dict.fromkeys(["split_digest", "contract_digest", "source_digest"], DIGEST)
        parent, part = self.line[-1].release_id if self.line else None, self._part(day)
        profile = numeric_profile(self.rule.training)
        lineage = Lineage(span=part.span, parent=parent, learnt=(part,), seed=attempt, profile=profile, **digests)
        return stage(self.store, files, lineage, ())

    def publish(self, candidate: Candidate) -> None:
        """It is the champion from now on."""
        staged = self.store.objects[layout.candidate(candidate.release_id)]
        self.store.create(layout.manifest(candidate.release_id), staged)
        self.line.append(load_manifest(self.store, candidate.release_id, published=True))

    def rehearse(self, candidate: Candidate, server: Server = serve) -> DryRunReport:
        """Beside the champion; `server` serves the candidate."""
        named = candidate.release_id, candidate.manifest_sha256
        champion = (self.line[-1].release_id, self.line[-1].content_digest()) if self.line else None

        def served(release: Named) -> Main:
            listen = server if release == named else serve
            return lambda on_address: listen(self.store, self.rule, SETTINGS, alone(self.rule, release), on_address)

        with TemporaryDirectory(prefix="dry-run-") as folder:
            rehearsal = Rehearsal(named, champion, LIMIT_S, served)
            return rehearse(rehearsal, lambda: self.store, self.rule, Path(folder), Trust({}, required=False))

    def _part(self, day: int) -> Part:
        return Part(span=simulation_settings().start + timedelta(days=day), version=1, digest=DIGEST, part="train")
