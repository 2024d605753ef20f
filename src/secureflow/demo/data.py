"""The demo's data and job: UCI Adult split into silos that differ, and the spec parts to train on.

The silos are what organisations really have: of unequal size, each with its own clientele. Each
party prefers one direction in the plane of education and age, and high incomes follow education,
so label, education and age are skewed at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs import (
    CategoricalFeature,
    FeatureSpec,
    Label,
    NumericFeature,
    TrainingPlan,
)

ADULT = Path(__file__).parent / "adult" / "adult.parquet"
LABEL = Label(column="income", positive=">50K")
SENSITIVE = frozenset({"race", "sex", "native-country"})
SKEW = 1.0
"""Strength of the parties' preferences; 0 would make the silos alike."""

_BOUNDS: dict[str, tuple[float, float]] = {
    "age": (16, 100),
    "fnlwgt": (0, 2_000_000),
    "education-num": (1, 16),
    "capital-gain": (0, 100_000),
    "capital-loss": (0, 10_000),
    "hours-per-week": (1, 99),
}
_FEATURE_BOUNDS: dict[str, tuple[float, float]] = {
    # Narrower than the schema's: beyond these a linear model gains nothing from the value.
    "age": (17, 65),
    "education-num": (1, 16),
    "capital-gain": (0, 10_000),
    "capital-loss": (0, 3_000),
    "hours-per-week": (1, 60),
}
_FEATURE_CATEGORIES = ("workclass", "education", "marital-status", "occupation", "relationship")


def adult_rows(fold: str) -> pa.Table:
    """Return the rows of a fold (`train` 32,561, `test` 16,281) without the fold column."""
    table = pq.read_table(ADULT)
    return table.filter(pc.equal(table["fold"], fold)).drop_columns(["fold"])


def test_set() -> dict[str, NDArray[Any]]:
    """Return the official test rows as columns (float64 with NaN; object `str` with None)."""
    return columns_of(adult_rows("test"))


def columns_of(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Return a table as the columns that `engines.preparation` reads."""
    return {name: _values(table[name]) for name in table.column_names}


def split_silos(directory: Path, parties: int = 3, seed: int = 7) -> list[Path]:
    """Write the training rows as one Parquet file per party and return the paths.

    Sizes grow from party to party by half up to a factor of twelve overall (three parties:
    about 21, 32 and 47%). Equal arguments give equal files.
    """
    table = adult_rows("train")
    owners = _owners(table, parties, seed)
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for party in range(parties):
        path = directory / f"silo-{party + 1}.parquet"
        pq.write_table(table.filter(pa.array(owners == party)), path, compression="zstd")
        paths.append(path)
    return paths


def dataset_config(path: Path, name: str = "adult") -> DatasetConfig:
    """Return the declared schema of a silo file (all columns, categories, bounds, sensitive)."""
    columns = []
    for field in pq.read_schema(path):
        sensitive = field.name in SENSITIVE
        if field.name in _BOUNDS:
            columns.append(
                ColumnConfig(field.name, "number", bounds=_BOUNDS[field.name], sensitive=sensitive)
            )
        else:
            known = adult_categories()[field.name]
            columns.append(ColumnConfig(field.name, "category", known, sensitive=sensitive))
    return DatasetConfig(name, str(path), "parquet", tuple(columns))


def adult_categories() -> dict[str, tuple[str, ...]]:
    """Return the sorted categories of every text column over train and test."""
    table = pq.read_table(ADULT).drop_columns(["fold"])
    return {
        field.name: tuple(sorted(filter(None, pc.unique(table[field.name]).to_pylist())))
        for field in table.schema
        if pa.types.is_string(field.type)
    }


def demo_features() -> FeatureSpec:
    """Return the demo's features: no sensitive column and no census weight (`fnlwgt`)."""
    known = adult_categories()
    return FeatureSpec(
        label=LABEL,
        numeric=tuple(NumericFeature(name, bounds) for name, bounds in _FEATURE_BOUNDS.items()),
        categorical=tuple(
            CategoricalFeature(name, known[name], missing="indicator")
            for name in _FEATURE_CATEGORIES
        ),
    )


def demo_plan(rounds: int = 40) -> TrainingPlan:
    """Return the demo's schedule: many rounds of one local epoch, against drift of unlike silos."""
    return TrainingPlan(rounds=rounds, local_epochs=1, batch_size=256, learning_rate=0.1)


def _owners(table: pa.Table, parties: int, seed: int) -> NDArray[np.int64]:
    """Draw each row's party: softmax of preference · traits, calibrated to the sizes."""
    income = pc.equal(table[LABEL.column], LABEL.positive).to_numpy().astype(np.float64)
    education, age, income = (
        (values - values.mean()) / values.std()
        for values in (table["education-num"].to_numpy(), table["age"].to_numpy(), income)
    )
    angles = 2 * np.pi * np.arange(parties) / parties
    preference = SKEW * (
        np.outer(education + income / 2, np.cos(angles)) + np.outer(age, np.sin(angles))
    )
    sizes = np.geomspace(1, min(1.5 ** (parties - 1), 12), parties)
    offsets = np.zeros(parties)
    for _ in range(100):  # fixed point: the mean probability of each party becomes its share
        chances = np.exp(preference + offsets)
        chances /= chances.sum(axis=1, keepdims=True)
        offsets += np.log(sizes / sizes.sum() / chances.mean(axis=0))
    draws = np.random.Generator(np.random.PCG64(seed)).random((len(age), 1))
    owners: NDArray[np.int64] = (draws > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return owners


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), dtype=object)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
