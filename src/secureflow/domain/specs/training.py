"""The spec of a training job: columns, preparation, model, schedule, protection, release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.specs.base import (
    STRICT,
    Category,
    Column,
    Digest,
    Id,
    Limits,
    Quantisation,
    SpecBase,
)
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.protections import ProtectionName
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass(frozen=True)
class Label:
    """A binary target: rows whose column equals `positive` are class 1."""

    __pydantic_config__ = STRICT
    column: Column
    positive: Category

    def number(self) -> float:
        """Return `positive` for a column of numbers.

        Raises:
            SecureFlowError: `malformed_label`.
        """
        try:
            return float(self.positive)
        except ValueError:
            raise SecureFlowError(
                "malformed_label",
                Text(
                    "The label column {column!r} is numeric, but its positive value is text.",
                    column=self.column,
                ),
                "Name the number that stands for the positive class.",
                {"column": self.column},
            ) from None


@dataclass(frozen=True)
class NumericFeature:
    """A numeric column, standardised by federated moments or scaled to declared bounds.

    Values are clamped to `bounds`; a missing value becomes the mean (federated) or the middle.
    """

    __pydantic_config__ = STRICT
    column: Column
    bounds: tuple[float, float]
    scale: Literal["federated", "bounds"] = "federated"


@dataclass(frozen=True)
class CategoricalFeature:
    """A categorical column, one-hot over the declared categories.

    A missing value has its own indicator when `missing` is `indicator`, else all zeros.
    """

    __pydantic_config__ = STRICT
    column: Column
    categories: Annotated[tuple[Category, ...], Field(min_length=1, max_length=4096)]
    missing: Literal["indicator", "zeros"] = "zeros"


@dataclass(frozen=True)
class FeatureSpec:
    """The agreed preparation: label and features, in the order of the model's inputs."""

    __pydantic_config__ = STRICT
    label: Label
    numeric: tuple[NumericFeature, ...] = ()
    categorical: tuple[CategoricalFeature, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the job uses, label last."""
        numeric = (f.column for f in self.numeric)
        return (*numeric, *(f.column for f in self.categorical), self.label.column)

    @property
    def federated(self) -> tuple[NumericFeature, ...]:
        """The numeric features whose moments the parties compute together."""
        return tuple(one for one in self.numeric if one.scale == "federated")

    @property
    def width(self) -> int:
        """The number of model inputs after one-hot, without the intercept."""
        one_hot = (len(f.categories) + (f.missing == "indicator") for f in self.categorical)
        return len(self.numeric) + sum(one_hot)


@dataclass(frozen=True)
class ModelSpec:
    """The model family and its fixed hyper-parameters.

    `logistic_regression` trains on the features. `rehearsal` sends `parameters` float32 values
    through the whole protocol without reading data: it measures links and rounds.
    """

    __pydantic_config__ = STRICT
    family: Literal["logistic_regression", "rehearsal"] = "logistic_regression"
    l2: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    parameters: Annotated[int, Field(ge=0, le=1 << 30)] = 0


@dataclass(frozen=True)
class EarlyStop:
    """Stop when the federated validation loss has not fallen by `min_delta` for `patience` rounds."""  # noqa: E501

    __pydantic_config__ = STRICT
    patience: Annotated[int, Field(ge=1, le=1000)] = 3
    min_delta: Annotated[float, Field(ge=0.0, le=10.0)] = 1e-4


@dataclass(frozen=True)
class TrainingPlan:
    """The schedule: rounds, local work, seed, validation share, early stop."""

    __pydantic_config__ = STRICT
    rounds: Annotated[int, Field(ge=1, le=10_000)] = 20
    local_epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    batch_size: Annotated[int, Field(ge=1, le=1 << 20)] = 64
    learning_rate: Annotated[float, Field(gt=0.0, le=100.0)] = 0.1
    seed: Annotated[int, Field(ge=0, lt=1 << 53)] = 7
    validation: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    early_stop: EarlyStop | None = None
    strategy: Literal["fedavg"] = "fedavg"


@dataclass(frozen=True)
class Release:
    """Who gets intermediate models: also the operator, or only the agents (sealed)."""

    __pydantic_config__ = STRICT
    intermediate: Literal["operator", "agents"] = "operator"


@dataclass(frozen=True)
class Resume:
    """The released model of another job's round that this job starts from."""

    __pydantic_config__ = STRICT
    job: Id
    round: Annotated[int, Field(ge=0, le=10_000)]
    model: Digest


@dataclass(frozen=True)
class TrainingSpec(SpecBase):
    """A federated training job as every contributor signs it."""

    __pydantic_config__ = STRICT
    features: FeatureSpec | None = None
    model: ModelSpec = field(default_factory=ModelSpec)
    plan: TrainingPlan = field(default_factory=TrainingPlan)
    limits: Limits = field(default_factory=Limits)
    release: Release = field(default_factory=Release)
    protection: ProtectionName = "sealed"
    quantisation: Quantisation = field(default_factory=Quantisation)
    privacy: Privacy | None = None
    min_contributors: Annotated[int, Field(ge=2, le=256)] = 3
    resume: Resume | None = None
    kind: Literal["training"] = "training"
    script: Literal["training/1", "training/2", "training/3"] = "training/3"
    v: Literal[1] = 1

    @property
    def parameters(self) -> int:
        """The number of float32 values that rounds update: the model's, and an adapting bound."""
        adaptive = self.privacy is not None and self.privacy.adaptive is not None
        return self.model_parameters + adaptive

    @property
    def model_parameters(self) -> int:
        """The number of float32 model parameters (features + intercept, or the rehearsal's)."""
        if self.features is None:
            return self.model.parameters
        return self.features.width + 1

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that the job uses, label last."""
        return self.features.columns if self.features else ()

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """The number features and what their values are clamped to."""
        numeric = self.features.numeric if self.features else ()
        return tuple((one.column, one.bounds) for one in numeric)

    @property
    def needs_moments(self) -> bool:
        """Whether a column is standardised by federated moments."""
        return bool(self.features and self.features.federated)

    @property
    def reads_rows(self) -> bool:
        """Whether rows are read at all; a rehearsal reads none."""
        return self.features is not None

    @property
    def tells_rows(self) -> bool:
        """With differential privacy no exact number of rows is released."""
        return self.privacy is None

    @property
    def all_private(self) -> bool:
        """With differential privacy moments, metrics and row counts are noised or not released."""
        return self.privacy is not None

    @property
    def planned_rounds(self) -> int:
        """The most rounds that train."""
        return self.plan.rounds

    def facts(self) -> Mapping[str, Any]:
        """Return the policy attributes that only training jobs have."""
        return {
            "family": self.model.family,
            "rounds": self.plan.rounds,
            "release": self.release.intermediate,
        }
