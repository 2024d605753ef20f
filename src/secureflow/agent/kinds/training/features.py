"""The rules for what training may use of a dataset."""

from __future__ import annotations

from secureflow.agent.compute.columns import (
    check_bounds,
    check_categories,
    declared,
    unknown_category,
)
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.training import TrainingSpec


def check_features(spec: TrainingSpec, dataset: DatasetConfig) -> None:
    """Refuse features and a label that do not match the owner's declaration.

    Raises:
        SecureFlowError: those of `check_bounds`; `unknown_category`, `malformed_label`.
    """
    check_bounds(spec, dataset)
    features = spec.features
    if features is None:
        return
    for categorical in features.categorical:
        column = declared(dataset, categorical.column, {"category"})
        check_categories(dataset, column, categorical.categories)
    label = declared(dataset, features.label.column, {"category", "number", "text"})
    if label.type == "category" and features.label.positive not in label.categories:
        raise unknown_category(dataset, label, features.label.positive)
    if label.type == "number":
        features.label.number()
