"""What the gate promotes, holds and rejects, where the truth is known.

    python -m benchmarks.gate                # eight stores; some 20 minutes of one core
    python -m benchmarks.gate --stores 1     # a look; writes no file

In each store a parent has learnt eight days, and candidates learn the ninth from it, each by another seed. Two of them are judged
beside one another on some 105,000 held-out rows of 10,500 users: as they are, and with harm of a known size, by the true
probabilities. Writes `benchmarks/results/gate.json`.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.compute as pc
from scipy.special import logit
from scipy.stats import binomtest

from benchmarks.gate.coverage import coverage
from benchmarks.gate.harm import (
    flattened,
    further_off,
    leaking,
    noisy,
    with_mean,
    without_embedding,
    without_embeddings,
    worse_by,
    worse_inside,
)
from benchmarks.gate.worlds import CONTRACT, ROWS, Floats, Judged, candidate_of, stationary_days, verdict, world
from benchmarks.machine import RESULTS, described
from benchmarks.quality.chains import learnt
from widedeep.artifacts import Verdict
from widedeep.evaluation.holdout import Holdout
from widedeep.evaluation.metrics import row_losses
from widedeep.model.bundle import Bundle

STORES, PAIRS, FIRST_SEED = 8, 25, 200
DECISIONS = {"promote": "promoted", "hold": "held", "reject": "rejected"}
COUNTRIES = ("BR", "DE", "FR", "GB", "IN", "JP", "MX", "US")
DECAY, DECAY_DAYS, BOOTSTRAP = 0.001, 12, 8
WANTED = {
    "as good as the champion": "promoted >= .90, rejected <= .05",
    "0.5 % NE worse": "promoted <= .05",
    "1 % NE worse": "rejected >= .95",
    "one country 3 % NE worse": "promoted <= .10",
    "no embeddings for one country": "promoted <= .10",
    "a country's own embedding is zero": "told: this store's models lose next to nothing with it",
    "5 % further off the true rate": "promoted <= .01",
    "trained on a leaked label": "flagged: all",
    "trained on a label that leaks in a third of the rows": "told",
}


@dataclass
class Counted:
    """Decisions by what was judged, and the reasons of those that nobody wanted."""

    decisions: dict[str, Counter[str]] = field(default_factory=dict)
    flagged: Counter[str] = field(default_factory=Counter)
    told: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, found: Verdict) -> None:
        self.decisions.setdefault(what, Counter())[found.decision] += 1
        self.flagged[what] += any("too good to be true" in reason for reason in found.reasons)
        self.told.setdefault(what, []).append(f"{found.decision}: {'; '.join(found.reasons)}")

    def figures(self) -> dict[str, Any]:
        return {what: self._of(what, counts) for what, counts in self.decisions.items()}

    def _of(self, what: str, counts: Counter[str]) -> dict[str, Any]:
        total = counts.total()
        intervals = {name: _share(counts[decision], total) for decision, name in DECISIONS.items()}
        flagged = {"flagged": self.flagged[what]} if self.flagged[what] else {}
        return {"wanted": WANTED[what], "judged": total, **intervals, **flagged, "for_example": self.told[what][0]}


def _share(count: int, total: int) -> dict[str, float]:
    """With its exact 95 % interval (Clopper and Pearson 1934)."""
    interval = binomtest(count, total).proportion_ci()
    return {"count": count, "share": round(count / total, 4), "lower": round(interval.low, 4), "upper": round(interval.high, 4)}


def judge_store(seed: int, pairs: int, counted: Counted, rows: int = ROWS) -> tuple[Holdout, Floats]:
    """All pairs of one store. Returns its holdout, and one pair's differences in loss by row."""
    parent, judged = world(seed, rows)
    anchor, asked = judged.scores(parent), judged.sliced(parent)
    bundles = (candidate_of(parent, judged, number) for number in range(pairs + 1))
    for number, ((_, theirs), (bundle, mine)) in enumerate(pairwise((bundle, judged.scores(bundle)) for bundle in bundles)):
        rng = np.random.default_rng([seed, number])
        for what, scores in _variants(judged, bundle, mine, theirs, number, rng):
            counted.add(what, verdict(asked, scores, theirs, anchor, CONTRACT))
    for what, share in (("trained on a leaked label", 1.0), ("trained on a label that leaks in a third of the rows", 1 / 3)):
        counted.add(what, _leaked(parent, judged, share, np.random.default_rng([seed, 99])))
    return asked, row_losses(asked.labels, mine) - row_losses(asked.labels, theirs)


def _variants(
    judged: Judged, bundle: Bundle, mine: Floats, theirs: Floats, number: int, rng: np.random.Generator
) -> Iterator[tuple[str, Floats]]:
    """The candidate's scores as they are, and harmed in each way."""
    damage, champion = (noisy(rng), flattened)[number % 2], judged.true_ne(theirs)
    yield "as good as the champion", mine
    yield "0.5 % NE worse", worse_by(judged, mine, champion, 0.005, damage)
    yield "1 % NE worse", worse_by(judged, mine, champion, 0.01, damage)
    country = COUNTRIES[number % len(COUNTRIES)]
    inside = pc.equal(judged.rows["country"], country).to_numpy()
    yield "one country 3 % NE worse", worse_inside(judged, mine, inside, 0.03, noisy(rng))
    yield "no embeddings for one country", np.where(inside, judged.scores(without_embeddings(bundle)), mine)
    yield "a country's own embedding is zero", judged.scores(without_embedding(bundle, "country", country))
    yield "5 % further off the true rate", further_off(judged, mine, theirs, 0.05)


def _leaked(parent: Bundle, judged: Judged, share: float, rng: np.random.Generator) -> Verdict:
    """Both models read the rows as they were delivered; only the candidate has learnt what the leak tells."""
    delivered = replace(
        judged,
        rows=leaking(judged.rows, share, rng),
        train=replace(judged.train, rows=leaking(judged.train.rows, share, rng)),
    )
    bundle, theirs = candidate_of(parent, delivered, 0), delivered.scores(parent)
    return verdict(delivered.sliced(parent), delivered.scores(bundle), theirs, None, delivered.contract)


def decay(seed: int, days: int = DECAY_DAYS, rows: int = ROWS) -> dict[str, dict[str, Any]]:
    """Each day's candidate is truly 0.1 % NE worse than the one before: how much had summed up when the gate stopped it.

    In a store in which nothing changes, so that no day is better for being younger; the anchor is the chain's first release.
    """
    past, first = [], None
    stopped: dict[str, dict[str, Any]] = {"with_anchor": {}, "without_anchor": {}}
    for judged in stationary_days(seed, BOOTSTRAP + days, rows):
        if len(past) < BOOTSTRAP:
            past.append(judged.train)
            continue
        if first is None:
            first = clean = learnt(None, past, judged.contract, seed)
        day = judged.day.day - BOOTSTRAP + 1
        younger = candidate_of(clean, judged, seed + day)
        anchor = judged.scores(first)
        base, damage = judged.true_ne(anchor), noisy(np.random.default_rng([seed, day]))
        champion = worse_by(judged, judged.scores(clean), base, DECAY * (day - 1), damage)
        # At the champion's mean score, so that only the loss tells them apart.
        fresh = with_mean(logit(judged.scores(younger)), float(champion.mean()))
        candidate = worse_by(judged, fresh, base, DECAY * day, damage)
        asked, clean = judged.sliced(first), younger
        for name, older in (("with_anchor", anchor), ("without_anchor", None)):
            found = verdict(asked, candidate, champion, older, judged.contract)
            if found.decision != "promote" and not stopped[name]:
                stopped[name] = {"sum": round(DECAY * day, 4), "decision": found.decision, "reasons": list(found.reasons)}
    return stopped


def million() -> dict[str, float]:
    """In processes of their own, so that what made the rows is not counted."""
    with TemporaryDirectory(prefix="widedeep-gate-") as folder:
        for what in ("prepare", "decide"):
            command = [sys.executable, "-m", "benchmarks.gate.million", what, folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, default=STORES)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    chosen, counted, result = parser.parse_args(arguments), Counted(), {"machine": described()}
    for number in range(chosen.stores):
        asked, differences = judge_store(FIRST_SEED + number, chosen.pairs, counted)
        sys.stderr.write(f"store {number + 1} of {chosen.stores}: {dict(counted.decisions)}\n")
    result |= {"stores": chosen.stores, "rows": len(asked.labels), "users": len(np.unique(asked.users))}
    result |= {
        "positives": int(asked.labels.sum()),
        "gate": CONTRACT.gate.model_dump(mode="json"),
        "decisions": counted.figures(),
    }
    result["one_decay_of_0.1_%_NE_a_day"] = decays = [decay(FIRST_SEED + 50 + number) for number in range(min(3, chosen.stores))]
    sys.stderr.write(f"decays: {decays}\n")
    result["intervals"] = coverage(differences, asked.users, np.random.default_rng(0))
    result["a_million_rows"] = million()
    if (chosen.stores, chosen.pairs) == (STORES, PAIRS):
        (RESULTS / "gate.json").write_text(json.dumps(result, indent=2) + "\n")
    _print(result)


def _line(what: str, figures: dict[str, Any]) -> str:
    shares = "".join(f" {figures[name]['share']:9.1%}" for name in DECISIONS.values())
    flagged = f"; {figures['flagged']} of {figures['judged']} flagged" if "flagged" in figures else ""
    return f"{what:52}{shares}   {figures['wanted']}{flagged}"


def _print(result: dict[str, Any]) -> None:
    lines = [f"{'':52} {'promoted':>9} {'held':>9} {'rejected':>9}   wanted"]
    lines += [_line(what, figures) for what, figures in result["decisions"].items()]
    for each in result["one_decay_of_0.1_%_NE_a_day"]:
        sums = [each[name].get("sum", f"not within {DECAY_DAYS} days") for name in ("with_anchor", "without_anchor")]
        lines.append(f"0.1 % NE worse each day: stopped at {sums[0]}; without an anchor: {sums[1]}")
    lines += [f"95 % intervals, users {name}: {figures}" for name, figures in result["intervals"].items()]
    lines.append(f"a million rows: {result['a_million_rows']}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
