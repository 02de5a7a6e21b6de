"""Deltas: their bytes against those of the rows that a day touched, and how long a reader takes to apply one or to load in full.

    python -m benchmarks.delta            # Criteo-shaped days of 50k rows, and MovieLens; some ten minutes
    python -m benchmarks.delta --quick    # small, for development; writes no file

A day's floor is what no delta can be smaller than if nothing is compressed: the touched rows, their numbers, and the layers.
Times include fetching from a store in memory, writing to disk and verifying digests, in turns: a reader that has followed before,
and so has room in its tables, goes on by a day; a new one loads in full. Writes `benchmarks/results/delta.json`.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.engine import criteo
from benchmarks.engine.contract import contract as criteo_contract
from benchmarks.engine.contract import training
from benchmarks.machine import RESULTS, described
from widedeep.artifacts import LIVE, ChampionPointer, Lineage, Manifest, Part
from widedeep.data.contract import Contract, load_contract
from widedeep.data.movielens import deliveries
from widedeep.model.bundle import READER_FILES, load_bundle, save_bundle
from widedeep.model.delta import Delta, applied, difference, fill
from widedeep.model.delta_files import FOLDER, load_delta, save_delta
from widedeep.publishing import layout
from widedeep.publishing.keys import Trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import champion
from widedeep.publishing.releases import load_manifest, stage
from widedeep.publishing.transfer import file_ref
from widedeep.serving.reader import ModelReader
from widedeep.training.candidate import train_candidate
from widedeep.training.profile import numeric_profile

ROOT = Path(__file__).parents[1]
FIRST, DIGEST, BATCH = date(2026, 1, 1), "0" * 64, 4096
INDEX_BYTES = 4
Days = Iterable[tuple[date, pa.Table]]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delta")
    parser.add_argument("--quick", action="store_true", help="small, for development; writes no file")
    quick = parser.parse_args(arguments).quick
    history, day, days, rounds = (20_000, 4_000, 2, 2) if quick else (1_000_000, 50_000, 3, 10)
    shaped = criteo_contract().model_copy(update={"training": training("bfloat16", BATCH)})
    movielens = load_contract(ROOT / "dags/contracts/movielens.yaml")
    result = {
        "machine": described(),
        "criteo_shaped": measured(shaped, _criteo(history, day, days), rounds, history_rows=history, day_rows=day),
        "movielens": measured(movielens, _movielens(3 if quick else 8), rounds),
    }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    if not quick:
        (RESULTS / "delta.json").write_text(json.dumps(result, indent=2) + "\n")


def _criteo(history: int, day: int, days: int) -> Iterator[tuple[date, pa.Table]]:
    rows = criteo.rows(history + days * day, 0)
    yield FIRST, rows.slice(0, history)
    for number in range(days):
        yield FIRST + timedelta(days=number + 1), rows.slice(history + number * day, day)


def _movielens(days: int) -> Days:
    """Three weeks as the bootstrap, then one at a time."""
    weeks = list(deliveries(ROOT / ".local/sample", FIRST, range(3 + days)))
    return [(weeks[2][0], pa.concat_tables([rows for _, rows in weeks[:3]])), *weeks[3:]]


def measured(contract: Contract, days: Days, rounds: int, **told: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="delta-") as scratch:
        store, folder = MemoryStore(), Path(scratch)
        line = published(store, contract, days, folder)
        sizes = [_sizes(folder / str(n)) for n in range(1, len(line))]
        times = _times(store, line, rounds, folder)
    return {**told, "days": sizes, "largest_of_floor": max(day["delta_of_floor"] for day in sizes), "times": times}


def published(store: MemoryStore, contract: Contract, days: Days, folder: Path) -> list[Manifest]:
    """A release for each day, trained from the one before; its files are in a folder of its number."""
    line: list[Manifest] = []
    for number, (span, rows) in enumerate(days):
        own, before = folder / str(number), folder / str(number - 1)
        own.mkdir()
        part = Part(span=span, version=1, digest=DIGEST, part="train")
        parent = load_bundle(before, optimizer=True) if line else None
        bundle, _ = train_candidate(parent, [(part, rows)], contract, 0, lambda _learnt, _total: None)
        save_bundle(bundle, own)
        if line:
            delta = difference(load_bundle(before, optimizer=False), bundle)
            save_delta(delta, line[-1], [file_ref(name, own / name) for name in READER_FILES], own)
        line.append(_publish(store, contract, own, part, line[-1].release_id if line else None))
    return line


def _publish(store: MemoryStore, contract: Contract, folder: Path, part: Part, parent: str | None) -> Manifest:
    digests = dict.fromkeys(["split_digest", "contract_digest", "source_digest"], DIGEST)
    profile = numeric_profile(contract.training)
    lineage = Lineage(span=part.span, parent=parent, learnt=(part,), seed=0, profile=profile, **digests)
    candidate = stage(store, folder, lineage, ())
    store.create(layout.manifest(candidate.release_id), store.objects[layout.candidate(candidate.release_id)])
    return load_manifest(store, candidate.release_id, published=True)


def _sizes(folder: Path) -> dict[str, Any]:
    _, delta = load_delta(folder)
    files = {path.name: path.stat().st_size for path in (folder / FOLDER).iterdir()}
    floor, full = _floor(delta), sum((folder / name).stat().st_size for name in READER_FILES)
    return {
        "touched_rows": {name: len(ids) for name, ids in delta.ids.items()},
        "rows": {name: delta.rows_of(name) for name in delta.ids},
        "changed_values": len(delta.values.rows),
        "changed_crosses": len(delta.crosses.rows),
        "file_bytes": files,
        "delta_bytes": sum(files.values()),
        "floor_bytes": floor,
        "full_bytes": full,
        "delta_of_floor": round(sum(files.values()) / floor, 4),
        "delta_of_full": round(sum(files.values()) / full, 4),
    }


def _floor(delta: Delta) -> int:
    return sum(t.nbytes for t in delta.weights.values()) + sum(INDEX_BYTES * len(ids) for ids in delta.ids.values())


def _times(store: MemoryStore, line: list[Manifest], rounds: int, folder: Path) -> dict[str, Any]:
    """Seconds of both ways to the last release, in turns, and of the part of the way in which nobody can score."""
    base = load_bundle(folder / str(len(line) - 2), optimizer=False)
    _, delta = load_delta(folder / str(len(line) - 1))
    target = applied(base, delta)
    follows, loads, writes = [], [], []
    for _ in range(rounds):
        follower, newcomer = (ModelReader(store, Trust({}, required=False), LIVE, folder) for _ in range(2))
        for release in line[-3:-1]:
            crown(store, release)
            follower.refresh()
        crown(store, line[-1])
        follows.append(_seconds(follower, "deltas"))
        loads.append(_seconds(newcomer, "full"))
        began = time.perf_counter()
        fill(target, delta)
        writes.append(time.perf_counter() - began)
    ratios = [follow / load for follow, load in zip(follows, loads, strict=True)]
    return {
        "rounds": rounds,
        "follow_s": round(statistics.median(follows), 4),
        "full_s": round(statistics.median(loads), 4),
        "nobody_scores_s": round(statistics.median(writes), 5),
        "follow_of_full": round(statistics.median(ratios), 3),
        "follow_of_full_quartiles": [round(q, 3) for q in np.quantile(ratios, [0.25, 0.75])],
    }


def _seconds(reader: ModelReader, how: str) -> float:
    began = time.perf_counter()
    done = reader.refresh()
    assert done.how == how, done
    return time.perf_counter() - began


def crown(store: MemoryStore, release: Manifest) -> None:
    at = {"release_id": release.release_id, "span": release.lineage.span, "manifest_sha256": release.content_digest()}
    told = {"moved_at": datetime.now(UTC), "moved_by": "benchmark", "reason": "measured"}
    before = champion(store, LIVE)
    pointer = ChampionPointer(lane=LIVE, sequence=before.sequence + 1 if before else 1, previous=None, **at, **told)
    store.objects[layout.champion(LIVE)] = pointer.to_bytes()


if __name__ == "__main__":
    main(sys.argv[1:])
