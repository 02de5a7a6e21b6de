"""A warm start copies everything that still fits and initialises the rest: weights, optimizer state, vocabularies, boundaries.

Old rows keep their place, so a table is carried by putting it in front of its new rows; the first layer is carried by input.
A row that has passed to another value or cross (its generation changed) starts cold. What was not carried is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial

import numpy as np
import torch

from widedeep.artifacts import Value
from widedeep.data.contract import Contract, Ftrl
from widedeep.errors import UsageError
from widedeep.features.bags import Int64s
from widedeep.features.columns import cross_name
from widedeep.features.growth import Vocabularies
from widedeep.features.quantiles import Quantiles
from widedeep.model.bundle import Bundle, Tensors
from widedeep.model.initial import initial
from widedeep.model.specification import Specification, is_table, optimizer_shapes, weight_shapes
from widedeep.training.forgetting import days_between, faded
from widedeep.training.optimizers import FtrlTable, ftrl_z


class WarmStartReport(Value):
    """`initialised` says what could not be carried and why.

    `new_values` and `new_crosses` count the appended rows, `recycled_values` and `recycled_crosses` those that changed hands.
    """

    carried: tuple[str, ...]
    initialised: tuple[str, ...]
    new_values: int
    new_crosses: int
    recycled_values: int = 0
    recycled_crosses: int = 0


def warm_start(
    parent: Bundle | None,
    vocabularies: Vocabularies,
    quantiles: Quantiles,
    contract: Contract,
    seed: int,
    rows: int = 0,
    until: date | None = None,
) -> tuple[Bundle, WarmStartReport]:
    """The model that training starts from: the parent's, grown to the vocabularies and reshaped to the contract, or a new one.

    `rows` are to be learnt, of spans up to `until`: by them, and by the days since the parent's latest span, the optimizer's
    state fades.

    Raises:
        UsageError: the parent was loaded to score, without its optimizer's state.
    """
    known = None if parent is None else parent.specification.learnt_until
    specification = Specification.of(contract, max(filter(None, [known, until]), default=None))
    sizes = len(vocabularies.values), len(vocabularies.crosses)
    weights, state = weight_shapes(specification, *sizes), optimizer_shapes(specification, *sizes)
    old: Tensors = {} if parent is None else {**parent.weights, **optimizer_of(parent)}
    columns = _Columns.shared(specification, specification if parent is None else parent.specification)
    cold = _ColdRows.since(vocabularies if parent is None else parent.vocabularies, vocabularies)
    tensors: dict[str, torch.Tensor] = {}
    for name, shape in (weights | state).items():
        fresh = partial(initial, name, shape, vocabularies.values, seed)
        tensors[name] = _carried(name, old[name], columns, cold, fresh) if _fits(name, old, shape, columns) else fresh()
    if parent is not None and parent.specification.ftrl != specification.ftrl:
        tensors |= _rederived_z(tensors, specification.ftrl)
    if parent is not None:
        tensors |= faded(tensors, contract.training, days_between(parent.specification, specification), rows)
    bundle = Bundle(specification, vocabularies, quantiles, {n: tensors[n] for n in weights}, {n: tensors[n] for n in state})
    return bundle, _report(parent, bundle)


def optimizer_of(parent: Bundle) -> Tensors:
    """Raise UsageError if there is none: then its vocabularies can't grow either."""
    if parent.optimizer is None:
        raise UsageError(
            "parent was loaded to score, without its optimizer's state; load it with optimizer=True to train from it"
        )
    return parent.optimizer


@dataclass(frozen=True)
class _Columns:
    """Which columns of the first layer belong to the same input in the new and in the old model."""

    layer: str
    new: list[int]
    old: list[int]

    @classmethod
    def shared(cls, new: Specification, old: Specification) -> _Columns:
        now, before = new.input_columns(), old.input_columns()
        is_now, was = _inputs(new), _inputs(old)
        shared = [name for name in now if is_now[name] == was.get(name) and new.first_layer() == old.first_layer()]
        return cls(new.first_layer(), [c for name in shared for c in now[name]], [c for name in shared for c in before[name]])

    def own(self, name: str) -> bool:
        """Whether the tensor is the first layer or its accumulator."""
        return name.removesuffix(".accumulator") == self.layer


@dataclass(frozen=True)
class _ColdRows:
    """The rows of either vocabulary that have another key than in the parent, and those that the parent lacks."""

    values: tuple[Int64s, Int64s]
    crosses: tuple[Int64s, Int64s]

    @classmethod
    def since(cls, old: Vocabularies, new: Vocabularies) -> _ColdRows:
        pairs = (old.values, new.values), (old.crosses, new.crosses)
        return cls(*((after.recycled_since(before), np.arange(len(before), len(after))) for before, after in pairs))

    def of(self, table: str) -> tuple[Int64s, Int64s]:
        return self.crosses if table.startswith("wide.crosses") else self.values


def _fits(name: str, old: Tensors, shape: tuple[int, ...], columns: _Columns) -> bool:
    if name not in old:
        return False
    before = tuple(old[name].shape)
    if is_table(name):
        return before[1:] == shape[1:]
    return bool(columns.new) and before[0] == shape[0] if columns.own(name) else before == shape


def _carried(
    name: str, old: torch.Tensor, columns: _Columns, cold: _ColdRows, fresh: Callable[..., torch.Tensor]
) -> torch.Tensor:
    """The old tensor where it fits, initial values for cold rows and new inputs."""
    if is_table(name):
        recycled, appended = cold.of(name)
        grown = torch.cat([old, fresh(rows=appended)])
        grown[torch.from_numpy(recycled)] = fresh(rows=recycled)
        return grown
    if not columns.own(name):
        return old
    grown = fresh()
    grown[:, columns.new] = old[:, columns.old]
    return grown


def _rederived_z(tensors: Tensors, ftrl: Ftrl) -> dict[str, torch.Tensor]:
    """New z under new FTRL settings: z and n stand for the weights, and the weights must survive."""
    tables = {n: FtrlTable(tensors[n], tensors[f"{n}.z"], tensors[f"{n}.n"]) for n in tensors if f"{n}.z" in tensors}
    return {f"{n}.z": ftrl_z(table, ftrl, l1=0.0 if n == "bias" else ftrl.l1) for n, table in tables.items()}


def _report(parent: Bundle | None, bundle: Bundle) -> WarmStartReport:
    if parent is None:
        sizes = len(bundle.vocabularies.values), len(bundle.vocabularies.crosses)
        return WarmStartReport(
            carried=(), initialised=("everything: there is no parent",), new_values=sizes[0], new_crosses=sizes[1]
        )
    columns = _Columns.shared(bundle.specification, parent.specification)
    shapes = {name: tuple(tensor.shape) for name, tensor in bundle.weights.items()}
    carried = [n for n, shape in shapes.items() if _fits(n, parent.weights, shape, columns)]
    lost = [f"{n}: parent has {_shape(parent, n)}, wanted {shape}" for n, shape in shapes.items() if n not in carried]
    dropped = [f"{n}: no longer part of the model" for n in parent.weights if n not in shapes]
    return WarmStartReport(
        carried=tuple(sorted(carried)),
        initialised=tuple(sorted([*lost, *dropped, *_changed_inputs(parent.specification, bundle.specification)])),
        new_values=len(bundle.vocabularies.values) - len(parent.vocabularies.values),
        new_crosses=len(bundle.vocabularies.crosses) - len(parent.vocabularies.crosses),
        recycled_values=len(bundle.vocabularies.values.recycled_since(parent.vocabularies.values)),
        recycled_crosses=len(bundle.vocabularies.crosses.recycled_since(parent.vocabularies.crosses)),
    )


def _shape(bundle: Bundle, name: str) -> str:
    return str(tuple(bundle.weights[name].shape)) if name in bundle.weights else "none"


def _inputs(specification: Specification) -> dict[str, str]:
    """What each input is. Widths alone don't tell: an embedding may be as wide as a number's quantile and missing indicator."""
    features, widths = specification.features, specification.input_widths()
    roles = {"categorical": features.categorical, "multivalent": features.multivalent, "numeric": features.numeric}
    inputs = {name: f"{role} of width {widths[name]}" for role, names in roles.items() for name in names}
    return inputs | dict.fromkeys(map(cross_name, features.crosses), "a cross")


def _changed_inputs(old: Specification, new: Specification) -> list[str]:
    before, now = _inputs(old), _inputs(new)
    added = [f"input {name!r}: new" for name in now if name not in before]
    changed = [
        f"input {name!r}: parent has {before[name]}, wanted {now[name]}"
        for name in now
        if before.get(name, now[name]) != now[name]
    ]
    dropped = [f"input {name!r}: no longer read" for name in before if name not in now]
    ftrl = ["FTRL settings changed: z re-derived, so that the weights stay"] if old.ftrl != new.ftrl else []
    return added + changed + dropped + ftrl
