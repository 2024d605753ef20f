"""The demo's own data and job: UCI Adult in shares by age, and what to train on them.

The first bank's clients are young, the last one's old: income, schooling and working hours vary
with age, so the shares differ in all of them. The split looks at `age` and at no other column, the
label least of all; the test rows are the official ones and cover all ages.

Each row also has a made-up phone number, by which owners can ask how many customers they share. It
is dealt at random, no model reads it, and nothing else in a row depends on it.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from secureflow.demo.phones import customers
from secureflow.demo.shares import cut
from secureflow.demo.study import (
    Columns,
    Cutting,
    Study,
    columns_of,
    make_shares,
    unknown_column,
)
from secureflow.demo.words import Words
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, DatasetPrivacy, ProbingLimit
from secureflow.domain.specs.training import (
    CategoricalFeature,
    FeatureSpec,
    Label,
    NumericFeature,
    TrainingPlan,
)

ADULT = Path(__file__).parent / "adult" / "adult.parquet"
PURPOSE = "credit scoring"
LABEL = Label(column="income", positive=">50K")
SENSITIVE = frozenset({"race", "sex", "native-country"})
BY = "age"
KEY = "phone"
"""The column by which rows of two banks are matched."""
PROBING = ProbingLimit(1_000_000, window=365)
"""Ids that each bank lets others test in a year: some dozens of intersections."""
SEED = 7
BUDGET = DatasetPrivacy("adult", epsilon=10.0, delta=1e-5, required=False)
"""What each bank offers for answers with noise; jobs without differential privacy stay allowed."""
STATISTICS_POLICY = f"""\
// Small statistics are answered at once; whatever else is asked waits for a person.
@id("small-statistics")
@reason("statistics of at most ε = 1 of three or more, on columns that nobody marked sensitive")
permit (principal, action == Action::"statistics", resource == Dataset::"adult")
when {{
    context.purpose == "{PURPOSE}" &&
    context has epsilon &&
    context.epsilon.lessThanOrEqual(decimal("1.0")) &&
    context.sensitive.isEmpty() &&
    context.group_size >= 3 &&
    context.noise != "local"
}};
"""

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


def test_set() -> Columns:
    """Return the official test rows as columns (float64 with NaN; object `str` with None)."""
    return columns_of(adult_rows("test"))


def adult_study(directory: Path, parties: int = 3, rounds: int = 40, by: str = BY) -> Study:
    """Cut the training rows into the banks' shares and return everything that the demo compares.

    Sizes grow from bank to bank by half up to a factor of twelve overall (three banks: 21, 32 and
    47%). Equal arguments give equal files.
    """
    table, features = adult_rows("train"), demo_features()
    cutting = Cutting(bank_names(parties), by, table[by], SEED)
    shares, edges = make_shares(directory, _with_phones(table, cutting), features, cutting)
    return Study(
        title="income > 50K",
        source="UCI Adult",
        purpose=PURPOSE,
        features=features,
        plan=demo_plan(rounds),
        shares=shares,
        datasets={share.party: _offered(dataset_config(share.path)) for share in shares},
        test=test_set(),
        by=by,
        edges=edges,
        seed=SEED,
    )


def adult_column(name: str, say: Words) -> str:
    """Check the column by which the demo's data is cut (default: `age`) and return it.

    Raises:
        SecureFlowError: `unknown_column`.
    """
    known = [field for field in pq.read_schema(ADULT).names if field not in {LABEL.column, "fold"}]
    if name and name not in known:
        raise unknown_column(name, known, say)
    return name or BY


def bank_names(parties: int) -> dict[str, str]:
    """Return the banks: party → display name."""
    return {f"bank-{chr(97 + n)}": f"Bank {chr(65 + n)}" for n in range(parties)}


def split_silos(directory: Path, parties: int = 3, seed: int = SEED) -> list[Path]:
    """Write the training rows as one Parquet file per party, cut by age; return the paths."""
    table = adult_rows("train")
    cutting = Cutting(bank_names(parties), BY, table[BY], seed)
    shares, _ = make_shares(directory, table, demo_features(), cutting)
    return [share.path for share in shares]


def dataset_config(path: Path, name: str = "adult", *, clipped: bool = False) -> DatasetConfig:
    """Return the declared schema of a silo file (all columns, categories, bounds, sensitive)."""
    columns = []
    for field in pq.read_schema(path):
        sensitive = field.name in SENSITIVE
        if field.name in _BOUNDS:
            narrow = _FEATURE_BOUNDS.get(field.name) if clipped else None
            columns.append(
                ColumnConfig(
                    field.name, "number",
                    bounds=narrow or _BOUNDS[field.name], sensitive=sensitive, clip=bool(narrow),
                )
            )  # fmt: skip
        elif field.name == KEY:
            columns.append(ColumnConfig(KEY, "text", sensitive=True))
        else:
            known = adult_categories()[field.name]
            columns.append(ColumnConfig(field.name, "category", known, sensitive=sensitive))
    return DatasetConfig(name, str(path), "parquet", tuple(columns))


def _with_phones(table: pa.Table, cutting: Cutting) -> pa.Table:
    """Return the table with the phone of each row's person, each once at every bank."""
    owners = cut(cutting.column, table.num_rows, len(cutting.owners), cutting.seed)
    phones = np.empty(table.num_rows, dtype=object)
    sizes = np.bincount(owners, minlength=len(cutting.owners)).tolist()
    for at, theirs in enumerate(customers(sizes, cutting.seed)):
        phones[owners == at] = theirs
    return table.append_column(KEY, pa.array(phones, pa.string()))


def _offered(dataset: DatasetConfig) -> DatasetConfig:
    """Return a bank's declaration with what it lets others ask."""
    return replace(dataset, privacy=BUDGET, key=KEY, probing=PROBING)


@functools.cache
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


def private_features() -> FeatureSpec:
    """Return the demo's features for a private job over `clipped` datasets."""
    known = demo_features()
    return replace(known, numeric=tuple(replace(one, scale="bounds") for one in known.numeric))


def demo_plan(rounds: int = 40) -> TrainingPlan:
    """Return the demo's schedule: many rounds of one local epoch, to limit client drift."""
    return TrainingPlan(rounds=rounds, local_epochs=1, batch_size=256, learning_rate=0.1)
