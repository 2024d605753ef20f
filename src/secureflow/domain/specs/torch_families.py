"""The families of models that PyTorch trains.

| family       | sees                              | is                                            |
|--------------|-----------------------------------|-----------------------------------------------|
| `torch_mlp`  | all inputs, of texts their counts | dense layers, and norms if asked for          |
| `torch_cnn`  | one image, or one [h, w, c] array | 3×3 convolutions, GroupNorm, ReLU, pooling    |
| `torch_lstm` | one text, or one [steps, d] array | an LSTM, the mean over its steps              |
| `torch_transformer` | one text, or one [steps, d] array | `domain.specs.torch_transformer`       |

Tensors are named as in PyTorch's state dict. Nothing here imports PyTorch: the centre and an
enclave know sizes and first weights without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Problem
from secureflow.domain.specs.inputs import ArrayFeature, ImageFeature, TensorFeature, TextFeature
from secureflow.domain.specs.tensors import Tensors, TensorSpec
from secureflow.domain.specs.torch_training import (
    Optimiser,
    Schedule,
    StartedTensor,
    TorchTraining,
    Width,
    dense,
    norm_layer,
    ordered,
    pair,
)
from secureflow.domain.specs.torch_transformer import TorchTransformerModel, transformer_problem
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

__all__ = [
    "TOKEN_FAMILIES",
    "TORCH_FAMILIES",
    "TORCH_MODELS",
    "Optimiser",
    "Schedule",
    "TorchCnnModel",
    "TorchLstmModel",
    "TorchMlpModel",
    "TorchModel",
    "TorchTraining",
    "TorchTransformerModel",
    "private_problem",
    "tensors_of",
    "torch_problem",
]

TOKEN_FAMILIES: Final = frozenset({"torch_lstm", "torch_transformer"})
"""Families that see a text's tokens in order, not how often each occurs."""
TORCH_FAMILIES: Final = frozenset({"torch_mlp", "torch_cnn", "torch_lstm", "torch_transformer"})
"""Families that need the extra `torch`."""


@dataclass(frozen=True)
class TorchMlpModel(TorchTraining):
    """Dense layers over all inputs.

    Args:
        family: `torch_mlp`.
        hidden: the sizes of the hidden layers.
        activation: of the hidden layers.
        norm: between a hidden layer and its activation: LayerNorm (`layer`), or BatchNorm
            (`batch`), which counts means and variances of a party's rows.
    """

    __pydantic_config__ = STRICT
    family: Literal["torch_mlp"]
    hidden: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)] = (64,)
    activation: Literal["relu", "tanh"] = "relu"
    norm: Annotated[Literal["layer", "batch"] | None, UNLESS_NONE] = None

    def started(
        self, inputs: int, beside: Sequence[TensorFeature], outputs: int
    ) -> tuple[StartedTensor, ...]:
        """Return the tensors with their first numbers, in the order of names."""
        del beside
        found = list(dense("layers", (inputs, *self.hidden, outputs)))
        for at, size in enumerate(self.hidden if self.norm else ()):
            found += norm_layer(f"norms.{at}", size, counted=self.norm == "batch")
        return ordered(found)


@dataclass(frozen=True)
class TorchCnnModel(TorchTraining):
    """A small convolutional network for images.

    Args:
        family: `torch_cnn`.
        channels: of each block: convolution (3×3), GroupNorm, ReLU, maximum of 2×2.
        groups: of the GroupNorm; divides each of `channels`.
        hidden: the sizes of the dense layers behind the blocks.
    """

    __pydantic_config__ = STRICT
    family: Literal["torch_cnn"]
    channels: Annotated[
        tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=6)
    ] = (16, 32)
    groups: Annotated[int, Field(ge=1, le=64)] = 4
    hidden: Annotated[tuple[Width, ...], Field(max_length=4)] = (64,)

    def cells(self, beside: Sequence[TensorFeature]) -> int:
        """Return how many numbers the blocks make of an image on the way, at most."""
        height, width, first = _only_shape(self.family, beside, 3)
        sizes = pairwise((first, *self.channels))
        # Before a block's pooling: the convolution's numbers, the norm's, and the activation's.
        blocks = (3 * out * (height >> at) * (width >> at) for at, (_, out) in enumerate(sizes))
        return sum(blocks)

    def flattened(self, beside: Sequence[TensorFeature]) -> int:
        """Return how many numbers the blocks leave of an image."""
        height, width, _ = _only_shape(self.family, beside, 3)
        times = len(self.channels)
        return self.channels[-1] * (height >> times) * (width >> times)

    def started(
        self, inputs: int, beside: Sequence[TensorFeature], outputs: int
    ) -> tuple[StartedTensor, ...]:
        """Return the tensors with their first numbers, in the order of names."""
        del inputs
        found: list[StartedTensor] = []
        sizes = (_only_shape(self.family, beside, 3)[2], *self.channels)
        for at, (into, out) in enumerate(pairwise(sizes)):
            limit = 1 / math.sqrt(9 * into)
            found += pair(f"convolutions.{at}", (out, into, 3, 3), limit)
            found += norm_layer(f"norms.{at}", out)
        found += dense("layers", (self.flattened(beside), *self.hidden, outputs))
        return ordered(found)


@dataclass(frozen=True)
class TorchLstmModel(TorchTraining):
    """An LSTM over the tokens of a text, or the steps of an array.

    Args:
        family: `torch_lstm`.
        embedding: numbers that stand for a token of a text.
        hidden: the size of the LSTM.
        layers: one upon the other.
    """

    __pydantic_config__ = STRICT
    family: Literal["torch_lstm"]
    embedding: Annotated[int, Field(ge=1, le=4096)] = 32
    hidden: Annotated[int, Field(ge=1, le=4096)] = 64
    layers: Annotated[int, Field(ge=1, le=4)] = 1

    def cells(self, beside: Sequence[TensorFeature]) -> int:
        """Return how many numbers all steps take on the way."""
        if len(beside) != 1:
            return 0
        (one,) = beside
        steps = one.length if isinstance(one, TextFeature) else one.shape[0]
        return steps * (self.embedding + 8 * self.hidden * self.layers)

    def started(
        self, inputs: int, beside: Sequence[TensorFeature], outputs: int
    ) -> tuple[StartedTensor, ...]:
        """Return the tensors with their first numbers, in the order of names."""
        del inputs
        found: list[StartedTensor] = []
        if beside and isinstance(beside[0], TextFeature):
            embedding = TensorSpec("embedding.weight", (beside[0].vocabulary, self.embedding))
            found.append(StartedTensor(embedding, 1.0))
            into = self.embedding
        else:
            into = _only_shape(self.family, beside, 2)[1]
        limit = 1 / math.sqrt(self.hidden)
        for layer in range(self.layers):
            size = into if layer == 0 else self.hidden
            matrices = {"weight_ih": (size,), "weight_hh": (self.hidden,)}
            shapes: dict[str, tuple[int, ...]] = {**matrices, "bias_ih": (), "bias_hh": ()}
            for name, rest in shapes.items():
                tensor = TensorSpec(f"lstm.{name}_l{layer}", (4 * self.hidden, *rest))
                found.append(StartedTensor(tensor, limit))
        return ordered([*found, *dense("layers", (self.hidden, outputs))])


TorchModel = TorchMlpModel | TorchCnnModel | TorchLstmModel | TorchTransformerModel
TORCH_MODELS: Final = (TorchMlpModel, TorchCnnModel, TorchLstmModel, TorchTransformerModel)


def tensors_of(
    model: TorchModel, inputs: int, beside: Sequence[TensorFeature], outputs: int
) -> Tensors:
    """Return a model's tensors.

    Args:
        model: the model.
        inputs: of a row, of texts their tokens' counts.
        beside: the images, arrays and texts of the job.
        outputs: numbers that it computes for a row.

    Raises:
        SecureFlowError: `invalid_model` if the family cannot see these inputs.
    """
    return tuple(one.tensor for one in model.started(inputs, beside, outputs))


def norms_of(
    model: TorchModel, inputs: int, beside: Sequence[TensorFeature], outputs: int
) -> Tensors:
    """Return the tensors of a model's normalisation layers; as `tensors_of`."""
    return tuple(one.tensor for one in model.started(inputs, beside, outputs) if one.norm)


def torch_problem(model: TorchModel, table: int, beside: Sequence[TensorFeature]) -> Problem | None:
    """Return why a model does not fit its inputs, or None.

    Args:
        model: the model.
        table: how many inputs are numbers and categories.
        beside: the images, arrays and texts.
    """
    if model.optimiser.momentum and model.optimiser.name != "sgd":
        return "model.optimiser.momentum", "it is for sgd", "Remove it."
    if isinstance(model, TorchMlpModel):
        return None
    if table or len(beside) != 1:
        reason = Text("the family {family} sees exactly one column", family=model.family)
        return "features", reason, "Name one image, array or text, or use torch_mlp."
    (one,) = beside
    if isinstance(model, TorchCnnModel):
        return _cnn_problem(model, one)
    if isinstance(one, ImageFeature) or (isinstance(one, ArrayFeature) and len(one.shape) != 2):
        reason = Text("the family {family} sees a text or an array of steps", family=model.family)
        return "features", reason, "Use texts, or arrays of the shape [steps, numbers]."
    return transformer_problem(model, one) if isinstance(model, TorchTransformerModel) else None


def _cnn_problem(model: TorchCnnModel, one: TensorFeature) -> Problem | None:
    if isinstance(one, TextFeature) or len(one.shape) != 3:
        seen = Text("the family {family} sees images", family=model.family)
        return "features", seen, "Use images, or arrays of the shape [height, width, channels]."
    if any(channels % model.groups for channels in model.channels):
        reason: str = "it must divide each number of channels"
        return "model.groups", reason, "Use a divisor, such as 1."
    if min(one.shape[:2]) >> len(model.channels) < 1:
        reason = "each block halves height and width, and nothing is left"
        return "model.channels", reason, "Use fewer blocks, or larger images."
    return None


def private_problem(model: TorchModel, unit: str) -> Problem | None:
    """Return why differential privacy per record cannot be had with an optimiser, or None."""
    if unit != "record":
        return None
    optimiser = model.optimiser
    if optimiser.name != "sgd" or optimiser.momentum or model.schedule.name != "constant":
        reason = "a noised sum of gradients is taken as one plain step, the same for everybody"
        hint = "Leave the optimiser at sgd without momentum, and the schedule constant."
        return "model.optimiser", reason, hint
    return None


def _only_shape(family: str, beside: Sequence[TensorFeature], dimensions: int) -> tuple[int, ...]:
    shapes = [one.shape for one in beside if not isinstance(one, TextFeature)]
    if len(beside) != 1 or not shapes or len(shapes[0]) != dimensions:
        raise SecureFlowError(
            "invalid_model",
            Text("A model of the family {family!r} cannot see these inputs.", family=family),
            "Name one column that it can see.",
        )
    return shapes[0]
