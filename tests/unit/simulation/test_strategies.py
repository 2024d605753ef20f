"""Simulated jobs under each strategy: they learn, and uploaded weights are a start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from peers.pytorch import demand_torch

from secureflow import simulate
from secureflow.domain.specs.base import spec_digest
from secureflow.domain.specs.roundparties import drawn_parties
from secureflow.domain.specs.strategies import NAMES, PLAIN
from secureflow.kit.errors import SecureFlowError
from secureflow.simulation.training.parties import Party

ROWS = 600
STEPS: dict[str, dict[str, Any]] = {
    "fedadam": {"server_learning_rate": 0.3},
    "fedyogi": {"server_learning_rate": 0.3},
    "fedadagrad": {"server_learning_rate": 0.5},
    "fedprox": {"mu": 0.1},
    "fedavgm": {"momentum": 0.5},
    "feddyn": {"alpha": 0.1},
}
MODELS: dict[str, dict[str, Any]] = {
    "fedbn": {"model": {"family": "torch_mlp", "hidden": [8], "norm": "layer"}},
}
"""Of strategies that not every model can be trained by: PyTorch's."""


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
    if name in MODELS:
        demand_torch()
    model = MODELS.get(name, {})
    more = {"protection": protection, "min_contributors": 4, **model}
    asked = job({"name": name, **STEPS.get(name, {})}, **more)
    outcome = simulate(asked, table, parties=4)
    assert outcome.metrics["auc"] > 0.85
    assert outcome.metrics["loss"] < outcome.history[0]["loss"]
    plain = simulate(job(PLAIN, **more), table, parties=4)
    # Fine-tuning comes after the last round: what is released is the mean's model.
    assert (plain.digest == outcome.digest) == (name == "finetune")
    file = outcome.file
    assert len(file.parameters) == outcome.spec.parameters
    assert len(file.weights) == outcome.spec.model_parameters
    assert (outcome.own_models is None) == (name not in {"finetune", "fedbn"})


def updates(
    table: pa.Table, strategy: Any, rounds: int, parties: int = 4, **more: Any
) -> tuple[Any, list[Any]]:
    """Run a job; return its outcome, and each party's update in each round as it was read."""
    seen: list[Any] = []

    class Watched(Party):
        def train(self, *given: Any) -> Any:
            parameters, sums = super().train(*given)
            seen.append((self.name, parameters.copy(), float(sums[0])))
            return parameters, sums

    made = job(strategy, min_contributors=4)
    made["plan"] |= {"rounds": rounds, "local_epochs": 2, "order": "public", **more}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("secureflow.simulation.training.parties.Party", Watched)
        return simulate(made, table, parties=parties, partition="dirichlet:1"), seen


def test_control_variates_are_the_mean_of_the_parties(table: pa.Table) -> None:
    """Karimireddy et al. 2020: c is the mean of the c_i, here weighted by rows."""
    outcome, seen = updates(table, "scaffold", 4)
    own = {name: np.zeros(3) for name, _, _ in seen}
    for name, update, _ in seen:
        assert len(update) == 6
        own[name] += update[3:]
    rows = {name: weight for name, _, weight in seen}
    expected = sum(rows[name] * one for name, one in own.items()) / sum(rows.values())
    np.testing.assert_allclose(outcome.file.parameters[3:], expected, rtol=1e-4, atol=1e-6)
    assert np.abs(expected).max() > 0.01


def test_a_first_round_of_control_variates_is_one_of_the_mean(table: pa.Table) -> None:
    """All variates begin with zero, so nothing is corrected before the second round."""
    whole = {
        "batch_size": ROWS,
        "learning_rate": 1.0,
        "local_epochs": 10,
    }  # so that the order of the rows is nothing but rounding

    def learned(strategy: str, rounds: int) -> Any:
        return updates(table, strategy, rounds, **whole)[0].file.weights

    np.testing.assert_allclose(learned("scaffold", 1), learned(PLAIN, 1), rtol=1e-4)
    assert np.abs(learned("scaffold", 3) - learned(PLAIN, 3)).max() > 1e-3


def test_changes_count_per_step(table: pa.Table) -> None:
    """Wang et al. 2020: w + τ · Σ p_i Δ_i / τ_i, from the updates of the plain strategy."""
    outcome, _ = updates(table, "fednova", 1)
    _, plain = updates(table, PLAIN, 1)
    rows = np.array([weight for _, _, weight in plain])
    steps = 2 * np.ceil(rows / 32)
    assert len(set(steps)) > 1, "parties of one size show nothing"
    share = rows / rows.sum()
    means = sum(p / t * change for p, t, (_, change, _) in zip(share, steps, plain, strict=True))
    np.testing.assert_allclose(outcome.file.weights, share @ steps * means, rtol=1e-4, atol=1e-6)


def test_a_slope_of_its_own_is_kept_by_each_party(table: pa.Table) -> None:
    """Acar et al. 2021: after round 1 the model is the mean and as much again; λ_i moves."""
    outcome, seen = updates(table, {"name": "feddyn", "alpha": 0.5}, 1)
    rows = np.array([weight for _, _, weight in seen])
    mean = sum(p * change for p, (_, change, _) in zip(rows / rows.sum(), seen, strict=True))
    np.testing.assert_allclose(outcome.file.weights, 2 * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outcome.file.parameters[3:], -0.5 * mean, rtol=1e-4, atol=1e-6)


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
        (
            {"wire": "float16", "plan": {"strategy": "scaffold"}, "min_contributors": 4},
            "float32",
        ),
        ({"plan": {"strategy": "scaffold"}}, "releases two sums"),
        ({"plan": {"strategy": "scaffold"}, "protection": "secagg"}, "releases two sums"),
    ],
)
def test_what_a_strategy_cannot_train_is_refused(
    table: pa.Table, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        simulate(job("fedadam") | change, table, parties=4)
    assert caught.value.code == "contradictory_spec"
    assert told in str(caught.value)


def test_a_simulated_round_asks_the_drawn_parties_only(table: pa.Table) -> None:
    """The draw follows from the spec: what is asked for in each round is what the job would ask."""
    outcome, seen = updates(table, PLAIN, 3, parties=6, parties_per_round=5)
    digest = spec_digest(outcome.spec)
    drawn = [drawn_parties(outcome.spec, digest, number) for number in (1, 2, 3)]
    assert [name for name, _, _ in seen] == [name for one in drawn for name in one]
    assert len(set(drawn)) > 1
