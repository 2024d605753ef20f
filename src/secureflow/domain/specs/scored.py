"""A released model as a job holds it that applies it to rows: everything that computing needs.

The job's owners approve each number of it: features, a recipe if there is one, the moments by which
numbers are scaled, and the digest of the parameters, which each agent checks before it computes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from pydantic import Field

from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Digest, Id, Problem, Slug, dump
from secureflow.domain.specs.bundle_family import ROW_NAMES, BundleModel, bundle_problem
from secureflow.domain.specs.bundles import BundleRef, bundle_facts
from secureflow.domain.specs.families import LEARNS, FamilyModel
from secureflow.domain.specs.heldout import HeldOut, held_out_problem, is_within
from secureflow.domain.specs.model_rules import shape_problem
from secureflow.domain.specs.strategies import MAX_KEPT
from secureflow.domain.specs.targets import ClassesLabel, form_of
from secureflow.domain.specs.training import FeatureSpec, TrainingPlan, TrainingSpec
from secureflow.domain.specs.training_rules import features_problem
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text

MAX_MOMENTS: Final = 1 << 16
"""Most sums of federated moments: rows, and two or three of each number."""


def _zero(value: int) -> bool:
    return value == 0


@dataclass(frozen=True)
class ScoredModel:
    """A model, and what it reads of a row.

    Args:
        job: the job that released it, as the centre says.
        digest: BLAKE3 of its float32 parameters, the address of their blob.
        features: what it was trained on; its label is what predictions are compared with.
        model: the family.
        moments: the released sums by which numbers are scaled; None if they need none.
        adapts_clipping: whether a clipping norm follows the parameters.
        kept_vectors: how many vectors of the model's length follow, which its strategy kept.
        contributors: whose rows it was trained on, as the centre says: in its own job, in those
            that it went on from, and in the preparation of a recipe that learned from labels.
        held_out: the rows of these that none of them learned from, by the owners' keys; None if
            that cannot be told from keys.
        name: its name and version, such as `risk@2`, as the centre says.
        seed: that the class of its code was made with; None for a family without code.
        trees: for how many a model of trees has places; 0 for another family.
    """

    __pydantic_config__ = STRICT
    job: Id
    digest: Digest
    features: FeatureSpec
    model: FamilyModel
    moments: Annotated[tuple[float, ...] | None, Field(max_length=MAX_MOMENTS), UNLESS_NONE] = None
    adapts_clipping: bool = False
    kept_vectors: Annotated[int, Field(ge=0, le=MAX_KEPT, exclude_if=_zero)] = 0
    contributors: Annotated[tuple[Slug, ...], Field(max_length=256)] = ()
    held_out: Annotated[HeldOut | None, UNLESS_NONE] = None
    name: Annotated[str, Field(max_length=256), ONE_LINE] = ""
    seed: Annotated[int | None, Field(ge=0, lt=1 << 53), UNLESS_NONE] = None
    trees: Annotated[int, Field(ge=0, le=10_000, exclude_if=_zero)] = 0

    @property
    def called(self) -> str:
        """Its name, if there is one, and its digest."""
        return f"{self.name} ({self.digest})" if self.name else self.digest

    @property
    def told(self) -> dict[str, JSON]:
        """Which model it is, for reports, and which code computed it."""
        return {
            **{"job": self.job, "name": self.name},
            **{"model": self.digest, "family": self.model.family},
            **({} if self.bundle is None else {"code": dump(self.bundle)}),
        }

    @property
    def trained(self) -> TrainingSpec:
        """Features and model as a spec without parties, for whoever computes with them.

        Rows all count alike where a model is applied: no column of weights is read.
        """
        features = replace(self.features, weight=None)
        plan, model = TrainingPlan(rounds=max(self.trees, 1)), self.model
        if isinstance(model, XgboostModel):
            model, _ = model.grown(self.trees, 0)
        return TrainingSpec("", "", "", "", (), features=features, model=model, plan=plan)

    def seen(self, parties: Iterable[str], taken: HeldOut | None) -> tuple[str, ...]:
        """Return the parties whose rows it may have been trained on, among rows that are taken."""
        if is_within(taken, self.held_out):
            return ()
        return tuple(one for one in parties if one in self.contributors)

    @property
    def bytes(self) -> int:
        """The size of its blob."""
        return 4 * (self.trained.model_parameters * (1 + self.kept_vectors) + self.adapts_clipping)

    @property
    def bundle(self) -> BundleRef | None:
        """The code that computes it, if others brought it."""
        return self.model.bundle if isinstance(self.model, BundleModel) else None

    @property
    def form(self) -> str:
        """The form of what it predicts: binary, classes, number or none."""
        return form_of(self.features.label)

    @property
    def classes(self) -> int:
        """How many classes it tells apart; 0 for another form."""
        label = self.features.label
        return len(label.classes) if isinstance(label, ClassesLabel) else 0


def scored_problem(one: ScoredModel) -> Problem | None:
    """Return a contradiction within a model, or None."""
    family = one.model.family
    if family not in LEARNS:
        reason: str = Text("a model of the family {family!r} cannot be applied here", family=family)
        return "model", reason, "Name a model that learned from rows."
    problem = features_problem(one.features) or shape_problem(one.trained, one.features)
    problem = problem or _code_problem(one)
    if problem is not None:
        return problem
    if (one.moments is None) != (not one.features.federated):
        reason = "federated moments belong to numbers that are scaled by them, and only to them"
        return "moments", reason, "Name the model by its id, and have the centre fill them in."
    if isinstance(one.model, XgboostModel) != bool(one.trees):
        reason = "only a model of trees has places for them"
        return "trees", reason, "Name the model by its id, and have the centre fill them in."
    wanted = 1 + 3 * len(one.features.federated)  # rows; Σz, Σz² and how many of each number
    if one.moments is not None and len(one.moments) != wanted:
        reason = Text("the features need {count} sums", count=wanted)
        return "moments", reason, "Name the model by its id, and have the centre fill them in."
    return held_out_problem(one.held_out)


def _code_problem(one: ScoredModel) -> Problem | None:
    """Return a contradiction of a model that code computes, or None."""
    if not isinstance(one.model, BundleModel):
        if one.seed is None:
            return None
        return "seed", "only a class of code is made with one", "Leave it out."
    if one.seed is None:
        return "seed", "a class of code is made with one", "Name the model by its id."
    if one.features.label is None:
        reason = "code that learned from no label predicts nothing that is known here"
        return "features.label", reason, "Name a model that has a label."
    taken = next((it.column for it in one.features.beside if it.column in ROW_NAMES), None)
    if taken is not None:
        named = Text("the rows of code have something else named {name}", name=taken)
        return f"features.{taken}", named, "Its owners must give the column another name."
    return bundle_problem(one.model)


def code_facts(one: ScoredModel | None, submitter: str) -> dict[str, Any]:
    """Return the policy attributes of `BUNDLE_FACTS`; no update of a model leaves an owner.

    Args:
        one: the model whose code a job brings; None if it brings none.
        submitter: who the *centre* says it is.
    """
    if one is None:
        return bundle_facts(None, submitter, {}, "", 0.0)
    return bundle_facts(one.bundle, submitter, dump(one.model).get("settings", {}), one.digest, 0.0)
