"""What a private job costs is said, and held to its ceiling, before anybody is asked."""

from __future__ import annotations

from typing import Any

import pytest
from peers.accounting import InlineAccountant

from secureflow.adapters.accounting import ProcessAccountant
from secureflow.application.jobs.pricing import epsilon_notes
from secureflow.application.jobs.trainingprice import price, with_noise
from secureflow.kit.errors import SecureFlowError

ACCOUNTANT = InlineAccountant()
PRIVACY = {"delta": 1e-5, "epsilon": 1.0, "rows": 30_000}


class Noting:
    """The real accountant, and how often it was asked."""

    def __init__(self, real: ProcessAccountant | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self._real = real or ACCOUNTANT

    async def quote(self, **question: Any) -> dict[str, Any]:
        self.asked.append(question)
        return await self._real.quote(**question)


@pytest.mark.slow
async def test_a_request_without_noise_gets_the_least_that_fits() -> None:
    parts = {"privacy": PRIVACY, "plan": {"rounds": 100}}
    priced = await price(parts, Noting())
    assert priced
    facts = priced.facts()
    assert facts["noise_multiplier"] == pytest.approx(40.46, rel=1e-3)
    assert 0.99 < facts["epsilon"]["rdp-cks20"] <= 1.0
    assert facts["epsilon"]["pld"] < facts["epsilon"]["rdp-cks20"] < facts["epsilon"]["rdp-filter"]
    assert (facts["releases"], facts["delta"], facts["unit"]) == (100, 1e-5, "record")
    assert with_noise(parts, priced)["privacy"]["noise_multiplier"] == facts["noise_multiplier"]
    assert parts["privacy"] == PRIVACY


@pytest.mark.slow
async def test_every_local_step_is_a_release() -> None:
    noting = Noting()
    privacy = {**PRIVACY, "noise": "local", "local_steps": 5, "noise_multiplier": 50.0}
    priced = await price({"privacy": privacy, "plan": {"rounds": 4}}, noting)
    assert noting.asked[0]["count"] == 20
    assert priced
    assert priced.facts()["releases"] == 20


@pytest.mark.slow
async def test_every_level_of_a_tree_is_a_release() -> None:
    noting, model = Noting(), {"family": "xgboost", "max_depth": 3}
    privacy = {**PRIVACY, "noise_multiplier": 50.0}
    priced = await price({"privacy": privacy, "plan": {"rounds": 20}, "model": model}, noting)
    assert noting.asked[0]["count"] == 1 + 20 * 3
    assert priced
    assert [one.count for one in priced.charge] == [1 + 20 * 3]


@pytest.mark.slow
async def test_a_job_dearer_than_its_ceiling_is_refused() -> None:
    privacy = {**PRIVACY, "noise_multiplier": 2.0}
    with pytest.raises(SecureFlowError, match="more than its ceiling of 1") as caught:
        await price({"privacy": privacy, "plan": {"rounds": 100}}, Noting())
    assert caught.value.code == "contradictory_spec"
    assert caught.value.details["field"] == "privacy.noise_multiplier"


async def test_without_privacy_nobody_is_asked() -> None:
    noting = Noting()
    for parts in ({}, {"privacy": None}, {"privacy": {"delta": 7}}, {"privacy": {"delta": 1e-5}}):
        assert await price(parts, noting) is None
        assert with_noise(parts, None) == parts
    assert noting.asked == []


@pytest.mark.slow
async def test_a_loss_distribution_too_large_to_compute_is_left_out_and_that_is_said() -> None:
    privacy = {**PRIVACY, "epsilon": None, "noise_multiplier": 0.1}
    priced = await price(
        {"privacy": privacy, "plan": {"rounds": 1000}}, Noting(ProcessAccountant())
    )
    assert priced
    epsilon = priced.facts()["epsilon"]
    assert epsilon["pld"] is None
    assert epsilon["rdp-cks20"] > 1e4
    (note,) = epsilon_notes(epsilon)
    assert "left out" in note
    assert not list(epsilon_notes({**epsilon, "pld": 0.9}))
