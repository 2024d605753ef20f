"""A model on a recipe sees the very numbers that agents see, whatever rows come as."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unit.engines.preparation.steps.world import category, fitted, number, parts_of, spec_of, text

from secureflow.adapters.datasources import open_source
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.targets import Label
from secureflow.engines.preparation import declared_moments, feature_matrix
from secureflow.engines.preparation.recipe import prepared_columns, recipe_of
from secureflow.engines.training.export import ModelFile
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.features import recipe_features
from secureflow.sdk.prediction import Predictor
from secureflow.sdk.recipes import apply_recipe
from secureflow.simulation import simulate

ROWS = 60
STEPS: list[dict[str, Any]] = [
    {"step": "hash", "columns": ["zip"], "buckets": 5},
    {"step": "one_hot", "columns": ["zip"], "missing": "indicator"},
    {"step": "date_parts", "columns": ["opened"], "parts": ["year", "hour"],
     "formats": ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S"]},
    {"step": "impute", "columns": ["opened.year", "opened.hour", "age"], "by": "median"},
    {"step": "yeo_johnson", "columns": ["age"]},
    {"step": "interact", "columns": ["age", "opened.year"]},
]  # fmt: skip
DECLARED = [number("age", 0, 100), text("zip"), text("opened")]


def table() -> pd.DataFrame:
    draw = np.random.default_rng(5)
    ages = draw.integers(0, 100, ROWS).astype(float)
    ages[::9] = np.nan
    opened = [datetime(2001 + at % 20, 1 + at % 12, 3, at % 24, 5) for at in range(ROWS)]  # noqa: DTZ001
    frame = pd.DataFrame({"age": ages, "zip": draw.integers(1000, 9999, ROWS), "opened": opened})
    frame["y"] = np.where(np.nan_to_num(ages, nan=50) > 40, "1", "0")
    return frame


TABLE = table()


def agents(frame: pd.DataFrame, path: Path) -> dict[str, Any]:
    """Return the columns as an owner's agent reads them from a Parquet file."""
    pq.write_table(pa.Table.from_pandas(frame), path)
    kinds = {"age": "number", "zip": "text", "opened": "text", "y": "category"}
    columns = tuple(
        ColumnConfig(name, kind, categories=("0", "1") if name == "y" else (),
                     bounds=(0.0, 100.0) if name == "age" else None)
        for name, kind in kinds.items()
    )  # fmt: skip
    config = DatasetConfig(name="customers", format="parquet", path=str(path), columns=columns)
    return dict(open_source(config).read([*kinds]))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    read = agents(TABLE, tmp_path_factory.mktemp("data") / "rows.parquet")
    spec = spec_of(STEPS, DECLARED)
    recipe = recipe_of(spec, "job_0123456789", "a" * 64, fitted(spec, parts_of(read)))
    features = dump(recipe_features(recipe, Label("y", "1")))
    job = {"kind": "training", "features": features, "plan": {"rounds": 1, "validation": 0.0}}
    return simulate(job, TABLE, parties=3).model


def seen_by_agents(model: Predictor, frame: pd.DataFrame, path: Path) -> bytes:
    columns = prepared_columns(model.features, agents(frame, path))
    return feature_matrix(model.features, declared_moments(model.features), columns).tobytes()


FORMS: dict[str, Callable[[], Any]] = {
    "frame": lambda: TABLE,
    "nullable": TABLE.convert_dtypes,
    "arrow-backed": lambda: TABLE.convert_dtypes(dtype_backend="pyarrow"),
    "arrow": lambda: pa.Table.from_pandas(TABLE),
    "records": lambda: TABLE.to_dict("records"),
    "lists": lambda: {name: list(TABLE[name]) for name in TABLE},
    "words": lambda: TABLE.assign(zip=TABLE["zip"].astype(str), opened=TABLE["opened"].astype(str)),
    "floats": lambda: TABLE.assign(zip=TABLE["zip"].astype(float)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_rows_gives_the_agents_very_numbers(
    model: Predictor, form: str, tmp_path: Path
) -> None:
    wanted = seen_by_agents(model, TABLE, tmp_path / "rows.parquet")
    assert model.inputs(FORMS[form]()).tobytes() == wanted


def test_dates_are_read_as_agents_read_them(model: Predictor, tmp_path: Path) -> None:
    days = TABLE.assign(opened=[one.date() for one in TABLE["opened"]])
    assert type(days["opened"][0]) is date
    wanted = seen_by_agents(model, days, tmp_path / "rows.parquet")
    assert model.inputs(days).tobytes() == wanted
    assert model.inputs(pa.Table.from_pandas(days)).tobytes() == wanted


def test_a_time_with_a_zone_is_named(model: Predictor) -> None:
    row = {"age": 1, "zip": 2, "opened": datetime(2001, 1, 3, tzinfo=UTC)}
    with pytest.raises(SecureFlowError) as caught:
        model.inputs([row])
    assert (caught.value.code, caught.value.details) == (
        "malformed_cell", {"row": 1, "column": "opened"}
    )  # fmt: skip


def test_a_downloaded_model_prepares_alike_and_is_checked(model: Predictor, tmp_path: Path) -> None:
    file = ModelFile(model.card, model.parameters)
    path = tmp_path / "model.safetensors"
    path.write_bytes(file.to_bytes())
    loaded = Predictor.load(path)
    assert loaded.outputs(TABLE).tobytes() == model.outputs(TABLE).tobytes()
    forged = copy.deepcopy(model.card)
    forged["features"]["recipe"]["fits"][3]["columns"]["age"]["value"] = 1e90
    with pytest.raises(SecureFlowError, match="step 4 does not belong to it"):
        ModelFile.from_bytes(file.to_bytes(), forged)


def test_a_recipe_is_applied_to_rows_of_every_form(model: Predictor) -> None:
    recipe = model.features.recipe
    assert recipe is not None
    wanted = model.inputs(TABLE)
    for form in FORMS.values():
        made = apply_recipe(recipe, form())
        assert [*made] == [*recipe.made]
        inputs = np.column_stack([*made.values()]).astype(np.float32)
        assert inputs.tobytes() == np.ascontiguousarray(wanted).tobytes()
    with pytest.raises(SecureFlowError, match="missing_column"):
        apply_recipe(recipe, {"age": [1.0]})


def test_categories_that_a_recipe_makes_have_their_names() -> None:
    steps = [{"step": "width_bins", "columns": ["age"], "bins": 2}]
    spec = spec_of(steps, [number("age", 0, 100), category("job", "a", "b")])
    raw: Any = {"age": np.array([10.0, 90.0]), "job": np.array(["a", "b"], object)}
    recipe = recipe_of(spec, "job_0123456789", "a" * 64, fitted(spec, parts_of(raw)))
    made = apply_recipe(recipe, {"age": [10, None, 50], "job": [None, "b", "a"]})
    assert made["age"].tolist() == ["1", None, "2"]
    assert made["job"].tolist() == [None, "b", "a"]
    with pytest.raises(SecureFlowError) as caught:
        apply_recipe(recipe, {"age": [1], "job": ["c"]})
    assert (caught.value.code, caught.value.details) == (
        "unknown_category", {"row": 1, "column": "job"}
    )  # fmt: skip
