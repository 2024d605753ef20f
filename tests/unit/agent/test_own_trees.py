"""An owner's own trees are released only under a grant that names them, whoever permits what."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import ALLOW, JOB, World

from secureflow.agent.owner.consent import _by_grant
from secureflow.agent.owner.grants import Under
from secureflow.domain.grants import GrantTerms
from secureflow.domain.policies import Decision
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_grants import grant, refusal


class Bagged(World):
    """A job that releases three trees of each party."""

    def make_spec(self, **changes: Any) -> TrainingSpec:
        return super().make_spec(model={"family": "xgboost", "mode": "bagging"}, **changes)


async def test_no_policy_releases_them_without_a_grant(tmp_path: Path) -> None:
    world = Bagged(tmp_path / "agent", policy=ALLOW)
    for terms in ({}, {"own_trees": 2}, {"own_trees": 3, "min_group": 4}):
        refused = await refusal(world)
        assert refused.code == "grant_missing"
        assert "--own-trees" in str(refused.hint)
        assert world.store.job(JOB) is None
        grant(world, **terms)
    grant(world, own_trees=3, min_group=3)
    assert await world.ask("consent", world.consent_body())


async def test_nobody_is_asked_about_trees_that_no_grant_names(tmp_path: Path) -> None:
    world = Bagged(tmp_path / "agent", policy="")
    with pytest.raises(SecureFlowError) as refused:
        async with asyncio.timeout(60):  # a person who is asked answers never
            await world.ask("consent", world.consent_body())
    assert refused.value.code == "grant_missing"


async def test_policies_know_that_nothing_hides_them(tmp_path: Path) -> None:
    """A rule of three stands, whatever a grant names: its owner changes the rule, or is asked."""
    policy = "forbid(principal, action, resource) when {context.min_contributors < 3};"
    world = Bagged(tmp_path / "agent", policy=ALLOW + policy)
    grant(world, own_trees=3, automatic=True)
    assert (await refusal(world)).code == "consent_refused"


@pytest.mark.parametrize(("least", "small", "effect"), [(20, 0, "allow"), (19, 19, "ask")])
def test_an_automatic_grant_of_trees_is_of_leaves_as_usual(
    tmp_path: Path, least: int, small: int, effect: str
) -> None:
    """A grant counts trees: leaves of five rows, where it was made for twenty, a person decides."""
    model = {"family": "xgboost", "mode": "bagging", "min_leaf_rows": least}
    spec = World(tmp_path / "agent", spec_changes={"model": model}).spec
    assert spec.facts()["small_leaves"] == small
    terms = GrantTerms("customers", spec.project, ("age",), 2_000_000_000, automatic=True)
    nobody = Decision("ask", ("no policy permits it",))
    assert _by_grant(nobody, dict(spec.facts()), Under("g", terms)).effect == effect


def test_an_approval_counts_no_trees_under_no_grant(tmp_path: Path) -> None:
    """The second look, in the transaction of the approval: a grant may have gone meanwhile."""
    world = Bagged(tmp_path / "agent", policy=ALLOW)
    asked = {"dataset": "customers", "columns": ["age"], **world.spec.facts()}
    with pytest.raises(SecureFlowError) as caught:
        world.assembly.grants.take(JOB, world.spec, asked, None)
    assert caught.value.code == "grant_missing"
