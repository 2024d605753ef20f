from __future__ import annotations

import numpy as np
import pytest

from secureflow.engines.training.logistic import LogisticRegression, logits
from secureflow.engines.training.metrics import (
    LOSS_CAP,
    METRIC_COUNT,
    PRIVATE_BINS,
    PRIVATE_LOSS_CAP,
    binary_metric_sums,
    histogram_auc,
    noise_errors,
    summarise_binary,
)

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra sklearn")


@pytest.mark.parametrize("norm", [1e-3, 0.05, 1.0, 5.0])
@pytest.mark.parametrize("intercept", [-4.0, 0.0, 3.0])
@pytest.mark.parametrize("width", [1, 60])
def test_metrics_agree_with_scikit_learn(norm: float, intercept: float, width: int) -> None:
    rng = np.random.default_rng(11)
    X = rng.normal(size=(20_000, width)).astype(np.float32)
    direction = rng.normal(size=width)
    direction /= np.linalg.norm(direction)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(1 - 2 * (X @ direction)))).astype(np.float32)
    model = np.array([*(norm * direction), intercept], np.float32)
    family = LogisticRegression()
    metrics = summarise_binary(family.metric_sums(None, model, X, labels))  # type: ignore[arg-type]
    z = logits(model, X).astype(np.float64)
    assert metrics["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(labels, z), abs=2e-3)
    loss = sklearn_metrics.log_loss(labels, 1 / (1 + np.exp(-z)))
    assert metrics["loss"] == pytest.approx(loss, rel=1e-6)
    assert metrics["accuracy"] == sklearn_metrics.accuracy_score(labels, z > 0)


def test_sums_over_parties_are_the_sums_over_all_rows() -> None:
    rng = np.random.default_rng(5)
    labels = (rng.random(3_000) < 0.4).astype(np.float32)
    z = rng.normal(size=3_000).astype(np.float32)
    halves = (slice(0, 17), slice(17, None))
    parts = [binary_metric_sums(z[half], labels[half], 0.0, 1.0) for half in halves]
    whole = binary_metric_sums(z, labels, 0.0, 1.0)
    assert whole.shape == (METRIC_COUNT,)
    assert np.allclose(parts[0] + parts[1], whole, rtol=1e-12)


def test_one_row_moves_the_loss_by_at_most_the_cap() -> None:
    row = np.array([-1e30], np.float32), np.array([1], np.float32)
    sums = binary_metric_sums(*row, 0.0, 1e-30)
    assert sums[1] == LOSS_CAP
    assert np.isfinite(sums).all()
    assert sums.sum() == 1 + LOSS_CAP + 1


def test_overflowing_logits_leave_finite_sums() -> None:
    z = np.array([np.inf, -np.inf, np.nan], np.float32)
    sums = binary_metric_sums(z, np.ones(3, np.float32), 0.0, 1e-38)
    assert np.isfinite(sums).all()
    assert sums[3:].sum() == 3


def test_a_model_without_weights_ranks_nothing() -> None:
    z = np.zeros(4, np.float32)
    sums = binary_metric_sums(z, np.array([0, 1, 1, 0], np.float32), 0.0, 0.0)
    assert summarise_binary(sums)["auc"] == 0.5


def test_undefined_metrics_are_absent() -> None:
    assert summarise_binary(np.zeros(METRIC_COUNT)) == {"rows": 0.0}
    one_class = binary_metric_sums(np.ones(1, np.float32), np.ones(1, np.float32), 0.0, 1.0)
    assert "auc" not in summarise_binary(one_class)
    assert histogram_auc(np.array([0.0, 2.0]), np.array([2.0, 0.0])) == 1.0
    assert histogram_auc(np.array([3.0]), np.array([4.0])) == 0.5


@pytest.mark.parametrize(("sigma", "wider"), [(4.0, 1.25), (24.0, 1.5)])
def test_the_errors_are_those_that_the_noise_makes(sigma: float, wider: float) -> None:
    """The metrics of many noised copies of one table lie within what is told, 93 times in 100.

    Bins that noise takes below nothing are cut there: of the AUC more is told than is so.
    """
    rng = np.random.default_rng(3)
    scores = np.linspace(-2.0, 2.0, PRIVATE_BINS)
    density = np.exp(-((scores - 0.6) ** 2)), np.exp(-((scores + 0.6) ** 2))
    classes = [3_000 * density[0] / density[0].sum(), 7_000 * density[1] / density[1].sum()]
    exact = np.concatenate([[10_000.0, 4_200.0, 8_100.0], *classes])
    scale = np.ones(len(exact))
    scale[1] = PRIVATE_LOSS_CAP
    noised = exact + sigma * scale * rng.normal(size=(2_000, len(exact)))
    drawn = [(summarise_binary(one), noise_errors(one, sigma)) for one in noised]
    truth, told = summarise_binary(exact), noise_errors(exact, sigma)
    assert told.keys() == {"rows", "loss", "accuracy", "auc"}
    for name, error in told.items():
        spread = float(np.std([metrics[name] for metrics, _ in drawn]))
        assert spread * 0.93 < error < spread * (wider if name == "auc" else 1.07), name
        held = [abs(m[name] - truth[name]) <= 1.96 * errors[name] for m, errors in drawn]
        assert np.mean(held) > 0.93, name


def test_no_rows_have_no_errors_but_that_of_the_count() -> None:
    assert noise_errors(np.zeros(3 + 2 * PRIVATE_BINS), 5.0) == {"rows": 5.0}
