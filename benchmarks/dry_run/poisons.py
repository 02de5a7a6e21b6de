"""Candidates that may not serve, each with words of the reason for which it has to be blocked, said before anything is run.

Most are a good candidate's files, spoilt before they are staged; some are the store's objects, spoilt afterwards; and what files
can't tell is a server that misbehaves. A poison whose golden rows are fresh is one that its trainer made: scores agree with it.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file

from benchmarks.dry_run import servers
from benchmarks.dry_run.chain import Chain, Server
from widedeep.artifacts import Candidate, FileRef
from widedeep.data.catalogue import CATALOGUE_FILE
from widedeep.data.contract import Contract
from widedeep.model.bundle import CROSSES, SPECIFICATION, VALUES, WEIGHTS, load_bundle
from widedeep.model.delta_files import FOLDER, ROWS
from widedeep.model.golden import GOLDEN_FILE, GOLDEN_SCORE
from widedeep.model.scoring import score_rows
from widedeep.model.specification import Specification, weight_shapes
from widedeep.publishing import layout
from widedeep.publishing.releases import load_manifest
from widedeep.serving.listening import serve

TIMES = 50
"""By how much the large table is larger."""

LARGE_LAYERS = (4096, 2048)

Tensors = dict[str, torch.Tensor]
Files = Callable[[Path], None]


@dataclass(frozen=True)
class Poison:
    """`spoil` changes a candidate's files, `tamper` what was staged. Only one that is about the delta keeps it."""

    name: str
    words: str
    spoil: Files = lambda _folder: None
    tamper: Callable[[Chain, Candidate], Candidate] = lambda _chain, candidate: candidate
    server: Server = serve
    fresh_golden: bool = False
    keeps_delta: bool = False

    def staged(self, chain: Chain, day: int, good: Path, folder: Path, attempt: int) -> Candidate:
        shutil.copytree(good, folder)
        if not self.keeps_delta:
            shutil.rmtree(folder / FOLDER)
        self.spoil(folder)
        if self.fresh_golden:
            _score_again(folder, chain.rule)
        return self.tamper(chain, chain.stage(day, folder, attempt))


def _score_again(folder: Path, rule: Contract) -> None:
    golden = pq.read_table(folder / GOLDEN_FILE)
    scores = score_rows(load_bundle(folder, optimizer=False), golden.drop_columns(GOLDEN_SCORE), rule)
    place = golden.column_names.index(GOLDEN_SCORE)
    pq.write_table(golden.set_column(place, GOLDEN_SCORE, pa.array(scores)), folder / GOLDEN_FILE)


def _tensors(change: Callable[[Tensors], Tensors], name: str = WEIGHTS) -> Files:
    return lambda folder: save_file(load_file(folder / name) | change(load_file(folder / name)), folder / name)


def _without(tensor: str) -> Files:
    return lambda folder: save_file({n: t for n, t in load_file(folder / WEIGHTS).items() if n != tensor}, folder / WEIGHTS)


def _table(name: str, change: Callable[[pa.Table], pa.Table]) -> Files:
    return lambda folder: pq.write_table(change(pq.read_table(folder / name)), folder / name)


def _specified(**changes: object) -> Files:
    def spoil(folder: Path) -> None:
        known = Specification.from_bytes((folder / SPECIFICATION).read_bytes())
        told = {n: value(known) if callable(value) else value for n, value in changes.items()}
        (folder / SPECIFICATION).write_bytes(known.model_copy(update=told).to_bytes())

    return spoil


def _one_nan(tensors: Tensors) -> Tensors:
    tensors["output.weight"][0, 0] = float("nan")
    return tensors


def _permuted(values: pa.Table) -> pa.Table:
    """Each feature's keys in another order: every value has the row of another one."""
    order = np.arange(len(values))
    for feature in pc.unique(values["feature"]).to_pylist():
        rows = np.flatnonzero(pc.and_(pc.equal(values["feature"], feature), pc.invert(values["oov"])).to_numpy())
        order[rows] = np.roll(rows, 1)
    return values.set_column(values.column_names.index("key"), "key", values["key"].take(pa.array(order)))


def _large(folder: Path) -> None:
    """Both vocabularies and their tables `TIMES` as large, full of what nobody has seen."""
    weights = load_file(folder / WEIGHTS)
    _grow(folder / VALUES, lambda i: f"nobody-{i}")
    _grow(folder / CROSSES, lambda i: -1 - i)
    tables = {name: weights[name] for name in ("embedding", "wide.values", "wide.crosses")}
    larger = {n: torch.cat([t, t.new_zeros((TIMES - 1) * len(t), *t.shape[1:])]) for n, t in tables.items()}
    save_file(weights | larger, folder / WEIGHTS)


def _grow(path: Path, key: Callable[[int], object]) -> None:
    known = pq.read_table(path)
    more = (TIMES - 1) * len(known)
    rows = known.filter(pc.invert(known["oov"])).slice(0, 1).take(pa.array(np.zeros(more, np.int64)))
    keys = pa.array([key(i) for i in range(more)], known.schema.field("key").type)
    grown = pa.concat_tables([known, rows.set_column(rows.column_names.index("key"), "key", keys)])
    pq.write_table(grown.combine_chunks(), path)


def _large_layers(folder: Path) -> None:
    _specified(hidden=LARGE_LAYERS)(folder)
    known = Specification.from_bytes((folder / SPECIFICATION).read_bytes())
    weights, random = load_file(folder / WEIGHTS), torch.Generator().manual_seed(0)
    shapes = weight_shapes(known, len(weights["wide.values"]), len(weights["wide.crosses"]))
    layers = {n: torch.randn(s, generator=random) / s[-1] ** 0.5 for n, s in shapes.items() if n.startswith(("hidden", "output"))}
    kept = {n: t for n, t in weights.items() if not n.startswith(("hidden", "output"))}
    save_file(kept | layers, folder / WEIGHTS)


def _cut(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def _without_oov(values: pa.Table) -> pa.Table:
    unknown = pc.and_(values["oov"], pc.not_equal(values["feature"], "app_id"))
    return values.set_column(values.column_names.index("oov"), "oov", unknown)


def _stale(chain: Chain, candidate: Candidate) -> Candidate:
    """The manifest that stands there is not the one that was asked for."""
    manifest = load_manifest(chain.store, candidate.release_id, published=False)
    older = manifest.model_copy(update={"files": manifest.files[:-1]})
    chain.store.objects[layout.candidate(candidate.release_id)] = older.to_bytes()
    return candidate


def _file(chain: Chain, candidate: Candidate, name: str) -> str:
    manifest = load_manifest(chain.store, candidate.release_id, published=False)
    ref: FileRef = next(file for file in manifest.files if file.name == name)
    return layout.release_file(candidate.release_id, ref)


def _tampered(chain: Chain, candidate: Candidate) -> Candidate:
    key = _file(chain, candidate, WEIGHTS)
    data = chain.store.objects[key]
    chain.store.objects[key] = data[:-1] + bytes([data[-1] ^ 1])
    return candidate


def _gone(chain: Chain, candidate: Candidate) -> Candidate:
    del chain.store.objects[_file(chain, candidate, VALUES)]
    return candidate


def _elsewhere(tensors: Tensors) -> Tensors:
    return {"bias": tensors["bias"] + 1}


POISONS = (
    Poison("a NaN weight", "scores are not numbers", _tensors(_one_nan)),
    Poison("a NaN weight, golden rows fresh", "scores are not numbers", _tensors(_one_nan), fresh_golden=True),
    Poison("an infinite bias", "all the same", _tensors(lambda t: {"bias": t["bias"] + float("inf")}), fresh_golden=True),
    Poison("permuted vocabulary rows", "scores differ from the trainer's", _table(VALUES, _permuted)),
    Poison(
        "features in a wrong order",
        "scores differ from the trainer's",
        _specified(features=lambda s: s.features.model_copy(update={"categorical": s.features.categorical[::-1]})),
    ),
    Poison(
        "a constant output",
        "all the same",
        _tensors(lambda t: {n: torch.zeros_like(t[n]) for n in ("output.weight", "wide.values", "wide.crosses")}),
        fresh_golden=True,
    ),
    Poison(
        "swapped layers",
        "scores differ from the trainer's",
        _tensors(lambda t: {"hidden.1.weight": t["hidden.2.weight"], "hidden.2.weight": t["hidden.1.weight"]}),
    ),
    Poison("a truncated tensor file", "can't be loaded", _cut),
    Poison(
        "a tensor of a wrong type", "has type float64, wanted float32", _tensors(lambda t: {"embedding": t["embedding"].double()})
    ),
    Poison("a tensor that is missing", "output.weight has shape None", _without("output.weight")),
    Poison("a table that is too short", "embedding has shape", _tensors(lambda t: {"embedding": t["embedding"][:-1]})),
    Poison("a feature without a row for unknown values", "no row for unknown values", _table(VALUES, _without_oov)),
    Poison("a stale manifest", "got SHA-256", tamper=_stale),
    Poison("a file that was changed", "weights.safetensors", tamper=_tampered),
    Poison("a file that is gone", "values.parquet", tamper=_gone),
    Poison("no golden rows", "golden.parquet", lambda folder: (folder / GOLDEN_FILE).unlink()),
    Poison(
        "golden rows of another model",
        "scores differ from the trainer's",
        _table(GOLDEN_FILE, lambda t: t.set_column(t.num_columns - 1, GOLDEN_SCORE, pc.multiply(t[GOLDEN_SCORE], 0.99))),
    ),
    Poison(
        "a catalogue of other items",
        "its catalogue lacks",
        _table(
            CATALOGUE_FILE,
            lambda t: t.set_column(t.column_names.index("app_id"), "app_id", pa.array([f"x{i}" for i in range(len(t))])),
        ),
    ),
    Poison(
        "rankings turned round",
        "ranks items unlike the champion",
        _tensors(lambda t: {n: -t[n] for n in ("output.weight", "wide.values", "wide.crosses")}),
        fresh_golden=True,
    ),
    Poison("tables 50 times as large", "memory: its files have", _large),
    Poison("far larger layers", "memory: the release takes", _large_layers, fresh_golden=True),
    Poison("a delta that leads elsewhere", "its delta leads from", _tensors(_elsewhere, FOLDER + ROWS), keeps_delta=True),
    Poison(
        "a delta of another release's files",
        "its delta can't be applied",
        _tensors(_elsewhere),
        fresh_golden=True,
        keeps_delta=True,
    ),
    Poison("an artificially slow server", "slow: p50", server=servers.slow),
    Poison("a server that leaks memory", "memory grew by", server=servers.leaking),
    Poison("scores above 1", "wanted probabilities", server=servers.above_one),
    Poison("a server that fails on unknown values", "an unseen value", server=servers.known_values_only),
    Poison("a server that does not repeat itself", "the same request got scores that differ", server=servers.unsteady),
)
