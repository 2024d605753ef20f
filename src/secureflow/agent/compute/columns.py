"""What a job may ask of a dataset: columns, types, categories, bounds as their owner declared them.

A job's bounds and `contributions` decide how much one row weighs, so each agent compares them with
its *own* declaration, by one rule for every kind of job (`domain.bounds`).
"""

from __future__ import annotations

from secureflow.adapters.statistics import check_installed
from secureflow.domain.bounds import Bounds, refusal, told
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.kinds import JobSpec, columns_of
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.errors import SecureFlowError


def check_columns(spec: JobSpec, dataset: DatasetConfig) -> None:
    """Refuse columns, types, categories and bounds that do not fit what the owner declared.

    Raises:
        SecureFlowError: `column_not_granted`, `unknown_category`, `malformed_label`,
            `library_missing`; of a job with differential privacy `bounds_undeclared`,
            `bounds_too_narrow`, `bounds_too_wide`.
    """
    for name, asked in _bounds_of(spec):
        column = _declared(dataset, name, {"number"})
        if spec.privacy is not None:
            _check_bounds(dataset, column, asked)
    if isinstance(spec, StatisticsSpec):
        _check_statistics(spec, dataset)
    else:
        _check_features(spec, dataset)


def columns_read(spec: JobSpec, dataset: DatasetConfig) -> tuple[str, ...]:
    """Return what the worker reads: the job's columns, and the owner's own of whose a row is."""
    person = dataset.privacy.person if dataset.privacy else None
    # Counting rows touches no column; how many there are is told by any.
    names = columns_of(spec) or (dataset.columns[0].name,)
    if person is None or not isinstance(spec, StatisticsSpec):
        return names
    return tuple(dict.fromkeys((*names, person)))


def differing_bounds(spec: JobSpec, dataset: DatasetConfig) -> tuple[str, ...]:
    """Return, column by column, the owner's bounds and the job's where they differ."""
    words = (told(name, dataset.column(name).bounds, asked) for name, asked in _bounds_of(spec))
    return tuple(one for one in words if one)


def _bounds_of(spec: JobSpec) -> list[tuple[str, Bounds]]:
    if isinstance(spec, StatisticsSpec):
        return [(one.column, one.bounds) for one in spec.columns if one.bounds is not None]
    numeric = spec.features.numeric if spec.features else ()
    return [(one.column, one.bounds) for one in numeric]


def _check_features(spec: TrainingSpec, dataset: DatasetConfig) -> None:
    features = spec.features
    if features is None:
        return
    for categorical in features.categorical:
        column = _declared(dataset, categorical.column, {"category"})
        _same_categories(dataset, column, categorical.categories)
    label = _declared(dataset, features.label.column, {"category", "number", "text"})
    if label.type == "category" and features.label.positive not in label.categories:
        raise _unknown_category(dataset, label, features.label.positive)
    if label.type == "number":
        features.label.number()


def _check_statistics(spec: StatisticsSpec, dataset: DatasetConfig) -> None:
    check_installed(spec.privacy.library)  # before a person is asked, not when rows are read
    for asked in spec.columns:
        column = _declared(dataset, asked.column, {asked.type})
        if asked.type == "category":
            _same_categories(dataset, column, asked.categories)
    privacy = dataset.privacy
    if privacy is not None and privacy.rows_per_person > spec.contributions:
        raise SecureFlowError(
            "bounds_too_narrow",
            f"One {privacy.unit} of dataset {dataset.name!r} counts with up to "
            f"{privacy.rows_per_person} rows; the job's noise hides {spec.contributions}.",
            "The centre fills in `contributions` from the descriptions: publish the dataset again.",
            {"dataset": dataset.name, "field": "contributions"},
        )


def _check_bounds(dataset: DatasetConfig, column: ColumnConfig, asked: Bounds) -> None:
    code, reason = refusal(column.bounds, asked)
    if code:
        raise SecureFlowError(
            code,
            f"Column {column.name!r} of dataset {dataset.name!r} {reason}.",
            "Take the bounds that the dataset's description declares; its owner may have to "
            "declare them, and publish the dataset again.",
            {"dataset": dataset.name, "column": column.name},
        )


def _declared(dataset: DatasetConfig, name: str, types: set[str]) -> ColumnConfig:
    column = next((one for one in dataset.columns if one.name == name), None)
    if column is None or column.type not in types:
        reason = "is not declared" if column is None else f"is declared as {column.type}"
        raise SecureFlowError(
            "column_not_granted",
            f"Column {name!r} of dataset {dataset.name!r} {reason}.",
            f"Declared are: {', '.join(one.name for one in dataset.columns)}.",
            {"dataset": dataset.name, "column": name},
        )
    return column


def _same_categories(dataset: DatasetConfig, column: ColumnConfig, asked: tuple[str, ...]) -> None:
    """Own categories must all have a place in the spec; else rows would have none."""
    for category in column.categories:
        if category not in asked:
            raise _unknown_category(dataset, column, category)


def _unknown_category(
    dataset: DatasetConfig, column: ColumnConfig, category: str
) -> SecureFlowError:
    return SecureFlowError(
        "unknown_category",
        f"Category {category!r} of column {column.name!r} in dataset {dataset.name!r} is not in "
        "both the job's spec and the owner's declaration.",
        "Give the job the categories that every owner declares.",
        {"dataset": dataset.name, "column": column.name},
    )
