"""Contradictions in jobs of families that scikit-learn trains at each party, and what to know."""

from __future__ import annotations

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.privacy_hints import whole_party
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.sklearn_families import (
    TRAINED,
    SgdClassifierModel,
    SgdRegressorModel,
)
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.kit.text import Joined, Text


def sklearn_problem(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    """Return the first contradiction, or None."""
    del features
    family, privacy = spec.model.family, spec.privacy
    if _alpha_of_optimal(spec) == 0.0:
        reason: str = "the steps of the schedule optimal are divided by it"
        return "model.alpha", reason, "Set it above 0, or use another schedule."
    if family not in TRAINED or privacy is None or privacy.unit == "party":
        return None
    reason = Text(
        "scikit-learn, which trains {family}, does not bound what one record adds to a model",
        family=family,
    )
    other = "For privacy of single records use one of logistic_regression, softmax, linear, mlp."
    return "privacy.unit", reason, Joined(" ", [whole_party(spec), other])


def clamped_steps(spec: TrainingSpec) -> str | None:
    """Return what people should know of long steps under masks, or None."""
    alpha = _alpha_of_optimal(spec)
    if not alpha or not traits_of(spec).masks or spec.privacy is not None:
        return None
    # SGD of scikit-learn begins with 1 / √√α, less where the loss is steeper than 1 there.
    return Text(
        "The first steps of the schedule optimal are up to {first} long, whatever "
        "plan.learning_rate is, and under masks a party's change of a coefficient is clamped to "
        "±{clip} (quantisation.clip): raise that, or use another schedule.",
        first=float(f"{alpha**-0.25:.3g}"),
        clip=spec.quantisation.clip,
    )


def _alpha_of_optimal(spec: TrainingSpec) -> float | None:
    """Return the penalty that the schedule `optimal` computes its steps from; None of others."""
    model = spec.model
    if isinstance(model, SgdClassifierModel | SgdRegressorModel) and model.schedule == "optimal":
        return model.alpha
    return None
