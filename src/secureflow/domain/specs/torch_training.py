"""What all families of PyTorch have: optimiser, schedule, and how tensors begin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, UNLESS_NONE
from secureflow.domain.specs.inputs import TensorFeature
from secureflow.domain.specs.targets import MAX_CLASSES
from secureflow.domain.specs.tensors import TensorSpec, by_name

Width = Annotated[int, Field(ge=1, le=1 << 14)]
ClassWeights = Annotated[
    tuple[Annotated[float, Field(gt=0.0, le=1e6)], ...],
    Field(min_length=2, max_length=MAX_CLASSES),
]


@dataclass(frozen=True)
class Optimiser:
    """How a party moves along its gradients.

    Args:
        name: `sgd`, `adam` or `adamw` (decay apart from the gradient).
        momentum: of `sgd`.
        state: whether momentum and moments are `carried` into a party's next round or `reset`.
    """

    __pydantic_config__ = STRICT
    name: Literal["sgd", "adam", "adamw"] = "sgd"
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    state: Literal["carried", "reset"] = "reset"


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes with the rounds that a party has trained in.

    Args:
        name: `constant`; `cosine`, down to zero after the plan's rounds; or `step`.
        every: of `step`: after so many rounds
        factor: the rate is multiplied by this.
    """

    __pydantic_config__ = STRICT
    name: Literal["constant", "cosine", "step"] = "constant"
    every: Annotated[int, Field(ge=1, le=10_000)] = 10
    factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1

    def rate(self, first: float, done: int, rounds: int) -> float:
        """Return the learning rate after `done` of a plan's `rounds`, of which the first had `first`."""  # noqa: E501
        if self.name == "cosine":
            return first * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done / max(1, rounds))))
        return first * self.factor ** (done // self.every) if self.name == "step" else first


@dataclass(frozen=True, kw_only=True)
class TorchTraining:
    """What all families here have.

    Args:
        optimiser: how a party moves.
        schedule: how fast.
        weight_decay: shrinks weights, not what is added to them, in each step.
        class_weights: as in every family with classes.
    """

    __pydantic_config__ = STRICT
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    class_weights: Annotated[ClassWeights | None, UNLESS_NONE] = None

    @property
    def l2(self) -> float:
        """The penalty that other families name so."""
        return self.weight_decay

    def cells(self, beside: Sequence[TensorFeature]) -> int:
        """Return how many numbers a row takes on its way, where tensors do not tell."""
        del beside
        return 0


@dataclass(frozen=True)
class StartedTensor:
    """A tensor and its first numbers: uniform within ±`limit` around `value`.

    Args:
        tensor: its name and shape.
        limit: of the first numbers.
        value: their middle.
        norm: whether it is of a normalisation layer.
    """

    tensor: TensorSpec
    limit: float = 0.0
    value: float = 0.0
    norm: bool = False


def dense(prefix: str, sizes: Sequence[int]) -> Iterator[StartedTensor]:
    """Yield the tensors of dense layers, which start as PyTorch's do."""
    for at, (into, out) in enumerate(pairwise(sizes)):
        yield from pair(f"{prefix}.{at}", (out, into), 1 / math.sqrt(max(1, into)))


def norm_layer(name: str, size: int, *, counted: bool = False) -> Iterator[StartedTensor]:
    """Yield the tensors of a normalisation layer over `size` numbers.

    Args:
        name: the layer's.
        size: how many numbers it has a scale for.
        counted: whether it counts means and variances of the rows that it sees.
    """
    yield StartedTensor(TensorSpec(f"{name}.weight", (size,)), 0.0, 1.0, norm=True)
    yield StartedTensor(TensorSpec(f"{name}.bias", (size,)), norm=True)
    if counted:
        yield StartedTensor(TensorSpec(f"{name}.running_mean", (size,)), norm=True)
        yield StartedTensor(TensorSpec(f"{name}.running_var", (size,)), 0.0, 1.0, norm=True)


def pair(name: str, shape: tuple[int, ...], limit: float) -> Iterator[StartedTensor]:
    """Yield weights of this shape and what is added to them."""
    yield StartedTensor(TensorSpec(f"{name}.weight", shape), limit)
    yield StartedTensor(TensorSpec(f"{name}.bias", shape[:1]), limit)


def ordered(found: Iterator[StartedTensor] | list[StartedTensor]) -> tuple[StartedTensor, ...]:
    """Return tensors in the order in which they are flattened."""
    made = {one.tensor.name: one for one in found}
    return tuple(made[one.name] for one in by_name([one.tensor for one in made.values()]))
