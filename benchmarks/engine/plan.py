"""Who is measured, on how many rows, in which order. All sides take turns in every round, so that a noisy minute falls on all."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BATCHES = (256, 4096)
PRECISIONS = ("float32", "bfloat16")
# Batches before a measurement: they compile, allocate and fill caches.
WARM_UP = 4


@dataclass(frozen=True)
class Side:
    """`environment` is a peer's; None is ours. `dense`: its step passes over whole tables, and it gets fewer rows."""

    name: str
    environment: str | None = None
    precisions: tuple[str, ...] = ("float32",)
    dense: bool = False


SIDES = (
    Side("ours", precisions=PRECISIONS),
    Side("stock", precisions=PRECISIONS, dense=True),
    Side("stock-sparse", precisions=PRECISIONS),
    Side("pytorch-widedeep", "pytorch-widedeep", dense=True),
    Side("deepctr-torch", "deepctr-torch", dense=True),
    Side("fuxictr", "fuxictr", dense=True),
    Side("fbgemm", "fbgemm", precisions=PRECISIONS),
)


OURS, STOCK = SIDES[:2]
MEMORY_ROWS = 4 * BATCHES[0]


@dataclass(frozen=True)
class Size:
    """Rows there are, and rows that are learnt at each batch size: `scored` in the first round, by every side, before it scores
    the held-out ones; then `dense` by the sides with dense gradients and `sparse` by the others.
    """

    learnt: int
    held_out: int
    scored: dict[int, int]
    dense: dict[int, int]
    sparse: dict[int, int]
    rounds: int
    pipeline: int


FULL = Size(
    learnt=400_000,
    held_out=100_000,
    scored={256: 81_920, 4096: 380_928},
    dense={256: 10_240, 4096: 81_920},
    sparse={256: 122_880, 4096: 245_760},
    rounds=2,
    pipeline=1_000_000,
)
QUICK = Size(
    learnt=60_000,
    held_out=20_000,
    scored={256: 10_240, 4096: 40_960},
    dense={256: 2560, 4096: 16_384},
    sparse={256: 10_240, 4096: 40_960},
    rounds=1,
    pipeline=60_000,
)


@dataclass(frozen=True)
class Turn:
    """One measurement. `roomy`: against the tenfold vocabulary."""

    side: Side
    precision: str
    batch: int
    round: int
    rows: int
    scored: bool = False
    roomy: bool = False

    def job(self, folder: str) -> dict[str, Any]:
        """What `benchmarks.engine.measure` is told."""
        return {
            "side": self.side.name,
            "folder": folder,
            "precision": self.precision,
            "batch": self.batch,
            "rows": self.rows,
            "score": self.scored,
        }


def turns(size: Size) -> Iterator[Turn]:
    for n in range(size.rounds):
        for batch in BATCHES:
            for side in SIDES:
                rows = (size.dense if side.dense else size.sparse) if n else size.scored
                yield from (Turn(side, precision, batch, n, rows[batch], scored=n == 0) for precision in side.precisions)
            yield Turn(OURS, "bfloat16", batch, n, (size.sparse if n else size.scored)[batch], roomy=True)
    # For their memory alone, which does not grow with the rows.
    yield from (Turn(side, "float32", BATCHES[0], 0, MEMORY_ROWS, roomy=True) for side in (OURS, STOCK))
