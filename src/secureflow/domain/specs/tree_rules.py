"""Contradictions in jobs of the family `xgboost`."""

from __future__ import annotations

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.owntree_rules import own_trees_problem
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.strategies import PLAIN, name_of
from secureflow.domain.specs.targets import NumberLabel
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.domain.specs.tree_families import MAX_CELLS, MAX_LEVELS, XgboostModel
from secureflow.domain.specs.tree_privacy import private_trees_problem
from secureflow.kit.text import Text


def trees_problem(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    """Return the first contradiction of a job of trees, or None."""
    if not isinstance(spec.model, XgboostModel):
        return _kept_missing(spec, features)
    return (
        _inputs(features)
        or own_trees_problem(spec, spec.model)
        or _base_score(spec.model, features)
        or _sizes(spec, spec.model)
        or _plan(spec, spec.model)
        or _protection(spec, spec.model)
        or _start(spec)
    )


def _kept_missing(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    kept = next((one.column for one in features.numeric if one.missing == "kept"), None)
    if kept is None:
        return None
    reason = Text("{family} computes with every number, and none may be missing",
                  family=spec.model.family)  # fmt: skip
    return f"features.{kept}.missing", reason, "Remove it, or use the family xgboost."


def _inputs(features: FeatureSpec) -> Problem | None:
    if features.beside:
        reason: str = "trees split numbers and categories"
        return f"features.{features.beside[0].column}", reason, "Leave it out."
    scaled = next((one.column for one in features.numeric if one.scale == "federated"), None)
    if scaled is not None:
        reason = "trees are the same on any scale, and their edges are within the bounds"
        return f"features.{scaled}.scale", reason, "Write `scale: bounds`."
    if features.weight is not None:
        return "features.weight", "trees count every row once", "Remove it."
    return None


def _base_score(model: XgboostModel, features: FeatureSpec) -> Problem | None:
    score, label = model.base_score, features.label
    if score is None:
        return None
    if isinstance(label, NumberLabel):
        low, high = label.bounds
        reason: str = "it is a number that the label can be"
        hint = "Choose one within the label's bounds."
        return None if low <= score <= high else ("model.base_score", reason, hint)
    if 0.0 < score < 1.0:
        return None
    reason = "it is the chance of the positive class before the first tree"
    return "model.base_score", reason, "Choose one between 0 and 1."


def _sizes(spec: TrainingSpec, model: XgboostModel) -> Problem | None:
    plan = spec.plan
    if plan.rounds * model.max_depth > MAX_LEVELS:
        reason = Text(
            "{trees} trees of {depth} levels are more than {most} levels",
            trees=plan.rounds,
            depth=model.max_depth,
            most=MAX_LEVELS,
        )
        return "plan.rounds", reason, "Grow fewer trees, or lower ones."
    cells = max(spec.update_parameters, model.level(*spec.inputs_of_trees))
    if cells > MAX_CELLS:
        reason = Text(
            "the histograms of a level have {count} cells, more than {most}",
            count=cells,
            most=MAX_CELLS,
        )
        return "model.bins", reason, "Use fewer bins or inputs, or lower trees."
    return None


def _plan(spec: TrainingSpec, model: XgboostModel) -> Problem | None:
    plan = spec.plan
    if plan.local_epochs != 1:
        reason = Text("{family} adds up every row once in a round", family=model.family)
        return "plan.local_epochs", reason, "Set it to 1."
    if name_of(plan.strategy) != PLAIN:
        reason = Text("the next model of {family} is grown from sums", family=model.family)
        return "plan.strategy", reason, "Write `strategy: fedavg`."
    if plan.aggregation is not None:
        reason = Text("a rule combines models, and histograms of {family} are added up",
                      family=model.family)  # fmt: skip
        return "plan.aggregation", reason, "Remove it."
    return None


def _protection(spec: TrainingSpec, model: XgboostModel) -> Problem | None:
    if spec.wire not in {None, "float32"}:
        reason = Text("histograms of {family} travel as whole numbers", family=model.family)
        return "wire", reason, "Remove it."
    return private_trees_problem(spec, masks=traits_of(spec).masks)


def _start(spec: TrainingSpec) -> Problem | None:
    if not spec.starts_from:
        return None
    field = "resume" if spec.resume else "initial"
    reason = Text("{family} grows its trees from nothing", family=spec.model.family)
    return field, reason, "Remove it."
