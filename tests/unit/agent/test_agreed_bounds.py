"""A job's bounds at an agent: held to the owner's under noise, told to people without."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from peers.accounting import Analytic
from peers.agent_world import JOB, World
from peers.statistics_world import StatisticsWorld

from secureflow.kit.errors import SecureFlowError

BUDGET = {"domain": "customers", "epsilon": 5.0, "delta": 1e-5}
NOISE = {"delta": 1e-6, "noise_multiplier": 5.0, "rows": 1000}
PLAN = {"rounds": 3, "validation": 0.0}


def features(bounds: Any, column: str = "age") -> dict[str, Any]:
    return {
        "label": {"column": "income", "positive": "high"},
        "numeric": [{"column": column, "bounds": bounds, "scale": "bounds"}],
    }


CASES: list[tuple[list[float], str]] = [
    ([0, 100], ""),
    ([-10, 120], ""),
    ([0, 99.999], "bounds_too_narrow"),
    ([1, 1000], "bounds_too_narrow"),
    ([0, 100_001], "bounds_too_wide"),
    ([0, 5e-324], "contradictory_spec"),
    ([-1e101, 1e101], "contradictory_spec"),
]


@pytest.mark.parametrize(("bounds", "code"), CASES)
async def test_a_private_jobs_bounds(tmp_path: Path, bounds: list[float], code: str) -> None:
    changes = {"plan": PLAN, "privacy": NOISE, "features": features(bounds)}
    agent = World(tmp_path, privacy=BUDGET, spec_changes=changes, accounting=Analytic())
    await agreed(agent, code)


@pytest.mark.parametrize(("bounds", "code"), CASES)
async def test_statistics_bounds_go_by_the_same_rule(
    tmp_path: Path, bounds: list[float], code: str
) -> None:
    changes = {
        "columns": [{"column": "age", "type": "number", "bounds": bounds}],
        "queries": [{"name": "q", "measure": "mean", "column": "age"}],
    }
    await agreed(StatisticsWorld(tmp_path / "a", spec_changes=changes, accounting=Analytic()), code)


async def agreed(agent: World, code: str) -> None:
    if not code:
        assert (await agent.ask("consent", agent.consent_body()))["approval"]
        return
    with pytest.raises(SecureFlowError) as caught:
        await agent.ask("consent", agent.consent_body())
    assert caught.value.code == code
    assert agent.store.job(JOB) is None


@pytest.mark.parametrize(
    ("bounds", "told"), [([0, 100], []), ([17, 65], ["age: [0, 100] → [17, 65]"])]
)
async def test_without_noise_people_are_told_where_bounds_differ(
    tmp_path: Path, bounds: list[float], told: list[str]
) -> None:
    agent = World(tmp_path, policy="", spec_changes={"plan": PLAN, "features": features(bounds)})
    asking = asyncio.create_task(agent.ask("consent", agent.consent_body()))
    while not agent.assembly.inbox.list():  # noqa: ASYNC110  a commit in a thread tells nobody
        await asyncio.sleep(0.001)
    (item,) = agent.assembly.inbox.list()
    assert item.request["differing_bounds"] == told
    agent.assembly.inbox.decide(item.id, "approved", "")
    agent.assembly.inbox.wake(item.id)
    assert (await asking)["approval"]


async def test_a_numeric_label_needs_a_number(tmp_path: Path) -> None:
    """It would be found in the first row otherwise, and be charged."""
    asked = {**features([0, 100]), "label": {"column": "age", "positive": "old"}, "numeric": []}
    asked["categorical"] = [{"column": "job", "categories": ["x", "y"]}]
    changes = {"plan": PLAN, "privacy": NOISE, "features": asked}
    agent = World(tmp_path, privacy=BUDGET, spec_changes=changes, accounting=Analytic())
    await agreed(agent, "malformed_label")
