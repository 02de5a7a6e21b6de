"""The parts of the model in one of `W` ranks: it owns a share of the tables and learns a share of each batch.

`B` rows of this rank's share of a batch, `N` entries, `U` distinct table rows, `F` features, `D` embedding width, `V` values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist
import torchrec.optim
from torch import nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor, PoolingType
from torchrec.distributed import DistributedModelParallel
from torchrec.distributed.comm_ops import set_gradient_division
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.planner.types import ParameterConstraints
from torchrec.distributed.types import ModuleSharder, ShardingType
from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward

from widedeep.data.contract import AdaGrad, Ftrl, Training
from widedeep.features.encoding import EncodedBatch
from widedeep.model.bundle import Tensors
from widedeep.training.distributed.job import ACCUMULATOR, SHARD, TABLE, TABLE_OF
from widedeep.training.embeddings import padded
from widedeep.training.layers import Layers
from widedeep.training.optimizers import FtrlTable, distinct
from widedeep.training.parts import PRECISIONS, STATES, WIDE, LearningPart

FBGEMM_WIDTH = 4
"""Widths of tables are multiples of it."""
BOUNDLESS = 1 << 60


def sharded_parts(start: Tensors, tables: Sequence[str], training: Training) -> list[LearningPart]:
    """This rank's parts of the model that the tensors are of; where what a rank owns stands among them, it goes on from that.

    `tensors` of these parts are what this rank owns, and what all hold.
    """
    # As in one process: the joint bias is learnt by FTRL without L1.
    parts: list[LearningPart] = [ReplicatedBias(start, training.ftrl)]
    if WIDE[0] in start:
        parts.append(ShardedWide(start, training.ftrl))
    if "embedding" in start:
        parts.append(ShardedDeep(start, tables, training.adagrad, PRECISIONS[training.precision]))
    return parts


class ReplicatedBias:
    """The bias, which all ranks hold and learn alike."""

    def __init__(self, start: Tensors, ftrl: Ftrl) -> None:
        self._table = FtrlTable(*(start[f"bias{state}"].clone() for state in STATES))
        self._ftrl, self._row = ftrl, torch.zeros(1, dtype=torch.int64)

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        return self._table.weights.expand(len(batch))

    def learn(self, residual: torch.Tensor, _rows: int, /) -> None:
        gradient = residual.sum().reshape(1)
        dist.all_reduce(gradient)
        self._table.step(self._row, gradient, self._ftrl, l1=0.0)

    def tensors(self) -> dict[str, torch.Tensor]:
        return dict(zip([f"bias{state}" for state in STATES], _states(self._table), strict=True))


class ShardedWide:
    """The wide part: rank r of W owns the rows r, r + W, ... of values and crosses together, and their FTRL state.

    TorchRec has no FTRL. A batch asks the owners for the weights of its distinct rows, and sends them its gradients.
    """

    def __init__(self, start: Tensors, ftrl: Ftrl) -> None:
        self._rank, self._world, self._ftrl = dist.get_rank(), dist.get_world_size(), ftrl
        kept = f"{SHARD}{STATES[0]}" in start
        self._table = FtrlTable(
            *(start[SHARD + state].clone() if kept else self._own([start[name + state] for name in WIDE]) for state in STATES)
        )

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        entries = batch.wide
        self._row_of = torch.from_numpy(entries.row_of())
        rows, codes = distinct(torch.from_numpy(entries.flat).to(torch.int64))
        owner = rows % self._world
        by_owner = torch.argsort(owner, stable=True)
        self._sent = torch.bincount(owner, minlength=self._world)
        counts = torch.empty_like(self._sent)
        dist.all_to_all_single(counts, self._sent)
        self._counts = counts
        self._asked = self._exchanged(rows[by_owner] // self._world, self._sent, counts)
        answers = self._exchanged(self._table.weights[self._asked], counts, self._sent)
        # Place of each entry's row among those that were asked for.
        place = torch.empty_like(by_owner)
        place[by_owner] = torch.arange(len(by_owner))
        self._codes = place[codes]
        return torch.zeros(len(batch)).index_add_(0, self._row_of, answers[self._codes])

    def learn(self, residual: torch.Tensor, _rows: int, /) -> None:
        own = torch.zeros(int(self._sent.sum())).index_add_(0, self._codes, residual[self._row_of])
        gradients = self._exchanged(own, self._sent, self._counts)
        rows, codes = distinct(self._asked)
        self._table.step(rows, torch.zeros(len(rows)).index_add_(0, codes, gradients), self._ftrl, l1=self._ftrl.l1)

    def tensors(self) -> dict[str, torch.Tensor]:
        return dict(zip([SHARD + state for state in STATES], _states(self._table), strict=True))

    def _own(self, tables: list[torch.Tensor]) -> torch.Tensor:
        """Every W-th row of the tables behind each other, without joining them."""
        first = (self._rank - len(tables[0])) % self._world
        return torch.cat([tables[0][self._rank :: self._world], tables[1][first :: self._world]])

    @staticmethod
    def _exchanged(values: torch.Tensor, sent: torch.Tensor, received: torch.Tensor) -> torch.Tensor:
        out = values.new_empty(int(received.sum()))
        dist.all_to_all_single(out, values.contiguous(), received.tolist(), sent.tolist())
        return out


class ShardedDeep:
    """Embedding tables, each whole in one rank (TorchRec, with AdaGrad fused into it), and layers, which all ranks hold."""

    def __init__(self, start: Tensors, tables: Sequence[str], adagrad: AdaGrad, precision: torch.dtype) -> None:
        self._names, self._width, self._precision = list(tables), start["embedding"].shape[1], precision
        table_of = start[TABLE_OF]
        self._local, sizes = places(table_of, len(tables))
        # Losses are summed over the batch and divided by all its rows, wherever they are.
        set_gradient_division(False)
        # A model of numbers only has none. To TorchRec they have numbers: a feature's name may be one that a module can't have.
        self._tables = _sharded_tables(sizes, -(-self._width // FBGEMM_WIDTH) * FBGEMM_WIDTH, adagrad) if tables else None
        self._owned = {} if self._tables is None else {self._names[n]: own for n, own in _owned(self._tables).items()}
        for name, (weights, accumulator) in self._owned.items():
            rows = torch.nonzero(table_of == self._names.index(name)).squeeze(1)
            for own, whole, kept in ((weights, "embedding", TABLE), (accumulator, "embedding.accumulator", ACCUMULATOR)):
                own.zero_()
                own[:, : self._width] = (
                    start[f"{kept}/{name}"][:, : self._width] if f"{kept}/{name}" in start else start[whole][rows]
                )
        self._layers = Layers(start, adagrad, torch.device("cpu"), precision, added_up)

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        with torch.enable_grad():
            self._embedded = self._pooled(batch)
        embedded, dense = self._embedded.shape[1], batch.dense.shape[1]
        x = torch.zeros(len(batch), padded(embedded + dense), dtype=self._precision)
        x[:, :embedded] = self._embedded.detach()
        x[:, embedded : embedded + dense] = torch.from_numpy(batch.dense)
        return self._layers.forward(x)

    def learn(self, residual: torch.Tensor, rows: int, /) -> None:
        flowing = self._layers.backward(residual / rows)
        if self._tables is not None:
            torch.autograd.backward(self._embedded, flowing[:, : self._embedded.shape[1]].float())

    def tensors(self) -> dict[str, torch.Tensor]:
        owned = self._layers.tensors()
        for name, (weights, accumulator) in self._owned.items():
            owned |= {f"{TABLE}/{name}": weights, f"{ACCUMULATOR}/{name}": accumulator}
        return owned

    def _pooled(self, batch: EncodedBatch) -> torch.Tensor:
        """(B, F·D): the embeddings of all features, in the order of their tables."""
        if self._tables is None:
            return torch.zeros(len(batch), 0)
        pooled = self._tables(self._keyed(batch)).to_dict()  # ordered by their ranks
        return torch.cat([pooled[str(n)][:, : self._width] for n in range(len(self._names))], 1)

    def _keyed(self, batch: EncodedBatch) -> KeyedJaggedTensor:
        """The batch's entries as each table counts its rows."""
        single = np.ones(len(batch), np.int64)
        flats = [*(batch.rows[:, f] for f in range(batch.rows.shape[1])), *(bag.flat for bag in batch.bags)]
        lengths = [*(single for _ in range(batch.rows.shape[1])), *(bag.lengths() for bag in batch.bags)]
        values = self._local[torch.from_numpy(np.concatenate(flats).astype(np.int64))]
        return KeyedJaggedTensor(
            [str(n) for n in range(len(self._names))], values.to(torch.int64), lengths=torch.from_numpy(np.concatenate(lengths))
        )


def added_up(gradients: list[torch.Tensor]) -> Sequence[torch.Tensor]:
    """The gradients of all ranks, in float32. They travel in one piece: DistributedDataParallel lays out its buckets anew after
    the first batch, and with them the order of the sums, so that the bytes would depend on where training began.
    """
    flat = torch.cat([gradient.float().reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    parts = flat.split_with_sizes([gradient.numel() for gradient in gradients])
    return [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)]


def places(table_of: torch.Tensor, tables: int) -> tuple[torch.Tensor, list[int]]:
    """(V,) int32: the place of each row of the embedding matrix in its own table, in their order; and the tables' sizes."""
    local = torch.zeros(len(table_of), dtype=torch.int32)
    sizes = []
    for number in range(tables):
        own = table_of == number
        sizes.append(int(own.sum()))
        local[own] = torch.arange(sizes[-1], dtype=torch.int32)
    return local, sizes


def _sharded_tables(sizes: list[int], width: int, adagrad: AdaGrad) -> DistributedModelParallel:
    """Tables "0", "1", … Which rank gets which is the planner's choice, by their sizes."""
    names = [str(number) for number in range(len(sizes))]
    configs = [
        EmbeddingBagConfig(
            name=f"t{name}", embedding_dim=width, num_embeddings=size, feature_names=[name], pooling=PoolingType.MEAN
        )
        for name, size in zip(names, sizes, strict=True)
    ]
    tables = EmbeddingBagCollection(tables=configs, device=torch.device("meta"))
    rates = {"lr": adagrad.embedding_learning_rate, "eps": adagrad.epsilon}
    with torch.enable_grad():
        apply_optimizer_in_backward(torchrec.optim.Adagrad, tables.parameters(), rates)
    world = dist.get_world_size()
    # Equal inputs have to give equal plans, whatever memory a machine has; what doesn't fit will fail.
    topology = Topology(world_size=world, compute_device="cpu", local_world_size=world, ddr_cap=BOUNDLESS)
    whole = ParameterConstraints(sharding_types=[ShardingType.TABLE_WISE.value])
    planner = EmbeddingShardingPlanner(topology=topology, constraints={config.name: whole for config in configs})
    sharders: list[ModuleSharder[nn.Module]] = [EmbeddingBagCollectionSharder()]
    plan = planner.collective_plan(tables, sharders, dist.group.WORLD)
    return DistributedModelParallel(tables, device=torch.device("cpu"), plan=plan, sharders=sharders, init_data_parallel=False)


def _owned(tables: DistributedModelParallel) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """This rank's tables by number: weights and AdaGrad's accumulator, as they are learnt."""
    owned, weights = {}, tables.state_dict()
    for states in tables.fused_optimizer.state_dict()["state"].values():
        for key, state in states.items():
            name = key.partition(".")[0]
            own = weights[f"embedding_bags.{name}.weight"]
            owned[int(name[1:])] = (own.local_shards()[0].tensor, state.local_shards()[0].tensor)
    return owned


def _states(table: FtrlTable) -> tuple[torch.Tensor, ...]:
    return table.weights, table.z, table.n
