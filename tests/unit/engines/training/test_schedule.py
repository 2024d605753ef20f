from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secureflow.domain.specs.base import RosterEntry
from secureflow.domain.specs.measured import HIGHER, METRICS, Metric
from secureflow.domain.specs.plan_rules import metrics_of
from secureflow.domain.specs.targets import ClassesLabel, Label, NumberLabel
from secureflow.domain.specs.training import (
    EarlyStop,
    FeatureSpec,
    ModelSpec,
    NumericFeature,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.engines.training.measures import measure_of
from secureflow.engines.training.schedule import Kept, Stopping, badness


def stops(metric: Metric | None, figures: list[dict[str, float]], **rule: Any) -> int | None:
    """Return the place of the round that is the last."""
    stopping = Stopping(TrainingPlan(early_stop=EarlyStop(**rule), metric=metric))
    return next((at for at, one in enumerate(figures) if stopping.after(one)), None)


def kept(metric: Metric, figures: list[dict[str, float]]) -> int:
    found = Kept[str](metric)
    for number, one in enumerate(figures, 1):
        found.offer(number, f"model {number}", one, [])
    return found.round


def rounds(name: str, *values: float) -> list[dict[str, float]]:
    return [{"loss": 9.0 - at, name: value} for at, value in enumerate(values)]


def test_by_default_the_loss_decides_and_less_is_better() -> None:
    falling = [{"loss": value, "auc": 0.9 - value} for value in (0.9, 0.5, 0.6, 0.7, 0.8)]
    assert stops(None, falling, patience=2) == 3
    assert kept("loss", falling) == 2


@pytest.mark.parametrize("metric", sorted(HIGHER))
def test_of_these_figures_more_is_better(metric: Metric) -> None:
    figures = rounds(metric, 0.6, 0.8, 0.7, 0.75)
    assert stops(metric, figures, patience=2) == 3
    assert kept(metric, figures) == 2


@pytest.mark.parametrize("metric", sorted({*METRICS} - HIGHER - {"rmse", "loss"}))
def test_of_the_others_less_is(metric: Metric) -> None:
    assert kept(metric, rounds(metric, 0.6, 0.5, 0.7)) == 2


def test_the_root_of_the_squares_counts_in_the_labels_unit() -> None:
    figures = rounds("mse", 100.0, 81.0, 72.25)
    assert badness(figures[1], "rmse") == 9.0
    assert stops("rmse", figures, patience=1, min_delta=0.9) == 2  # 8.5 is less than 9 by 0.5
    assert stops("rmse", figures, patience=1, min_delta=0.4) is None


@pytest.mark.parametrize("others", [{}, {"mse": 4.0}])
def test_code_is_chosen_by_the_rmse_that_it_declares(others: dict[str, float]) -> None:
    figures = [{**one, **others} for one in rounds("rmse", 0.6, 0.5, 0.7, 0.8)]
    assert badness(figures[1], "rmse") == 0.5
    assert kept("rmse", figures) == 2
    assert stops("rmse", figures, patience=2) == 3


def test_a_mean_of_squares_below_0_has_the_root_0() -> None:
    assert badness({"mse": -1e-12}, "rmse") == 0.0


def test_a_gain_below_min_delta_is_no_gain() -> None:
    assert stops("auc", rounds("auc", 0.7, 0.705, 0.709), patience=2, min_delta=0.01) == 2
    assert stops("auc", rounds("auc", 0.7, 0.72, 0.74), patience=2, min_delta=0.01) is None


def test_a_round_without_the_figure_neither_stops_nor_is_kept() -> None:
    figures = [{"loss": 0.1}, {"loss": 0.2, "auc": 0.6}, {"loss": 0.0}, {"loss": 0.3, "auc": 0.5}]
    assert stops("auc", figures, patience=1) == 3
    assert kept("auc", figures) == 2


def test_of_equal_figures_the_earlier_model_stays() -> None:
    assert kept("auc", rounds("auc", 0.7, 0.7)) == 1


LABELS = {
    "binary": Label("y", "1"),
    "classes": ClassesLabel("y", ("a", "b", "c")),
    "many": ClassesLabel("y", tuple(f"c{at}" for at in range(40))),
    "number": NumberLabel("y", (0.0, 10.0)),
}


@pytest.mark.parametrize("form", LABELS)
def test_what_a_plan_may_choose_by_is_what_rounds_are_measured_by(form: str) -> None:
    family = {"binary": "logistic_regression", "number": "linear"}.get(form, "softmax")
    spec = TrainingSpec(
        project="p", name="n", purpose="p", submitter="s",
        roster=tuple(RosterEntry(f"bank-{at}", "k", "d") for at in range(3)),
        features=FeatureSpec(LABELS[form], (NumericFeature("x", (0.0, 1.0)),)),
        model=ModelSpec(family),  # type: ignore[arg-type]
    )  # fmt: skip
    measure, generator = measure_of(spec), np.random.default_rng(1)
    width = {"binary": 1, "classes": 3, "many": 40, "number": 1}[form]
    outputs = generator.normal(size=(200, width)).astype(np.float32)
    labels = (np.arange(200) % max(2, width)).astype(np.float32)
    figures = measure.summarise(measure.sums(outputs, labels, (0.0, 1.0)))
    known = {*figures, *(["rmse"] if "mse" in figures else [])} - {"rows"}
    assert {*metrics_of(spec)} == known
