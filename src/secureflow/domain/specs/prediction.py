"""The spec of a prediction: which model is applied to the owners' rows, and what is kept of each.

Every party applies the model to all rows of its own dataset and keeps the result in a file of its
own. Nothing that depends on rows leaves it: the others learn that it is done, and the ledger gets a
salted commitment to the file. So no row is protected by masks or noise, and no budget is charged.
Where the spec says so, and every owner approves it, one party of the roster gets the others' files,
sealed to a key of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.specs.base import (
    STRICT,
    UNLESS_NONE,
    Column,
    Problem,
    Slug,
    SpecBase,
    refuse,
)
from secureflow.domain.specs.bundles import BundleRef
from secureflow.domain.specs.rosterrules import roster_problem
from secureflow.domain.specs.scored import ScoredModel, code_facts, scored_problem
from secureflow.domain.specs.sklearn_families import has_chances
from secureflow.domain.specs.targets import PREDICTED, chance_titles, score_titles
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.kit.text import Text

MAX_COLUMNS: Final = 64
"""Most columns of the owners that stand beside what is predicted."""
ROW: Final = "row"
"""The column of row numbers, from 1, in the order of the owner's file."""

Output = Literal["predicted", "probability", "score"]
OUTPUTS: Final[tuple[Output, ...]] = ("predicted", "probability", "score")
"""What can be kept of a row, in the order of the file's columns. The first two are those of
`sdk.Predictor.predict_frame`; scores are what the model computes before any link function."""


@dataclass(frozen=True)
class PredictionLimits:
    """Seconds without progress after which a party counts as silent."""

    __pydantic_config__ = STRICT
    patience_seconds: Annotated[float, Field(gt=0.0, le=86_400.0)] = 60.0


@dataclass(frozen=True)
class Delivery:
    """Who gets a copy of every party's file, sealed to a key of its own.

    Args:
        to: an organisation of the roster, which has approved the job as well.
    """

    __pydantic_config__ = STRICT
    to: Slug


@dataclass(frozen=True)
class PredictionSpec(SpecBase):
    """A prediction as every party signs it.

    Args:
        model: what is applied.
        outputs: what is kept of each row.
        columns: which of the owner's columns stand beside it; the row's number always does.
        deliver: who else gets each party's file; None for nobody.
        limits: of the job.
        min_contributors: the fewest parties that must be done.
    """

    __pydantic_config__ = STRICT
    model: ScoredModel
    outputs: Annotated[tuple[Output, ...], Field(min_length=1, max_length=len(OUTPUTS))] = (
        "predicted",
    )
    columns: Annotated[tuple[Column, ...], Field(max_length=MAX_COLUMNS)] = ()
    deliver: Annotated[Delivery | None, UNLESS_NONE] = None
    limits: PredictionLimits = field(default_factory=PredictionLimits)
    min_contributors: Annotated[int, Field(ge=2, le=256)] = 3
    protection: Literal["none"] = "none"
    kind: Literal["prediction"] = "prediction"
    script: Literal["prediction/1"] = "prediction/1"
    v: Literal[1] = 1

    @property
    def features(self) -> FeatureSpec:
        """What the model reads of a row; neither its label nor the weight of its training."""
        return replace(self.model.features, label=None, weight=None)

    @property
    def reads(self) -> TrainingSpec:
        """The same with the model as a spec without parties, for whoever compares columns."""
        return replace(self.model.trained, features=self.features)

    @property
    def titles(self) -> tuple[str, ...]:
        """The names of the file's columns of outputs, in order."""
        label = self.model.features.label
        found = {
            "predicted": (PREDICTED,),
            "probability": chance_titles(label),
            "score": score_titles(label),
        }
        return tuple(one for name in OUTPUTS if name in self.outputs for one in found[name])

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that the job reads: the model's inputs, and those beside the scores."""
        return tuple(dict.fromkeys((*self.features.inputs, *self.columns)))

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """None: nothing is summed, so no row moves anything that others see."""
        return ()

    @property
    def privacy(self) -> None:
        """None: nothing that depends on rows leaves a party, so there is nothing to noise."""
        return

    @property
    def reads_rows(self) -> bool:
        """Every prediction reads rows."""
        return True

    @property
    def tells_rows(self) -> bool:
        """Nobody but the owner, and who gets its file, learns how many rows there are."""
        return self.deliver is not None

    @property
    def all_private(self) -> bool:
        """No number is released at all, unless files go to somebody."""
        return self.deliver is None

    @property
    def bases(self) -> tuple[str, ...]:
        """The base that the model stands on, if it is an adapter."""
        return self.reads.bases

    @property
    def bundle(self) -> BundleRef | None:
        """The code that computes the model, if others brought it."""
        return self.model.bundle

    @property
    def planned_rounds(self) -> int:
        """One: every party works once."""
        return 1

    @property
    def parameters(self) -> int:
        """0: no model is updated."""
        return 0

    def facts(self) -> Mapping[str, Any]:
        """Return the policy attributes that only predictions have."""
        return {
            "model": self.model.digest,
            "family": self.model.model.family,
            "outputs": tuple(sorted(self.outputs)),
            "beside": tuple(sorted(self.columns)),
            "deliver": "" if self.deliver is None else self.deliver.to,
            **code_facts(self.model if self.bundle else None, self.submitter),
        }


def usual_outputs(model: ScoredModel) -> tuple[Output, ...]:
    """Return what is kept if a request does not say: predictions, and chances if there are any."""
    return ("predicted", "probability") if _has_chances(model) else ("predicted",)


def check_prediction(spec: PredictionSpec) -> None:
    """Refuse contradictions between fields.

    Raises:
        SecureFlowError: `contradictory_spec` naming the field and the reason.
    """
    rules: tuple[Callable[[PredictionSpec], Problem | None], ...] = (
        *(_roster_rules, _model_rules, _output_rules, _column_rules, _delivery_rules),
    )
    refuse(next((found for rule in rules if (found := rule(spec))), None))


def _roster_rules(spec: PredictionSpec) -> Problem | None:
    return roster_problem(spec, 2)


def _model_rules(spec: PredictionSpec) -> Problem | None:
    problem = scored_problem(spec.model)
    if problem is None:
        return None
    name, reason, hint = problem
    return f"model.{name}", reason, hint


def _output_rules(spec: PredictionSpec) -> Problem | None:
    if len(set(spec.outputs)) != len(spec.outputs):
        return "outputs", "one is listed twice", "List each output once."
    if "probability" in spec.outputs and not _has_chances(spec.model):
        reason = "what this model computes for a row has no probability"
        return "outputs", reason, 'Ask for "predicted" or "score".'
    if "score" in spec.outputs and spec.model.form == "none":
        return "outputs", "clusters have no score", 'Ask for "predicted".'
    return None


def _column_rules(spec: PredictionSpec) -> Problem | None:
    label = spec.model.features.label
    taken = {ROW, *spec.titles}
    for one in spec.columns:
        if spec.columns.count(one) > 1:
            reason: str = Text("{column!r} is listed twice", column=one)
            return "columns", reason, "List each column once."
        if one in taken:
            reason = Text("a column of the result is called {column!r} already", column=one)
            return "columns", reason, "Leave it out: its owner finds it by the row's number."
        if label is not None and one == label.column:
            reason = "the column that is predicted is not read"
            return "columns", reason, "Leave it out."
    return None


def _delivery_rules(spec: PredictionSpec) -> Problem | None:
    if spec.deliver is None or spec.deliver.to in spec.parties:
        return None
    reason = Text("{party} is not on the roster", party=spec.deliver.to)
    return "deliver.to", reason, "Name a party that takes part: it signs the job as well."


def _has_chances(model: ScoredModel) -> bool:
    return model.form in {"binary", "classes"} and has_chances(model.model)
