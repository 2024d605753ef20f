"""The families of models that a training job names, with their fixed hyper-parameters.

| family                | learns      | how                                                    |
|-----------------------|-------------|--------------------------------------------------------|
| `logistic_regression` | binary      | minibatch SGD on the log loss                          |
| `softmax`             | classes     | the same, a score for each class                       |
| `linear`              | a number    | minibatch SGD on half the squared error                |
| `mlp`                 | any of them | the same losses behind hidden layers                   |
| `ridge`               | a number    | one round of sums (XᵀX, Xᵀy), then a linear system     |
| `bundle`              | anything    | code of the data scientist's own (`bundle_family`)      |
| `torch_…`             | any of them | in PyTorch (`torch_families`)                          |
| `xgboost`             | two of them | boosted trees from summed histograms (`tree_families`)  |
| `rehearsal`           | nothing     | sends numbers through the protocol without reading data |

Those of scikit-learn are in `sklearn_families`.

A model's tensors follow from the family, the inputs and the target; `l2` (λ) adds λ/2·‖coef‖² to
the mean loss of a row and leaves intercepts out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from secureflow.domain.fieldfaults import MISSPELT, UNKNOWN
from secureflow.domain.specs.base import STRICT, UNLESS_NONE
from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.sklearn_families import SKLEARN_LEARNS, SUMMED, SklearnModel
from secureflow.domain.specs.targets import ClassWeights
from secureflow.domain.specs.tensors import Tensors, TensorSpec, by_name
from secureflow.domain.specs.torch_families import (
    TorchCnnModel,
    TorchLstmModel,
    TorchMlpModel,
    TorchTransformerModel,
)
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.kit.nearnames import alike

MAX_PARAMETERS: Final = 1 << 27
"""Most parameters of a model that is built in: everybody holds some copies of them in memory."""
MAX_NAMED: Final = 40
"""Most characters of a family that are told."""
MAX_RIDGE_INPUTS: Final = 1024
"""Most inputs of `ridge`: its sums grow with their square."""

Penalty = Annotated[float, Field(ge=0.0, le=10.0)]


def _zero(value: Any) -> bool:
    return bool(value == 0.0)


@dataclass(frozen=True)
class ModelSpec:
    """The model family and its fixed hyper-parameters.

    `logistic_regression` trains on the features. `rehearsal` sends `parameters` float32 values
    through the whole protocol without reading data: it measures links and rounds. Each round adds
    `step` to each of them. With 0 the model stays as it was, and nobody has to fetch it again.
    """

    __pydantic_config__ = STRICT
    family: Literal["logistic_regression", "rehearsal"] = "logistic_regression"
    l2: Penalty = 0.0
    parameters: Annotated[int, Field(ge=0, le=1 << 30)] = 0
    class_weights: Annotated[ClassWeights | None, UNLESS_NONE] = None
    step: Annotated[float, Field(ge=-1.0, le=1.0, exclude_if=_zero)] = 0.0

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors; of a rehearsal one of its size."""
        if self.family == "rehearsal":
            return (TensorSpec("parameters", (max(self.parameters, 1),)),)
        return _layer("", inputs, outputs)


@dataclass(frozen=True)
class LinearModel:
    """Linear regression by minibatch SGD."""

    __pydantic_config__ = STRICT
    family: Literal["linear"]
    l2: Penalty = 0.0

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors."""
        return _layer("", inputs, outputs)


@dataclass(frozen=True)
class RidgeModel:
    """Ridge regression from sums: every party solves the same linear system.

    Its tensors are the pooled means of the rows' products: the upper triangle of x xᵀ, where x ends
    with a 1 for the intercept, and x y. Coefficients follow from them.
    """

    __pydantic_config__ = STRICT
    family: Literal["ridge"]
    l2: Penalty = 1e-3

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors."""
        size = inputs + 1
        gram, moment = size * (size + 1) // 2, size * outputs
        return (TensorSpec("gram", (gram,)), TensorSpec("moment", (moment,)))


@dataclass(frozen=True)
class SoftmaxModel:
    """Multinomial logistic regression by minibatch SGD."""

    __pydantic_config__ = STRICT
    family: Literal["softmax"]
    l2: Penalty = 0.0
    class_weights: Annotated[ClassWeights | None, UNLESS_NONE] = None

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors."""
        return _layer("", inputs, outputs)


@dataclass(frozen=True)
class MlpModel:
    """A network of dense layers by minibatch SGD; its first weights follow from the plan's seed.

    Args:
        family: `mlp`.
        hidden: the sizes of the hidden layers, from the inputs on.
        activation: of the hidden layers.
        l2: as in every family.
        class_weights: as in every family with classes.
    """

    __pydantic_config__ = STRICT
    family: Literal["mlp"]
    hidden: Annotated[
        tuple[Annotated[int, Field(ge=1, le=1 << 14)], ...], Field(min_length=1, max_length=8)
    ]
    activation: Literal["relu", "tanh"] = "relu"
    l2: Penalty = 0.0
    class_weights: Annotated[ClassWeights | None, UNLESS_NONE] = None

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors of each layer."""
        sizes = (inputs, *self.hidden, outputs)
        layers = [
            one
            for at, (into, out) in enumerate(pairwise(sizes))
            for one in _layer(f"layers.{at}.", into, out)
        ]
        return by_name(layers)


def _layer(prefix: str, inputs: int, outputs: int) -> Tensors:
    coef = (outputs, inputs) if outputs > 1 or prefix else (inputs,)
    return (TensorSpec(f"{prefix}coef", coef), TensorSpec(f"{prefix}intercept", (outputs,)))


def _family(value: Any) -> str:
    family = value.get("family") if isinstance(value, dict) else getattr(value, "family", None)
    if not isinstance(family, str):
        return "<unknown>" if family is not None else "<logistic_regression>"
    if family == INTERNAL:
        return "<logistic_regression>"
    return f"<{family[:MAX_NAMED]}>"


LEARNS: Final[dict[str, tuple[str, ...]]] = {
    "logistic_regression": ("binary",),
    "softmax": ("classes",),
    "linear": ("number",),
    "ridge": ("number",),
    "mlp": ("binary", "classes", "number"),
    "bundle": ("binary", "classes", "number", "none"),
    **SKLEARN_LEARNS,
    "torch_mlp": ("binary", "classes", "number"),
    "torch_cnn": ("binary", "classes", "number"),
    "torch_lstm": ("binary", "classes", "number"),
    "torch_transformer": ("binary", "classes", "number"),
    "xgboost": ("binary", "number"),
}
"""Which targets a family learns."""
INTERNAL: Final = "rehearsal"
"""The family that measures links and rounds: nobody who looks for a model is offered it."""


def _offered(value: Any) -> Any:
    """Refuse a family that there is none of, with those that may be meant."""
    named = value.get("family") if isinstance(value, dict) else None
    if named is None or (isinstance(named, str) and named in {*LEARNS, INTERNAL}):
        return value
    family = str(named)[:MAX_NAMED]
    every = ", ".join(LEARNS)
    near = alike(family, LEARNS)
    if near:
        told = {"family": family, "near": ", ".join(near), "families": every}
        raise PydanticCustomError("misspelt_family", MISSPELT, told)
    raise PydanticCustomError("unknown_family", UNKNOWN, {"family": family, "families": every})


BY_SUMS: Final = frozenset({"ridge", *SUMMED})
"""Families whose update is sums over rows: the next model is their mean, and takes no step."""

FamilyModel = Annotated[
    Annotated[ModelSpec, Tag("<logistic_regression>")]
    | Annotated[LinearModel, Tag("<linear>")]
    | Annotated[RidgeModel, Tag("<ridge>")]
    | Annotated[SoftmaxModel, Tag("<softmax>")]
    | Annotated[MlpModel, Tag("<mlp>")]
    | Annotated[BundleModel, Tag("<bundle>")]
    | Annotated[TorchMlpModel, Tag("<torch_mlp>")]
    | Annotated[TorchCnnModel, Tag("<torch_cnn>")]
    | Annotated[TorchLstmModel, Tag("<torch_lstm>")]
    | Annotated[TorchTransformerModel, Tag("<torch_transformer>")]
    | Annotated[XgboostModel, Tag("<xgboost>")]
    | SklearnModel,
    Discriminator(_family),
    BeforeValidator(_offered),
]
"""The model of a spec, by its `family`."""
