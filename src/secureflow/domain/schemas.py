"""What an organisation declares about a dataset before anyone may ask for it.

The declaration is the owner's: types, categories, bounds and what is sensitive. Everything but the
path is public to the project; rows that do not fit it are refused when they are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from secureflow.domain.bounds import bounds_problem
from secureflow.domain.budgets import PrivacyUnit
from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Category, Column, Id, Slug
from secureflow.domain.specs.elements import CHANNELS, DataType, Shape
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

ColumnType = Literal["number", "category", "text", "image", "array"]
DataFormat = Literal["csv", "parquet", "images", "arrays"]
MAX_ELEMENTS: Final = 1 << 26
"""The most elements of one row of an array or image column."""


@dataclass(frozen=True)
class ColumnConfig:
    """One declared column.

    Args:
        name: the column's name in the file.
        type: `number` (float64), `category` (one of `categories`), `text`, `image` (uint8) or
            `array` (of one dtype).
        categories: every value that a category column may hold.
        bounds: closed interval of a number column, or of every element of an array, in its own
            unit; a dataset with a row outside is not published. Private jobs clamp to it, and are
            refused if none is declared.
        clip: whether a number outside counts as the nearest bound instead, in every job. Noise
            grows with the width of the bounds, so a few outliers can make a private job useless.
        sensitive: personal or protected; shown at approval, and must be granted explicitly.
        shape: of one row: [height, width, channels] of an image, or the dimensions of an array.
        dtype: of an array's elements.
        fit: what becomes of an image of another size or colour: `refuse` (the default), or
            `resize` (bilinear) and convert.
        length: the most characters of a text.
    """

    __pydantic_config__ = STRICT
    name: Column
    type: ColumnType
    categories: Annotated[tuple[Category, ...], Field(max_length=4096)] = ()
    bounds: tuple[float, float] | None = None
    sensitive: bool = False
    clip: bool = False
    shape: Annotated[Shape | None, UNLESS_NONE] = None
    dtype: Annotated[DataType | None, UNLESS_NONE] = None
    fit: Annotated[Literal["refuse", "resize"] | None, UNLESS_NONE] = None
    length: Annotated[int | None, Field(ge=1, le=1 << 20), UNLESS_NONE] = None

    @property
    def is_tensor(self) -> bool:
        """Tell whether a row of it is an array of numbers and not one cell."""
        return self.type in {"image", "array"}


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
class ProbingLimit:
    """How many ids others may test against a dataset, by private set intersections.

    Args:
        limit: ids, over all partners, projects and jobs together.
        window: days after which a tested id no longer counts; by default it always does.
        domain: the privacy domain that they are counted in; by default that of the privacy section,
            else the dataset's name.
    """

    __pydantic_config__ = STRICT
    limit: Annotated[int, Field(ge=0, le=1 << 48)]
    window: Annotated[int | None, Field(ge=1, le=36_500), UNLESS_NONE] = None
    domain: Annotated[Slug | None, UNLESS_NONE] = None


@dataclass(frozen=True)
class ResultOrigin:
    """The job whose result a dataset is (`secureflow agent results`).

    Args:
        job: its id.
        domain: the privacy domain of the dataset that this organisation gave to that job.
    """

    __pydantic_config__ = STRICT
    job: Id
    domain: Slug


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
        path: the file or folder, on the organisation's own disk; never leaves the agent.
        format: `csv` (UTF-8, with a header line), `parquet`, `images` (a folder with one folder of
            PNG or JPEG files per class, or with an index) or `arrays` (a folder of `COLUMN.npy`).
        columns: the declared schema; columns of the file beyond it are never read.
        missing: texts that mean an unknown value in a CSV file.
        privacy: the privacy budget that jobs on it are charged to.
        index: of `images`: a CSV file in the folder whose image columns hold the names of files in
            it. Without one the name of a file's folder is its class.
        key: the column of the file that says whose a row is (person, account, patient): a job that
            holds rows out by key holds out all rows of a key, or none. It need not be declared: it
            is read for nothing else. By default it is the `person` of the privacy section.
        probing: how many ids others may test against it. Without it no job does.
        result: the job whose result it is; it stays in the privacy domain of that job's data.
    """

    __pydantic_config__ = STRICT
    name: Slug
    path: Annotated[str, Field(min_length=1, max_length=4096)]
    format: DataFormat
    columns: Annotated[tuple[ColumnConfig, ...], Field(min_length=1, max_length=4096)]
    missing: tuple[str, ...] = ("",)
    privacy: DatasetPrivacy | None = None
    index: Annotated[
        Annotated[str, Field(min_length=1, max_length=255), ONE_LINE] | None, UNLESS_NONE
    ] = None
    key: Annotated[Column | None, UNLESS_NONE] = None
    probing: Annotated[ProbingLimit | None, UNLESS_NONE] = None
    result: Annotated[ResultOrigin | None, UNLESS_NONE] = None

    @property
    def domain(self) -> str:
        """The privacy domain that the dataset belongs to: by default one of its own name."""
        return next(self._domains(), self.name)

    def _domains(self) -> Iterator[str]:
        if self.privacy is not None:
            yield self.privacy.domain
        if self.probing is not None and self.probing.domain is not None:
            yield self.probing.domain
        if self.result is not None:
            yield self.result.domain

    @property
    def key_column(self) -> str | None:
        """The column by which rows are held out: the key, else the column of persons."""
        if self.key is not None:
            return self.key
        return self.privacy.person if self.privacy else None

    def required_key(self) -> str:
        """Return the column of keys, for a job that holds rows out by them.

        Raises:
            SecureFlowError: `key_undeclared`.
        """
        if self.key_column is not None:
            return self.key_column
        raise SecureFlowError(
            "key_undeclared",
            Text(
                "The job holds rows out by key, and dataset {name!r} declares no key.",
                name=self.name,
            ),
            Text(
                "Its owner adds `key: COLUMN` to the dataset in agent.yaml, with the column that "
                "says whose each row is, and publishes it again: secureflow agent data publish "
                "{name}.",
                name=self.name,
            ),
            {"dataset": self.name},
        )

    @property
    def is_folder(self) -> bool:
        """Tell whether the path is a folder."""
        return self.format in {"images", "arrays"}

    @property
    def decodes(self) -> bool:
        """Tell whether reading it needs a library for image files (extra `images`)."""
        images = any(column.type == "image" for column in self.columns)
        return images and self.format != "arrays"

    @cached_property
    def _by_name(self) -> dict[str, ColumnConfig]:
        """The columns by name: a thousand of them are looked up for each point of a sweep."""
        return {one.name: one for one in reversed(self.columns)}

    def column(self, name: str) -> ColumnConfig:
        """Return a declared column.

        Raises:
            SecureFlowError: `unknown_column`.
        """
        if (found := self._by_name.get(name)) is not None:
            return found
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


def _contradictions(config: DatasetConfig) -> Iterator[tuple[str, str]]:
    """Yield each contradiction of a declaration as a whole: the field's name, and what it is."""
    name = config.name
    if problem := _privacy_problem(config):
        yield "privacy", Text("Dataset {name!r}, privacy: {problem}.", name=name, problem=problem)
    if problem := _folder_problem(config):
        yield "format", Text("Dataset {name!r}: {problem}.", name=name, problem=problem)
    if problem := _key_problem(config):
        yield "key", Text("Dataset {name!r}, key: {problem}.", name=name, problem=problem)
    if any(one != config.domain for one in config._domains()):
        yield "domain", Text("Dataset {name!r}: it names two privacy domains.", name=name)


def check_dataset(config: DatasetConfig) -> None:
    """Refuse a declaration that contradicts itself.

    Raises:
        SecureFlowError: `contradictory_schema` naming the column and the reason.
    """
    for field, message in _contradictions(config):
        raise SecureFlowError(
            "contradictory_schema",
            message,
            "Correct the declaration in the agent's configuration.",
            {"dataset": config.name, "field": field},
        )
    names = [column.name for column in config.columns]
    for column in config.columns:
        problem = next(_problems(column), "") or (
            "it is declared twice" if names.count(column.name) > 1 else ""
        )
        problem = problem or _format_problem(config, column)
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
    return _with_text(config, config.privacy.person if config.privacy else None)


def with_key(config: DatasetConfig) -> DatasetConfig:
    """Return the declaration with the column of keys added, for reading it here."""
    return _with_text(config, config.key_column)


def _with_text(config: DatasetConfig, name: str | None) -> DatasetConfig:
    if name is None or any(column.name == name for column in config.columns):
        return config
    return replace(config, columns=(*config.columns, ColumnConfig(name, "text")))


_EDGES: Final = (
    *(1_000, 5_000, 10_000, 50_000, 100_000, 500_000),
    *(1_000_000, 5_000_000, 10_000_000),
)


def row_bucket(rows: int) -> str:
    """Return the coarse size that a description shows instead of the row count."""
    names = [f"{one // 1_000_000}M" if one >= 1_000_000 else f"{one // 1000}k" for one in _EDGES]
    above = sum(rows >= edge for edge in _EDGES)
    if above == 0:
        return f"<{names[0]}"
    return f">={names[-1]}" if above == len(_EDGES) else f"{names[above - 1]}-{names[above]}"


def most_rows(bucket: str) -> int:
    """Return the most rows of a dataset that is described so, or as many as it has at least."""
    known = {row_bucket(edge - 1): edge for edge in _EDGES}
    return known.get(bucket, _EDGES[-1])


def _public(column: ColumnConfig) -> dict[str, Any]:
    described: dict[str, Any] = {"name": column.name, "type": column.type}
    if column.categories:
        described["categories"] = list(column.categories)
    if column.bounds:
        described["bounds"] = list(column.bounds)
    if column.clip:
        described["clip"] = True
    if column.shape:
        described["shape"] = list(column.shape)
        described["dtype"] = column.dtype or "uint8"
    if column.fit == "resize":
        described["fit"] = column.fit
    if column.length:
        described["length"] = column.length
    return {**described, "sensitive": column.sensitive}


def _privacy_problem(config: DatasetConfig) -> str:
    privacy = config.privacy
    if privacy is None:
        return ""
    if (privacy.unit == "person") != (privacy.person is not None):
        return (
            "`person`, the column that identifies the person of a row, is needed for "
            "unit person and only for it"
        )
    if privacy.unit != "person" and privacy.rows_per_person != 1:
        return "rows_per_person is only for unit person"
    if privacy.person is not None and config.format == "images" and config.index is None:
        return "a folder of images without an index has no column of persons"
    named = (one for one in config.columns if one.name == privacy.person)
    if any(one.is_tensor for one in named):
        return "an image or an array does not identify a person"
    return ""


def _key_problem(config: DatasetConfig) -> str:
    """Return what keeps a column from being the key of rows."""
    if config.key is None:
        return ""
    if config.format == "images" and config.index is None:
        return "a folder of images without an index has no column of keys"
    if any(one.name == config.key and one.is_tensor for one in config.columns):
        return "an image or an array is no key"
    return ""


def _folder_problem(config: DatasetConfig) -> str:
    """Return what keeps format, index and columns from belonging together."""
    if config.index is not None and config.format != "images":
        return "only a folder of images has an index"
    if config.index is not None and not _is_inside(config.index):
        return "its index is not a file of the folder"
    if config.format != "images":
        return ""
    images = sum(column.type == "image" for column in config.columns)
    if not images:
        return "a folder of images needs an image column"
    others = [column for column in config.columns if column.type != "image"]
    plain = images == 1 and len(others) <= 1 and all(one.type == "category" for one in others)
    if config.index is None and not plain:
        return (
            "a folder of images without an index has one image column and at most one category "
            "column, the class that a file's folder names"
        )
    return ""


def _is_inside(name: str) -> bool:
    return all(part not in {"", ".", ".."} for part in name.split("/"))


def _format_problem(config: DatasetConfig, column: ColumnConfig) -> str:
    """Return what keeps a column from being in a file or folder of this format."""
    if config.format == "csv" and column.is_tensor:
        return "a CSV file holds neither images nor arrays"
    if config.format == "images" and column.type == "array":
        return "a folder of images holds no arrays"
    if config.format == "arrays":
        if "/" in column.name or column.name.startswith("."):
            return "its name cannot be that of a file"
        if column.fit:
            return "an array is not resized"
    return ""


def _problems(column: ColumnConfig) -> Iterator[str]:
    """Yield what contradicts itself in one column."""
    if column.type == "category":
        if not column.categories:
            yield "a category column needs its categories"
        if len(set(column.categories)) != len(column.categories):
            yield "a category is declared twice"
    elif column.categories:
        yield "only a category column has categories"
    if column.bounds and column.type not in {"number", "array"}:
        yield "only a number column or an array has bounds"
    if column.clip and not column.bounds:
        yield "a column without bounds cannot be clipped"
    if column.bounds and (found := bounds_problem(column.bounds)):
        yield found
    if column.length is not None and column.type != "text":
        yield "only a text column has a length"
    yield from _tensor_problems(column)


def _tensor_problems(column: ColumnConfig) -> Iterator[str]:
    if not column.is_tensor:
        if column.shape or column.dtype or column.fit:
            yield "only an image or an array has a shape, a dtype or a fit"
        return
    if not column.shape:
        yield "an image or an array needs its shape"
    elif math.prod(column.shape) > MAX_ELEMENTS:
        yield Text("a row of it has more than {most} elements", most=MAX_ELEMENTS)
    yield from _array_problems(column) if column.type == "array" else _image_problems(column)


def _array_problems(column: ColumnConfig) -> Iterator[str]:
    if not column.dtype:
        yield "an array needs its dtype"
    elif column.bounds and not _holds(column.dtype, column.bounds):
        yield "its dtype does not hold its bounds"
    if column.fit:
        yield "an array is not resized"


def _image_problems(column: ColumnConfig) -> Iterator[str]:
    if len(column.shape or ()) != 3 or (column.shape or ())[-1] not in CHANNELS:
        yield "an image has the shape [height, width, channels], with 1, 3 or 4 channels"
    if column.dtype not in (None, "uint8"):
        yield "an image is uint8"


def _holds(dtype: str, bounds: tuple[float, float]) -> bool:
    """Tell whether a dtype can hold an interval's ends, whole numbers where it is of integers."""
    if dtype == "float16":
        return max(map(abs, bounds)) <= 65504.0
    if dtype == "float32":
        return max(map(abs, bounds)) <= 3.4028234e38
    if dtype == "float64":
        return True
    bits = int(dtype.lstrip("uint"))
    low, high = (0, 1 << bits) if dtype.startswith("u") else (-(1 << bits - 1), 1 << bits - 1)
    return all(one.is_integer() and low <= one < high for one in bounds)
