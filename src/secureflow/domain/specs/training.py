"""The spec of a training job: columns, preparation, model, schedule, protection, release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.specs.base import (
    STRICT,
    UNLESS_NONE,
    SpecBase,
    dump,
)
from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.bundles import BundleRef, bundle_facts
from secureflow.domain.specs.compression import Compression, coded_bytes
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
from secureflow.domain.specs.measured import EarlyStop
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.protections import ProtectionName
from secureflow.domain.specs.recipe import Recipe
from secureflow.domain.specs.robust import Krum
from secureflow.domain.specs.startingmodels import Initial, Resume
from secureflow.domain.specs.strategies import (
    FedBn,
    Scaffold,
    ends_with_own,
    kept_by_party,
    kept_vectors,
    name_of,
    sent_beside,
)
from secureflow.domain.specs.tablefeatures import CategoricalFeature, NumericFeature
from secureflow.domain.specs.targets import (
    ClassesLabel,
    Label,
    NumberLabel,
    SampleWeight,
    Target,
    outputs_of,
)
from secureflow.domain.specs.tensors import Tensors, WireType, total
from secureflow.domain.specs.torch_families import (
    TORCH_MODELS,
    TorchTransformerModel,
    norms_of,
    tensors_of,
)
from secureflow.domain.specs.trainingplan import TrainingPlan
from secureflow.domain.specs.tree_families import LEAF_ROWS, XgboostModel
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
        of trees the histograms of one level, whole numbers. Tensors that stay are not in it.
        """
        if isinstance(self.model, XgboostModel):
            return self.model.sums(*self.inputs_of_trees)
        return self.change_parameters + sent_beside(self.plan.strategy, self.model_parameters)

    @property
    def change_parameters(self) -> int:
        """The number of values in an update before what the strategy sends beside the change."""
        return self.model_and_bound - total(self.staying)

    @property
    def staying(self) -> Tensors:
        """The tensors that each party trains for itself: of FedBN those of the norms."""
        features, model = self.features, self.model
        if not isinstance(self.plan.strategy, FedBn) or features is None:
            return ()
        if not isinstance(model, TORCH_MODELS):
            return ()
        return norms_of(model, features.width, features.beside, outputs_of(features.label))

    @property
    def own_models(self) -> bool:
        """Whether each party ends with a model of its own, which stays with it."""
        return ends_with_own(self.plan.strategy)

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
            trees = self.plan.rounds * self.model.each(len(self.roster))
            return self.model.trees_tensors(trees, self.inputs_of_trees[0])
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
        differently, of which who knows all but two contributions computes these two; own trees
        are released one by one.
        """
        rule, least = self.plan.aggregation, self.min_contributors
        if self.privacy is not None or self.own_trees:
            return 1 if self.own_trees else None
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
    def own_trees(self) -> int:
        """How many trees that a party grew alone are released of each, at most."""
        return self.plan.rounds if isinstance(self.model, XgboostModel) and self.model.own else 0

    @property
    def small_leaves(self) -> int:
        """The fewest rows in a leaf of these trees, if that is below the usual number; else 0."""
        model = self.model
        if not isinstance(model, XgboostModel) or not model.own:
            return 0
        return model.min_leaf_rows if model.min_leaf_rows < LEAF_ROWS else 0

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
            "own_trees": self.own_trees,
            "small_leaves": self.small_leaves,
            "self_report": self.plan.self_report or "",
            "parties_per_round": self.plan.parties_per_round or 0,
            **bundle_facts(
                self.bundle,
                self.submitter,
                dump(self.model).get("settings", {}) if self.bundle else {},
                self.starts_from,
                self.limits.clip_norm,
            ),
        }
