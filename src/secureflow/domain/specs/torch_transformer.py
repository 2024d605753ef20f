"""A transformer's encoder over a text or an array of steps, trained whole or by LoRA.

Each block (pre-norm) is attention with `heads` and a dense layer of `hidden` units with GELU, each
beside a way past it; behind the blocks a norm, the mean over the steps (of a text over what is no
padding), and one dense layer, the *head*.

With an `adapter` (LoRA, Hu et al. 2022) everything but the head is the *base*: a safetensors file
that each agent holds itself, known to the job by its digest alone. Each target W (out, in) becomes
W + `alpha`/`rank` · B·A, A (rank, in) and B (out, rank), of which B begins with zeros. A, B and the
head are the model's tensors: they alone travel, are released and exported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Digest, Problem
from secureflow.domain.specs.inputs import ImageFeature, TensorFeature, TextFeature
from secureflow.domain.specs.tensors import Tensors, TensorSpec
from secureflow.domain.specs.torch_training import (
    StartedTensor,
    TorchTraining,
    dense,
    norm_layer,
    ordered,
    pair,
)
from secureflow.kit.text import Text

Target = Literal["query", "key", "value", "output", "up", "down"]
"""A dense layer of each block."""
HEAD: Final = "layers"
"""What the tensors of the head begin with."""
MAX_BASE: Final = 1 << 33
"""Most parameters of a base."""


@dataclass(frozen=True)
class Adapter:
    """Low-rank additions to dense layers of a model that stays as it is.

    Args:
        base: hex BLAKE3 of the safetensors file with every tensor but the head's.
        rank: of an addition.
        alpha: it counts `alpha`/`rank` times.
        targets: the layers of each block to which there is one.
    """

    __pydantic_config__ = STRICT
    base: Digest
    rank: Annotated[int, Field(ge=1, le=512)] = 8
    alpha: Annotated[float, Field(gt=0.0, le=4096.0)] = 16.0
    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=6)] = ("query", "value")

    @property
    def scale(self) -> float:
        """How often an addition counts."""
        return self.alpha / self.rank


@dataclass(frozen=True)
class TorchTransformerModel(TorchTraining):
    """An encoder of `layers` blocks.

    Args:
        family: `torch_transformer`.
        width: numbers that stand for a step.
        heads: of the attention; divides `width`.
        layers: blocks, one behind the other.
        hidden: units of each block's dense layer.
        adapter: trains low-rank additions and the head, over a base that the agents hold.
    """

    __pydantic_config__ = STRICT
    family: Literal["torch_transformer"]
    width: Annotated[int, Field(ge=1, le=1 << 14)] = 64
    heads: Annotated[int, Field(ge=1, le=256)] = 4
    layers: Annotated[int, Field(ge=1, le=96)] = 2
    hidden: Annotated[int, Field(ge=1, le=1 << 16)] = 128
    adapter: Annotated[Adapter | None, UNLESS_NONE] = field(default=None)

    def cells(self, beside: Sequence[TensorFeature]) -> int:
        """Return how many numbers all steps take on the way."""
        if len(beside) != 1:
            return 0
        steps = steps_of(beside[0])
        block = 8 * self.width + 2 * self.hidden + 2 * self.heads * steps
        return steps * (2 * self.width + self.layers * block)

    def started(
        self, inputs: int, beside: Sequence[TensorFeature], outputs: int
    ) -> tuple[StartedTensor, ...]:
        """Return the tensors with their first numbers, in the order of names."""
        del inputs
        head = list(dense(HEAD, (self.width, outputs)))
        if self.adapter is None:
            return ordered([*self._body(beside), *head])
        return ordered([*self._additions(self.adapter), *head])

    def base(self, beside: Sequence[TensorFeature]) -> Tensors:
        """Return the tensors of the base, in the order of names."""
        return tuple(one.tensor for one in ordered(list(self._body(beside))))

    def layer(self, target: str) -> tuple[int, int]:
        """Return the outputs and inputs of a dense layer of a block."""
        if target in {"up", "down"}:
            sizes = self.hidden, self.width
            return sizes if target == "up" else sizes[::-1]
        return self.width, self.width

    def _additions(self, adapter: Adapter) -> Iterator[StartedTensor]:
        for at in range(self.layers):
            for target in adapter.targets:
                outputs, inputs = self.layer(target)
                first = TensorSpec(f"blocks.{at}.{target}.lora_A.weight", (adapter.rank, inputs))
                yield StartedTensor(first, 1 / math.sqrt(inputs))
                second = TensorSpec(f"blocks.{at}.{target}.lora_B.weight", (outputs, adapter.rank))
                yield StartedTensor(second)

    def _body(self, beside: Sequence[TensorFeature]) -> Iterator[StartedTensor]:
        (seen,) = beside
        if isinstance(seen, TextFeature):
            embedding = TensorSpec("embedding.weight", (seen.vocabulary, self.width))
            yield StartedTensor(embedding, 1.0)
        else:
            into = seen.shape[1]
            yield from pair("inputs", (self.width, into), 1 / math.sqrt(into))
        positions = TensorSpec("positions.weight", (steps_of(seen), self.width))
        yield StartedTensor(positions, 0.1)
        for at in range(self.layers):
            for target in TARGETS:
                shape = self.layer(target)
                yield from pair(f"blocks.{at}.{target}", shape, 1 / math.sqrt(shape[1]))
            for place in ("before", "between"):
                yield from norm_layer(f"blocks.{at}.{place}", self.width)
        yield from norm_layer("norm", self.width)


TARGETS: Final[tuple[Target, ...]] = ("query", "key", "value", "output", "up", "down")


def steps_of(seen: TensorFeature) -> int:
    """Return how many steps a text or an array has."""
    return seen.length if isinstance(seen, TextFeature) else seen.shape[0]


def transformer_problem(model: TorchTransformerModel, seen: TensorFeature) -> Problem | None:
    """Return why a model contradicts itself, or None; it sees a text or an array of steps."""
    if isinstance(seen, ImageFeature):
        raise AssertionError  # `torch_problem` came first
    if model.width % model.heads:
        return "model.heads", "it must divide the width", "Use a divisor, such as 1."
    adapter = model.adapter
    if adapter is None:
        return None
    if len(set(adapter.targets)) != len(adapter.targets):
        return "model.adapter.targets", "a layer is named twice", "Name each layer once."
    least = min(min(model.layer(target)) for target in adapter.targets)
    if adapter.rank > least:
        reason = Text("a layer of {least} numbers has no higher rank than that", least=least)
        return "model.adapter.rank", reason, Text("Use {least} or less.", least=least)
    if sum(one.size for one in model.base([seen])) > MAX_BASE:
        reason = Text("the base has more than {most} parameters", most=MAX_BASE)
        return "model", reason, "Use fewer inputs, classes or hidden units."
    return None
