"""Boosted trees in simulation: the example job file, what is kept, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from secureflow import simulate
from secureflow.demo.scores import score
from secureflow.kit.errors import SecureFlowError

EXAMPLES = Path(__file__).parents[3] / "examples"
EXAMPLE, PRIVATE = EXAMPLES / "trees.yaml", EXAMPLES / "private-trees.yaml"


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    draws = np.random.default_rng(4)
    age, income = draws.uniform(18, 90, 400), draws.uniform(0, 300_000, 400)
    gone = draws.random(400) < 0.2
    score = (age > 40) * 2.0 - (income < 60_000) + gone + 0.3 * draws.normal(size=400)
    sex = draws.choice(np.array(["f", "m"], dtype=object), 400)
    return {"age": age, "income": np.where(gone, np.nan, income), "sex": sex,
            "default": np.where(score > 0.7, "yes", "no").astype(object)}  # fmt: skip


def small(**plan: Any) -> dict[str, Any]:
    job = yaml.safe_load(EXAMPLE.read_text())
    job["model"] |= {"max_depth": 3, "bins": 16}
    job["plan"] = {"rounds": 6, "learning_rate": 0.5, "validation": 0.2, **plan}
    return dict(job)


def test_the_example_is_a_job(rows: dict[str, Any], tmp_path: Path) -> None:
    told: list[int] = []
    found = simulate(small(), rows, parties=4, on_round=lambda row: told.append(row["round"]))
    assert told == [1, 2, 3, 4, 5, 6]  # trees, not levels
    assert found.history[0]["loss"] == pytest.approx(np.log(2), abs=1e-6)
    assert found.metrics["auc"] > 0.9
    assert found.metrics["loss"] < found.history[-1]["loss"]
    found.model.save_xgboost(tmp_path / "model.json")
    written = json.loads((tmp_path / "model.json").read_text())
    assert len(written["learner"]["gradient_booster"]["model"]["trees"]) == 6
    with pytest.raises(SecureFlowError, match="not of scikit-learn"):
        found.model.to_sklearn()


@pytest.mark.parametrize("protection", ["secagg", "sealed+secagg"])
def test_exact_sums_are_not_opened_under_masks(rows: dict[str, Any], protection: str) -> None:
    with pytest.raises(SecureFlowError, match="the difference of two shows rows"):
        simulate(small(rounds=2), rows, parties=4, protection=protection)


def test_the_private_example_is_a_job(rows: dict[str, Any]) -> None:
    found = simulate(yaml.safe_load(PRIVATE.read_text()), rows, parties=4)
    assert found.privacy is not None
    assert found.privacy["rounds"] == 61
    assert 3.9 < found.privacy["epsilon"] <= 4.0


@pytest.mark.parametrize("protection", ["sealed", "secagg", "sealed+secagg"])
def test_noised_trees_are_grown_under_every_protection(
    rows: dict[str, Any], protection: str
) -> None:
    noise = "enclave" if protection == "sealed" else "shared"
    privacy = {"noise": noise, "epsilon": 50.0, "delta": 1e-4, "rows": 400, "metrics_noise": 10.0}
    job = {**small(rounds=4), "protection": protection, "privacy": privacy}
    job["model"] |= {"max_depth": 2, "bins": 8}
    found = simulate(job, rows, parties=4)
    # Six runs of each were above .97: what chance draws is far from this bound.
    assert score(rows["default"] == "yes", found.model.predict_proba(rows)[:, 1]).auc > 0.85
    assert found.privacy is not None
    assert found.privacy["rounds"] == 1 + 4 * 2  # each level is a release
    assert found.privacy["epsilon"] == pytest.approx(50.0, rel=0.05)
    spent = [row["epsilon"] for row in found.history]
    assert spent == sorted(set(spent))


def test_rounds_end_with_a_whole_tree(rows: dict[str, Any]) -> None:
    """An early stop is seen with the first level of the next tree, which is then no tree."""
    stopped = simulate(
        small(rounds=40, learning_rate=2.0, early_stop={"patience": 2}), rows, parties=4
    )
    trees = len(stopped.history)
    assert trees < 40
    again = simulate(small(rounds=trees, learning_rate=2.0), rows, parties=4)
    assert stopped.metrics == again.metrics
    best = simulate(small(rounds=trees, learning_rate=2.0, keep="best"), rows, parties=4)
    losses = [row["loss"] for row in best.history[1:]] + [best.last_metrics["loss"]]
    assert best.metrics["loss"] == min(losses)
    assert best.kept_round == 1 + losses.index(min(losses))


@pytest.mark.parametrize(("mode", "trees"), [("bagging", 4 * 8), ("cyclic", 8)])
def test_trees_of_single_parties_learn_and_are_written(
    rows: dict[str, Any], tmp_path: Path, mode: str, trees: int
) -> None:
    job = small(rounds=8)
    job["model"] |= {"mode": mode, "subsample": 0.8, "min_leaf_rows": 5}
    found = simulate(job, rows, parties=4)
    assert [row["round"] for row in found.history] == list(range(1, 9))
    assert found.metrics["auc"] > 0.9
    assert found.metrics["loss"] < found.history[-1]["loss"]
    assert simulate(job, rows, parties=4).metrics == found.metrics
    found.model.save_xgboost(tmp_path / "model.json")
    written = json.loads((tmp_path / "model.json").read_text())
    assert len(written["learner"]["gradient_booster"]["model"]["trees"]) == trees
    kept = simulate(small_of(job, keep="best", early_stop={"patience": 2}), rows, parties=4)
    assert kept.kept_round is not None


def small_of(job: dict[str, Any], **plan: Any) -> dict[str, Any]:
    return {**job, "plan": {**job["plan"], **plan}}
