"""Points add up to what the model says, and every bin has some."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

from benchmarks.preparation import Fitting
from secureflow.demo.data import LABEL
from secureflow.domain.specs.base import dump
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.features import recipe_features
from secureflow.sdk.scorecard import Scorecard, scorecard
from secureflow.simulation import simulate

STEPS: list[dict[str, Any]] = [
    {"step": "quantile_bins", "columns": ["age"], "bins": 4},
    {"step": "woe", "columns": ["age", "workclass"]},
]
PLAN = {"rounds": 3, "batch_size": 32, "learning_rate": 0.5, "validation": 0.0}


def rows(seed: int, count: int = 300) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    age = np.where(draw.random(count) < 0.1, np.nan, draw.integers(17, 90, count).astype(float))
    rich = draw.random(count) < 1 / (1 + np.exp(-(np.nan_to_num(age, nan=40) - 50) / 10))
    return {
        "age": age,
        "workclass": draw.choice(np.array(["a", "b"], object), count),
        "income": np.where(rich, ">50K", "<=50K").astype(object),
    }


def trained(steps: list[dict[str, Any]]) -> Any:
    shares = [rows(seed) for seed in range(3)]
    recipe = Fitting(steps, shares, ("age", "workclass")).recipe
    job = {"kind": "training", "features": dump(recipe_features(recipe, LABEL)), "plan": PLAN}
    import pandas as pd

    return simulate(job, [pd.DataFrame(share) for share in shares]).model


@pytest.fixture(scope="module")
def card() -> Scorecard:
    return scorecard(trained(STEPS), base=600, odds=50, doubling=20)


def test_the_points_of_a_rows_bins_add_up_to_its_score(card: Scorecard) -> None:
    some = rows(9, 40)
    bins = [one.bin for one in card.points if one.column == "age"]
    assert [one.bin for one in card.points if one.column == "workclass"] == ["a", "b", "missing"]
    assert bins[0].startswith("< ")
    assert bins[-2].startswith(">= ")
    edges = [float(one.split(" ")[-1].rstrip(")")) for one in bins[:-2]]
    points = {(one.column, one.bin): one.points for one in card.points}
    for at, score in enumerate(card.score(some)):
        age = some["age"][at]
        place = "missing" if np.isnan(age) else bins[int(np.searchsorted(edges, age, "right"))]
        total = points["age", place] + points["workclass", some["workclass"][at]]
        assert total == pytest.approx(score, abs=1e-3)


def test_base_points_stand_for_the_odds_and_doubling_for_twice_them(card: Scorecard) -> None:
    assert card.offset + card.factor * math.log(50) == pytest.approx(600)
    assert card.factor * math.log(2) == pytest.approx(20)


def test_a_score_is_exact_where_chances_are_nearly_certain(card: Scorecard) -> None:
    """In float32 a chance of 1 - 1e-7 is one of few numbers, several points apart."""
    model = copy.copy(card.model)
    model.parameters = np.array([9.0, 7.0, 15.0], np.float32)
    sure = scorecard(model, base=600, odds=50, doubling=20)
    points = {(one.column, one.bin): one.points for one in sure.points}
    young, *_, old, _ = (one.bin for one in sure.points if one.column == "age")
    scores = sure.score({"age": [17.0, 89.0], "workclass": ["a", "b"]})
    wanted = (
        points["age", young] + points["workclass", "a"],
        points["age", old] + points["workclass", "b"],
    )
    assert scores == pytest.approx(wanted, abs=1e-3)
    assert max(abs(model.log_odds({"age": [17.0, 89.0], "workclass": ["a", "b"]}))) > 17


@pytest.mark.parametrize("wrong", [{"odds": 0}, {"doubling": -1}, {"base": math.inf}])
def test_points_need_positive_odds(card: Scorecard, wrong: dict[str, float]) -> None:
    with pytest.raises(SecureFlowError, match="invalid_request"):
        scorecard(card.model, **wrong)


def test_a_model_on_other_inputs_has_no_scorecard() -> None:
    scaled = {"step": "standardise", "columns": ["age"]}
    with pytest.raises(SecureFlowError, match="invalid_model"):
        scorecard(trained([*STEPS, scaled]))
