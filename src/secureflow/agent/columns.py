"""What a job may ask of a dataset: columns, types, categories, bounds as their owner declared them.

A statistics job's bounds and `contributions` decide how much noise hides a row, so each agent
compares them with its *own* declaration. Wider than that is sound (the noise fits the widest);
narrower would let a row of this owner's move a sum by more than the noise was made for.
"""

from __future__ import annotations

from secureflow.adapters.statistics import check_installed
from secureflow.domain.jobspecs import JobSpec
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs import TrainingSpec
from secureflow.domain.statistics import StatisticsColumn, StatisticsSpec
from secureflow.kit.errors import SecureFlowError


def check_columns(spec: JobSpec, dataset: DatasetConfig) -> None:
    """Refuse columns, types, categories and bounds that do not fit what the owner declared.

    Raises:
        SecureFlowError: `column_not_granted`, `unknown_category`, `bounds_too_narrow`,
            `library_missing`.
    """
    if isinstance(spec, StatisticsSpec):
        _check_statistics(spec, dataset)
    else:
        _check_features(spec, dataset)


def _check_features(spec: TrainingSpec, dataset: DatasetConfig) -> None:
    features = spec.features
    if features is None:
        return
    for numeric in features.numeric:
        _declared(dataset, numeric.column, {"number"})
    for categorical in features.categorical:
        column = _declared(dataset, categorical.column, {"category"})
        _same_categories(dataset, column, categorical.categories)
    label = _declared(dataset, features.label.column, {"category", "number", "text"})
    if label.type == "category" and features.label.positive not in label.categories:
        raise _unknown_category(dataset, label, features.label.positive)


def _check_statistics(spec: StatisticsSpec, dataset: DatasetConfig) -> None:
    check_installed(spec.privacy.library)  # before a person is asked, not when rows are read
    for asked in spec.columns:
        column = _declared(dataset, asked.column, {asked.type})
        if asked.type == "category":
            _same_categories(dataset, column, asked.categories)
        else:
            _check_bounds(dataset, column, asked)
    privacy = dataset.privacy
    if privacy is not None and privacy.rows_per_person > spec.contributions:
        raise SecureFlowError(
            "bounds_too_narrow",
            f"One {privacy.unit} of dataset {dataset.name!r} counts with up to "
            f"{privacy.rows_per_person} rows; the job's noise hides {spec.contributions}.",
            "The centre fills in `contributions` from the descriptions: publish the dataset again.",
            {"dataset": dataset.name, "field": "contributions"},
        )


def _check_bounds(dataset: DatasetConfig, column: ColumnConfig, asked: StatisticsColumn) -> None:
    own, wide = column.bounds, asked.bounds
    if own is not None and wide is not None and wide[0] <= own[0] and own[1] <= wide[1]:
        return
    has = "no bounds" if own is None else f"the bounds [{own[0]:g}, {own[1]:g}]"
    raise SecureFlowError(
        "bounds_too_narrow",
        f"Column {column.name!r} of dataset {dataset.name!r} has {has}, which do not lie within "
        "those that the job's noise was made for.",
        "The centre fills in bounds from the descriptions: declare them, and publish the dataset "
        "again.",
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
