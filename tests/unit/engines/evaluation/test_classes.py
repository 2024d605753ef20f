"""Figures of several classes equal those of all rows together, within the bounds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from secureflow.domain.specs.evaluation import MAX_CLASSES
from secureflow.engines.evaluation.figures import evaluate
from secureflow.engines.evaluation.layout import ClassesForm, unit_of
from tests.unit.engines.evaluation.rows import CLASSES, PARTIES, PRIVATE, Rows, classes_rows

PRIVATE_CLASSES = PRIVATE[1]


@pytest.fixture(scope="module")
def rows() -> Rows:
    return classes_rows()


@pytest.fixture(scope="module")
def found(rows: Rows) -> dict[str, Any]:
    return evaluate(CLASSES, rows.totals(CLASSES), parties=PARTIES)


def test_figures_are_those_of_all_rows(rows: Rows, found: dict[str, Any]) -> None:
    shares = softmax(rows.outputs.astype(np.float64), axis=1)
    known, called = rows.labels.astype(int), shares.argmax(axis=1)
    confidence, hit = shares.max(axis=1), called == known
    cell = np.minimum((confidence * 20).astype(int), 19)
    error = sum(
        abs(confidence[cell == one].sum() - hit[cell == one].sum()) for one in range(20)
    ) / len(known)  # fmt: skip
    expected = {
        "rows": len(known),
        "loss": log_loss(known, shares),
        "brier": np.square(shares - np.eye(4)[known]).sum(axis=1).mean() / 2,
        "accuracy": accuracy_score(known, called),
        "balanced_accuracy": balanced_accuracy_score(known, called),
        "macro_f1": f1_score(known, called, average="macro"),
        "weighted_f1": f1_score(known, called, average="weighted"),
        "auc": roc_auc_score(known, shares, multi_class="ovr"),
        "calibration_error": error,
    }
    assert expected.keys() == found["figures"].keys()
    for name, value in expected.items():
        bound = found["bounds"].get(name, 0.0) + 1e-9
        assert abs(found["figures"][name] - value) <= bound, name
    assert found["bounds"]["auc"] < 0.012


def test_classes_that_are_sure_of_themselves_are_ranked_too(rows: Rows) -> None:
    """The odds of a probability that rounds to 1 are those of the others' probabilities."""
    sure = Rows(40 * rows.outputs, rows.labels)
    found = evaluate(CLASSES, sure.totals(CLASSES))
    scores = sure.outputs.astype(np.float64)
    exact = []
    for at in range(4):
        others = np.delete(scores, at, axis=1)
        greatest = others.max(axis=1, keepdims=True)
        rest = greatest[:, 0] + np.log(np.exp(others - greatest).sum(axis=1))
        exact.append(roc_auc_score(rows.labels == at, scores[:, at] - rest))
    assert abs(found["figures"]["auc"] - np.mean(exact)) <= found["bounds"]["auc"] < 0.02


def test_lines_of_classes_are_those_of_all_rows(rows: Rows, found: dict[str, Any]) -> None:
    shares = softmax(rows.outputs.astype(np.float64), axis=1)
    known, called = rows.labels.astype(int), shares.argmax(axis=1)
    assert found["curves"]["matrix"]["rows"] == confusion_matrix(known, called).tolist()
    lines = found["curves"]["classes"]
    each = precision_recall_fscore_support(known, called)
    for at, line in enumerate(lines):
        told = (line["precision"], line["recall"], line["f1"], line["rows"])
        assert told == pytest.approx(tuple(one[at] for one in each))
        assert line["auc"] == pytest.approx(roc_auc_score(known == at, shares[:, at]), abs=0.012)
        assert line["auc_interval"][0] < line["auc"] < line["auc_interval"][1]
    assert [line["class"] for line in lines] == list(CLASSES.classes)
    assert found["curves"]["roc"][0]["class"] == "low"  # the most frequent


def test_intervals_hold_their_figures(found: dict[str, Any]) -> None:
    for name, (low, high) in found["intervals"].items():
        assert low < found["figures"][name] < high, name


def test_rare_classes_are_named() -> None:
    found = evaluate(CLASSES, classes_rows(500).totals(CLASSES))
    told = [one["line"] for one in found["honest"]]
    assert any("fewer than 30 rows each" in line and line.endswith(": rare") for line in told)


@pytest.mark.parametrize("form", [CLASSES, PRIVATE_CLASSES], ids=["exact", "private"])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
@pytest.mark.parametrize("value", [0.0, np.inf, -np.inf, np.nan, 3e38])
def test_degenerate_rows_have_defined_figures(form: Any, count: int, value: float) -> None:
    rows = Rows(np.full((count, 4), value, np.float32), np.ones(count, np.float32))
    found = evaluate(form, rows.totals(form), parties=PARTIES)
    json.dumps(found, allow_nan=False)
    assert found["figures"]["rows"] == count
    assert "auc" not in found["figures"]  # one class only
    assert found["honest"]
    if count:
        assert found["figures"]["accuracy"] == 0.0  # all called the first class


def test_a_perfect_model_is_perfect() -> None:
    rows = Rows(50 * np.eye(4, dtype=np.float32), np.arange(4, dtype=np.float32))
    figures = evaluate(CLASSES, rows.totals(CLASSES))["figures"]
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "auc"):
        assert figures[name] == 1.0
    assert figures["loss"] == pytest.approx(0.0, abs=1e-9)


def test_noise_alone_never_makes_figures_undefined() -> None:
    random = np.random.default_rng(13)
    unit = unit_of(PRIVATE_CLASSES, 20.0)
    for count in (1, 50, 1000):
        totals = classes_rows(count).totals(PRIVATE_CLASSES, unit)
        for _ in range(4):
            noised = totals + np.rint(random.normal(0, 30 * unit, totals.shape)).astype(np.int64)
            found = evaluate(PRIVATE_CLASSES, noised, unit=unit, sigma=30.0 * unit)
            json.dumps(found, allow_nan=False)
            for name, (low, high) in found["intervals"].items():
                assert low <= found["figures"][name] <= high
            assert all(0 <= found["figures"].get(n, 0) <= 1 for n in ("accuracy", "macro_f1"))


def test_the_most_classes_are_no_trouble() -> None:
    form = ClassesForm(private=False, classes=tuple(f"c{one}" for one in range(MAX_CLASSES)))
    random = np.random.default_rng(14)
    labels = random.integers(0, MAX_CLASSES, 2000)
    scores = random.normal(size=(2000, MAX_CLASSES)) + 2 * np.eye(MAX_CLASSES)[labels]
    rows = Rows(scores.astype(np.float32), labels.astype(np.float32))
    found = evaluate(form, rows.totals(form))
    shares = softmax(rows.outputs.astype(np.float64), axis=1)
    exact = roc_auc_score(labels, shares, multi_class="ovr")
    assert abs(found["figures"]["auc"] - exact) <= found["bounds"]["auc"]
    assert len(json.dumps(found)) < 60_000


def test_intervals_of_few_rows_that_are_all_right_have_a_width() -> None:
    """Draws of right rows are right: by themselves they say that no row can ever be wrong."""
    labels = np.arange(40) % 4
    rows = Rows(9 * np.eye(4, dtype=np.float32)[labels], labels.astype(np.float32))
    found = evaluate(CLASSES, rows.totals(CLASSES))
    for name in ("balanced_accuracy", "macro_f1", "weighted_f1"):
        low, high = found["intervals"][name]
        assert (found["figures"][name], high) == (1.0, 1.0)
        assert 0.8 < low < 0.95, name  # of ten right rows a share may be .72, of four such more
