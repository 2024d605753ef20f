"""Contradictions between a training job's model, its target, its start and how it travels."""

from __future__ import annotations

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.families import (
    LEARNS,
    MAX_PARAMETERS,
    MAX_RIDGE_INPUTS,
    MlpModel,
    ModelSpec,
)
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.targets import ClassesLabel, NumberLabel, form_of
from secureflow.domain.specs.tensors import layout_digest
from secureflow.domain.specs.torch_families import TORCH_MODELS, private_problem, torch_problem
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.kit.text import Text

_LARGEST_HALF = 65504.0
"""The largest finite float16."""
_WIDEST_PRIVATE = 8192
"""Most numbers that are added up for one row under differential privacy: beyond, NumPy adds up a
lone row in another order than a row among others, and one row could move another's gradient."""
_LATTICE = 1 << 24
"""Lattice coordinates stay below it (`domain.specs.privacy.MAX_COORDINATE`)."""


def model_problem(spec: TrainingSpec) -> Problem | None:
    """Return the first contradiction, or None."""
    if spec.model.family == "rehearsal":
        return _noop_rules(spec) or _start_rules(spec) or wire_problem(spec)
    if spec.features is None:
        return "features", "the model family needs them", "Describe label and features."
    if isinstance(spec.model, ModelSpec) and spec.model.parameters:
        return "model.parameters", "it is only for rehearsals", "Remove it."
    rules = (_target_rules, _weight_rules, _torch_rules, _size_rules, _width_rules, _ridge_rules)
    found = (rule(spec, spec.features) for rule in rules)
    problem = next((one for one in found if one), None)
    problem = problem or _plan_rules(spec) or _order_rules(spec)
    return problem or _start_rules(spec) or wire_problem(spec)


def _noop_rules(spec: TrainingSpec) -> Problem | None:
    if spec.features is not None:
        return "features", "a rehearsal uses no data", "Remove the features."
    if not isinstance(spec.model, ModelSpec) or spec.model.parameters < 1:
        return "model.parameters", "a rehearsal needs at least one", "Set it."
    return None


def _target_rules(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    family, target = spec.model.family, form_of(features.label)
    learns = LEARNS[family]
    if target == "none":
        reason: str = Text("the family {family} learns from a label", family=family)
        return "features.label", reason, "Name the label column."
    if target in learns:
        return None
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


def _ridge_rules(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    if spec.model.family != "ridge":
        return None
    if spec.plan.rounds != 1 or spec.plan.local_epochs != 1:
        return "plan.rounds", "ridge takes one round of sums", "Set rounds and local_epochs to 1."
    if features.federated:
        reason: str = "ridge adds up products in its only round, before any mean is known"
        hint = 'Declare scale "bounds".'
        return f"features.{features.federated[0].column}.scale", reason, hint
    if features.width > MAX_RIDGE_INPUTS:
        reason = Text("ridge takes up to {most} inputs", most=MAX_RIDGE_INPUTS)
        return "features", reason, "Use the family linear."
    if spec.plan.early_stop or spec.plan.keep:
        return "plan.keep", "there is one model only", "Remove it, and plan.early_stop."
    return _ridge_caps(spec, features)


def _ridge_caps(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    """Clipping would falsify sums without anybody noticing."""
    if spec.privacy is not None:
        return _private_ridge(spec.privacy)
    most = features.weight.bounds[1] if features.weight else 1.0
    longest = (features.width + 1) * max(most, 1.0)
    if spec.limits.clip_norm < longest:
        reason = Text("the sums of ridge may be as long as {longest:g}", longest=longest)
        return "limits.clip_norm", reason, "Raise it to that: sums must not be clipped."
    if traits_of(spec).masks and spec.quantisation.clip < max(most, 1.0):
        reason = Text("a mean of ridge may be as large as {most:g}", most=max(most, 1.0))
        return "quantisation.clip", reason, "Raise it to that: sums must not be clipped."
    return None


def _private_ridge(privacy: Privacy) -> Problem | None:
    if privacy.unit == "party":
        reason: str = "nothing bounds what a whole party adds to the sums of ridge"
        return "privacy.unit", reason, 'Use unit "record", or the family linear.'
    if privacy.sampling < 1.0 or privacy.local_steps > 1:
        reason = "ridge adds up every record once"
        return "privacy.sampling", reason, "Leave sampling and local_steps at 1."
    if privacy.noise != "local" and privacy.rows << privacy.bits > _LATTICE:
        reason = Text(
            "sums of squares of {rows} records could exceed the lattice's 2^24 steps",
            rows=privacy.rows,
        )
        return "privacy.bits", reason, 'Lower it, or set privacy.noise to "local".'
    return None


def _plan_rules(spec: TrainingSpec) -> Problem | None:
    if spec.plan.early_stop and not spec.plan.validation:
        return "plan.early_stop", "there is no validation share", "Set plan.validation above 0."
    if spec.plan.keep is None:
        return None
    if not spec.plan.validation:
        return "plan.keep", "there is no validation share", "Set plan.validation above 0."
    if spec.release.intermediate == "agents":
        reason = "only the last model is opened to the operator, and the best may be another"
        return "plan.keep", reason, 'Set release.intermediate to "operator", or remove it.'
    if spec.privacy is not None:
        reason = "which model is best would depend on validation figures without noise"
        return "plan.keep", reason, "Remove it: the last model is released."
    return None


def _order_rules(spec: TrainingSpec) -> Problem | None:
    if spec.plan.order is not None and spec.privacy is not None:
        reason = "who is sampled under differential privacy must stay secret"
        return "plan.order", reason, "Remove it."
    return None


def _start_rules(spec: TrainingSpec) -> Problem | None:
    if spec.model.family == "ridge" and spec.starts_from:
        field = "resume" if spec.resume else "initial"
        return field, "ridge starts from nothing but its sums", "Remove it."
    if spec.initial is None:
        return None
    if spec.resume is not None:
        return "initial", "the job already resumes another one", "Name one start only."
    if spec.parameters != spec.model_parameters:
        reason: str = "an adaptive clipping norm belongs to the state as well"
        return "initial", reason, "Choose a fixed privacy.clipping_norm."
    if spec.initial.layout != layout_digest(spec.tensors):
        shapes = [f"{one.name} {list(one.shape)} {one.dtype}" for one in spec.tensors[:8]]
        reason = Text("the uploaded tensors are not those of the model {model}", model=shapes)
        return "initial.layout", reason, "Upload exactly these tensors: secureflow model upload."
    return None


def wire_problem(spec: TrainingSpec) -> Problem | None:
    """Return why changes of the model cannot travel in the spec's dtype, or None."""
    wire = spec.wire
    if wire in {None, "float32"}:
        return None
    if traits_of(spec).masks:
        reason = "masked updates are whole numbers of quantisation.bits"
        return "wire", reason, 'Remove it, or use protection "sealed".'
    if spec.privacy is not None and spec.privacy.noise != "local":
        reason = "noise is added to whole lattice steps, which must not be rounded"
        return "wire", reason, "Remove it."
    if spec.model.family == "ridge":
        return "wire", "the sums of ridge need float32", "Remove it."
    if wire == "float16" and spec.limits.clip_norm > _LARGEST_HALF:
        return "wire", "float16 ends at 65504", "Lower limits.clip_norm, or use bfloat16."
    return None
