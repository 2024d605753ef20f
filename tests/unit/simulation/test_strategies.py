"""Simulated jobs under each strategy: they learn, and uploaded weights are a start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from secureflow import simulate
from secureflow.domain.specs.strategies import NAMES, PLAIN
from secureflow.kit.errors import SecureFlowError

ROWS = 600
STEPS: dict[str, dict[str, Any]] = {
    "fedadam": {"server_learning_rate": 0.3},
    "fedyogi": {"server_learning_rate": 0.3},
    "fedadagrad": {"server_learning_rate": 0.5},
    "fedprox": {"mu": 0.1},
    "fedavgm": {"momentum": 0.5},
}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    draws = np.random.default_rng(5)
    x, z = draws.normal(size=(2, ROWS))
    chance = 1 / (1 + np.exp(-2 * x + z))
    return pa.table({"x": x, "z": z, "y": np.where(draws.random(ROWS) < chance, "yes", "no")})


def job(strategy: Any, **more: Any) -> dict[str, Any]:
    columns = [{"column": one, "bounds": [-4, 4]} for one in ("x", "z")]
    plan = {"rounds": 8, "batch_size": 32, "learning_rate": 0.1, "validation": 0.2}
    return {
        "kind": "training",
        "features": {"label": {"column": "y", "positive": "yes"}, "numeric": columns},
        "plan": plan | {"strategy": strategy},
        "protection": "sealed",
    } | more


@pytest.mark.parametrize("protection", ["sealed", "secagg"])
@pytest.mark.parametrize("name", [one for one in NAMES if one != PLAIN])
def test_every_strategy_learns_under_seals_and_masks(
    table: pa.Table, name: str, protection: str
) -> None:
    outcome = simulate(job({"name": name, **STEPS[name]}, protection=protection), table, parties=3)
    assert outcome.metrics["auc"] > 0.85
    assert outcome.metrics["loss"] < outcome.history[0]["loss"]
    plain = simulate(job(PLAIN, protection=protection), table, parties=3)
    assert plain.digest != outcome.digest
    file = outcome.file
    assert len(file.parameters) == outcome.spec.parameters
    assert len(file.weights) == 3


def test_a_proximal_term_holds_local_steps_back(table: pa.Table) -> None:
    def moved(mu: float) -> float:
        plan = job({"name": "fedprox", "mu": mu})
        plan["plan"] |= {"rounds": 1, "local_epochs": 5}
        return float(np.linalg.norm(simulate(plan, table, parties=3).file.weights))

    plain = job(PLAIN)
    plain["plan"] |= {"rounds": 1, "local_epochs": 5}
    free = float(np.linalg.norm(simulate(plain, table, parties=3).file.weights))
    held = [moved(mu) for mu in (0.01, 1.0, 8.0)]
    assert sorted([free, *held], reverse=True) == [free, *held]
    assert held[-1] < free / 2


def test_weights_that_were_saved_are_a_start(table: pa.Table, tmp_path: Path) -> None:
    first = simulate(job(PLAIN), table, parties=3)
    saved = tmp_path / "weights.safetensors"
    saved.write_bytes(first.file.to_bytes())
    later = simulate(job({"name": "fedadam"}), table, parties=3, initial=saved)
    assert later.history[0]["loss"] == pytest.approx(first.metrics["loss"], rel=0.2)


def test_private_rounds_are_post_processed(table: pa.Table) -> None:
    private = job({"name": "fedavgm", "momentum": 0.5})
    private["plan"] |= {"validation": 0.0, "learning_rate": 1.0}
    for one in private["features"]["numeric"]:
        one["scale"] = "bounds"
    private["privacy"] = {"delta": 1e-5, "noise_multiplier": 0.5, "rows": ROWS, "sampling": 1.0}
    first = simulate(private, table, parties=3)
    plain = {**private, "plan": private["plan"] | {"strategy": PLAIN}}
    assert first.privacy is not None
    # What it costs is what the noised sums cost, whatever is made of them.
    assert first.privacy["epsilon"] == simulate(plain, table, parties=3).privacy["epsilon"]  # type: ignore[index]
    assert np.isfinite(first.file.weights).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": {"family": "ridge"}}, "ridge"),
        ({"model": {"family": "sgd_classifier"}, "plan": {"strategy": "fedprox"}}, "fedprox"),
    ],
)
def test_what_a_strategy_cannot_train_is_refused(
    table: pa.Table, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        simulate(job("fedadam") | change, table, parties=3)
    assert caught.value.code == "contradictory_spec"
    assert told in str(caught.value)
