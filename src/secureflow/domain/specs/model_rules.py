"""Contradictions between a training job's model, its target, its start and how it travels."""

from __future__ import annotations

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.bundle_family import (
    ROW_NAMES,
    BundleModel,
    bundle_problem,
    paced_seconds,
)
from secureflow.domain.specs.compression_rules import compression_problem
from secureflow.domain.specs.families import (
    BY_SUMS,
    LEARNS,
    MAX_PARAMETERS,
    MlpModel,
    ModelSpec,
)
from secureflow.domain.specs.plan_rules import plan_problem
from secureflow.domain.specs.privacy_hints import UNMEASURED, in_time, whole_party
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.sklearn_rules import sklearn_problem
from secureflow.domain.specs.strategy_rules import strategy_problem
from secureflow.domain.specs.sum_rules import sums_problem, sums_start_problem
from secureflow.domain.specs.targets import ClassesLabel, NumberLabel, form_of
from secureflow.domain.specs.tensors import layout_digest
from secureflow.domain.specs.torch_families import TORCH_MODELS, private_problem, torch_problem
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.domain.specs.tree_rules import trees_problem
from secureflow.kit.text import Joined, Text

_LARGEST_HALF = 65504.0
"""The largest finite float16."""
_WIDEST_PRIVATE = 8192
"""Most numbers that are added up for one row under differential privacy: beyond, NumPy adds up a
lone row in another order than a row among others, and one row could move another's gradient."""


def model_problem(spec: TrainingSpec) -> Problem | None:
    """Return the first contradiction, or None."""
    if spec.model.family == "rehearsal":
        problem = _noop_rules(spec) or _start_rules(spec)
        return problem or wire_problem(spec) or compression_problem(spec)
    if spec.features is None:
        return "features", "the model family needs them", "Describe label and features."
    if isinstance(spec.model, ModelSpec) and spec.model.parameters:
        return "model.parameters", "it is only for rehearsals", "Remove it."
    if isinstance(spec.model, ModelSpec) and spec.model.step:
        return "model.step", "it is only for rehearsals", "Remove it."
    rules = (
        _target_rules, _weight_rules, _torch_rules, _size_rules, _width_rules, sums_problem,
        sklearn_problem, trees_problem, _bundle_rules,
    )  # fmt: skip
    found = (rule(spec, spec.features) for rule in rules)
    problem = next((one for one in found if one), None)
    problem = problem or plan_problem(spec) or strategy_problem(spec)
    return problem or _start_rules(spec) or wire_problem(spec) or compression_problem(spec)


def shape_problem(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    """Return why a model cannot compute on its inputs, whatever it is used for, or None."""
    rules = (_target_rules, _torch_rules, _size_rules)
    return next((found for rule in rules if (found := rule(spec, features))), None)


def _noop_rules(spec: TrainingSpec) -> Problem | None:
    if spec.features is not None:
        return "features", "a rehearsal uses no data", "Remove the features."
    if not isinstance(spec.model, ModelSpec) or spec.model.parameters < 1:
        return "model.parameters", "a rehearsal needs at least one", "Set it."
    if spec.plan.split is not None:
        return "plan.split", "a rehearsal uses no data", "Remove it."
    if spec.plan.metric is not None:
        return "plan.metric", "a rehearsal uses no data", "Remove it."
    return strategy_problem(spec)


def _target_rules(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    family, target = spec.model.family, form_of(features.label)
    learns = LEARNS[family]
    if target in learns:
        return None
    if target == "none":
        reason: str = Text("the family {family} learns from a label", family=family)
        return "features.label", reason, "Name the label column."
    fitting = [name for name, targets in LEARNS.items() if target in targets]
    reason = Text(
        "the family {family} learns a target of the form {learns}, the label's is {target}",
        family=family,
        learns="/".join(learns),
        target=target,
    )
    hint = Text("For this label use one of: {families}.", families=", ".join(fitting))
    return "model.family", reason, hint


def _torch_rules(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    if not isinstance(spec.model, TORCH_MODELS):
        return None
    problem = torch_problem(spec.model, features.table_width, features.beside)
    if problem is None and spec.privacy is not None:
        problem = private_problem(spec.model, spec.privacy.unit)
    return problem


def _size_rules(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    del features
    if spec.model_parameters <= MAX_PARAMETERS:
        return None
    reason = Text(
        "{count} parameters are more than {most}", count=spec.model_parameters, most=MAX_PARAMETERS
    )
    return "model", reason, "Use fewer inputs, classes or hidden units."


def _width_rules(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    hidden = spec.model.hidden if isinstance(spec.model, MlpModel) else ()
    if isinstance(spec.model, TORCH_MODELS):
        return None  # a row's gradient is computed from a batch of that row alone
    if spec.privacy is None or max(features.width, *hidden, 0) <= _WIDEST_PRIVATE:
        return None
    reason = Text(
        "under differential privacy a layer takes up to {most} inputs", most=_WIDEST_PRIVATE
    )
    return "model", reason, "Use fewer inputs or hidden units."


def _weight_rules(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    weights = getattr(spec.model, "class_weights", None)
    if weights is None:
        return None
    label = features.label
    if isinstance(label, NumberLabel):
        return "model.class_weights", "a number has no classes", "Remove it."
    classes = len(label.classes) if isinstance(label, ClassesLabel) else 2
    if len(weights) == classes:
        return None
    reason = Text(
        "there are {count} weights for {classes} classes", count=len(weights), classes=classes
    )
    hint = "Give one for each class, in the label's order; negative then positive."
    return "model.class_weights", reason, hint


def _bundle_rules(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    model = spec.model
    if not isinstance(model, BundleModel):
        return None
    taken = next((one.column for one in features.beside if one.column in ROW_NAMES), None)
    if taken is not None:
        named = Text("the rows of code have something else named {name}", name=taken)
        return f"features.{taken}", named, "Its owners must give the column another name."
    if not spec.starts_from:
        reason = "a bundle begins with weights that were uploaded"
        hint = "Name the bundle's folder in the job file, or a file: secureflow model upload."
        return "initial", reason, hint
    return bundle_problem(model) or _private_bundle(spec, model)


def _private_bundle(spec: TrainingSpec, model: BundleModel) -> Problem | None:
    """Only what the agent does outside of the code's process counts as privacy."""
    privacy = spec.privacy
    if privacy is None:
        return None
    if privacy.unit != "party":
        reason = "code that others bring can keep rows back and leave out noise"
        return "privacy.unit", reason, whole_party(spec)
    if privacy.metrics_noise is not None:
        reason = "nothing bounds what one row adds to sums that code reports"
        return "privacy.metrics_noise", reason, Joined(" ", ["Remove it.", UNMEASURED])
    beyond = paced_seconds(spec.parameters)
    if model.seconds + beyond > spec.limits.patience_seconds:
        reason = Text(
            "with privacy each step takes all of {seconds} seconds, so that its time tells nothing "
            "of the rows: a round would not wait for it",
            seconds=model.seconds,
        )
        return "model.seconds", reason, in_time(model.seconds, spec.limits.patience_seconds, beyond)
    return None


def _start_rules(spec: TrainingSpec) -> Problem | None:
    if problem := sums_start_problem(spec):
        return problem
    if spec.initial is None:
        return None
    if spec.resume is not None:
        return "initial", "the job already resumes another one", "Name one start only."
    if spec.adapts_clipping:
        reason: str = "the norm that adapts is part of the state, and uploaded weights have none"
        return "privacy.adaptive", reason, "Remove it: privacy.clipping_norm is then fixed."
    if spec.initial.layout != layout_digest(spec.tensors):
        shapes = [f"{one.name} {list(one.shape)} {one.dtype}" for one in spec.tensors[:8]]
        listed = ", ".join(shapes)
        reason = Text("the uploaded tensors are not those of the model {model}", model=listed)
        return "initial.layout", reason, "Upload exactly these tensors: secureflow model upload."
    return None


def wire_problem(spec: TrainingSpec) -> Problem | None:
    """Return why changes of the model cannot travel in the spec's dtype, or None."""
    wire = spec.wire
    if wire in {None, "float32"}:
        return None
    if traits_of(spec).masks:
        reason = "masked updates are whole numbers of quantisation.bits"
        hint = 'Write `compression: {method: int8}`, or use protection "sealed".'
        return "wire", reason, hint
    if spec.privacy is not None and spec.privacy.noise != "local":
        reason = "noise is added to whole lattice steps, which must not be rounded"
        return "wire", reason, "Remove it."
    if spec.model.family in BY_SUMS:
        reason = Text("the sums of {family} need float32", family=spec.model.family)
        return "wire", reason, "Remove it."
    if wire == "float16" and spec.limits.clip_norm > _LARGEST_HALF:
        return "wire", "float16 ends at 65504", "Lower limits.clip_norm, or use bfloat16."
    return None
