"""Figures of binary targets equal those of all rows together, within the bounds that are stated."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from secureflow.domain.specs.evaluation import Costs
from secureflow.engines.evaluation.figures import evaluate, evaluate_party
from secureflow.engines.evaluation.layout import LOG_ODDS, unit_of
from tests.unit.engines.evaluation.rows import BINARY, PARTIES, PRIVATE, Rows, binary_rows

PRIVATE_BINARY = PRIVATE[0]


@pytest.fixture(scope="module")
def rows() -> Rows:
    return binary_rows()


@pytest.fixture(scope="module")
def found(rows: Rows) -> dict[str, Any]:
    return evaluate(BINARY, rows.totals(BINARY), parties=PARTIES, costs=Costs(1.0, 5.0))


def _odds(rows: Rows) -> np.ndarray[Any, Any]:
    return rows.outputs[:, 0].astype(np.float64)


def test_figures_are_those_of_all_rows(rows: Rows, found: dict[str, Any]) -> None:
    odds, labels = _odds(rows), rows.labels
    shares, called = 1 / (1 + np.exp(-odds)), odds > 0
    gap = ks_2samp(odds[labels > 0.5], odds[labels < 0.5]).statistic
    expected = {
        "rows": len(labels), "positives": labels.sum(), "rate": labels.mean(),
        "predicted_rate": shares.mean(),
        "loss": log_loss(labels, shares), "brier": brier_score_loss(labels, shares),
        "auc": roc_auc_score(labels, odds), "gini": 2 * roc_auc_score(labels, odds) - 1, "ks": gap,
        "accuracy": accuracy_score(labels, called), "precision": precision_score(labels, called),
        "recall": recall_score(labels, called), "f1": f1_score(labels, called),
        "specificity": recall_score(1 - labels, ~called),
        "balanced_accuracy": balanced_accuracy_score(labels, called),
    }  # fmt: skip
    for name, value in expected.items():
        bound = found["bounds"].get(name, 0.0) + 1e-9
        assert abs(found["figures"][name] - value) <= bound, name
    assert expected.keys() | {"ks_threshold", "calibration_error"} == found["figures"].keys()
    assert found["bounds"]["auc"] < 0.002
    assert found["bounds"]["ks"] < 0.007
    assert found["bounds"]["loss"] < 1e-8


def test_scores_on_the_grid_have_no_bound_to_speak_of() -> None:
    """Rows of one cell have one score: then the binned AUC counts ties as the exact one does."""
    made = binary_rows(seed=8)
    cells = LOG_ODDS.cells(_odds(made))
    rows = Rows(LOG_ODDS.middles[cells][:, None].astype(np.float32), made.labels)
    figures = evaluate(BINARY, rows.totals(BINARY))["figures"]
    assert figures["auc"] == pytest.approx(roc_auc_score(rows.labels, _odds(rows)), abs=1e-12)
    one = _odds(rows)[rows.labels > 0.5]
    gap = ks_2samp(one, _odds(rows)[rows.labels < 0.5]).statistic
    assert figures["ks"] == pytest.approx(gap, abs=1e-12)


def test_models_that_are_sure_of_themselves_are_ranked_too() -> None:
    """Naive Bayes has log-odds far beyond ±10."""
    made = binary_rows(seed=8)
    rows = Rows(60 * made.outputs, made.labels)
    found = evaluate(BINARY, rows.totals(BINARY))
    exact = roc_auc_score(rows.labels, _odds(rows))
    assert abs(found["figures"]["auc"] - exact) <= found["bounds"]["auc"] < 0.005
    rows = Rows(8 * made.outputs, made.labels)
    assert evaluate(PRIVATE_BINARY, rows.totals(PRIVATE_BINARY))["bounds"]["auc"] < 0.1


def test_bounds_of_coarse_cells_hold() -> None:
    """Private sums without noise: their cells are 20 times as wide."""
    for seed in range(5):
        rows = binary_rows(2000, seed=seed)
        found = evaluate(PRIVATE_BINARY, rows.totals(PRIVATE_BINARY), parties=PARTIES)
        odds = _odds(rows)
        shares = 1 / (1 + np.exp(-odds))
        gap = ks_2samp(odds[rows.labels > 0.5], odds[rows.labels < 0.5]).statistic
        capped = np.minimum(np.logaddexp(0, np.where(rows.labels > 0.5, -odds, odds)), 4)
        for name, value in (
            ("auc", roc_auc_score(rows.labels, odds)), ("ks", gap), ("loss", capped.mean()),
            ("predicted_rate", shares.mean()), ("brier", brier_score_loss(rows.labels, shares)),
        ):  # fmt: skip
            bound = found["bounds"][name] + 1e-9
            assert abs(found["figures"][name] - value) <= bound, name


def test_confusion_is_exact_at_every_threshold(rows: Rows, found: dict[str, Any]) -> None:
    odds = _odds(rows)
    lines = found["thresholds"]
    assert len(lines) >= 12
    for line in lines:
        at = math.copysign(99.0, line["threshold"] - 0.5)  # above all rows, or below
        called = odds > (at if line["log_odds"] is None else line["log_odds"])
        if line["log_odds"] is not None:
            assert line["threshold"] == pytest.approx(1 / (1 + math.exp(-line["log_odds"])))
        tn, fp, fn, tp = confusion_matrix(rows.labels > 0.5, called).ravel()
        assert (line["tn"], line["fp"], line["fn"], line["tp"]) == (tn, fp, fn, tp)
        assert line["cost"] == fp + 5 * fn
        assert line["flagged"] == pytest.approx(called.mean())
    matrix = found["curves"]["matrix"]["rows"]
    assert matrix == confusion_matrix(rows.labels > 0.5, odds > 0).tolist()
    assert [line["threshold"] for line in lines] == sorted(
        (line["threshold"] for line in lines), reverse=True
    )


def test_marked_thresholds_are_the_best_on_the_grid(rows: Rows, found: dict[str, Any]) -> None:
    odds, one = _odds(rows), rows.labels > 0.5
    marks = {mark: line for line in found["thresholds"] for mark in line["marks"]}
    assert marks.keys() == {"default", "ks", "f1", "cheapest"}
    assert marks["default"]["threshold"] == 0.5
    edges = [-np.inf, *LOG_ODDS.edges, np.inf]
    costs = [((odds > e) & ~one).sum() + 5 * ((odds <= e) & one).sum() for e in edges]
    assert marks["cheapest"]["cost"] == min(costs)
    best = max(2 * ((odds > e) & one).sum() / ((odds > e).sum() + one.sum()) for e in edges)
    assert marks["f1"]["f1"] == pytest.approx(best)
    line = marks["ks"]
    reached = line["tp"] / one.sum() - line["fp"] / (~one).sum()
    assert reached == pytest.approx(found["figures"]["ks"])


def test_costs_may_make_it_best_to_flag_nobody_or_everybody(rows: Rows) -> None:
    worse = Rows(-rows.outputs, rows.labels).totals(BINARY)  # the wrong way round
    for costs, threshold, flagged in ((Costs(3.0, 1.0), 1.0, 0.0), (Costs(1.0, 90.0), 0.0, 1.0)):
        lines = evaluate(BINARY, worse, costs=costs)["thresholds"]
        cheapest = next(line for line in lines if "cheapest" in line["marks"])
        assert cheapest["flagged"] == flagged
        assert abs(cheapest["threshold"] - threshold) < 0.1


def test_lift_and_gains_are_those_of_sorted_rows(rows: Rows, found: dict[str, Any]) -> None:
    odds, one = _odds(rows), rows.labels > 0.5
    order = one[np.argsort(-odds, kind="stable")]
    widest = (np.bincount(LOG_ODDS.cells(odds)) / len(one)).max()  # rows that share a cell
    for line in found["curves"]["lift"]:
        first = round(line["depth"] * len(one))
        capture = order[:first].sum() / one.sum()
        assert line["capture"] == pytest.approx(capture, abs=widest / one.mean())
        assert line["lift"] == pytest.approx(line["capture"] / line["depth"])
    groups = [line["group_lift"] for line in found["curves"]["lift"]]
    assert sum(groups) == pytest.approx(10)
    assert found["curves"]["gains"][0] == [0, 0]
    assert found["curves"]["gains"][-1] == [1, 1]


def test_calibration_groups_hold_all_rows(rows: Rows, found: dict[str, Any]) -> None:
    odds, cells = _odds(rows), LOG_ODDS.cells(_odds(rows))
    shares = 1 / (1 + np.exp(-odds))
    order, first, error = np.argsort(cells, kind="stable"), 0, 0.0
    for line in found["curves"]["calibration"]:
        group = order[first : first + line["rows"]]
        first += line["rows"]
        assert line["predicted"] == pytest.approx(shares[group].mean(), abs=1e-6)
        assert line["observed"] == pytest.approx(rows.labels[group].mean())
        assert line["low"] <= line["observed"] <= line["high"]
        assert 0.8 * len(odds) / 10 < line["rows"] < 1.2 * len(odds) / 10
        error += len(group) / len(odds) * abs(shares[group].mean() - rows.labels[group].mean())
    assert first == len(odds)
    assert found["figures"]["calibration_error"] == pytest.approx(error, abs=1e-6)


def test_curves_run_from_corner_to_corner_and_hold_the_figures(found: dict[str, Any]) -> None:
    points = np.array(found["curves"]["roc"])
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [1, 1]
    assert (np.diff(points, axis=0) >= 0).all()
    assert len(points) < 120
    area = np.trapezoid(points[:, 1], points[:, 0])
    assert area == pytest.approx(found["figures"]["auc"], abs=0.002)
    ks = found["curves"]["ks"]
    gap = abs(ks["positives"] - ks["negatives"])
    assert gap == pytest.approx(found["figures"]["ks"], abs=2e-5)
    assert max(abs(p - n) for _, p, n in ks["points"]) == pytest.approx(gap)


def test_it_is_json_and_short(found: dict[str, Any]) -> None:
    assert len(json.dumps(found, allow_nan=False)) < 30_000


@pytest.mark.parametrize("form", [BINARY, PRIVATE_BINARY], ids=["exact", "private"])
@pytest.mark.parametrize(
    ("outputs", "labels"),
    [
        ([], []),
        ([0.3], [1.0]),
        ([0.3], [0.0]),
        ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]),
        ([0.0] * 6, [0.0, 1.0] * 3),
        ([np.inf, -np.inf, np.inf, 0.0], [0.0, 1.0, 1.0, 0.0]),
        ([np.nan, np.nan, 1.0], [0.0, 1.0, 1.0]),
        ([-5.0, -4.0, 4.0, 5.0], [0.0, 0.0, 1.0, 1.0]),
    ],
    ids=["none", "one", "one negative", "one class", "equal", "infinite", "nan", "separated"],
)
def test_degenerate_rows_have_defined_figures(
    form: Any, outputs: list[float], labels: list[float]
) -> None:
    rows = Rows(np.array(outputs, np.float32)[:, None], np.array(labels, np.float32))
    found = evaluate(form, rows.totals(form), parties=PARTIES, costs=Costs(1.0, 1.0))
    json.dumps(found, allow_nan=False)
    assert found["figures"]["rows"] == len(labels)
    both = len({*labels}) == 2
    assert ("auc" in found["figures"]) == both
    for name, (low, high) in found["intervals"].items():
        assert low <= found["figures"][name] + 1e-12, name
        assert found["figures"][name] <= high + 1e-12, name
    assert found["honest"]
    if outputs and len({*outputs}) == 1 and both:
        assert found["figures"]["auc"] == 0.5
        assert found["figures"]["ks"] == 0.0


def test_infinite_outputs_are_the_greatest() -> None:
    outputs, labels = [np.inf, 30.0, -30.0, -np.inf], [1.0, 0.0, 1.0, 0.0]
    rows = Rows(np.array(outputs, np.float32)[:, None], np.array(labels, np.float32))
    assert evaluate(BINARY, rows.totals(BINARY))["figures"]["auc"] == 0.75


def test_rows_without_output_are_told(rows: Rows) -> None:
    outputs = rows.outputs.copy()
    outputs[:7] = np.nan
    found = evaluate(BINARY, Rows(outputs, rows.labels).totals(BINARY))
    assert found["figures"]["undefined"] == 7
    assert any("For 7 rows the model computed no number" in one["line"] for one in found["honest"])


def test_noise_alone_never_makes_figures_undefined() -> None:
    """Totals of no rows, few rows and many, with noise that exceeds them."""
    random = np.random.default_rng(11)
    unit = unit_of(PRIVATE_BINARY, 50.0)
    for count in (0, 3, 60, 2000):
        totals = binary_rows(max(count, 1)).totals(PRIVATE_BINARY, unit) * min(count, 1)
        for _ in range(5):
            noised = totals + np.rint(random.normal(0, 60 * unit, totals.shape)).astype(np.int64)
            found = evaluate(
                PRIVATE_BINARY, noised, unit=unit, sigma=60.0 * unit, costs=Costs(1, 2)
            )
            json.dumps(found, allow_nan=False)
            for name in ("auc", "ks", "accuracy", "brier", "calibration_error", "precision"):
                assert 0 <= found["figures"].get(name, 0) <= 1
            for name, (low, high) in found["intervals"].items():
                assert low <= found["figures"][name] <= high


def test_errors_of_noise_are_those_of_repeated_noise() -> None:
    unit, sigma = unit_of(PRIVATE_BINARY, 3.0), 6.0
    totals = binary_rows(6000).totals(PRIVATE_BINARY, unit)
    random = np.random.default_rng(12)
    drawn, told = [], []
    for _ in range(60):
        noised = totals + np.rint(random.normal(0, sigma * unit, totals.shape)).astype(np.int64)
        drawn.append(evaluate_party(PRIVATE_BINARY, noised, unit=unit))
    for _ in range(3):
        noised = totals + np.rint(random.normal(0, sigma * unit, totals.shape)).astype(np.int64)
        told.append(evaluate(PRIVATE_BINARY, noised, unit=unit, sigma=sigma * unit)["noise"])
    exact = evaluate_party(PRIVATE_BINARY, totals, unit=unit)
    for name in ("rows", "auc", "ks", "accuracy", "loss", "brier", "recall"):
        each = [one[name] for one in drawn]
        error = np.mean([one[name] for one in told])
        assert error == pytest.approx(np.std(each), rel=0.4), name
        assert abs(np.mean(each) - exact[name]) < 1.5 * np.std(each), name  # little bias
    assert "ks_threshold" not in told[0]
    noised = evaluate(PRIVATE_BINARY, totals, unit=unit, sigma=sigma * unit)
    for name in ("auc", "accuracy", "loss"):
        low, high = noised["intervals"][name]
        assert high - low > 2 * 1.959964 * noised["noise"][name], name
