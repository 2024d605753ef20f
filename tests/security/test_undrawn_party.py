"""A centre that chooses who contributes, against agents that know whom the spec draws.

The test is red without `check_drawn` in `agent.kinds.training`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.agent_world import ME, World

from secureflow.domain.specs.roundparties import drawn_parties
from secureflow.kit.errors import SecureFlowError

PARTIES = (ME, *(f"bank-{letter}" for letter in "bcd"))


def world_where(directory: Path, *, drawn: bool) -> World:
    """Return a world whose first round draws the agent's party, or does not."""
    for seed in range(64):
        plan = {"rounds": 3, "parties_per_round": 3, "seed": seed}
        made = World(directory / str(seed), parties=PARTIES, spec_changes={"plan": plan})
        if (ME in drawn_parties(made.spec, made.digest, 1)) == drawn:
            return made
    raise AssertionError("three of four are always or never drawn")


async def test_an_agent_that_was_not_drawn_sends_nothing(tmp_path: Path) -> None:
    world = world_where(tmp_path, drawn=False)
    await world.admitted()
    body = world.train_body()
    with pytest.raises(SecureFlowError) as caught:
        await world.assembly.agent.handle("train", body, world.log_proofs(body))
    assert caught.value.code == "not_drawn"
    assert ME in caught.value.message
    assert "train" not in world.worker.calls


async def test_an_agent_that_was_drawn_trains(tmp_path: Path) -> None:
    world = world_where(tmp_path, drawn=True)
    await world.admitted()
    assert (await world.ask("train", world.train_body()))["rows"] == 40
