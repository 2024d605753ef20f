"""Families known from scikit-learn, with their fixed hyper-parameters.

| family           | learns          | how                                                        |
|------------------|-----------------|------------------------------------------------------------|
| `gaussian_nb`    | binary, classes | one round: shares, means and squares of each class         |
| `multinomial_nb` | binary, classes | one round: counts of each class                            |
| `kmeans`         | no label        | each round: sums of the rows nearest to each shared centre |
| `sgd_classifier` | binary, classes | scikit-learn's `SGDClassifier.partial_fit` at each party   |
| `sgd_regressor`  | a number        | the same of `SGDRegressor`                                 |
| `mlp_classifier` | binary, classes | the same of `MLPClassifier`                                |
| `mlp_regressor`  | a number        | the same of `MLPRegressor`                                 |

The first three need no scikit-learn anywhere; the others need it at every party, not at the centre
and not in an enclave. Names of hyper-parameters are scikit-learn's; the step size is
`plan.learning_rate` (its `eta0` or `learning_rate_init`), the batch of a network
`plan.batch_size`, and `schedule` is its `learning_rate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, Tag

from secureflow.domain.specs.base import STRICT, UNLESS_NONE
from secureflow.domain.specs.targets import MAX_CLASSES, ClassWeights
from secureflow.domain.specs.tensors import Tensors, TensorSpec, by_name

SUMMED: Final = ("gaussian_nb", "multinomial_nb", "kmeans")
"""Families whose update is sums over rows, which no trainer makes."""
TRAINED: Final = ("sgd_classifier", "sgd_regressor", "mlp_classifier", "mlp_regressor")
"""Families that scikit-learn trains at each party."""

Alpha = Annotated[float, Field(ge=0.0, le=1e6)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Hidden = Annotated[
    tuple[Annotated[int, Field(ge=1, le=1 << 14)], ...], Field(min_length=1, max_length=8)
]
Activation = Literal["identity", "logistic", "tanh", "relu"]
Penalty = Literal["l2", "l1", "elasticnet"]


OptionalWeights = Annotated[ClassWeights | None, UNLESS_NONE]


@dataclass(frozen=True)
class GaussianNbModel:
    """Gaussian naive Bayes from sums.

    Args:
        family: `gaussian_nb`.
        var_smoothing: this share of the largest pooled variance of an input is added to all.
    """

    __pydantic_config__ = STRICT
    family: Literal["gaussian_nb"]
    var_smoothing: Annotated[float, Field(ge=0.0, le=1.0)] = 1e-9
    l2: ClassVar[float] = 0.0

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors: pooled means over all rows of 1, x² and x, where they are a class."""
        classes = max(outputs, 2)
        shape = (classes, inputs)
        return by_name(
            [TensorSpec("counts", (classes,)), TensorSpec("squares", shape),
             TensorSpec("sums", shape)]
        )  # fmt: skip


@dataclass(frozen=True)
class MultinomialNbModel:
    """Multinomial naive Bayes from sums of counts.

    Args:
        family: `multinomial_nb`.
        alpha: is added once to the pooled count of each input in each class.
    """

    __pydantic_config__ = STRICT
    family: Literal["multinomial_nb"]
    alpha: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    l2: ClassVar[float] = 0.0

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors: pooled means over all rows of 1 and of the counts, by class."""
        classes = max(outputs, 2)
        return (TensorSpec("counts", (classes,)), TensorSpec("sums", (classes, inputs)))


@dataclass(frozen=True)
class KMeansModel:
    """K-means: a round is one of Lloyd's iterations from centres that all share.

    Its tensors are the centres to which rows were assigned, and the pooled means over all rows of
    1 and of x, by cluster. The next centres follow from them; a cluster without rows keeps its.

    Args:
        family: `kmeans`.
        clusters: their number.
    """

    __pydantic_config__ = STRICT
    family: Literal["kmeans"]
    clusters: Annotated[int, Field(ge=1, le=MAX_CLASSES)] = 8
    l2: ClassVar[float] = 0.0

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors."""
        del outputs
        shape = (self.clusters, inputs)
        return by_name(
            [TensorSpec("centres", shape), TensorSpec("counts", shape[:1]),
             TensorSpec("sums", shape)]
        )  # fmt: skip


@dataclass(frozen=True)
class SgdClassifierModel:
    """A linear classifier, one against the rest where there are more than two classes.

    The schedule `optimal` does not look at `plan.learning_rate`: its first steps are long.
    """

    __pydantic_config__ = STRICT
    family: Literal["sgd_classifier"]
    loss: Literal["log_loss", "hinge", "squared_hinge", "modified_huber"] = "log_loss"
    penalty: Penalty | None = "l2"
    alpha: Alpha = 1e-4
    l1_ratio: Share = 0.15
    schedule: Literal["constant", "optimal", "invscaling"] = "invscaling"
    power_t: Share = 0.5
    class_weights: OptionalWeights = None
    l2: ClassVar[float] = 0.0

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors; one row of coefficients for two classes."""
        return _linear(inputs, _scores(outputs))


@dataclass(frozen=True)
class SgdRegressorModel:
    """A linear regression of the scaled number; `epsilon` is in scaled units."""

    __pydantic_config__ = STRICT
    family: Literal["sgd_regressor"]
    loss: Literal[
        "squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"
    ] = "squared_error"
    penalty: Penalty | None = "l2"
    alpha: Alpha = 1e-4
    l1_ratio: Share = 0.15
    epsilon: Annotated[float, Field(ge=0.0, le=10.0)] = 0.1
    schedule: Literal["constant", "optimal", "invscaling"] = "invscaling"
    power_t: Share = 0.25
    l2: ClassVar[float] = 0.0

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors."""
        del outputs
        return _linear(inputs, 1)


@dataclass(frozen=True)
class MlpRegressorModel:
    """A network for a number, on half the squared error of the scaled number.

    With solver `adam` a `plan.learning_rate` around 0.001 is usual, with `sgd` around 0.1.
    """

    __pydantic_config__ = STRICT
    family: Literal["mlp_regressor"]
    hidden: Hidden = (100,)
    activation: Activation = "relu"
    solver: Literal["sgd", "adam"] = "adam"
    alpha: Alpha = 1e-4
    schedule: Literal["constant", "invscaling"] = "constant"
    power_t: Share = 0.5
    momentum: Share = 0.9
    nesterovs_momentum: bool = True
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-8
    l2: ClassVar[float] = 0.0

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors of each layer."""
        del outputs
        return _layers((inputs, *self.hidden, 1))


@dataclass(frozen=True)
class MlpClassifierModel:
    """A network for classes, on the cross-entropy; its solver as in `MlpRegressorModel`."""

    __pydantic_config__ = STRICT
    family: Literal["mlp_classifier"]
    hidden: Hidden = (100,)
    activation: Activation = "relu"
    solver: Literal["sgd", "adam"] = "adam"
    alpha: Alpha = 1e-4
    schedule: Literal["constant", "invscaling"] = "constant"
    power_t: Share = 0.5
    momentum: Share = 0.9
    nesterovs_momentum: bool = True
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-8
    class_weights: OptionalWeights = None
    l2: ClassVar[float] = 0.0

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors of each layer; one output for two classes."""
        return _layers((inputs, *self.hidden, _scores(outputs)))


SgdModel = SgdClassifierModel | SgdRegressorModel
SklearnMlpModel = MlpClassifierModel | MlpRegressorModel

SklearnModel = (
    Annotated[GaussianNbModel, Tag("<gaussian_nb>")]
    | Annotated[MultinomialNbModel, Tag("<multinomial_nb>")]
    | Annotated[KMeansModel, Tag("<kmeans>")]
    | Annotated[SgdClassifierModel, Tag("<sgd_classifier>")]
    | Annotated[SgdRegressorModel, Tag("<sgd_regressor>")]
    | Annotated[MlpClassifierModel, Tag("<mlp_classifier>")]
    | Annotated[MlpRegressorModel, Tag("<mlp_regressor>")]
)
"""The models of this module, for the table of all (`families.FamilyModel`)."""

_CLASSES: Final = ("binary", "classes")
SKLEARN_LEARNS: Final[dict[str, tuple[str, ...]]] = {
    "gaussian_nb": _CLASSES,
    "multinomial_nb": _CLASSES,
    "kmeans": ("none",),
    "sgd_classifier": _CLASSES,
    "sgd_regressor": ("number",),
    "mlp_classifier": _CLASSES,
    "mlp_regressor": ("number",),
}
"""Which targets they learn."""


def has_chances(model: Any) -> bool:
    """Tell whether a model's outputs are log-odds or scores of chances, of whatever family."""
    if isinstance(model, SgdClassifierModel):
        return model.loss == "log_loss"
    return not isinstance(model, KMeansModel)


def _scores(outputs: int) -> int:
    """Return how many scores scikit-learn has: one for two classes."""
    return 1 if outputs == 2 else outputs


def _linear(inputs: int, outputs: int) -> Tensors:
    return (TensorSpec("coef", (outputs, inputs)), TensorSpec("intercept", (outputs,)))


def _layers(sizes: Sequence[int]) -> Tensors:
    return by_name(
        [
            one
            for at, (into, out) in enumerate(pairwise(sizes))
            for one in (
                TensorSpec(f"layers.{at}.coef", (out, into)),
                TensorSpec(f"layers.{at}.intercept", (out,)),
            )
        ]
    )
