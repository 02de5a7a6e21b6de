"""What chains learn in the simulated app store, and how they come back after an abrupt change.

    python -m benchmarks.quality.simulated [--quick] [--no-recovery]

Each of 5 seeds is a store and a model of its own; differences are paired by seed, with a 95 % t-interval over the seeds. Each
figure by seed is kept in .local/bench/simulated, by contract, so a run that was stopped goes on. Writes, after each seed,
`benchmarks/results/quality_simulated.json` and `forgetting.json`; `--no-recovery` leaves out the latter, half of the time, and
`--quick` runs two seeds of small days and writes to .local.

`h` is the half-life of the sums of squared gradients, in days (docs/adr/0007-forgetting.md); None: they only grow.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.machine import RESULTS, described
from benchmarks.quality.chains import Chain, changed, expected_auc, learnt, once, shuffled, twice, without_state
from benchmarks.quality.intervals import mean_by_day, paired
from widedeep.data.contract import Contract, load_contract
from widedeep.model.scoring import score_rows
from widedeep.simulation import SimulatedDay, Simulation, SimulationSettings, parse_fault, simulation_settings

ROOT = Path(__file__).parents[2]
SHIPPED = load_contract(ROOT / "dags" / "contracts" / "appstore.yaml")
# For chains that begin with a single day, and models that count their passes themselves.
CONTRACT = changed(SHIPPED, {"training.bootstrap_passes": 1})
KEPT = ROOT / ".local" / "bench" / "simulated" / SHIPPED.training_digest[:16]
SEEDS, QUICK_SEEDS, TUNING_SEED = 5, 2, 100
ROWS, QUICK_ROWS = 20_000, 1_000

HALF_LIVES = {"never": None, "h=14": 14.0}
DEFAULT = "h=14"
CHANGE, WITHIN, MEMORY = 120, 5, 30  # days: of the change, to be back, that the model from scratch learns
BOOTSTRAP = 7  # days that a chain's first release learns
SIZES = {"0.5": 131, "1.0": 180}  # share of all effects and pairs that is new on that day, and how long the chain goes on
RECOVERY_DAYS = (121, 123, 125)
STATIONARY = 61
CALIBRATED = range(10, 30)

Raw = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    rows: int
    seeds: int
    kept: Path
    results: Path

    def store(self, seed: int, fault: str | None = None) -> SimulationSettings:
        faults = (parse_fault(fault),) if fault else ()
        return simulation_settings(rows_per_day=self.rows, seed=seed, faults=faults)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-recovery", action="store_true")
    options = parser.parse_args(arguments)
    scale = Scale(ROWS, SEEDS, KEPT, RESULTS)
    if options.quick:
        scale = Scale(QUICK_ROWS, QUICK_SEEDS, KEPT / "quick", KEPT / "quick")
    scale.kept.mkdir(parents=True, exist_ok=True)
    tuned = _kept(scale, "tuning", TUNING_SEED, tuning)
    experiments = {"history": history, "stationary": stationary, "variants": variants(tuned)}
    if not options.no_recovery:
        experiments["recovery"] = recovery
    runs: dict[str, list[Raw]] = {name: [] for name in experiments}
    for seed in range(scale.seeds):
        for name, experiment in experiments.items():
            runs[name].append(_kept(scale, name, seed, experiment))
        if seed:
            cpu_s = round(sum(run["cpu_s"] for own in (*runs.values(), [tuned]) for run in own))
            header = {"machine": described(), "seeds": seed + 1, "rows_per_day": scale.rows, "cpu_s": cpu_s}
            _write(scale.results / "quality_simulated.json", header | quality(runs, tuned))
            if "recovery" in runs:
                _write(scale.results / "forgetting.json", header | forgetting(runs))


def recovery(scale: Scale, seed: int) -> Raw:
    """Chains through an abrupt change, and models from scratch on the last 30 days."""
    chains = {name: _chain({"training.half_life_days": h}, seed) for name, h in HALF_LIVES.items()}
    past: deque[SimulatedDay] = deque(maxlen=MEMORY)
    _live(chains, Simulation(scale.store(seed)).days(CHANGE), past)
    told: Raw = {}
    for size, end in SIZES.items():
        branches, lately = {name: chain.branch() for name, chain in chains.items()}, past.copy()
        references: dict[str, dict[int, float]] = {"in date order": {}, "shuffled": {}}
        for day in Simulation(scale.store(seed, f"drift:{CHANGE}:{size}")).days(end - CHANGE, CHANGE):
            if day.day in RECOVERY_DAYS:
                _from_scratch(references, list(lately), day, seed)
            _live(branches, [day], lately)
        told[size] = {"chains": {name: chain.aucs for name, chain in branches.items()}, "from scratch": references}
    return told


def _from_scratch(references: dict[str, dict[int, float]], past: list[SimulatedDay], day: SimulatedDay, seed: int) -> None:
    """The AUC of a day by models that learn only the days before it."""
    ordered = learnt(None, past, CONTRACT, seed)
    references["in date order"][day.day] = expected_auc(day, score_rows(ordered, day.rows, CONTRACT))
    if day.day == CHANGE + WITHIN:
        bundle, _ = next(shuffled(past, CONTRACT, seed, 1))
        references["shuffled"][day.day] = expected_auc(day, score_rows(bundle, day.rows, CONTRACT))


def stationary(scale: Scale, seed: int) -> Raw:
    """Chains where nothing changes, and how well the default one is calibrated."""
    chains = {name: _chain({"training.half_life_days": h}, seed) for name, h in HALF_LIVES.items()}
    pooled = []
    for day in Simulation(scale.store(seed).stationary()).days(STATIONARY):
        scores = {name: chain.live(day) for name, chain in chains.items()}[DEFAULT]
        if scores is not None and day.day in CALIBRATED:
            pooled.append((scores, day.rows[CONTRACT.label.column].to_numpy().astype(float)))
    scores, labels = (np.concatenate(side) for side in zip(*pooled, strict=True))
    return {"chains": {name: chain.aucs for name, chain in chains.items()}, "deciles": _deciles(scores, labels)}


def _deciles(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> list[list[float]]:
    """Σp and Σy by tenths of the score."""
    tenth = stats.rankdata(scores, method="ordinal") * 10 // (len(scores) + 1)
    return [np.bincount(tenth.astype(int), side, 10).tolist() for side in (scores, labels)]


def history(scale: Scale, seed: int) -> Raw:
    """A chain that a bootstrap began, beside models that learn all days so far, shuffled, in one to three passes."""
    store = Simulation(scale.store(seed))
    days, told = list(store.days(BOOTSTRAP)), {}
    began = time.process_time()
    chain = Chain(once(SHIPPED, seed), SHIPPED, learnt(None, days, SHIPPED, seed))
    bootstrap_cpu_s = time.process_time() - began
    for day in store.days(61 - BOOTSTRAP, BOOTSTRAP):
        if day.day in {10, 60}:
            passes = [
                {"auc": expected_auc(day, score_rows(bundle, day.rows, CONTRACT)), "cpu_s": cpu_s}
                for bundle, cpu_s in shuffled(days, CONTRACT, seed, 3)
            ]
            learning = [chain.cpu_s[d] for d in range(max(BOOTSTRAP, day.day - WITHIN), day.day)]
            told[str(day.day)] = {
                "passes": passes,
                "a_day_cpu_s": float(np.mean(learning)),
                "all_days_cpu_s": bootstrap_cpu_s + sum(chain.cpu_s.values()),
            }
        chain.live(day)
        days.append(day)
        if day.day in {10, 60}:
            told[str(day.day)]["chain"] = chain.aucs[day.day]
    return told


def variants(tuned: Raw) -> Callable[[Scale, int], Raw]:
    """Chains with one thing changed, over 30 drifting days."""

    def experiment(scale: Scale, seed: int) -> Raw:
        chains = {
            "default": _chain({}, seed),
            "sums never fade": _chain({"training.half_life_days": None}, seed),
            "bfloat16": _chain({"training.precision": "bfloat16"}, seed),
            "AdaGrad's sums dropped before each day": Chain(without_state(CONTRACT, seed), CONTRACT),
            "two passes over each day": Chain(twice(CONTRACT, seed), CONTRACT),
            **{name: _chain(tuned["chosen"][name], seed) for name in PARTS},
        }
        _live(chains, Simulation(scale.store(seed)).days(30))
        return {name: {"auc": chain.aucs, "log_loss": chain.losses} for name, chain in chains.items()}

    return experiment


ALPHA, L1 = "training.ftrl.alpha", "training.ftrl.l1"
RATE, EMBEDDING_RATE = "training.adagrad.learning_rate", "training.adagrad.embedding_learning_rate"
ONE_CHANGED: list[Raw] = [{ALPHA: 0.025}, {ALPHA: 0.1}, {L1: 0.25}, {L1: 1.0}, {RATE: 0.02}, {RATE: 0.08}]
PARTS: dict[str, list[Raw]] = {  # nine trials each
    "joint": [{}, *ONE_CHANGED, {EMBEDDING_RATE: 0.005}, {EMBEDDING_RATE: 0.02}],
    "wide": [{"model.parts": ["wide"], ALPHA: alpha, L1: l1} for alpha in (0.025, 0.05, 0.1) for l1 in (0.25, 0.5, 1.0)],
    "deep": [
        {"model.parts": ["deep"], RATE: rate, EMBEDDING_RATE: own} for rate in (0.02, 0.04, 0.08) for own in (0.005, 0.01, 0.02)
    ],
}


def tuning(scale: Scale, seed: int) -> Raw:
    """The best of nine settings of each part, by the mean AUC of days 5 to 14 in a store that nothing else sees."""
    chains = {name: [_chain(changes, seed) for changes in trials] for name, trials in PARTS.items()}
    for day in Simulation(scale.store(seed)).days(15):
        for own in chains.values():
            _live(dict(enumerate(own)), [day])
    aucs = {name: [float(np.mean([chain.aucs[d] for d in range(5, 15)])) for chain in own] for name, own in chains.items()}
    return {"chosen": {name: PARTS[name][int(np.argmax(own))] for name, own in aucs.items()}, "aucs": aucs}


def forgetting(runs: dict[str, list[Raw]]) -> Raw:
    """How chains of several half-lives come back, and what they cost where nothing changes."""
    told: Raw = {}
    day = str(CHANGE + WITHIN)
    for size in SIZES:
        own = [run[size] for run in runs["recovery"]]
        references = {name: [run["from scratch"][name] for run in own] for name in own[0]["from scratch"]}
        chains = {name: [run["chains"][name] for run in own] for name in HALF_LIVES}
        told[f"change of {size}"] = {
            "auc_by_day": {name: mean_by_day(c, first=CHANGE - 10) for name, c in (chains | references).items()},
            f"day_{day}_less_from_scratch": {
                name: {ref: paired([x[day] for x in c], [x[day] for x in r]) for ref, r in references.items()}
                for name, c in chains.items()
            },
        }
    chains = {name: [_late(run["chains"][name], 51, 61) for run in runs["stationary"]] for name in HALF_LIVES}
    told["stationary_days_51_to_60"] = {
        name: {"auc": round(float(np.mean(c)), 5), "less_never": paired(c, chains["never"])} for name, c in chains.items()
    }
    return told


def quality(runs: dict[str, list[Raw]], tuned: Raw) -> Raw:
    variants = {
        name: {metric: [_late(run[name][metric], 10, 30) for run in runs["variants"]] for metric in ("auc", "log_loss")}
        for name in runs["variants"][0]
        if name != "cpu_s"
    }
    joint = variants["joint"]
    return {
        "bootstrap": {"days": BOOTSTRAP, "passes": SHIPPED.training.bootstrap_passes},
        "chain_beside_shuffled_passes_over_all_history": {f"span {day}": _beside(runs["history"], day) for day in ("10", "60")},
        "days_10_to_29": {
            name: {metric: round(float(np.mean(values)), 5) for metric, values in own.items()} for name, own in variants.items()
        },
        "joint_less_part_auc": {name: paired(joint["auc"], variants[name]["auc"]) for name in ("wide", "deep")},
        "changed_less_default_auc": {
            name: paired(own["auc"], variants["default"]["auc"])
            for name, own in variants.items()
            if name not in {"default", *PARTS}
        },
        "calibration_by_decile_of_20_stationary_spans": _calibration([run["deciles"] for run in runs["stationary"]]),
        "tuned": tuned["chosen"],
    }


def _beside(runs: list[Raw], day: str) -> Raw:
    own = [run[day] for run in runs]
    best = [max(passes["auc"] for passes in run["passes"]) for run in own]
    one_pass, chain_day = (
        float(np.mean(x)) for x in ([run["passes"][0]["cpu_s"] for run in own], [run["a_day_cpu_s"] for run in own])
    )
    return {
        "chain_auc": round(float(np.mean([run["chain"] for run in own])), 5),
        "passes_auc": [round(float(np.mean([run["passes"][i]["auc"] for run in own])), 5) for i in range(3)],
        "chain_less_best": paired([run["chain"] for run in own], best),
        "cpu_of_a_day_over_one_pass": round(chain_day / one_pass, 4),
        "cpu_of_all_days_over_one_pass": round(float(np.mean([run["all_days_cpu_s"] for run in own])) / one_pass, 3),
    }


def _calibration(runs: list[list[list[float]]]) -> list[Raw]:
    sums = np.array(runs)  # (seeds, 2, 10)
    pooled = sums[:, 0].sum(0) / sums[:, 1].sum(0)
    return [
        {"calibration": round(float(pooled[d]), 4), "over_seeds": paired((sums[:, 0] / sums[:, 1])[:, d], np.zeros(len(sums)))}
        for d in range(10)
    ]


def _chain(changes: Raw, seed: int) -> Chain:
    contract: Contract = changed(CONTRACT, changes)
    return Chain(once(contract, seed), contract)


def _live(chains: dict[Any, Chain], days: Iterable[SimulatedDay], past: deque[SimulatedDay] | None = None) -> None:
    for day in days:
        for chain in chains.values():
            chain.live(day)
        if past is not None:
            past.append(day)


def _late(by_day: dict[str, float], first: int, end: int) -> float:
    return float(np.mean([by_day[str(day)] for day in range(first, end)]))


def _kept(scale: Scale, name: str, seed: int, experiment: Callable[[Scale, int], Raw]) -> Raw:
    """An experiment's figures, from its file if it was run before."""
    path = scale.kept / f"{name}-{seed}.json"
    if not path.exists():
        began = time.process_time()
        sys.stdout.write(f"{name}, seed {seed} ... ")
        sys.stdout.flush()
        _write(path, experiment(scale, seed) | {"cpu_s": round(time.process_time() - began, 1)})
        sys.stdout.write(f"{time.process_time() - began:.0f} CPU s\n")
    told: Raw = json.loads(path.read_text())
    return told


def _write(path: Path, told: Raw) -> None:
    path.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
