"""Jobs of the families known from scikit-learn, on the tables of `family_world`."""

from __future__ import annotations

from typing import Any

import numpy as np
from unit.engines.training.family_world import LABELS, pooled, shares, spec

from secureflow.domain.specs.sklearn_families import SUMMED
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import declared_moments, design_matrix

LABELS["none"] = None  # type: ignore[assignment]
COUNTED = {"numeric": [{"column": "count", "bounds": [0, 2], "scale": "bounds"}]}

SUMMING = [
    ("gaussian_nb", "binary"),
    ("gaussian_nb", "classes"),
    ("multinomial_nb", "binary"),
    ("multinomial_nb", "classes"),
    ("kmeans", "none"),
]
TRAINING = [
    ("sgd_classifier", "binary"),
    ("sgd_classifier", "classes"),
    ("sgd_regressor", "number"),
    ("mlp_classifier", "binary"),
    ("mlp_classifier", "classes"),
    ("mlp_regressor", "number"),
]


def job_of(family: str, target: str, **more: Any) -> TrainingSpec:
    """A checked spec of a family; `plan`, `model` and `features` are added to."""
    plan: dict[str, Any] = {"rounds": 6, "learning_rate": 0.1}
    features: dict[str, Any] = {}
    model: dict[str, Any] = {}
    if family in SUMMED:
        plan = {"rounds": 5 if family == "kmeans" else 1}
    if family == "multinomial_nb":
        features = COUNTED
    if family == "kmeans":
        model = {"clusters": 3}
    if family.startswith("mlp"):
        model, plan["learning_rate"] = {"hidden": [8]}, 0.01
    more = {**more, "plan": {**plan, **more.get("plan", {})}}
    more |= {"features": {**features, **more.get("features", {})}}
    return spec(family, target, **{**more, "model": {**model, **more.get("model", {})}})


def prepared(job: TrainingSpec, rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    assert job.features is not None
    return design_matrix(job.features, declared_moments(job.features), rows)


def all_rows(job: TrainingSpec, parties: int = 3) -> tuple[np.ndarray, np.ndarray]:
    return prepared(job, pooled(shares(parties)))
