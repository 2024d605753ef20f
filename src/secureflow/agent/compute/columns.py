"""Checks a job's columns, types, categories and bounds against the owner's declaration.

A job's bounds and `contributions` decide the weight of one row, so each agent compares them with
its *own* declaration, by one rule for every kind of job (`domain.bounds`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from secureflow.domain.bounds import Bounds, difference, refusal
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.targets import Label
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.nearnames import some
from secureflow.kit.text import Text


class Asked(Protocol):
    """A column that a job of sums names."""

    @property
    def column(self) -> str:
        """Its name."""

    @property
    def type(self) -> str:
        """What it is declared as."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Those of a category column."""


def check_asked(dataset: DatasetConfig, columns: Iterable[Asked]) -> None:
    """Refuse columns of another type than the owner declares, or without all its categories.

    Raises:
        SecureFlowError: `column_not_granted`, `unknown_category`.
    """
    for asked in columns:
        column = declared(dataset, asked.column, {asked.type})
        if asked.type == "category":
            check_categories(dataset, column, asked.categories)


def check_bounds(spec: JobSpec, dataset: DatasetConfig) -> None:
    """Refuse number columns and bounds that do not match the owner's declaration.

    Raises:
        SecureFlowError: `column_not_granted`; for a job with differential privacy also
            `bounds_undeclared`, `bounds_too_narrow`, `bounds_too_wide`.
    """
    for name, asked in spec.bounds:
        column = declared(dataset, name, {"number"})
        if spec.privacy is not None:
            check_within(dataset, column, asked)


def check_contributions(unit: str, contributions: int, dataset: DatasetConfig) -> None:
    """Refuse a job whose noise hides fewer rows of a unit than its owner allows.

    Raises:
        SecureFlowError: `bounds_too_narrow`.
    """
    privacy = dataset.privacy
    if privacy is None or privacy.rows_per_person <= contributions:
        return
    raise SecureFlowError(
        "bounds_too_narrow",
        Text(
            "One {unit} of dataset {name!r} counts with up to {rows_per_person} rows;"
            " the job's noise hides {contributions}.",
            unit=unit,
            name=dataset.name,
            rows_per_person=privacy.rows_per_person,
            contributions=contributions,
        ),
        "The centre fills in `contributions` from the descriptions: publish the dataset again.",
        {"dataset": dataset.name, "field": "contributions"},
    )


def check_no_code(spec: JobSpec, dataset: DatasetConfig) -> None:
    """Refuse code that applies a model to rows of an owner that demands differential privacy.

    Raises:
        SecureFlowError: `privacy_required`.
    """
    if spec.bundle is None or dataset.privacy is None or not dataset.privacy.required:
        return
    raise SecureFlowError(
        "privacy_required",
        Text(
            "The owner of {name!r} demands that nothing of single rows leaves it, and code that "
            "others bring tells some by what it says of them, by failing, or by the time that it "
            "takes: no noise hides that.",
            name=dataset.name,
        ),
        "Apply a model of a built-in family, or leave this owner out.",
        {"dataset": dataset.name},
    )


def differing_bounds(spec: JobSpec, dataset: DatasetConfig) -> tuple[str, ...]:
    """Return, column by column, the owner's and the job's bounds where they differ."""
    words = (difference(name, dataset.column(name).bounds, asked) for name, asked in spec.bounds)
    return tuple(one for one in words if one)


def check_within(dataset: DatasetConfig, column: ColumnConfig, asked: Bounds) -> None:
    """Refuse bounds that do not hold the owner's, or are much wider.

    Raises:
        SecureFlowError: `bounds_undeclared`, `bounds_too_narrow`, `bounds_too_wide`.
    """
    code, reason = refusal(column.bounds, asked)
    if code:
        raise SecureFlowError(
            code,
            Text(
                "Column {name!r} of dataset {dataset_name!r} {reason}.",
                name=column.name,
                dataset_name=dataset.name,
                reason=reason,
            ),
            "Use the bounds that the dataset's description declares; its owner may have to "
            "declare them, and publish the dataset again.",
            {"dataset": dataset.name, "column": column.name},
        )


def declared(dataset: DatasetConfig, name: str, types: set[str]) -> ColumnConfig:
    """Return a column of one of these types.

    Raises:
        SecureFlowError: `column_not_granted`.
    """
    column = next((one for one in dataset.columns if one.name == name), None)
    if column is None or column.type not in types:
        reason = (
            "is not declared" if column is None else Text("is declared as {type}", type=column.type)
        )
        raise SecureFlowError(
            "column_not_granted",
            Text(
                "Column {name!r} of dataset {dataset_name!r} {reason}.",
                name=name,
                dataset_name=dataset.name,
                reason=reason,
            ),
            Text(
                "The declared columns are: {columns}.",
                columns=some(one.name for one in dataset.columns),
            ),
            {"dataset": dataset.name, "column": name},
        )
    return column


def check_categories(dataset: DatasetConfig, column: ColumnConfig, asked: tuple[str, ...]) -> None:
    """Refuse own categories that are missing in the spec: their rows would have no place.

    Raises:
        SecureFlowError: `unknown_category`.
    """
    for category in column.categories:
        if category not in asked:
            raise unknown_category(dataset, column, category)


def check_label(dataset: DatasetConfig, label: Label) -> None:
    """Refuse a label of two classes that the owner's column cannot be.

    Raises:
        SecureFlowError: `column_not_granted`, `unknown_category`, `malformed_label`.
    """
    column = declared(dataset, label.column, {"category", "number", "text"})
    if column.type == "category" and label.positive not in column.categories:
        raise unknown_category(dataset, column, label.positive)
    if column.type == "number":
        label.number()


def unknown_category(
    dataset: DatasetConfig, column: ColumnConfig, category: str
) -> SecureFlowError:
    """Return the error of a category that spec and declaration do not share."""
    return SecureFlowError(
        "unknown_category",
        Text(
            "Category {category!r} of column {name!r} in dataset {dataset_name!r} is not "
            "in both the job's spec and the owner's declaration.",
            category=category,
            name=column.name,
            dataset_name=dataset.name,
        ),
        Text(
            "Use the categories that every owner declares; this one declares: {categories}.",
            categories=some(column.categories),
        ),
        {"dataset": dataset.name, "column": column.name},
    )
