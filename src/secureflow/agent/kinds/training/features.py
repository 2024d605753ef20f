"""The rules for what training may use of a dataset."""

from __future__ import annotations

from secureflow.agent.compute.columns import (
    check_bounds,
    check_categories,
    check_label,
    check_within,
    declared,
)
from secureflow.domain.bounds import Bounds
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.inputs import (
    ArrayFeature,
    ImageFeature,
    TensorFeature,
    TextFeature,
    differing_elements,
)
from secureflow.domain.specs.torch_families import TORCH_FAMILIES
from secureflow.domain.specs.training import ClassesLabel, Label, NumberLabel, TrainingSpec
from secureflow.engines.training.torch_modules import require_torch
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def check_features(spec: TrainingSpec, dataset: DatasetConfig) -> None:
    """Refuse features and a label that do not match the owner's declaration.

    Raises:
        SecureFlowError: those of `check_bounds`; `unknown_category`, `malformed_label`,
            `shape_mismatch`, `key_undeclared`; `missing_extra` for a framework that is not
            installed here.
    """
    if spec.model.family in TORCH_FAMILIES:
        require_torch(spec.model.family)
    check_bounds(spec, dataset)
    features = spec.features
    if features is None:
        return
    if spec.splits_by_key:
        dataset.required_key()
    for beside in features.beside:
        _check_beside(spec, beside, dataset)
    for prepared in features.recipe.columns if features.recipe else ():
        column = declared(dataset, prepared.column, {prepared.type})
        if prepared.type == "category":
            check_categories(dataset, column, prepared.categories)
    for categorical in features.categorical:
        column = declared(dataset, categorical.column, {"category"})
        check_categories(dataset, column, categorical.categories)
    if features.weight is not None:
        _check_refusing(dataset, features.weight.column, features.weight.bounds)
    if features.label is not None:
        _check_label(features.label, dataset)


def _check_beside(spec: TrainingSpec, feature: TensorFeature, dataset: DatasetConfig) -> None:
    """Refuse images, arrays and texts that the owner's column is not."""
    if isinstance(feature, TextFeature):
        declared(dataset, feature.column, {"text"})
        return
    image = isinstance(feature, ImageFeature)
    column = declared(dataset, feature.column, {"image" if image else "array"})
    if difference := differing_elements(feature, column.shape, column.dtype):
        raise SecureFlowError(
            "shape_mismatch",
            Text(
                "Column {name!r} of dataset {dataset_name!r} {reason}.",
                name=column.name,
                dataset_name=dataset.name,
                reason=difference,
            ),
            "Use the shape and dtype that every owner declares; an owner of images can declare "
            "another shape and `fit: resize`, and publish the dataset again.",
            {"dataset": dataset.name, "column": column.name},
        )
    if isinstance(feature, ArrayFeature) and spec.privacy is not None:
        check_within(dataset, column, feature.bounds)


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
    if isinstance(label, Label):
        check_label(dataset, label)
        return
    column = declared(dataset, label.column, {"category", "number", "text"})
    if column.type == "category":
        check_categories(dataset, column, label.classes)
    elif column.type == "number":
        label.numbers()
