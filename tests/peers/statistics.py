"""Statistics jobs for tests: five hospitals, three columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.statistics.declared import OwnBounds
from secureflow.kit.canonical import b64encode

SEXES = ("f", "m", "x")
BOUNDS = {"age": (0.0, 100.0), "cost": (-50.0, 200.0)}
COLUMNS = [
    {"column": "age", "type": "number", "bounds": list(BOUNDS["age"])},
    {"column": "cost", "type": "number", "bounds": list(BOUNDS["cost"])},
    {"column": "sex", "type": "category", "categories": list(SEXES)},
]
EVERY = [
    {"name": "rows", "measure": "count"},
    {"name": "known-age", "measure": "count", "column": "age"},
    {"name": "by-sex", "measure": "count", "by": "sex"},
    {"name": "cost", "measure": "sum", "column": "cost"},
    {"name": "mean-age", "measure": "mean", "column": "age"},
    {"name": "mean-by-sex", "measure": "mean", "column": "age", "by": "sex"},
    {"name": "spread", "measure": "variance", "column": "cost"},
    {"name": "ages", "measure": "histogram", "column": "age", "bins": 10},
    {"name": "sexes", "measure": "histogram", "column": "sex"},
    {
        "name": "median", "measure": "quantile", "column": "age", "bins": 100,
        "quantiles": [0.25, 0.5, 0.75],
    },
]  # fmt: skip
LOCAL = [
    {"name": "by-sex", "measure": "count", "by": "sex"},
    {"name": "cost", "measure": "sum", "column": "cost"},
    {"name": "mean-age", "measure": "mean", "column": "age"},
    {"name": "spread", "measure": "variance", "column": "cost"},
    {"name": "ages", "measure": "histogram", "column": "age", "bins": 5},
    {"name": "sexes", "measure": "histogram", "column": "sex"},
    {
        "name": "median", "measure": "quantile", "column": "age", "bins": 10, "quantiles": [0.5],
    },
]  # fmt: skip
SHARED: dict[str, Any] = {"delta": 1e-6, "noise_multiplier": 1.0}
PERSON = {**SHARED, "unit": "person"}
PARTY = {**SHARED, "noise": "party"}
LAPLACE = {**PARTY, "mechanism": "laplace"}
PYDP = {**LAPLACE, "library": "pydp"}
LOCALLY = {**SHARED, "noise": "local", "mechanism": "laplace"}


def statistics_value(
    queries: list[dict[str, Any]] | None = None,
    privacy: dict[str, Any] | None = None,
    parties: int = 5,
    **changes: Any,
) -> dict[str, Any]:
    """The JSON of a sound statistics spec with every kind of query, and changes to it."""
    queries = EVERY if queries is None else queries
    asked = {q.get(key) for q in queries for key in ("column", "by")}
    return {
        "project": "prj_aaaaaaaa",
        "name": "ages",
        "purpose": "research",
        "submitter": "ana",
        "roster": [
            {"party": f"org-{i}", "key": b64encode(bytes([i]) * 32)} for i in range(parties)
        ],
        "columns": [column for column in COLUMNS if column["column"] in asked],
        "queries": queries,
        "privacy": SHARED if privacy is None else privacy,
        **changes,
    }


def statistics_spec(*args: Any, **kwargs: Any) -> StatisticsSpec:
    """The parsed spec of `statistics_value`."""
    return parse(StatisticsSpec, statistics_value(*args, **kwargs))


def people(rows: int, seed: int = 1, missing: float = 0.0) -> dict[str, np.ndarray]:
    """Columns of so many people, some with missing cells."""
    rng = np.random.default_rng(seed)
    sex = np.array(SEXES, object)[rng.choice(3, rows, p=[0.5, 0.4, 0.1])]
    columns = {
        "age": np.clip(rng.normal(45, 18, rows), 0, 100),
        "cost": np.clip(rng.gamma(2, 25, rows) - 20, -50, 200),
        "sex": sex,
    }
    for name, empty in (("age", np.nan), ("cost", np.nan), ("sex", None)):
        columns[name][rng.random(rows) < missing] = empty
    return columns


def own_bounds(**changes: Any) -> OwnBounds:
    """An owner who declares just what the spec holds."""
    return OwnBounds(**{"bounds": BOUNDS, "categories": {"sex": SEXES}, **changes})
