"""A released model as a job holds it that applies it to rows: everything that computing needs.

The job's owners approve each number of it: features, a recipe if there is one, the moments by which
numbers are scaled, and the digest of the parameters, which each agent checks before it computes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Final

from pydantic import Field

from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Digest, Id, Problem, Slug
from secureflow.domain.specs.families import LEARNS, FamilyModel
from secureflow.domain.specs.heldout import HeldOut, held_out_problem, is_within
from secureflow.domain.specs.model_rules import shape_problem
from secureflow.domain.specs.targets import ClassesLabel, form_of
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.domain.specs.training_rules import features_problem
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.text import Text

MAX_MOMENTS: Final = 1 << 16
"""Most sums of federated moments: rows, and two or three of each number."""


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
        contributors: whose rows it was trained on, as the centre says: in its own job, in those
            that it went on from, and in the preparation of a recipe that learned from labels.
        held_out: the rows of these that none of them learned from, by the owners' keys; None if
            that cannot be told from keys.
        name: its name and version, such as `risk@2`, as the centre says.
    """

    __pydantic_config__ = STRICT
    job: Id
    digest: Digest
    features: FeatureSpec
    model: FamilyModel
    moments: Annotated[tuple[float, ...] | None, Field(max_length=MAX_MOMENTS), UNLESS_NONE] = None
    adapts_clipping: bool = False
    contributors: Annotated[tuple[Slug, ...], Field(max_length=256)] = ()
    held_out: Annotated[HeldOut | None, UNLESS_NONE] = None
    name: Annotated[str, Field(max_length=256), ONE_LINE] = ""

    @property
    def called(self) -> str:
        """Its name, if there is one, and its digest."""
        return f"{self.name} ({self.digest})" if self.name else self.digest

    @property
    def told(self) -> dict[str, str]:
        """Which model it is, for reports."""
        return {
            **{"job": self.job, "name": self.name},
            **{"model": self.digest, "family": self.model.family},
        }

    @property
    def trained(self) -> TrainingSpec:
        """Features and model as a spec without parties, for whoever computes with them.

        Rows all count alike where a model is applied: no column of weights is read.
        """
        features = replace(self.features, weight=None)
        return TrainingSpec("", "", "", "", (), features=features, model=self.model)

    def seen(self, parties: Iterable[str], taken: HeldOut | None) -> tuple[str, ...]:
        """Return the parties whose rows it may have been trained on, among rows that are taken."""
        if is_within(taken, self.held_out):
            return ()
        return tuple(one for one in parties if one in self.contributors)

    @property
    def bytes(self) -> int:
        """The size of its blob."""
        return 4 * (self.trained.model_parameters + self.adapts_clipping)

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
    if family not in LEARNS or family == "bundle":
        reason: str = Text("a model of the family {family!r} cannot be applied here", family=family)
        hint = "Name a model of a built-in family; code of a bundle measures in its own job."
        return "model", reason, hint
    problem = features_problem(one.features) or shape_problem(one.trained, one.features)
    if problem is not None:
        return problem
    if (one.moments is None) != (not one.features.federated):
        reason = "federated moments belong to numbers that are scaled by them, and only to them"
        return "moments", reason, "Name the model by its id, and have the centre fill them in."
    wanted = 1 + 3 * len(one.features.federated)  # rows; Σz, Σz² and how many of each number
    if one.moments is not None and len(one.moments) != wanted:
        reason = Text("the features need {count} sums", count=wanted)
        return "moments", reason, "Name the model by its id, and have the centre fill them in."
    return held_out_problem(one.held_out)
