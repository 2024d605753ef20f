"""Contradictions in jobs of families that scikit-learn trains at each party."""

from __future__ import annotations

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.privacy_hints import whole_party
from secureflow.domain.specs.sklearn_families import TRAINED
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.kit.text import Joined, Text


def sklearn_problem(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    """Return the first contradiction, or None."""
    del features
    family, privacy = spec.model.family, spec.privacy
    if family not in TRAINED or privacy is None or privacy.unit == "party":
        return None
    reason = Text(
        "scikit-learn, which trains {family}, does not bound what one record adds to a model",
        family=family,
    )
    other = "For privacy of single records use one of logistic_regression, softmax, linear, mlp."
    return "privacy.unit", reason, Joined(" ", [whole_party(spec), other])
