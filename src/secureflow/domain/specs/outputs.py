"""What steps of a pipeline give to others, and how it is filled into what takes it.

Before anything runs, a step holds provisional values (`domain.specs.provisional`); once the step
that gives them has ended, `filled` replaces these, and nothing else. The centre and every party do
this by themselves, from what came out; a party uses only values whose digests it has signed
(`Outputs.signed`), so both have the same spec, or there is no approval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from blake3 import blake3

from secureflow.domain.specs.base import JobSpec, dump, parse
from secureflow.domain.specs.conditions import are_metrics
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.heldout import HeldOut
from secureflow.domain.specs.matchedrows import MATCHED, MatchedRows
from secureflow.domain.specs.notyet import NOT_YET, provisional_digest
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.domain.specs.recipe import Recipe, number_columns
from secureflow.domain.specs.scored import ScoredModel
from secureflow.domain.specs.signedoutputs import moments_digest
from secureflow.domain.specs.strategies import kept_vectors
from secureflow.domain.specs.training import NumericFeature, Resume, TrainingSpec
from secureflow.kit.canonical import JSON, canonical_bytes
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass(frozen=True)
class Outputs:
    """What came out of a step.

    Args:
        model: digest of the released model; "" for none.
        round: the round of the training that released it.
        moments: the released sums by which the model's numbers are scaled.
        recipe: what was fitted.
        rows: party → the digest of which of its rows match.
        metrics: of each model of an evaluation, its figures as texts (`conditions`).
    """

    model: str = ""
    round: int = 0
    moments: tuple[float, ...] | None = None
    recipe: Recipe | None = None
    rows: Mapping[str, str] | None = None
    metrics: tuple[Mapping[str, str], ...] | None = None

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Outputs:
        """Read what the centre keeps of a part that has ended.

        Raises:
            SecureFlowError: `invalid_recipe`.
        """
        recipe, moments = value.get("recipe"), value.get("moments")
        rows, metrics = value.get("rows"), value.get("metrics")
        return cls(
            model=str(value.get("model") or ""),
            round=int(value.get("round") or 0),
            moments=None if moments is None else tuple(float(one) for one in moments),
            recipe=None if recipe is None else parse(Recipe, recipe, "recipe"),
            rows=None if rows is None else {str(name): str(one) for name, one in rows.items()},
            metrics=tuple(map(dict, metrics)) if metrics and are_metrics(metrics) else None,
        )

    def signed(self) -> dict[str, JSON]:
        """Return what parties sign of it: digests, without what it does not have."""
        found: dict[str, JSON] = {}
        if self.model:
            found |= {"model": self.model, "round": self.round}
        if self.moments is not None:
            found["moments"] = moments_digest(self.moments)
        if self.recipe is not None:
            found["recipe"] = blake3(canonical_bytes(dump(self.recipe))).hexdigest()
        if self.rows is not None:
            found["rows"] = dict(sorted(self.rows.items()))
        if self.metrics is not None:
            found["metrics"] = [dict(sorted(one.items())) for one in self.metrics]
        return found


@dataclass(frozen=True)
class Given:
    """A step that has ended: the spec that ran, its job, and what came out."""

    spec: JobSpec
    job: str
    outputs: Outputs


def outputs_in(spec: JobSpec, name: str, place: int) -> Outputs:
    """Return the values that a filled spec has at one of its inputs.

    Args:
        spec: of a part.
        name: of the input.
        place: which of several that lead to it, from 0.
    """
    if name == MATCHED:
        return Outputs(rows=None if spec.rows is None else spec.rows.digests)
    if isinstance(spec, TrainingSpec) and name == "recipe":
        return Outputs(recipe=spec.features.recipe if spec.features else None)
    if isinstance(spec, TrainingSpec):
        start = spec.resume
        return Outputs() if start is None else Outputs(start.model, start.round)
    model = _model_at(spec, place)
    return Outputs() if model is None else Outputs(model.digest, 0, model.moments)


def _model_at(spec: JobSpec, place: int) -> ScoredModel | None:
    if isinstance(spec, PredictionSpec):
        return spec.model
    if isinstance(spec, EvaluationSpec) and place < len(spec.models):
        return spec.models[place]
    return None


def filled(spec: Any, name: str, place: int, given: Given) -> Any:
    """Return a step's spec with what another step gave at one of its inputs, and no other change.

    Args:
        spec: with something provisional there.
        name: of the input.
        place: which of several that lead to it, from 0.
        given: by the other step.

    Raises:
        SecureFlowError: `step_output_missing` for a step that did not give that;
            `step_output_unfit` for a recipe that makes more than was provided for.
    """
    if name == MATCHED:
        return _with_rows(spec, given)
    if isinstance(spec, TrainingSpec):
        return _with_recipe(spec, given) if name == "recipe" else _resumed(spec, given)
    if isinstance(spec, PredictionSpec):
        return replace(spec, model=_scored(spec.model, given))
    models = list(spec.models)
    models[place] = _scored(models[place], given)
    return replace(spec, models=tuple(models))


def _with_recipe(spec: TrainingSpec, given: Given) -> TrainingSpec:
    recipe = given.outputs.recipe
    if recipe is None or spec.features is None or spec.features.recipe is None:
        raise _missing("recipe", given)
    own = replace(
        spec.features.recipe,
        job=given.job,
        spec=recipe.spec,
        fits=recipe.fits,
        outputs=recipe.outputs,
        rows=recipe.rows,
    )
    if own.fault:
        raise _unfit(given, own.fault)
    made = tuple(NumericFeature(name, bounds, "none") for name, bounds in number_columns(own))
    if len(made) > len(spec.features.numeric):
        raise _unfit(given, "it makes more columns than its steps say")
    return replace(spec, features=replace(spec.features, recipe=own, numeric=made))


def _with_rows(spec: Any, given: Given) -> Any:
    """Return a spec that reads the rows alone which matched, of exactly the parties it says."""
    rows = given.outputs.rows
    if rows is None or spec.rows is None:
        raise _missing("matched rows", given)
    if set(rows) != set(spec.rows.digests):
        raise _unfit(given, "it matched the rows of other parties")
    return replace(spec, rows=MatchedRows.of(given.job, rows))


def _resumed(spec: TrainingSpec, given: Given) -> TrainingSpec:
    found = given.outputs
    if not found.model:
        raise _missing("model", given)
    return replace(spec, resume=Resume(given.job, found.round, found.model))


def _scored(model: ScoredModel, given: Given) -> ScoredModel:
    """Return a model as it was trained: its features are those of the part that trained it."""
    trained, found = given.spec, given.outputs
    if not isinstance(trained, TrainingSpec) or trained.features is None or not found.model:
        raise _missing("model", given)
    if trained.needs_moments != (found.moments is not None):
        raise _missing("moments", given)
    return replace(
        model,
        job=given.job,
        digest=found.model,
        features=trained.features,
        moments=found.moments,
        name=trained.name,
    )


def provisional_model(
    step: str, trained: TrainingSpec, contributors: tuple[str, ...], held_out: HeldOut | None
) -> ScoredModel:
    """Return the model that a training is to release, with digest and moments still to come.

    Args:
        step: whose it is.
        trained: the training's spec.
        contributors: whose rows it learns from.
        held_out: which of them it does not learn from.
    """
    if trained.features is None:
        raise AssertionError(trained.name)  # the caller refuses a rehearsal
    moments = (0.0,) * (1 + 3 * len(trained.features.federated)) if trained.needs_moments else None
    return ScoredModel(
        job=NOT_YET,
        digest=provisional_digest(step),
        features=trained.features,
        model=trained.model,
        moments=moments,
        adapts_clipping=trained.adapts_clipping,
        kept_vectors=kept_vectors(trained.plan.strategy),
        name=f"{trained.name}: {step}",
        contributors=contributors,
        held_out=held_out,
    )


def _missing(what: str, given: Given) -> SecureFlowError:
    return SecureFlowError(
        "step_output_missing",
        Text("The job {job} gave no {what} that a later step takes.", job=given.job, what=what),
        "See how it ended, then submit the pipeline again.",
    )


def _unfit(given: Given, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "step_output_unfit",
        Text("What {job} gave does not fit the step that takes it: {reason}.",
             job=given.job, reason=reason),
        "Change the step that gives it, and submit the pipeline again.",
    )  # fmt: skip
