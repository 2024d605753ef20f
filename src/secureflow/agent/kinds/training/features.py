"""The rules for what training may use of a dataset."""

from __future__ import annotations

from secureflow.agent.compute.columns import (
    check_bounds,
    check_categories,
    check_within,
    declared,
    unknown_category,
)
from secureflow.domain.bounds import Bounds
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.training import ClassesLabel, Label, NumberLabel, TrainingSpec


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
    if features.weight is not None:
        _check_refusing(dataset, features.weight.column, features.weight.bounds)
    if features.label is not None:
        _check_label(features.label, dataset)


def _check_refusing(dataset: DatasetConfig, name: str, asked: Bounds) -> None:
    """Refuse bounds beyond which a row would be refused, unless no row can be beyond them.

    A published dataset has no row outside of its owner's bounds. With narrower ones a job would
    ask, failure by failure, where the cells of a row lie.
    """
    check_within(dataset, declared(dataset, name, {"number"}), asked)


def _check_label(label: Label | ClassesLabel | NumberLabel, dataset: DatasetConfig) -> None:
    """Refuse a label that the owner's column cannot be: its type, and its classes."""
    if isinstance(label, NumberLabel):
        _check_refusing(dataset, label.column, label.bounds)
        return
    column = declared(dataset, label.column, {"category", "number", "text"})
    if isinstance(label, ClassesLabel):
        if column.type == "category":
            check_categories(dataset, column, label.classes)
        elif column.type == "number":
            label.numbers()
        return
    if column.type == "category" and label.positive not in column.categories:
        raise unknown_category(dataset, column, label.positive)
    if column.type == "number":
        label.number()
