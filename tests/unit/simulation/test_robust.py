"""Robust rules in simulated jobs: two of eleven parties attack, and what refuses a rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from secureflow import simulate
from secureflow.domain.specs.robust import RULES_BY_NAME
from secureflow.kit.errors import SecureFlowError
from secureflow.simulation.training.parties import Party

ROWS, PARTIES = 1100, 11
MEDIAN = {"rule": "median"}
GIVEN: dict[str, dict[str, Any]] = {
    "trimmed_mean": {"trim": 2},
    "krum": {"malicious": 2, "select": 5},
    "bulyan": {"malicious": 2},
    "centered_clipping": {"radius": 0.5},
}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    draws = np.random.default_rng(6)
    x, z = draws.normal(size=(2, ROWS))
    chance = 1 / (1 + np.exp(-3 * x + z))
    return pa.table({"x": x, "z": z, "y": np.where(draws.random(ROWS) < chance, "yes", "no")})


def job(rule: str | None, **more: Any) -> dict[str, Any]:
    columns = [{"column": one, "bounds": [-4, 4]} for one in ("x", "z")]
    named = None if rule is None else {"rule": rule, **GIVEN.get(rule, {})}
    return {
        "kind": "training",
        "features": {"label": {"column": "y", "positive": "yes"}, "numeric": columns},
        "plan": {
            "rounds": 4,
            "batch_size": 32,
            "learning_rate": 0.2,
            "aggregation": named,
            "validation": 0.2,
        },
        "protection": "sealed",
        "min_contributors": PARTIES,
    } | more


def attacked(
    rule: str | None, table: pa.Table, monkeypatch: pytest.MonkeyPatch, honest: int
) -> Any:
    """Let all but the first parties turn their updates around, ten times as long."""

    class Turned(Party):
        def train(self, *given: Any) -> tuple[NDArray[np.float32], Any]:
            parameters, sums = super().train(*given)
            if int(self.name.split("-")[-1]) > honest:
                parameters = (-10 * parameters).astype(np.float32)
            return parameters, sums

    with monkeypatch.context() as patch:
        patch.setattr("secureflow.simulation.training.parties.Party", Turned)
        return simulate(job(rule), table, parties=PARTIES)


@pytest.mark.parametrize("rule", RULES_BY_NAME)
def test_a_rule_learns_although_two_parties_attack(
    rule: str, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = simulate(job(None), table, parties=PARTIES).metrics["auc"]
    outcome = attacked(rule, table, monkeypatch, PARTIES - 2)
    assert len(outcome.spec.roster) == PARTIES
    assert outcome.metrics["auc"] > clean - 0.03
    assert outcome.spec.plan.aggregation == RULES_BY_NAME[rule](rule, **GIVEN.get(rule, {}))


def test_the_mean_does_not(table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = simulate(job(None), table, parties=PARTIES).metrics["auc"]
    assert attacked(None, table, monkeypatch, PARTIES - 2).metrics["auc"] < clean - 0.2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"protection": "secagg"}, "masks hide them"),
        ({"protection": "sealed+secagg"}, "masks hide them"),
        (
            {
                "model": {"family": "gaussian_nb"},
                "plan": {"rounds": 1, "aggregation": MEDIAN},
            },
            "are no changes of a model",
        ),
        ({"plan": {"strategy": "scaffold", "aggregation": MEDIAN}}, "needs the mean"),
        ({"plan": {"strategy": "fednova", "aggregation": MEDIAN}}, "needs the mean"),
        ({"plan": {"aggregation": {"rule": "bulyan", "malicious": 3}}}, "needs 15 parties"),
        ({"plan": {"aggregation": {"rule": "krum", "malicious": 5}}}, "needs 13 parties"),
        (
            {"min_contributors": 4, "plan": {"aggregation": {"rule": "krum"}}},
            "needs 6 updates in each round",
        ),
        ({"privacy": {"unit": "party", "noise_multiplier": 1.0, "delta": 1e-3}}, "noise"),
    ],
)
def test_where_a_rule_cannot_run_is_told(
    table: pa.Table, change: dict[str, Any], told: str
) -> None:
    asked = job("median") | change
    for one in asked["features"]["numeric"]:
        one["scale"] = "bounds"
    with pytest.raises(SecureFlowError) as caught:
        simulate(asked, table, parties=PARTIES)
    assert caught.value.code == "contradictory_spec"
    assert told in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"rule": "medain"}, "rule"),
        ({"rule": "krum", "trim": 1}, "trim"),
        ({"rule": "trimmed_mean", "trim": 0}, "trim"),
        ({"rule": "centered_clipping", "radius": 0}, "radius"),
        ({"rule": "geometric_median", "iterations": 1001}, "iterations"),
        ("median", "aggregation"),
        (7, "aggregation"),
    ],
)
def test_unknown_rules_and_numbers_are_refused_by_name(
    table: pa.Table, given: Any, told: str
) -> None:
    asked = job(None)
    asked["plan"]["aggregation"] = given
    with pytest.raises(SecureFlowError) as caught:
        simulate(asked, table, parties=PARTIES)
    assert told in str(caught.value)
