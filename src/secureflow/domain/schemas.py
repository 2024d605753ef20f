"""What an organisation declares about a dataset before anyone may ask for it.

The declaration is the owner's: types, categories, bounds and what is sensitive. Everything but the
path is public to the project; rows that do not fit it are refused when they are read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from secureflow.domain.bounds import bounds_problem
from secureflow.domain.budgets import PrivacyUnit
from secureflow.domain.specs.base import STRICT, Category, Column, Slug
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

ColumnType = Literal["number", "category", "text"]


@dataclass(frozen=True)
class ColumnConfig:
    """One declared column.

    Args:
        name: the column's name in the file.
        type: `number` (float64), `category` (one of `categories`) or `text`.
        categories: every value that a category column may hold.
        bounds: closed interval of a number column, in its own unit; a dataset with a row outside is
            not published. Private jobs clamp to it, and are refused if none is declared.
        clip: whether a number outside counts as the nearest bound instead, in every job. Noise
            grows with the width of the bounds, so a few outliers can make a private job useless.
        sensitive: personal or protected; shown at approval, and must be granted explicitly.
    """

    __pydantic_config__ = STRICT
    name: Column
    type: ColumnType
    categories: Annotated[tuple[Category, ...], Field(max_length=4096)] = ()
    bounds: tuple[float, float] | None = None
    sensitive: bool = False
    clip: bool = False


@dataclass(frozen=True)
class DatasetPrivacy:
    """The lifetime privacy budget of a dataset.

    Args:
        domain: the dataset's lineage: versions, subsets and joins of it name the same one.
        unit: whose presence is protected, fixed for the domain.
        epsilon: all of ε that the domain has, at `delta`.
        delta: δ of the budget.
        required: whether jobs without differential privacy are refused.
        person: under unit `person`, the column of the file that identifies the person of a row. It
            need not be declared: it is read only here.
        rows_per_person: the contribution bound: at most this many rows of one person count.
        tells_rows: whether statistics with `local` noise are allowed. They hide the value of a
            cell, but reveal exactly, for each queried column, in how many rows it is not empty:
            whether a certain row has a value is not protected.
    """

    __pydantic_config__ = STRICT
    domain: Slug
    epsilon: Annotated[float, Field(gt=0.0, le=1000.0)]
    delta: Annotated[float, Field(ge=1e-15, le=1e-2)]
    unit: PrivacyUnit = "record"
    required: bool = True
    person: Column | None = None
    rows_per_person: Annotated[int, Field(ge=1, le=10_000)] = 1
    tells_rows: bool = False


@dataclass(frozen=True)
class PublicPrivacy:
    """The public part of a dataset's privacy settings; limit and spending stay with the owner."""

    __pydantic_config__ = STRICT
    unit: PrivacyUnit
    rows_per_person: Annotated[int, Field(ge=1, le=10_000)] = 1


@dataclass(frozen=True)
class DatasetConfig:
    """One dataset of an agent's configuration.

    Args:
        name: how jobs name it.
        path: the file, on the organisation's own disk; never leaves the agent.
        format: `csv` (UTF-8, with a header line) or `parquet`.
        columns: the declared schema; columns of the file beyond it are never read.
        missing: texts that mean an unknown value in a CSV file.
        privacy: the privacy budget that jobs on it are charged to.
    """

    __pydantic_config__ = STRICT
    name: Slug
    path: Annotated[str, Field(min_length=1, max_length=4096)]
    format: Literal["csv", "parquet"]
    columns: Annotated[tuple[ColumnConfig, ...], Field(min_length=1, max_length=4096)]
    missing: tuple[str, ...] = ("",)
    privacy: DatasetPrivacy | None = None

    def column(self, name: str) -> ColumnConfig:
        """Return a declared column.

        Raises:
            SecureFlowError: `unknown_column`.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise SecureFlowError(
            "unknown_column",
            Text(
                "The dataset {name!r} declares no column {column!r}.", name=self.name, column=name
            ),
            "Ask for a declared column, or let its owner declare it.",
            {"dataset": self.name, "column": name},
        )

    def public_schema(self) -> list[dict[str, Any]]:
        """Return the JSON description of the columns that the project may see."""
        return [_public(column) for column in self.columns]

    def public_privacy(self) -> dict[str, Any] | None:
        """Return the JSON description of the unit that jobs must protect, and its bound."""
        privacy = self.privacy
        if privacy is None:
            return None
        return {"unit": privacy.unit, "rows_per_person": privacy.rows_per_person}


def check_dataset(config: DatasetConfig) -> None:
    """Refuse a declaration that contradicts itself.

    Raises:
        SecureFlowError: `contradictory_schema` naming the column and the reason.
    """
    problem = _privacy_problem(config.privacy)
    if problem:
        raise SecureFlowError(
            "contradictory_schema",
            Text("Dataset {name!r}, privacy: {problem}.", name=config.name, problem=problem),
            "Correct the declaration in the agent's configuration.",
            {"dataset": config.name, "field": "privacy"},
        )
    names = [column.name for column in config.columns]
    for column in config.columns:
        problem = _problem(column) or (
            "it is declared twice" if names.count(column.name) > 1 else ""
        )
        if problem:
            raise SecureFlowError(
                "contradictory_schema",
                Text(
                    "Dataset {name!r}, column {column_name!r}: {problem}.",
                    name=config.name,
                    column_name=column.name,
                    problem=problem,
                ),
                "Correct the declaration in the agent's configuration.",
                {"dataset": config.name, "column": column.name},
            )


def with_person(config: DatasetConfig) -> DatasetConfig:
    """Return the declaration with the `person` column added, for reading it here."""
    person = config.privacy.person if config.privacy else None
    if person is None or any(column.name == person for column in config.columns):
        return config
    return replace(config, columns=(*config.columns, ColumnConfig(person, "text")))


def row_bucket(rows: int) -> str:
    """Return the coarse size that a description shows instead of the row count."""
    edges = (1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000)
    names = [f"{edge // 1_000_000}M" if edge >= 1_000_000 else f"{edge // 1000}k" for edge in edges]
    above = sum(rows >= edge for edge in edges)
    if above == 0:
        return f"<{names[0]}"
    return f">={names[-1]}" if above == len(edges) else f"{names[above - 1]}-{names[above]}"


def _public(column: ColumnConfig) -> dict[str, Any]:
    described: dict[str, Any] = {"name": column.name, "type": column.type}
    if column.categories:
        described["categories"] = list(column.categories)
    if column.bounds:
        described["bounds"] = list(column.bounds)
    if column.clip:
        described["clip"] = True
    return {**described, "sensitive": column.sensitive}


def _privacy_problem(privacy: DatasetPrivacy | None) -> str:
    if privacy is None:
        return ""
    if (privacy.unit == "person") != (privacy.person is not None):
        return (
            "`person`, the column that identifies the person of a row, is needed for "
            "unit person and only for it"
        )
    if privacy.unit != "person" and privacy.rows_per_person != 1:
        return "rows_per_person is only for unit person"
    return ""


def _problem(column: ColumnConfig) -> str:
    if column.type == "category":
        if not column.categories:
            return "a category column needs its categories"
        if len(set(column.categories)) != len(column.categories):
            return "a category is declared twice"
    elif column.categories:
        return "only a category column has categories"
    if column.bounds and column.type != "number":
        return "only a number column has bounds"
    if column.clip and not column.bounds:
        return "a column without bounds cannot be clipped"
    return bounds_problem(column.bounds) if column.bounds else ""
