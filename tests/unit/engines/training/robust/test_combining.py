"""Robust rules against their definitions, written plainly, and against attackers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from secureflow.domain.specs.robust import (
    Bulyan,
    CenteredClipping,
    GeometricMedian,
    Krum,
    Median,
    Robust,
    TrimmedMean,
    least_parties,
)
from secureflow.engines.training.robust.combining import combined
from secureflow.engines.training.robust.distances import geometric_median, krum_scores

COUNT, SIZE = 11, 70
Rows = NDArray[np.float64]


class Held:
    """Updates in memory, read in blocks of some width."""

    def __init__(self, rows: Rows, width: int = 7) -> None:
        self._rows, self._width = rows, width

    def __len__(self) -> int:
        return len(self._rows)

    def blocks(self) -> Iterator[tuple[slice, Rows]]:
        for start in range(0, self._rows.shape[1], self._width):
            part = slice(start, min(start + self._width, self._rows.shape[1]))
            yield part, self._rows[:, part]


@pytest.fixture
def rows() -> Rows:
    return np.random.default_rng(8).normal(size=(COUNT, SIZE)).astype(np.float32).astype(float)


def of(rule: Robust, rows: Rows, width: int = 7) -> Rows:
    target = np.full(rows.shape[1], np.nan, np.float32)
    combined(rule, Held(rows, width), target)
    return target.astype(float)


def plain_krum(rows: Rows, malicious: int) -> int:
    """Blanchard et al. 2017, section 3, as it is written."""
    scores = []
    for i, one in enumerate(rows):
        away = sorted(float(((one - other) ** 2).sum()) for j, other in enumerate(rows) if j != i)
        scores.append(sum(away[: len(rows) - malicious - 2]))
    return int(np.argmin(scores))


def plain_bulyan(rows: Rows, malicious: int) -> Rows:
    """El Mhamdi et al. 2018, section 4, as it is written."""
    left, chosen = list(range(len(rows))), []
    while len(chosen) < len(rows) - 2 * malicious:
        scores = []
        for i in left:
            away = sorted(float(((rows[i] - rows[j]) ** 2).sum()) for j in left if j != i)
            scores.append(sum(away[: max(len(left) - malicious - 2, 1)]))
        chosen.append(left.pop(int(np.argmin(scores))))
    made = []
    for values in rows[sorted(chosen)].T:
        middle = float(np.median(values))
        near = sorted(values, key=lambda value: abs(value - middle))
        made.append(np.mean(near[: len(chosen) - 2 * malicious]))
    return np.array(made)


def plain_geometric(rows: Rows) -> Rows:
    """Go downhill from the mean until nothing moves (Weiszfeld 1937)."""
    point = rows.mean(axis=0)
    for _ in range(5000):
        away = np.maximum(np.linalg.norm(rows - point, axis=1), 1e-12)
        point = (rows / away[:, None]).sum(axis=0) / (1 / away).sum()
    return point


def plain_clipping(rows: Rows, radius: float, iterations: int) -> Rows:
    """Karimireddy, He and Jaggi 2021, section 4, beginning with no change."""
    point = np.zeros(rows.shape[1])
    for _ in range(iterations):
        away = rows - point
        norms = np.linalg.norm(away, axis=1, keepdims=True)
        point = point + (away * np.minimum(1, radius / norms)).mean(axis=0)
    return point


def test_a_median_and_trimmed_means_are_those_of_each_coordinate(rows: Rows) -> None:
    np.testing.assert_allclose(of(Median("median"), rows), np.median(rows, axis=0), rtol=1e-6)
    expected = np.sort(rows, axis=0)[3:-3].mean(axis=0)
    np.testing.assert_allclose(of(TrimmedMean("trimmed_mean", 3), rows), expected, atol=1e-6)


@pytest.mark.parametrize("malicious", [0, 2, 4])
def test_krum_takes_the_update_with_the_nearest_neighbours(rows: Rows, malicious: int) -> None:
    np.testing.assert_allclose(
        of(Krum("krum", malicious, 1), rows), rows[plain_krum(rows, malicious)]
    )


def test_several_are_the_best_by_their_scores(rows: Rows) -> None:
    squares = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    best = np.argsort(krum_scores(squares, 2))[:4]
    np.testing.assert_allclose(
        of(Krum("krum", 2, 4), rows), rows[np.sort(best)].mean(axis=0), atol=1e-6
    )


@pytest.mark.parametrize("malicious", [1, 2])
def test_bulyan_is_as_it_is_written(rows: Rows, malicious: int) -> None:
    np.testing.assert_allclose(
        of(Bulyan("bulyan", malicious), rows), plain_bulyan(rows, malicious), atol=1e-6
    )


def test_the_geometric_median_has_the_least_sum_of_distances(rows: Rows) -> None:
    found = of(GeometricMedian("geometric_median"), rows)
    np.testing.assert_allclose(found, plain_geometric(rows), atol=1e-5)
    least = np.linalg.norm(rows - found, axis=1).sum()
    for step in np.random.default_rng(1).normal(scale=0.01, size=(20, SIZE)):
        assert np.linalg.norm(rows - found - step, axis=1).sum() > least


def test_a_geometric_median_that_is_one_of_the_updates(rows: Rows) -> None:
    """Weiszfeld's step divides by the distance, which is zero there."""
    same = np.concatenate([np.repeat(rows[:1], 8, axis=0), rows[1:4]])
    np.testing.assert_allclose(of(GeometricMedian("geometric_median"), same), rows[0], atol=1e-4)
    assert np.isfinite(geometric_median(np.zeros((3, 3)), 10)).all()


@pytest.mark.parametrize(("radius", "iterations"), [(1.0, 1), (4.0, 5), (100.0, 3)])
def test_clipped_means_are_as_they_are_written(rows: Rows, radius: float, iterations: int) -> None:
    rule = CenteredClipping("centered_clipping", radius, iterations)
    np.testing.assert_allclose(of(rule, rows), plain_clipping(rows, radius, iterations), atol=1e-5)


RULES: list[Robust] = [
    Median("median"),
    TrimmedMean("trimmed_mean", 2),
    Krum("krum", 2, 3),
    Bulyan("bulyan", 2),
    GeometricMedian("geometric_median"),
    CenteredClipping("centered_clipping", 10.0),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule)
def test_attackers_move_the_mean_and_not_the_rule(rule: Robust, rows: Rows) -> None:
    honest = 1.0 + 0.1 * rows
    told = honest.copy()
    told[:2] *= -10
    assert len(told) >= least_parties(rule)
    assert np.abs(of(rule, told) - honest.mean(axis=0)).max() < 0.4
    assert np.abs(told.mean(axis=0) - honest.mean(axis=0)).max() > 1.5


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule)
def test_the_width_of_blocks_changes_nothing(rule: Robust, rows: Rows) -> None:
    np.testing.assert_allclose(of(rule, rows, 7), of(rule, rows, SIZE), atol=1e-6)
