"""The spec of a training job: columns, preparation, model, schedule, protection, release."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.specs.base import (
    STRICT,
    UNLESS_NONE,
    Category,
    Column,
    SpecBase,
    dump,
)
from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.bundles import BundleRef, bundle_facts
from secureflow.domain.specs.compression import Compression, coded_bytes
from secureflow.domain.specs.contribution import ContributionPlan
from secureflow.domain.specs.families import (
    FamilyModel,
    LinearModel,
    MlpModel,
    ModelSpec,
    RidgeModel,
    SoftmaxModel,
)
from secureflow.domain.specs.inputs import (
    ArrayFeature,
    Arrays,
    ImageFeature,
    Images,
    TensorFeature,
    TextFeature,
    Texts,
)
from secureflow.domain.specs.measured import Metric
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.protections import ProtectionName
from secureflow.domain.specs.recipe import Recipe
from secureflow.domain.specs.robust import Aggregation, Krum
from secureflow.domain.specs.split import KeySplit
from secureflow.domain.specs.startingmodels import Initial, Resume
from secureflow.domain.specs.steps import Made
from secureflow.domain.specs.strategies import (
    ChosenStrategy,
    Scaffold,
    kept_by_party,
    kept_vectors,
    name_of,
    sent_beside,
)
from secureflow.domain.specs.targets import (
    ClassesLabel,
    Label,
    NumberLabel,
    SampleWeight,
    Target,
    outputs_of,
)
from secureflow.domain.specs.tensors import Tensors, WireType, total
from secureflow.domain.specs.torch_families import TORCH_MODELS, TorchTransformerModel, tensors_of
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.domain.specs.updatelimits import Limits, Quantisation

__all__ = [
    "ArrayFeature",
    "BundleModel",
    "CategoricalFeature",
    "ClassesLabel",
    "EarlyStop",
    "FeatureSpec",
    "ImageFeature",
    "Initial",
    "Label",
    "LinearModel",
    "MlpModel",
    "ModelSpec",
    "NumberLabel",
    "NumericFeature",
    "Release",
    "Resume",
    "RidgeModel",
    "SampleWeight",
    "SoftmaxModel",
    "TextFeature",
    "TrainingPlan",
    "TrainingSpec",
]


@dataclass(frozen=True)
class NumericFeature:
    """A numeric column, standardised by federated moments or scaled to declared bounds.

    Values are clamped to `bounds`; a missing value becomes the mean (federated) or the middle. With
    `scale: none` a number enters as it is: a recipe has made it what it is to be. With `missing:
    kept` a missing value stays one, for a family that learns where such rows belong.
    """

    __pydantic_config__ = STRICT
    column: Made
    bounds: tuple[float, float]
    scale: Literal["federated", "bounds", "none"] = "federated"
    missing: Annotated[Literal["kept"] | None, UNLESS_NONE] = None

    @property
    def filled(self) -> float:
        """What a missing value is in a model's inputs: NaN, or the middle."""
        return math.nan if self.missing == "kept" else 0.0


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
    """The agreed preparation: label and features, in the order of the model's inputs.

    With a `recipe` the columns that it reads are read, and `numeric` are those that it makes.
    """

    __pydantic_config__ = STRICT
    label: Target | None
    numeric: tuple[NumericFeature, ...] = ()
    categorical: tuple[CategoricalFeature, ...] = ()
    weight: Annotated[SampleWeight | None, UNLESS_NONE] = None
    images: Annotated[Images | None, UNLESS_NONE] = None
    arrays: Annotated[Arrays | None, UNLESS_NONE] = None
    texts: Annotated[Texts | None, UNLESS_NONE] = None
    recipe: Annotated[Recipe | None, UNLESS_NONE] = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the job reads: inputs, the rows' weight, the label last."""
        return (*self.inputs, *self.beside_recipe)

    @property
    def beside_recipe(self) -> tuple[str, ...]:
        """The columns that no recipe changes: the rows' weight, the label last."""
        weight = () if self.weight is None else (self.weight.column,)
        return (*weight, *(() if self.label is None else (self.label.column,)))

    @property
    def prepared_inputs(self) -> tuple[str, ...]:
        """The columns that inputs are made of, once a recipe has been applied."""
        numbers = (one.column for one in self.numeric)
        categories = (one.column for one in self.categorical)
        return (*numbers, *categories, *(one.column for one in self.beside))

    @property
    def binary(self) -> Label:
        """The target of a job that is known to learn two classes."""
        if not isinstance(self.label, Label):
            raise AssertionError  # the caller made the job
        return self.label

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that a prediction needs."""
        return self.prepared_inputs if self.recipe is None else self.recipe.inputs

    @property
    def beside(self) -> tuple[TensorFeature, ...]:
        """The images, arrays and texts, in the order of the model's inputs."""
        return (*(self.images or ()), *(self.arrays or ()), *(self.texts or ()))

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """The number columns and what their values are clamped to."""
        found = list(self.input_bounds)
        if self.weight is not None:
            found.append((self.weight.column, self.weight.bounds))
        if isinstance(self.label, NumberLabel):
            found.append((self.label.column, self.label.bounds))
        return tuple(found)

    @property
    def input_bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """The number columns that inputs are made of, and what their values are clamped to."""
        if self.recipe is not None:
            return tuple((one.column, one.bounds) for one in self.recipe.columns if one.bounds)
        return tuple((one.column, one.bounds) for one in self.numeric)

    @property
    def federated(self) -> tuple[NumericFeature, ...]:
        """The numeric features whose moments the parties compute together."""
        return tuple(one for one in self.numeric if one.scale == "federated")

    @property
    def width(self) -> int:
        """The number of model inputs, without the intercept; of texts their tokens' counts."""
        return self.table_width + sum(one.width for one in self.beside)

    @property
    def table_width(self) -> int:
        """The number of model inputs of numbers and categories, after one-hot."""
        one_hot = (len(f.categories) + (f.missing == "indicator") for f in self.categorical)
        return len(self.numeric) + sum(one_hot)


@dataclass(frozen=True)
class EarlyStop:
    """Stop after `patience` rounds whose figure is not better than the best by `min_delta`.

    The figure is the plan's `metric`, over all parties' validation rows; by default the loss.
    """

    __pydantic_config__ = STRICT
    patience: Annotated[int, Field(ge=1, le=1000)] = 3
    min_delta: Annotated[float, Field(ge=0.0, le=10.0)] = 1e-4


@dataclass(frozen=True)
class TrainingPlan:
    """The schedule: rounds, local work, seed, validation share, early stop.

    `keep: best` releases the model with the best `metric` (the lowest loss), not the last one.
    `order: public` has each party go through its rows in an order that follows from the plan, as a
    simulation does; by default it follows from the party's secret.

    `draws: words` is in every spec that is drafted today, and was in none of 0.2.0. With it, orders
    are drawn from raw words of a generator, which no version of NumPy changes, and which rows a
    party validates on follows from the party's secret (`engines.preparation.split`), not from
    `seed` alone, which the submitter chooses.

    With `split` the owners' keys say which rows are held out, and neither `seed` nor the file does.

    `strategy` is one of `strategies`, `aggregation` a rule of `robust` in place of the mean.
    `contribution` has an enclave score updates, `self_report` parties tell what masks hide.
    """

    __pydantic_config__ = STRICT
    rounds: Annotated[int, Field(ge=1, le=10_000)] = 20
    local_epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    batch_size: Annotated[int, Field(ge=1, le=1 << 20)] = 64
    learning_rate: Annotated[float, Field(gt=0.0, le=100.0)] = 0.1
    seed: Annotated[int, Field(ge=0, lt=1 << 53)] = 7
    validation: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    early_stop: EarlyStop | None = None
    strategy: ChosenStrategy = "fedavg"
    keep: Annotated[Literal["best"] | None, UNLESS_NONE] = None
    order: Annotated[Literal["public"] | None, UNLESS_NONE] = None
    draws: Annotated[Literal["words"] | None, UNLESS_NONE] = None
    split: Annotated[KeySplit | None, UNLESS_NONE] = None
    metric: Annotated[Metric | None, UNLESS_NONE] = None
    aggregation: Annotated[Aggregation | None, UNLESS_NONE] = None
    contribution: Annotated[ContributionPlan | None, UNLESS_NONE] = None
    self_report: Annotated[Literal["rows_and_loss"] | None, UNLESS_NONE] = None


@dataclass(frozen=True)
class Release:
    """Who gets intermediate models: also the operator, or only the agents (sealed)."""

    __pydantic_config__ = STRICT
    intermediate: Literal["operator", "agents"] = "operator"


@dataclass(frozen=True)
class TrainingSpec(SpecBase):
    """A federated training job as every contributor signs it."""

    __pydantic_config__ = STRICT
    features: FeatureSpec | None = None
    model: FamilyModel = field(default_factory=ModelSpec)
    plan: TrainingPlan = field(default_factory=TrainingPlan)
    limits: Limits = field(default_factory=Limits)
    release: Release = field(default_factory=Release)
    protection: ProtectionName = "sealed"
    quantisation: Quantisation = field(default_factory=Quantisation)
    privacy: Privacy | None = None
    min_contributors: Annotated[int, Field(ge=2, le=256)] = 3
    resume: Resume | None = None
    kind: Literal["training"] = "training"
    script: Literal["training/1", "training/2"] = "training/2"
    v: Literal[1] = 1
    initial: Annotated[Initial | None, UNLESS_NONE] = None
    wire: Annotated[WireType | None, UNLESS_NONE] = None
    compression: Annotated[Compression | None, UNLESS_NONE] = None

    @property
    def parameters(self) -> int:
        """The number of float32 values that rounds hand on: the model's and what is behind them.

        That is the bound that adapts, if one does, then what the plan's strategy keeps for all.
        """
        return self.model_and_bound + kept_vectors(self.plan.strategy) * self.model_parameters

    @property
    def model_and_bound(self) -> int:
        """The number of values of the model, and of the bound if one adapts."""
        return self.model_parameters + self.adapts_clipping

    @property
    def update_parameters(self) -> int:
        """The number of values in an update.

        The model's change, the bit of an adapting bound, and what the strategy needs beside them;
        of trees the histograms of one level, whole numbers.
        """
        if isinstance(self.model, XgboostModel):
            return self.model.sums(*self.inputs_of_trees)
        return self.model_and_bound + sent_beside(self.plan.strategy, self.model_parameters)

    @property
    def start_parameters(self) -> int:
        """The number of values of the model that `starts_from` names: uploaded ones are a model's.

        What a strategy keeps begins anew with them (`engines.training.strategies.with_kept`).
        """
        return self.model_parameters if self.initial else self.parameters

    @property
    def adapts_clipping(self) -> bool:
        """Whether the clipping norm is part of the state."""
        return self.privacy is not None and self.privacy.adaptive is not None

    @property
    def model_parameters(self) -> int:
        """The number of float32 model parameters."""
        return total(self.tensors)

    @property
    def tensors(self) -> Tensors:
        """The tensors of the model, in the order in which rounds carry them."""
        width, label = (self.features.width, self.features.label) if self.features else (0, None)
        if isinstance(self.model, TORCH_MODELS):
            beside = self.features.beside if self.features else ()
            return tensors_of(self.model, width, beside, outputs_of(label))
        if isinstance(self.model, XgboostModel):
            return self.model.trees_tensors(self.plan.rounds, self.inputs_of_trees[0])
        return self.model.tensors(width, outputs_of(label))

    @property
    def inputs_of_trees(self) -> tuple[int, int]:
        """How many inputs are numbers, and how many are indicators of categories."""
        if self.features is None:
            return 0, 0
        numbers = len(self.features.numeric)
        return numbers, self.features.table_width - numbers

    @property
    def starts_from(self) -> str:
        """The digest of the model that the spec names as the start; empty for the family's own."""
        if self.resume is not None:
            return self.resume.model
        return self.initial.model if self.initial else ""

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that the job uses, label last."""
        return self.features.columns if self.features else ()

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """The number columns and what their values are clamped to."""
        return self.features.bounds if self.features else ()

    @property
    def needs_moments(self) -> bool:
        """Whether a column is standardised by federated moments."""
        return bool(self.features and self.features.federated)

    @property
    def reads_rows(self) -> bool:
        """Whether rows are read at all; a rehearsal reads none."""
        return self.features is not None

    @property
    def splits_by_key(self) -> bool:
        """Whether rows are held out by the owners' keys, which then are read as well."""
        return self.reads_rows and self.plan.split is not None

    @property
    def tells_rows(self) -> bool:
        """With differential privacy no exact number of rows is released."""
        return self.privacy is None

    @property
    def all_private(self) -> bool:
        """With differential privacy moments, metrics and row counts are noised or not released."""
        return self.privacy is not None

    @property
    def hides_among(self) -> int | None:
        """Fewer than contribute with two rules, unless each party's own noise hides it.

        Krum releases the mean of those that it selects; SCAFFOLD two sums that weigh the parties
        differently, of which who knows all but two contributions computes these two.
        """
        rule, least = self.plan.aggregation, self.min_contributors
        if self.privacy is not None:
            return None
        if isinstance(self.plan.strategy, Scaffold):
            least -= 1
        return min(least, rule.select) if isinstance(rule, Krum) else least

    @property
    def wire_type(self) -> WireType | Literal["int64"]:
        """The dtype in which changes of the model travel; histograms are whole numbers."""
        if isinstance(self.model, XgboostModel):
            return "int64"
        return self.wire or "float32"

    @property
    def change_bytes(self) -> int:
        """The bytes in which a party sends its change of the model, without masks."""
        if self.compression is not None:
            return coded_bytes(self.compression, self.update_parameters)
        return self.update_parameters * {"float32": 4, "int64": 8}.get(self.wire_type, 2)

    @property
    def kept_at_parties(self) -> str:
        """What has each party keep something between its rounds, by name; empty if nothing does."""
        if kept_by_party(self.plan.strategy):
            return name_of(self.plan.strategy)
        return "" if self.compression is None else self.compression.method

    @property
    def dated(self) -> bool:
        """Whether its submitter chooses a party's validation rows, as in version 0.2.0."""
        return self.of_0_2_0 and self.plan.validation > 0 and self.privacy is None

    @property
    def of_0_2_0(self) -> bool:
        """Whether version 0.2.0 drafted it: since then every spec says how it draws."""
        return self.reads_rows and self.plan.draws is None

    def drawn(self) -> TrainingSpec:
        """Return the spec as it is drafted today (`TrainingPlan.draws`)."""
        if not self.reads_rows or self.plan.draws:
            return self
        return replace(self, plan=replace(self.plan, draws="words"))

    def file_bytes(self, party: str) -> int:
        """Return what histograms of trees take: as written, held, and of a sum; else 0."""
        del party
        return 3 * 8 * self.update_parameters if isinstance(self.model, XgboostModel) else 0

    @property
    def base(self) -> str:
        """The digest of the base that an adapter stands on, which each agent holds; else empty."""
        chosen = self.model
        adapter = chosen.adapter if isinstance(chosen, TorchTransformerModel) else None
        return "" if adapter is None else adapter.base

    @property
    def bases(self) -> tuple[str, ...]:
        """The base of an adapter, if its model is one."""
        return (self.base,) if self.base else ()

    @property
    def planned_rounds(self) -> int:
        """The most rounds that train: trees take one for each level, and one for their edges."""
        if isinstance(self.model, XgboostModel):
            return self.model.levels(self.plan.rounds)
        return self.plan.rounds

    @property
    def bundle(self) -> BundleRef | None:
        """The code that trains the model, if others brought it."""
        return self.model.bundle if isinstance(self.model, BundleModel) else None

    @property
    def validation_rows(self) -> int:
        """How many rows each party seals to the enclave; 0 unless contributions are scored."""
        return 0 if self.plan.contribution is None else self.plan.contribution.rows

    def facts(self) -> Mapping[str, Any]:
        """Return the policy attributes that only training jobs have."""
        return {
            "family": self.model.family,
            "rounds": self.plan.rounds,
            "release": self.release.intermediate,
            "validation_rows": self.validation_rows,
            "self_report": self.plan.self_report or "",
            **bundle_facts(
                self.bundle,
                self.submitter,
                dump(self.model).get("settings", {}) if self.bundle else {},
                self.starts_from,
                self.limits.clip_norm,
            ),
        }
