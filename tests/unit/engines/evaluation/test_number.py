"""Figures of numbers equal those of all rows together, in the label's unit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from secureflow.engines.evaluation.figures import evaluate
from secureflow.engines.evaluation.layout import unit_of
from tests.unit.engines.evaluation.rows import NUMBER, PARTIES, PRIVATE, Rows, number_rows

PRIVATE_NUMBER = PRIVATE[2]


@pytest.fixture(scope="module")
def rows() -> Rows:
    return number_rows()


@pytest.fixture(scope="module")
def found(rows: Rows) -> dict[str, Any]:
    return evaluate(NUMBER, rows.totals(NUMBER), parties=PARTIES)


def _unscaled(values: Any) -> np.ndarray[Any, Any]:
    return np.asarray(50 + 50 * values.astype(np.float64)).reshape(-1)


def test_figures_are_those_of_all_rows(rows: Rows, found: dict[str, Any]) -> None:
    known, called = _unscaled(rows.labels), _unscaled(rows.outputs)
    mse = mean_squared_error(known, called)
    expected = {
        "rows": len(known), "mse": mse, "rmse": np.sqrt(mse),
        "mae": mean_absolute_error(known, called), "r2": r2_score(known, called),
        "bias": (called - known).mean(), "target_mean": known.mean(),
        "target_deviation": known.std(),
    }  # fmt: skip
    assert expected.keys() == found["figures"].keys()
    for name, value in expected.items():
        bound = found["bounds"].get(name, 0.0)
        assert abs(found["figures"][name] - value) <= bound * 1.001 + 1e-9, name
    assert found["bounds"]["rmse"] < 1e-6
    assert found["bounds"]["r2"] < 1e-7


def test_figures_of_private_sums_without_noise_are_near(rows: Rows) -> None:
    figures = evaluate(PRIVATE_NUMBER, rows.totals(PRIVATE_NUMBER), parties=PARTIES)["figures"]
    for name, value in evaluate(NUMBER, rows.totals(NUMBER))["figures"].items():
        assert figures[name] == pytest.approx(value, rel=1e-4), name


def test_a_very_good_model_keeps_its_interval() -> None:
    """Fourth powers of small errors are added up in finer steps."""
    labels = np.linspace(-1, 1, 1000).astype(np.float32)
    random = np.random.default_rng(15)
    outputs = (labels + random.normal(0, 0.003, 1000)).astype(np.float32)
    found = evaluate(NUMBER, Rows(outputs[:, None], labels).totals(NUMBER), parties=PARTIES)
    low, high = found["intervals"]["rmse"]
    value = found["figures"]["rmse"]
    assert (high - low) / 2 == pytest.approx(1.96 * value / np.sqrt(2 * 1000), rel=0.1)


def test_the_interval_of_r2_is_that_of_its_influence_function() -> None:
    """Errors grow with the target here: squared errors and targets go together."""
    random = np.random.default_rng(18)
    z = random.beta(2, 5, 4000) * 2 - 1
    e = random.normal(0, 0.05 + 0.3 * (z + 1), 4000)
    rows = Rows((z + e).astype(np.float32)[:, None], z.astype(np.float32))
    low, high = evaluate(NUMBER, rows.totals(NUMBER))["intervals"]["r2"]
    z, e = rows.labels.astype(float), rows.outputs[:, 0].astype(float) - rows.labels.astype(float)
    a, b = (e**2).mean(), z.var()
    influence = -(e**2 - a) / b + a * ((z - z.mean()) ** 2 - b) / b**2
    assert (high - low) / 2 == pytest.approx(1.959964 * influence.std() / np.sqrt(4000), rel=1e-4)
    apart = np.hypot((e**2).std() / b, a * ((z - z.mean()) ** 2).std() / b**2)
    assert influence.std() < 0.97 * apart  # what they have in common matters


def test_bars_hold_all_rows_where_they_lie(rows: Rows, found: dict[str, Any]) -> None:
    errors = _unscaled(rows.outputs) - _unscaled(rows.labels)
    for bars, values in ((found["curves"]["residuals"], errors),
                         (found["curves"]["predictions"], _unscaled(rows.outputs))):  # fmt: skip
        assert sum(count for _, _, count in bars) == len(values)
        assert len(bars) <= 42
        for low, high, count in bars[1:-1]:
            assert abs(((values > low) & (values <= high)).sum() - count) <= 2  # float32 edges


@pytest.mark.parametrize("form", [NUMBER, PRIVATE_NUMBER], ids=["exact", "private"])
@pytest.mark.parametrize(
    ("outputs", "labels"),
    [
        ([], []),
        ([0.2], [0.1]),
        ([0.1, 0.1, 0.1], [0.1, 0.1, 0.1]),
        ([0.5, -0.5], [0.1, 0.1]),
        ([np.inf, -np.inf, np.nan, 3e38], [0.0, 1.0, -1.0, 0.5]),
        ([0.0, 0.1], [np.nan, 77.0]),
    ],
    ids=["none", "one", "perfect", "constant target", "infinite", "odd targets"],
)
def test_degenerate_rows_have_defined_figures(
    form: Any, outputs: list[float], labels: list[float]
) -> None:
    rows = Rows(np.array(outputs, np.float32)[:, None], np.array(labels, np.float32))
    found = evaluate(form, rows.totals(form), parties=PARTIES)
    json.dumps(found, allow_nan=False)
    assert found["figures"]["rows"] == len(labels)
    assert ("r2" in found["figures"]) == (len({*labels}) > 1)
    for name, (low, high) in found["intervals"].items():
        assert low <= found["figures"][name] <= high, name


def test_one_absurd_prediction_counts_as_the_cap() -> None:
    outputs, labels = np.zeros((100, 1), np.float32), np.zeros(100, np.float32)
    outputs[0] = 1e30
    figures = evaluate(NUMBER, Rows(outputs, labels).totals(NUMBER))["figures"]
    assert figures["mse"] == pytest.approx(50**2 * 32 / 100)


def test_noise_alone_never_makes_figures_undefined() -> None:
    random = np.random.default_rng(16)
    unit = unit_of(PRIVATE_NUMBER, 20.0)
    for count in (1, 50, 1000):
        totals = number_rows(count).totals(PRIVATE_NUMBER, unit)
        for _ in range(6):
            noised = totals + np.rint(random.normal(0, 40 * unit, totals.shape)).astype(np.int64)
            found = evaluate(PRIVATE_NUMBER, noised, unit=unit, sigma=40.0 * unit)
            json.dumps(found, allow_nan=False)
            for name, (low, high) in found["intervals"].items():
                assert low <= found["figures"][name] <= high, name
            assert found["figures"].get("rmse", 0) >= 0
            assert found["figures"].get("r2", 0) <= 1
