"""The shape of a model follows from its specification and the sizes of its vocabularies, and from nothing else.

`V` rows of values, `C` rows of crosses, `D` embedding width, `F` categorical, `M` multivalent and `K` numeric features.
"""

from __future__ import annotations

from datetime import date
from itertools import accumulate
from math import prod
from typing import Literal

from widedeep.artifacts import Value
from widedeep.data.contract import Contract, Ftrl
from widedeep.features.columns import Features
from widedeep.features.growth import RowBytes

FLOAT_BYTES = 4

Shapes = dict[str, tuple[int, ...]]


class Specification(Value):
    """What a bundle is. `ftrl` is part of it because the wide weights are a function of FTRL's state and settings.

    `learnt_until` is the latest span that it has learnt rows of: the next one's state fades by the days since.
    """

    features: Features
    embedding: int
    hidden: tuple[int, ...]
    parts: tuple[Literal["wide", "deep"], ...]
    ftrl: Ftrl
    learnt_until: date | None = None

    @classmethod
    def of(cls, contract: Contract, learnt_until: date | None = None) -> Specification:
        model = contract.model
        return cls(
            features=Features.of(contract),
            embedding=model.embedding,
            hidden=model.hidden,
            parts=model.parts,
            ftrl=contract.training.ftrl,
            learnt_until=learnt_until,
        )

    def input_widths(self) -> dict[str, int]:
        """Widths of the deep part's inputs, in order: an embedding per feature, then two per number (quantile, missing)."""
        names = [*self.features.categorical, *self.features.multivalent]
        return dict.fromkeys(names, self.embedding) | dict.fromkeys(self.features.numeric, 2)

    def input_columns(self) -> dict[str, range]:
        """The columns of the first layer that each input owns."""
        widths = self.input_widths()
        return {name: range(end - widths[name], end) for name, end in zip(widths, accumulate(widths.values()), strict=True)}

    def first_layer(self) -> str:
        """Name of the layer that reads the inputs."""
        return "hidden.0.weight" if self.hidden else "output.weight"


def weight_shapes(specification: Specification, values: int, crosses: int) -> Shapes:
    """Shape of every tensor that scoring needs."""
    shapes: Shapes = {"bias": (1,)}
    if "wide" in specification.parts:
        shapes |= {"wide.values": (values,), "wide.crosses": (crosses,)}
    if "deep" in specification.parts:
        shapes |= {"embedding": (values, specification.embedding)} | _layer_shapes(specification)
    return shapes


def optimizer_shapes(specification: Specification, values: int, crosses: int) -> Shapes:
    """Shape of every tensor that only training needs: FTRL's z and n (wide part and bias), AdaGrad's accumulators (deep part)."""
    weights = weight_shapes(specification, values, crosses)
    linear = {name: shape for name, shape in weights.items() if is_linear(name)}
    states = {f"{name}.{state}": shape for name, shape in linear.items() for state in ("z", "n")}
    return states | {f"{name}.accumulator": shape for name, shape in weights.items() if name not in linear}


def row_bytes(specification: Specification) -> RowBytes:
    """What a row of either vocabulary costs in all tables, float32, with their optimizer's state."""
    return RowBytes(_table_bytes(specification, 1, 0), _table_bytes(specification, 0, 1))


def is_linear(name: str) -> bool:
    """Whether FTRL learns this tensor; AdaGrad learns the others."""
    return name == "bias" or name.startswith("wide.")


def is_table(name: str) -> bool:
    """Whether the tensor has a row per vocabulary entry."""
    return name.startswith(("embedding", "wide."))


def _table_bytes(specification: Specification, values: int, crosses: int) -> int:
    shapes = weight_shapes(specification, values, crosses) | optimizer_shapes(specification, values, crosses)
    return FLOAT_BYTES * sum(prod(shape) for name, shape in shapes.items() if is_table(name))


def _layer_shapes(specification: Specification) -> Shapes:
    widths = [sum(specification.input_widths().values()), *specification.hidden]
    shapes: Shapes = {}
    for i, width in enumerate(specification.hidden):
        shapes |= {f"hidden.{i}.weight": (width, widths[i]), f"hidden.{i}.bias": (width,)}
    # The logit has one bias, the joint one.
    return shapes | {"output.weight": (1, widths[-1])}
