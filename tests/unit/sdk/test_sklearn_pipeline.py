"""Recipe and model as a scikit-learn pipeline: the same numbers on dirty rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.engines.training.beside_world import spec as beside_spec
from unit.engines.training.family_world import LABELS, spec, table
from unit.engines.training.sklearn_world import SUMMING, TRAINING, job_of

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.preparation import PreparationSpec, check_preparation
from secureflow.engines.preparation.fitting import learn, start, tally
from secureflow.engines.preparation.recipe import recipe_of
from secureflow.engines.preparation.steps.values import read_values
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.initial import initial_parameters
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.features import recipe_features
from secureflow.sdk.prediction import Predictor

sklearn = pytest.importorskip("sklearn", reason="needs the extra sklearn")
pandas = pytest.importorskip("pandas", reason="pandas is not installed")

COLUMNS = [
    {"column": "age", "type": "number", "bounds": [0.0, 100.0]},
    {"column": "income", "type": "number", "bounds": [0.0, 1e5]},
    {"column": "debt", "type": "number", "bounds": [-100.0, 100.0]},
    {"column": "work", "type": "category", "categories": ["a", "b", "c"]},
    {"column": "grade", "type": "category", "categories": ["low", "mid", "high"]},
    {"column": "town", "type": "text"},
    {"column": "opened", "type": "text"},
]
STEPS: list[dict[str, Any]] = [
    {"step": "impute", "columns": ["age"], "by": "median", "indicator": True},
    {"step": "impute", "columns": ["income", "debt"], "by": "mean"},
    {"step": "impute", "columns": ["work"], "by": "mode"},
    {"step": "clip", "columns": ["income"], "high": 80000.0},
    {"step": "log", "columns": ["income"], "shift": 1.0},
    {"step": "yeo_johnson", "columns": ["debt"]},
    {"step": "date_parts", "columns": ["opened"], "formats": ["%Y-%m-%d", "%d.%m.%Y"]},
    {"step": "impute", "columns": ["opened.year", "opened.month"], "by": "mean"},
    {"step": "drop", "columns": ["opened.weekday"]},
    {"step": "hash", "columns": ["town"], "buckets": 4},
    {"step": "one_hot", "columns": ["town"], "missing": "indicator"},
    {"step": "ordinal", "columns": ["grade"]},
    {"step": "impute", "columns": ["grade"], "by": "constant", "value": 1.0},
    {"step": "interact", "columns": ["income", "debt"]},
    {"step": "min_max", "columns": ["opened.year"]},
    {"step": "standardise", "columns": ["income", "debt", "grade"]},
    {"step": "quantile_bins", "columns": ["age"], "bins": 4},
    {"step": "woe", "columns": ["age", "work"]},
    {"step": "select", "columns": ["income", "grade"], "by": "variance", "threshold": 0.0},
]
LABEL = {"column": "y", "positive": "yes"}


def dirty(seed: int, count: int = 200) -> Any:
    """Rows with missing cells in every column, a list of towns, and dates in two formats."""
    draw = np.random.default_rng(seed)
    days = [
        f"{2000 + at % 20}-03-{1 + at % 28:02}" if at % 2 else f"{1 + at % 28}.11.{1990 + at % 9}"
        for at in range(count)
    ]
    frame = pandas.DataFrame({
        "age": draw.integers(18, 99, count).astype(float),
        "income": draw.uniform(0, 120_000, count),
        "debt": draw.normal(0, 40, count),
        "work": draw.choice(["a", "b", "c"], count),
        "grade": draw.choice(["low", "mid", "high"], count),
        "town": draw.choice(["Bern", "Köln", "上海", ""], count),
        "opened": days,
        "y": draw.choice(["yes", "no"], count),
        "unused": [object() for _ in range(count)],
    })  # fmt: skip
    for name in frame.columns[:7]:
        frame.loc[draw.random(count) < 0.2, name] = None
    return frame.set_index(pandas.Index([f"r{at}" for at in range(count)]))


def fitted(steps: list[dict[str, Any]], frames: list[Any]) -> Any:
    roster = [{"party": f"bank-{at}", "key": f"{at}" * 43 + "=", "dataset": "d"} for at in range(3)]
    used = {name.split(".")[0] for step in steps for name in step["columns"]}
    label = {"label": LABEL} if any(step["step"] == "woe" for step in steps) else {}
    prepared = parse(PreparationSpec, {
        **label,
        "project": "prj_0123456789", "name": "p", "purpose": "x", "submitter": "ann",
        "roster": roster, "steps": steps,
        "columns": [one for one in COLUMNS if one["column"] in used],
    })  # fmt: skip
    check_preparation(prepared)
    columns = [{n: np.array([None if pandas.isna(c) else c for c in f[n]], object) for n in used}
               for f in frames]  # fmt: skip
    values = [read_values(prepared.columns, one, strict=True) for one in columns]
    labels = [(frame["y"] == "yes").to_numpy(float) for frame in frames]
    progress = start(prepared)
    while progress.rounds < prepared.planned_rounds:
        sums = [
            tally(prepared, progress, one, mine if label else None)
            for one, mine in zip(values, labels, strict=True)
        ]
        progress = learn(prepared, progress, np.sum(sums, axis=0))
    return recipe_of(prepared, "job_0123456789", "0" * 64, progress)


def released(job: Any, moments: Any = None) -> Predictor:
    draw = np.random.default_rng(3)
    state = initial_parameters(job)
    state = (state + draw.normal(0, 0.3, len(state))).astype(np.float32)
    if job.model.family in {"gaussian_nb", "multinomial_nb", "kmeans"}:
        state = np.abs(state)
    return Predictor(
        ModelFile(model_card(job, state, moments=moments, metrics={}, created=1), state)
    )


@pytest.fixture(scope="module")
def model() -> Predictor:
    recipe = fitted(STEPS, [dirty(seed) for seed in range(3)])
    features = recipe_features(recipe, spec("logistic_regression", "binary").features.label)
    return released(spec("logistic_regression", "binary", features=dump(features)))


def test_every_step_of_a_recipe_gives_the_same_bits_on_dirty_rows(model: Predictor) -> None:
    pipeline, rows = model.to_sklearn_pipeline(), dirty(9)
    inputs = pipeline[:-1].transform(rows)
    assert inputs.to_numpy().tobytes() == model.inputs(rows).tobytes()
    assert inputs.index.equals(rows.index)
    assert np.abs(pipeline.predict_proba(rows) - model.predict_proba(rows)).max() <= 1e-6
    assert pipeline.predict(rows).tolist() == model.predict(rows).tolist()
    assert [name for name, _ in pipeline.steps][:5] == [
        "rows", "impute", "impute-2", "impute-3", "clip"
    ]  # fmt: skip


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_every_kind_of_frame_gives_the_same(model: Predictor, backend: Any) -> None:
    rows = dirty(9).drop(columns="unused")
    kinds = rows.convert_dtypes(dtype_backend=backend)
    expected = model.to_sklearn_pipeline().predict_proba(rows)
    assert model.to_sklearn_pipeline().predict_proba(kinds).tobytes() == expected.tobytes()


def test_a_step_can_be_looked_at(model: Predictor) -> None:
    pipeline, rows = model.to_sklearn_pipeline(), dirty(9)
    read = pipeline[:1].transform(rows)
    assert read["age"].dtype == np.float64
    assert read["work"].map(type).isin([str, type(None)]).all()
    assert list(read.columns) == list(pipeline[:1].get_feature_names_out())
    for at in range(1, len(pipeline.steps)):
        made = pipeline[:at].transform(rows)
        assert list(made.columns) == list(pipeline[:at].get_feature_names_out())
    filled = pipeline[:4].transform(rows)
    assert filled["age.missing"].tolist() == rows["age"].isna().tolist()
    assert not filled[["age", "income", "work"]].isna().any(axis=None)
    assert set(pipeline[:11].transform(rows)["town"].dropna()) <= {"0", "1", "2", "3"}
    names = list(pipeline[:-1].get_feature_names_out())
    assert list(pipeline["model"].feature_names_in_) == names == pipeline["model"].feature_names


def test_scikit_learn_can_clone_fit_and_set_its_output(model: Predictor) -> None:
    from sklearn.base import clone

    pipeline, rows = model.to_sklearn_pipeline(), dirty(9)
    copy = clone(pipeline)
    assert copy[:-1].transform(rows).equals(pipeline[:-1].transform(rows))
    copy.fit(rows, rows["y"] == "yes")  # the recipe stays, the model is their own
    assert copy[:-1].transform(rows).equals(pipeline[:-1].transform(rows))
    assert not np.allclose(copy["model"].coef_, pipeline["model"].coef_)
    out = pipeline.set_output(transform="pandas")[:-1].transform(rows)
    assert out.index.equals(rows.index)
    assert "rows" in repr(pipeline)
    assert pipeline.get_params()["impute__at"] == 0


def test_it_can_be_saved_with_joblib(model: Predictor, tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    joblib.dump(model.to_sklearn_pipeline(), tmp_path / "p.joblib")
    again, rows = joblib.load(tmp_path / "p.joblib"), dirty(9)
    expected = model.to_sklearn_pipeline().predict_proba(rows)
    assert again.predict_proba(rows).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("family", "target"),
    [("logistic_regression", "binary"), ("softmax", "classes"), ("linear", "number"),
     ("mlp", "binary"), ("mlp", "classes"), ("mlp", "number"), *SUMMING, *TRAINING],
)  # fmt: skip
def test_every_family_has_a_pipeline_without_a_recipe_too(family: str, target: str) -> None:
    job = (job_of if (family, target) in {*SUMMING, *TRAINING} else spec)(family, target)
    model = released(job)
    rows = pandas.DataFrame({n: table(80)[n] for n in ("x0", "x1", "word", "count")})
    rows.loc[::7, "x0"], rows.loc[::5, "word"], rows.loc[3, "x1"] = np.nan, None, 55.0
    pipeline = model.to_sklearn_pipeline()
    assert pipeline[:-1].transform(rows).to_numpy().tobytes() == model.inputs(rows).tobytes()
    found, expected = pipeline.predict(rows), model.predict(rows)
    if target == "number":
        width = LABELS[target]["bounds"][1] - LABELS[target]["bounds"][0]
        assert np.abs(found - expected).max() <= 1e-6 * width
    else:
        assert found.tolist() == expected.tolist()
    if target in {"binary", "classes"} and model.has_chances:
        assert np.abs(pipeline.predict_proba(rows) - model.predict_proba(rows)).max() <= 1e-6


def test_numbers_standardised_by_the_parties_moments_are_the_same() -> None:
    numeric = [{"column": n, "bounds": [-1, 1], "scale": "federated"} for n in ("x0", "x1")]
    job = spec("logistic_regression", "binary", features={"numeric": numeric})
    model = released(job, [80.0, 4.0, 30.0, 80.0, -8.0, 20.0, 80.0])
    rows = pandas.DataFrame({n: table(80)[n] for n in ("x0", "x1", "word")})
    pipeline = model.to_sklearn_pipeline()
    assert pipeline[:-1].transform(rows).to_numpy().tobytes() == model.inputs(rows).tobytes()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"work": "SECRET"}, "unknown_category"),
        ({"age": "SECRET"}, "malformed_cell"),
        ({"age": np.inf}, "malformed_cell"),
        ({"opened": "1/2/2003"}, "malformed_cell"),
    ],
)
def test_a_bad_cell_is_named_as_the_model_names_it(
    model: Predictor, change: dict[str, Any], code: str
) -> None:
    rows = dirty(9).astype(object)
    ((name, cell),) = change.items()
    rows.loc["r4", name] = cell
    told = []
    for predict in (model.predict, model.to_sklearn_pipeline().predict):
        with pytest.raises(SecureFlowError) as caught:
            predict(rows)
        told.append((caught.value.code, caught.value.message, caught.value.details))
    assert told[0] == told[1]
    assert told[0][0] == code
    assert told[0][2].items() >= {"row": 5, "column": name}.items()
    with pytest.raises(SecureFlowError, match="'age' is missing"):
        model.to_sklearn_pipeline().predict(rows.drop(columns="age"))


def test_a_cell_that_no_step_fills_is_named() -> None:
    steps = [{"step": "standardise", "columns": ["age"]}]
    features = recipe_features(
        fitted(steps, [dirty(seed) for seed in range(3)]),
        spec("logistic_regression", "binary").features.label,
    )
    model = released(spec("logistic_regression", "binary", features=dump(features)))
    with pytest.raises(SecureFlowError, match="still missing"):
        model.to_sklearn_pipeline().predict(dirty(9))


def test_what_has_no_pipeline_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    job = beside_spec("images", {"family": "softmax"})
    with pytest.raises(SecureFlowError, match="'scan' holds images") as caught:
        released(job).to_sklearn_pipeline()
    assert caught.value.code == "invalid_model"
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    assert torch
    job = beside_spec("images", {"family": "torch_cnn", "channels": [4]})
    with pytest.raises(SecureFlowError, match="not of scikit-learn"):
        released(job).to_sklearn_pipeline()
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(SecureFlowError) as caught:
        released(spec("logistic_regression", "binary")).to_sklearn_pipeline()
    assert caught.value.code == "missing_extra"
